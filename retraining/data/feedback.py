"""Late labels: the records that came, the label of each key that follows from them, a table read through it.

The label of a key as of a moment is that of the record with the highest (revision, batch) among those known
by then; a retraction leaves none. It is a pure function of the set of records: neither their order nor how
often each came changes it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from retraining.data.conversion import to_column
from retraining.data.tables import NO_MOMENT, Column, ColumnKind, LateLabels, Table, match_codes
from retraining.decide.snapshots import BatchCount
from retraining.errors import DataError
from retraining.manifest.values import Dataset

__all__ = [
    "KNOWN_AT",
    "OP",
    "RETRACT",
    "REVISION",
    "SOURCE",
    "UPSERT",
    "Current",
    "Records",
    "batch_counts",
    "current",
    "emptied",
    "missing_column",
    "overlaid",
    "record_codes",
    "records_of",
    "was_column",
    "with_feedback",
]

# what a stored batch says of its rows beside key and labels; the dot keeps them apart from a dataset's columns
_OWN = "feedback."
KNOWN_AT, REVISION, OP, SOURCE = (f"{_OWN}{name}" for name in ("known_at", "revision", "op", "source"))
RETRACT, UPSERT = "retract", "upsert"

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]
Rows = NDArray[np.intp]


def was_column(label: str) -> str:
    """The column of a stored batch that holds the labels which those of `label` took the place of."""
    return f"{_OWN}was.{label}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Records:
    """Late labels of one dataset as they came, one record for each key of each batch, `(n_records,)`.

    `labels` are by label column, missing where a record says nothing of it or takes it away; `says` is True where
    it says something. `was` are the labels whose place they took. `known` are microseconds UTC.
    """

    key: tuple[Column, ...]
    labels: Mapping[str, Column]
    says: Mapping[str, Bools]
    was: Mapping[str, Column]
    known: Ints
    revision: Ints
    retract: Bools
    batch: Ints
    source: Column

    def __len__(self) -> int:
        return len(self.known)

    def take(self, rows: Rows) -> Records:
        """The records at some positions."""
        return Records(
            key=tuple(column.take(rows) for column in self.key),
            labels={name: column.take(rows) for name, column in self.labels.items()},
            says={name: says[rows] for name, says in self.says.items()},
            was={name: column.take(rows) for name, column in self.was.items()},
            known=self.known[rows],
            revision=self.revision[rows],
            retract=self.retract[rows],
            batch=self.batch[rows],
            source=self.source.take(rows),
        )

    def next_after(self, moment: int) -> int | None:
        """The first moment after `moment` at which another record is known; None where there is none."""
        later = self.known[self.known > moment]
        return int(later.min()) if len(later) else None


def records_of(dataset: Dataset, batches: Sequence[tuple[int, pa.Table]]) -> Records | None:
    """The records of a dataset's batches, each with its number; None where there is none.

    DataError where batches hold values of different types in one column, as when the type of a key changed.
    """
    if not batches:
        return None
    parts = [_batch_records(dataset, number, table) for number, table in batches]
    names = sorted({name for part in parts for name in part.labels})
    sizes = [len(part) for part in parts]

    def label(part: Records, columns: Mapping[str, Column], name: str) -> Column:
        return columns[name] if name in columns else missing_column("number", len(part))

    return Records(
        key=tuple(
            _joined([part.key[place] for part in parts], dataset, name)
            for place, name in enumerate(dataset.key)
        ),
        labels={
            name: _joined([label(part, part.labels, name) for part in parts], dataset, name) for name in names
        },
        says={
            name: np.concatenate(
                [p.says.get(name, np.zeros(n, bool)) for p, n in zip(parts, sizes, strict=True)]
            )
            for name in names
        },
        was={name: _joined([label(part, part.was, name) for part in parts], dataset, name) for name in names},
        known=np.concatenate([part.known for part in parts]),
        revision=np.concatenate([part.revision for part in parts]),
        retract=np.concatenate([part.retract for part in parts]),
        batch=np.concatenate([part.batch for part in parts]),
        source=_joined([part.source for part in parts], dataset, SOURCE),
    )


def _batch_records(dataset: Dataset, number: int, table: pa.Table) -> Records:
    lacking = [name for name in (*dataset.key, KNOWN_AT, REVISION, OP) if name not in table.column_names]
    if lacking:
        raise DataError(
            f"dataset {dataset.name}: batch {number} of its feedback has no {', '.join(lacking)}: the key was another",
            "give the dataset the key that it had, or a new name",
        )
    # read as they were stored: what the manifest says of types today was said of the files
    plain = replace(dataset, types={}, time=None, ingested=None)
    found = {name: to_column(plain, name, table.column(name), "UTC") for name in table.column_names}
    labels = {
        name: column
        for name, column in found.items()
        if name not in dataset.key and not name.startswith(_OWN)
    }
    codes, ops = found[OP].texts()
    retract = np.array([op == RETRACT for op in ops] + [False], bool)[codes]
    return Records(
        key=tuple(found[name] for name in dataset.key),
        labels={name: emptied(column, retract) for name, column in labels.items()},
        says={name: retract | ~column.missing() for name, column in labels.items()},
        was={name: found.get(was_column(name), missing_column("number", table.num_rows)) for name in labels},
        known=found[KNOWN_AT].values.astype(np.int64, copy=False),
        revision=found[REVISION].values.astype(np.int64),
        retract=retract,
        batch=np.full(table.num_rows, number, np.int64),
        source=found.get(SOURCE, missing_column("category", table.num_rows)),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Current:
    """The records that count for a label column as of a moment: positions in the records, one for each key."""

    records: Records
    label: str
    rows: Rows

    def matched(self, key: Sequence[Column]) -> Ints:
        """For each row of some key columns the position of the record that counts for it; -1 where none does."""
        own = tuple(column.take(self.rows) for column in self.records.key)
        left, right = match_codes(key, own)
        place = np.full(int(max(left.max(initial=-1), right.max(initial=-1))) + 2, -1, np.int64)
        place[right[right >= 0]] = self.rows[right >= 0]
        return np.where(left >= 0, place[left], -1)


def current(records: Records, label: str, as_of: int | None = None) -> Current:
    """The records that count for a label column as of a moment (microseconds UTC; None: all are known)."""
    seen = records.says[label] if as_of is None else records.says[label] & (records.known <= as_of)
    rows = np.flatnonzero(seen)
    codes = record_codes(records)[rows]
    order = np.lexsort((records.batch[rows], records.revision[rows], codes))
    rows, codes = rows[order], codes[order]
    last = np.append(codes[1:] != codes[:-1], True) if len(codes) else np.zeros(0, bool)
    return Current(records=records, label=label, rows=rows[last])


def record_codes(records: Records) -> Ints:
    """Numbers that are equal where records have the same key."""
    return match_codes(records.key, [column.take(np.zeros(0, np.intp)) for column in records.key])[0]


def with_feedback(table: Table, records: Records | None, as_of: int) -> Table:
    """The table with its label columns as feedback left them as of a moment; DataError for labels of another kind."""
    if records is None:
        return table
    late: dict[str, LateLabels] = {}
    for name in records.labels:
        if name not in table.columns:
            continue
        at = current(records, name, as_of).matched([table.columns[key] for key in table.key])
        if (at >= 0).any():
            late[name] = _late(table, name, records, at, as_of)
    return replace(table, late=late)


def _first_known(records: Records, name: str, as_of: int) -> Ints:
    """For each record the first moment at which there was a label of its key, among those known as of a moment."""
    brings = records.says[name] & ~records.retract & (records.known <= as_of)
    codes = record_codes(records)
    first = np.full(int(codes.max(initial=-1)) + 1, np.iinfo(np.int64).max, np.int64)
    np.minimum.at(first, codes[brings], records.known[brings])
    return first[codes]


def _late(table: Table, name: str, records: Records, at: Ints, as_of: int) -> LateLabels:
    rows = np.flatnonzero(at >= 0)
    chosen = at[rows]
    first = np.full(table.n_rows, NO_MOMENT, np.int64)
    first[rows] = np.minimum(_first_known(records, name, as_of)[chosen], records.known[chosen])
    known = np.full(table.n_rows, NO_MOMENT, np.int64)
    batch = np.zeros(table.n_rows, np.int64)
    replaced = np.zeros(table.n_rows, bool)
    known[rows] = records.known[chosen]
    batch[rows] = records.batch[chosen]
    replaced[rows] = ~records.was[name].missing()[chosen]
    labels = overlaid(table.columns[name], rows, records.labels[name].take(chosen), f"{table.dataset}.{name}")
    return LateLabels(labels=labels, known=known, first=first, batch=batch, replaced=replaced)


def overlaid(column: Column, rows: Rows, values: Column, what: str) -> Column:
    """The column with other values in some rows; DataError where they are of another kind, and both have some."""
    n_rows = len(column.values)
    if values.kind != column.kind:
        if values.missing().all():
            values = missing_column(column.kind, len(rows))
        elif column.missing().all():
            column = missing_column(values.kind, n_rows)
        else:
            raise DataError(
                f"{what}: feedback holds labels of the kind {values.kind}, and the table's are {column.kind}",
                "give the column the type that it had when the labels were added",
            )
    if column.kind == "category":
        shared = tuple(sorted({*column.categories, *values.categories}))
        codes = _recoded(column, shared)
        codes[rows] = _recoded(values, shared)
        return Column(kind="category", values=codes, categories=shared)
    kind = np.int64 if column.values.dtype == values.values.dtype == np.int64 else np.float64
    merged = column.values.astype(kind)
    merged[rows] = values.values
    return Column(kind=column.kind, values=merged)


def _recoded(column: Column, categories: tuple[str, ...]) -> NDArray[np.int32]:
    place = {text: code for code, text in enumerate(categories)}
    table = np.array([place[text] for text in column.categories] + [-1], np.int32)
    return table[column.values.astype(np.int64)]


def missing_column(kind: ColumnKind, n_rows: int) -> Column:
    """A column without a value."""
    if kind == "category":
        return Column(kind=kind, values=np.full(n_rows, -1, np.int32))
    if kind == "timestamp":
        return Column(kind=kind, values=np.full(n_rows, NO_MOMENT, np.int64))
    return Column(kind=kind, values=np.full(n_rows, np.nan))


def emptied(column: Column, rows: Bools) -> Column:
    """The column without its values in some rows."""
    if not rows.any():
        return column
    at = np.flatnonzero(rows)
    return overlaid(column, at, missing_column(column.kind, len(at)), "")


def _joined(columns: Sequence[Column], dataset: Dataset, name: str) -> Column:
    """Columns one after the other; those without a value are of any kind."""
    kinds = {column.kind for column in columns if not column.missing().all()} or {columns[0].kind}
    if len(kinds) > 1:
        raise DataError(
            f"dataset {dataset.name}: the batches of its feedback hold {name} as {' and as '.join(sorted(kinds))}",
            f"the type of {name} changed: give it the old one under `datasets.{dataset.name}.types`, or use a new "
            "name for the dataset and add its labels again",
        )
    (kind,) = kinds
    columns = [c if c.kind == kind else missing_column(kind, len(c.values)) for c in columns]
    if kind == "category":
        shared = tuple(sorted({text for column in columns for text in column.categories}))
        return Column(
            kind=kind, values=np.concatenate([_recoded(c, shared) for c in columns]), categories=shared
        )
    return Column(kind=kind, values=np.concatenate([column.values for column in columns]))


def batch_counts(late: LateLabels, labelled: Bools, learnable: Bools) -> tuple[BatchCount, ...]:
    """What each batch did to some rows, by the batch that a row has its label from.

    A label that came counts where the newest fit may learn from it (`learnable`) and waits till then. One that was
    replaced or taken away is missing from the fits at once and counts at once; what replaces it waits too.
    """
    gone = late.labels.missing()
    touched = (late.batch > 0) & (labelled | gone)
    changed = late.replaced | gone
    counted = changed | learnable
    numbers, place = np.unique(late.batch[touched], return_inverse=True)
    rows, corrected, waiting = (
        np.bincount(place, chosen[touched], len(numbers)).astype(int).tolist()
        for chosen in (counted, changed, ~(learnable | gone))
    )
    return tuple(
        BatchCount(batch=number, rows=rows[at], corrected=corrected[at], waiting=waiting[at])
        for at, number in enumerate(numbers.tolist())
    )
