"""Labels that somebody brings, as columns with the types of their dataset; what does not fit is refused by its row."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from retraining.data.conversion import to_column
from retraining.data.declarations import Declaration, declaration_of
from retraining.data.drafting import Given
from retraining.data.feedback import missing_column
from retraining.data.reading import cast_columns, read_arrow
from retraining.data.tables import NO_MOMENT, Column, Table, match_codes
from retraining.errors import DataError
from retraining.manifest.own import estimator_facts_of
from retraining.manifest.values import ColumnType, Dataset, Manifest
from retraining.prediction.frames import Source, open_source

__all__ = ["check_labels", "read_given"]

#: Columns of a file of labels beside key and labels, and their types.
_OWN: Mapping[str, ColumnType] = {
    "known_at": "timestamp",
    "revision": "int",
    "op": "string",
    "source": "string",
}
_OPS = ("upsert", "retract")


def read_given(
    manifest: Manifest,
    dataset: Dataset,
    table: Table,
    targets: Sequence[str],
    rows: object,
    source: str | None,
) -> Given:
    """The given rows with the types that the dataset has; DataError for columns and values that do not fit."""
    what = str(rows) if isinstance(rows, str | os.PathLike) else "the given table"
    if isinstance(rows, str | os.PathLike) and "://" not in what and not Path(what).exists():
        raise DataError(f"{what}: there is no such file", "name a file of labels: Parquet, CSV or JSON Lines")
    opened = open_source(rows, _declaration(manifest, dataset, table, targets))
    own = [name for name in _OWN if name not in (*dataset.key, *targets)]
    _check_columns(what, dataset, targets, own, opened.names)
    names = [name for name in opened.names if name in (*dataset.key, *targets, *own)]
    arrow = _read(opened, names)
    if not arrow.num_rows:
        raise DataError(f"{what}: there are no rows in it", "write at least one label")
    declared = opened.declaration.dataset
    columns = {name: to_column(declared, name, arrow.column(name), manifest.timezone) for name in names}
    key = {name: columns[name] for name in dataset.key}
    _check_keys(what, key)
    retract = _retracted(what, columns["op"] if "op" in own and "op" in columns else None, arrow.num_rows)
    labels = {name: columns[name] for name in targets if name in columns}
    if not labels:
        if not retract.all():
            raise DataError(
                f"{what}: it has no label: none of {', '.join(targets)} is among its columns",
                "add the column of the labels, or a column `op` with retract in every row",
            )
        labels = {name: missing_column(table.columns[name].kind, arrow.num_rows) for name in targets}
    _check_given(what, labels, retract)
    said = columns.get("source") if "source" in own else None
    return Given(
        what=what,
        dataset=dataset.name,
        key=key,
        labels=labels,
        known=columns["known_at"].values.astype(np.int64)
        if "known_at" in own and "known_at" in columns
        else np.full(arrow.num_rows, NO_MOMENT, np.int64),
        revision=_revisions(what, columns.get("revision") if "revision" in own else None, arrow.num_rows),
        retract=retract,
        source=_sources(said, source, arrow.num_rows),
    )


def _declaration(manifest: Manifest, dataset: Dataset, table: Table, targets: Sequence[str]) -> Declaration:
    types: dict[str, Any] = dict(declaration_of(manifest, dataset, table)["types"])  # type: ignore[arg-type]
    for name in targets:
        # a column that has no value yet says nothing of its type
        if name not in dataset.types and table.columns[name].missing().all():
            del types[name]
    own = {name: kind for name, kind in _OWN.items() if name not in types}
    plain = replace(dataset, path="", time=None, ingested=None, group=None, types={**types, **own})
    return Declaration(dataset=plain, timezone=manifest.timezone)


def _read(source: Source, names: Sequence[str]) -> pa.Table:
    declared = source.declaration.dataset
    types = {name: kind for name, kind in declared.types.items() if name in names}
    dataset = replace(declared, types=types, format=None)
    if source.arrow is None:
        return read_arrow(dataset, source.files, names)
    return cast_columns(dataset, "the given table", source.arrow.select(sorted(names)))


def _check_columns(
    what: str, dataset: Dataset, targets: Sequence[str], own: Sequence[str], names: Sequence[str]
) -> None:
    allowed = f"the key ({', '.join(dataset.key)}), labels ({', '.join(targets)}) and {', '.join(own)}"
    lacking = [name for name in dataset.key if name not in names]
    if lacking:
        raise DataError(
            f"{what}: it has no column {', '.join(lacking)}, which is of the key of {dataset.name}; it has "
            f"{', '.join(names)}",
            f"a file of labels has {allowed}",
        )
    strange = [name for name in names if name not in (*dataset.key, *targets, *own)]
    if strange:
        near = difflib.get_close_matches(strange[0], (*targets, *own), n=1)
        raise DataError(
            f"{what}: {', '.join(strange)} is no label of {dataset.name}",
            (f"did you mean {near[0]}? " if near else "leave it out: ") + f"a file of labels has {allowed}",
        )


def _check_keys(what: str, key: Mapping[str, Column]) -> None:
    for name, column in key.items():
        missing = np.flatnonzero(column.missing())
        if len(missing):
            raise DataError(
                f"{what}, row {missing[0] + 1}: the key column {name} is empty",
                "a key says whose label it is",
            )
    columns = list(key.values())
    codes = match_codes(columns, [column.take(np.zeros(0, np.intp)) for column in columns])[0]
    _, first, places = np.unique(codes, return_index=True, return_inverse=True)
    again = np.flatnonzero(first[places] != np.arange(len(codes)))
    if len(again):
        row = int(again[0])
        text = ", ".join(f"{name}={_text(column, row)}" for name, column in key.items())
        raise DataError(
            f"{what}: rows {int(first[places[row]]) + 1} and {row + 1} have the same key ({text})",
            "give each key once; what corrects it comes in a later file",
        )


def _check_given(what: str, labels: Mapping[str, Column], retract: NDArray[np.bool_]) -> None:
    said = np.zeros(len(retract), bool)
    for name, column in labels.items():
        said |= ~column.missing()
        infinite = (
            np.flatnonzero(np.isinf(column.as_floats())) if column.kind == "number" else np.zeros(0, int)
        )
        if len(infinite):
            raise DataError(f"{what}, row {infinite[0] + 1}: the label {name} is infinite", "leave it out")
    silent = np.flatnonzero(~said & ~retract)
    if len(silent):
        raise DataError(
            f"{what}, row {silent[0] + 1}: it has no label",
            "leave the row out; to take a label away write retract in a column `op`",
        )


def _retracted(what: str, column: Column | None, n_rows: int) -> NDArray[np.bool_]:
    if column is None:
        return np.zeros(n_rows, bool)
    codes, texts = column.texts()
    wrong = [text for text in texts if text not in _OPS]
    if wrong:
        row = int(np.flatnonzero(codes == texts.index(wrong[0]))[0])
        raise DataError(f"{what}, row {row + 1}: op is {wrong[0]!r}", "write upsert or retract")
    return np.array([text == "retract" for text in texts] + [False], bool)[codes]


def _revisions(what: str, column: Column | None, n_rows: int) -> NDArray[np.int64]:
    if column is None:
        return np.zeros(n_rows, np.int64)
    missing = column.missing()
    values = np.where(missing, 1, column.as_floats())
    wrong = np.flatnonzero((values < 1) | (values != np.floor(values)))
    if len(wrong):
        raise DataError(
            f"{what}, row {wrong[0] + 1}: the revision is {values[wrong[0]]:g}",
            "revisions are whole numbers from 1 on; without one it is one more than the last of the key",
        )
    return np.where(missing, 0, values).astype(np.int64)


def _sources(column: Column | None, default: str | None, n_rows: int) -> Column:
    said = [] if column is None else list(column.texts()[1])
    codes = np.full(n_rows, -1, np.int64) if column is None else column.texts()[0]
    if default is not None:
        said = [*said, default]
        codes = np.where(codes < 0, len(said) - 1, codes)
    texts = sorted({*said})
    place = np.array([texts.index(text) for text in said] + [-1], np.int32)
    return Column(kind="category", values=place[codes], categories=tuple(texts))


def check_labels(manifest: Manifest, dataset: Dataset, given: Given) -> None:
    """Labels that a model of the dataset could not learn are refused here, and not by the next plan."""
    for model in manifest.models.values():
        column = given.labels.get(model.target.column) if model.dataset == dataset.name else None
        if column is None or column.missing().all():
            continue
        if estimator_facts_of(model).task == "regression" and column.kind != "number":
            raise DataError(
                f"{given.what}: the label {model.target.column} is text, and {model.name} learns numbers",
                f"write numbers, or give the column a type under `datasets.{dataset.name}.types`",
            )
        if not model.target.classes:
            continue
        codes, texts = column.texts()
        strange = [text for text in texts if text not in model.target.classes]
        if strange:
            row = int(np.flatnonzero(codes == texts.index(strange[0]))[0])
            raise DataError(
                f"{given.what}, row {row + 1}: the label {strange[0]!r} of {model.target.column} is none of the "
                f"classes of {model.name}: {', '.join(model.target.classes)}",
                "mend the label, or add it to `classes`",
            )


def _text(column: Column, row: int) -> str:
    codes, texts = column.take(np.array([row])).texts()
    return texts[int(codes[0])]
