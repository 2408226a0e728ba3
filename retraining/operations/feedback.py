"""Adds late labels to a store, and shows what came.

Rows are read with the types that the dataset has, compared with what is known, and what is new of them becomes
one batch of the store's feedback log. Nothing is read by what a few values look like.
"""

from __future__ import annotations

import datetime as dt
import difflib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from retraining.data.drafting import Drafted, draft_of
from retraining.data.feedback import KNOWN_AT, OP, RETRACT, Records, current, records_of
from retraining.data.tables import NO_MOMENT, Column
from retraining.decide.calendar import micros, moment
from retraining.errors import InputError, NotFoundError
from retraining.manifest import load_manifest
from retraining.manifest.values import Dataset, Json, Manifest
from retraining.operations.arguments import parse_moment, store_url
from retraining.operations.datasets import read_dataset
from retraining.operations.files import find_dataset_files
from retraining.operations.given import check_labels, read_given
from retraining.operations.people import who_am_i
from retraining.operations.stored import Stored
from retraining.reporting.feedback_text import BatchLine, RecordLine
from retraining.store.feedback import Batch, Draft, append_batch, newest_batch, read_batches
from retraining.store.log import Store, open_store

__all__ = ["FeedbackAdded", "add_feedback", "list_feedback", "show_feedback"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedbackAdded:
    """What became of given labels: the batch that holds them (None: they said nothing new).

    `existing` is True where an earlier batch holds exactly these labels; nothing was stored then, and the counts are
    0 but for `outdated`: the rows of which a later batch says something else, which counts. `came`, `corrected` and
    `retracted` count rows by what happens to their label, `unchanged` those that say what is known already, `unknown`
    the new ones whose key is in no row of the dataset yet: they wait for it. `known_at` is the moment of the labels
    without one of their own.
    """

    dataset: str
    batch: int | None
    existing: bool
    given: int
    known_at: str
    came: int = 0
    corrected: int = 0
    retracted: int = 0
    unchanged: int = 0
    unknown: int = 0
    outdated: int = 0

    def to_json(self) -> dict[str, Json]:
        """What was done, as a document."""
        return {
            "dataset": self.dataset,
            "batch": self.batch,
            "existing": self.existing,
            "given": self.given,
            "known_at": self.known_at,
            "came": self.came,
            "corrected": self.corrected,
            "retracted": self.retracted,
            "unchanged": self.unchanged,
            "unknown": self.unknown,
            "outdated": self.outdated,
        }


def add_feedback(
    manifest: str | Path,
    rows: object,
    *,
    dataset: str | None = None,
    known_at: str | None = None,
    source: str | None = None,
    store: str | None = None,
    data: Mapping[str, str] | None = None,
) -> FeedbackAdded:
    """What became of labels that came late, or correct or take away others, added to a store.

    Parameters
    ----------
    manifest
        The manifest whose models learn from the labels.
    rows
        A file (Parquet, CSV or JSON Lines), a pandas DataFrame or a pyarrow Table, with the key columns of the dataset,
        one or more target columns, and, where wanted, `known_at`, `revision`, `op` (upsert or retract) and `source`.
    dataset
        The dataset's name; may be left out where the manifest has one.
    known_at
        When labels without a moment of their own were known (ISO 8601); default: now.
    source
        Where labels without a source of their own come from.
    store
        The store, instead of the manifest's; it is made where there is none.
    data
        Other paths of datasets, by name.

    Raises
    ------
    InputError
        For wrong columns or types, repeated keys, a revision that said something else, or an unknown dataset.
    StoreError, CommitOutcomeUnknownError
        If the store cannot be written to, or does not tell whether it was: adding again is safe.
    """
    loaded = load_manifest(Path(manifest))
    one = _dataset(loaded, dataset)
    targets = _targets(loaded, one)
    now = dt.datetime.now(dt.UTC)
    told = parse_moment(known_at, loaded.timezone, option="--known-at") if known_at is not None else now
    own = {name: path for name, path in (data or {}).items() if name == one.name}
    files = find_dataset_files(replace(loaded, datasets={one.name: one}), own if own else data or {})
    table = read_dataset(one, files.files[one.name], {*one.key, *targets, *_moments(one)}, loaded.timezone)
    given = read_given(loaded, one, table, targets, rows, source)
    # what the user gave, with what the options say of it: a default moment is no part of it
    stated = given
    if known_at is not None:
        stated = replace(given, known=np.where(given.known == NO_MOMENT, micros(told), given.known))
    check_labels(loaded, one, given)
    opened = open_store(store_url(loaded, store), create=True)
    drafted: list[Drafted] = []

    def drafts(batches: Sequence[Batch]) -> Drafted:
        ours = [(batch.number, batch.table) for batch in batches if batch.dataset == one.name]
        return draft_of(stated, records_of(one, ours), table, micros(told))

    def make(batches: Sequence[Batch]) -> Draft | None:
        drafted.append(drafts(batches))
        new = drafted[-1].table
        if new is None:
            return None
        return Draft(
            dataset=one.name,
            content=stated.content(),
            time=now.isoformat(timespec="seconds").replace("+00:00", "Z"),
            who=who_am_i(),
            table=new,
        )

    appended = append_batch(opened, stated.content(), make)
    existing = appended is not None and appended.existing
    counts: dict[str, int] = {}
    if existing:
        counts["outdated"] = drafts(_batches(opened)).rows
    elif drafted:
        counts |= _counts(drafted[-1])
    return FeedbackAdded(
        dataset=one.name,
        batch=None if appended is None else appended.number,
        existing=existing,
        given=len(given.known),
        known_at=moment(micros(told)).isoformat(timespec="seconds").replace("+00:00", "Z"),
        **counts,
    )


def _counts(found: Drafted) -> dict[str, int]:
    names = ("came", "corrected", "retracted", "unchanged", "unknown")
    return {name: getattr(found, name) for name in names}


def _dataset(manifest: Manifest, name: str | None) -> Dataset:
    if name is None:
        if len(manifest.datasets) == 1:
            return next(iter(manifest.datasets.values()))
        raise InputError(
            f"{manifest.file.name} has {len(manifest.datasets)} datasets, and none was named",
            f"pass --dataset with one of {', '.join(manifest.datasets)}",
        )
    if name not in manifest.datasets:
        near = difflib.get_close_matches(name, manifest.datasets, n=1)
        raise InputError(
            f"{manifest.file.name} has no dataset {name!r}",
            f"did you mean {near[0]}?" if near else f"its datasets are {', '.join(manifest.datasets)}",
        )
    return manifest.datasets[name]


def _targets(manifest: Manifest, dataset: Dataset) -> list[str]:
    """The label columns of a dataset: those that a model learns."""
    found = sorted({m.target.column for m in manifest.models.values() if m.dataset == dataset.name})
    if not found:
        raise InputError(
            f"no model learns from the dataset {dataset.name}, so it has no labels",
            "name the dataset of the model whose labels these are",
        )
    return found


def _moments(dataset: Dataset) -> Collection[str]:
    return [] if dataset.time is None else [dataset.time]


def list_feedback(stored: Stored, dataset: str | None = None) -> list[BatchLine]:
    """The batches of a store, the newest first; InputError for a dataset that has none."""
    batches = _batches(stored.store)
    found = [batch for batch in batches if dataset is None or batch.dataset == dataset]
    if dataset is not None and not found:
        raise _without(dataset, batches)
    return [_batch_line(batch) for batch in reversed(found)]


def show_feedback(stored: Stored, dataset: str | None, key: Mapping[str, str]) -> list[RecordLine]:
    """What came for a key, the oldest first; InputError where the dataset has no feedback, or another key."""
    batches = _batches(stored.store)
    names = sorted({batch.dataset for batch in batches})
    if dataset is None:
        if len(names) != 1:
            raise InputError(
                f"the store has late labels of {len(names)} datasets, and none was named",
                f"pass --dataset with one of {', '.join(names)}"
                if names
                else "`retrain feedback add` brings some",
            )
        dataset = names[0]
    ours = [batch for batch in batches if batch.dataset == dataset]
    if not ours:
        raise _without(dataset, batches)
    columns = _key_of(ours[-1].table)
    if {*key} != {*columns}:
        raise InputError(
            f"the key of {dataset} is {', '.join(columns)}, and {', '.join(key) or 'nothing'} was given",
            "pass " + " ".join(f"--key {name}=VALUE" for name in columns),
        )
    declared = Dataset(name=dataset, path="", key=tuple(columns))
    records = records_of(declared, [(batch.number, batch.table) for batch in ours])
    assert records is not None
    chosen = np.ones(len(records), bool)
    for name, column in zip(columns, records.key, strict=True):
        chosen &= _is(column, name, key[name], stored)
    found = records.take(np.flatnonzero(chosen))
    if not len(found):
        raise NotFoundError(
            f"no late label came for {', '.join(f'{name}={value}' for name, value in key.items())}",
            "`retrain feedback list` shows the batches",
        )
    by_number = {batch.number: batch for batch in ours}
    return _record_lines(found, by_number)


def _is(column: Column, name: str, text: str, stored: Stored) -> NDArray[np.bool_]:
    """Where a column of a key has the value that was written."""
    if column.kind == "timestamp":
        zone = "UTC" if stored.manifest is None else stored.manifest.timezone
        return np.asarray(column.values == micros(parse_moment(text, zone, option=f"--key {name}")))
    codes, texts = column.texts()
    return np.asarray(codes == (texts.index(text) if text in texts else -2))


def _batches(store: Store) -> list[Batch]:
    return read_batches(store, 0, newest_batch(store))


def _without(dataset: str, batches: Sequence[Batch]) -> InputError:
    names = sorted({batch.dataset for batch in batches})
    return InputError(
        f"the store has no late labels of a dataset {dataset!r}",
        f"it has some of {', '.join(names)}" if names else "`retrain feedback add` brings some",
    )


def _key_of(table: pa.Table) -> list[str]:
    """The key columns of a batch: they come first, and no label of theirs was replaced."""
    labels = _labels_of(table)
    return [name for name in table.column_names if name not in labels and not name.startswith("feedback.")]


def _labels_of(table: pa.Table) -> list[str]:
    return [
        name.removeprefix("feedback.was.") for name in table.column_names if name.startswith("feedback.was.")
    ]


def _batch_line(batch: Batch) -> BatchLine:
    table = batch.table
    known = pc.min_max(table.column(KNOWN_AT).cast(pa.int64()))
    retracted = pc.sum(pc.equal(table.column(OP), RETRACT)).as_py()
    return BatchLine(
        batch=batch.number,
        dataset=batch.dataset,
        rows=table.num_rows,
        retracted=int(retracted),
        labels=tuple(_labels_of(table)),
        known_from=_moment_text(known["min"].as_py()),
        known_through=_moment_text(known["max"].as_py()),
        time=batch.time,
        who=batch.who,
        bytes=batch.bytes,
        signed=batch.signed,
    )


def _record_lines(records: Records, batches: Mapping[int, Batch]) -> list[RecordLine]:
    counts: dict[str, set[int]] = {
        name: {int(row) for row in current(records, name).rows} for name in records.labels
    }
    lines = []
    for row in np.lexsort((records.revision, records.batch)).tolist():
        batch = batches[int(records.batch[row])]
        says = [name for name in records.labels if records.says[name][row]]
        lines.append(
            RecordLine(
                batch=batch.number,
                revision=int(records.revision[row]),
                op="retract" if records.retract[row] else "upsert",
                labels={name: _value(records.labels[name], row) for name in says},
                was={name: _value(records.was[name], row) for name in says},
                counts=tuple(name for name in says if row in counts[name]),
                known_at=_moment_text(int(records.known[row])),
                source=_value(records.source, row) or "",
                added=batch.time,
                who=batch.who,
            )
        )
    return lines


def _value(column: Column, row: int) -> str | None:
    codes, texts = column.take(np.array([row])).texts()
    return texts[int(codes[0])] if codes[0] >= 0 else None


def _moment_text(value: int) -> str:
    return moment(value).isoformat(timespec="seconds").replace("+00:00", "Z")
