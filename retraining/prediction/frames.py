"""The tables that a caller brings, as tables of the release's datasets.

Columns get the types that they had in training (`data.declarations`), so what a file of one row looks
like decides nothing. Every column that is missing is named at once.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, cast

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from retraining.data.declarations import Declaration
from retraining.data.files import DataFile, find_files
from retraining.data.reading import cast_columns, column_names, key_order, read_arrow, to_table
from retraining.data.tables import Table
from retraining.errors import DataError, InputError
from retraining.manifest.given import a_kind
from retraining.manifest.values import Dataset, FileFormat
from retraining.prediction.targets import listed, nearest

if TYPE_CHECKING:
    import pandas as pd

#: A path (file, folder or glob), or a table: pyarrow, pandas, or anything else that speaks Arrow.
Frame: TypeAlias = object

_SUFFIXES = (".parquet", ".pq", ".csv", ".jsonl", ".ndjson")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedTable:
    """One dataset's rows: as a `Table` (sorted by key), and `keys` as the caller gave them.

    `order` says for each row of the table its place among the caller's rows, `(n_rows,)`.
    """

    table: Table
    keys: pa.Table
    order: NDArray[np.intp]


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A caller's table before its rows are read: `files`, or `arrow` in memory; `names` are its columns."""

    declaration: Declaration
    names: tuple[str, ...]
    files: tuple[DataFile, ...] = ()
    arrow: pa.Table | None = None

    def read(self, columns: Collection[str], required: Collection[str] | None = None) -> ServedTable:
        """The rows with these columns; DataError for values of another type, and for bad keys.

        A moment may be missing where it is not among the `required` columns (None: all are).
        """
        declared = self.declaration.dataset
        types = {name: kind for name, kind in declared.types.items() if name in columns}
        dataset = replace(declared, types=types, format=_format(declared, self.files))
        if self.arrow is None:
            arrow = read_arrow(dataset, self.files, columns)
        else:
            arrow = cast_columns(dataset, "the given table", self.arrow.select(sorted(columns)))
        table = to_table(dataset, arrow, columns, self.declaration.timezone)
        if required is None or dataset.time in required:
            _check_moments(dataset, table)
        order = np.asarray(key_order(dataset, arrow), np.intp)
        return ServedTable(table=table, keys=arrow.select(list(dataset.key)), order=order)


def name_frames(
    frames: Mapping[str, Frame] | Frame, target: str, needed: Collection[str]
) -> dict[str, Frame]:
    """The caller's tables by dataset, only those that are needed.

    A single table stands for the one dataset that is needed. InputError where a table is lacking.
    """
    wanted = sorted(needed)
    if not isinstance(frames, Mapping):
        if len(wanted) == 1:
            return {wanted[0]: frames}
        raise InputError(
            f"{target} needs {len(wanted)} datasets ({listed(wanted)}), and one table without a name was given",
            "name each: " + " ".join(f"--data {name}=FILE" for name in wanted),
        )
    lacking = [name for name in wanted if name not in frames]
    if lacking:
        extra = sorted({str(name) for name in frames} - {*wanted})
        near = next((name for other in extra if (name := nearest(other, lacking))), None)
        given = f", and was given {listed(extra)}" if extra else ""
        raise InputError(
            f"{target} needs the dataset{'s' if len(lacking) > 1 else ''} {listed(lacking)}{given}",
            f"did you mean `{near}`?"
            if near
            else "pass " + " ".join(f"--data {name}=FILE" for name in lacking),
        )
    return {name: frames[name] for name in wanted}


def open_source(frame: Frame, declaration: Declaration) -> Source:
    """A caller's table, as far as the names of its columns; DataError where it cannot be opened."""
    dataset = declaration.dataset
    if isinstance(frame, str | os.PathLike):
        files = find_files(replace(dataset, format=None), Path(), os.fspath(frame))
        names = column_names(replace(dataset, format=_format(dataset, files)), files)
        source = Source(declaration=declaration, names=names, files=files)
    else:
        arrow = to_arrow(dataset.name, frame)
        source = Source(declaration=declaration, names=tuple(arrow.column_names), arrow=arrow)
    _check_once(dataset.name, source.names)
    return source


def require_columns(sources: Mapping[str, Source], wanted: Iterable[tuple[str, str]], target: str) -> None:
    """Raises `DataError` that names every (dataset, column) that is wanted and not there."""
    lacking: dict[str, list[str]] = {}
    for dataset, column in sorted({*wanted}):
        if column not in sources[dataset].names:
            lacking.setdefault(dataset, []).append(column)
    if not lacking:
        return
    texts = [
        f"{name} lacks {', '.join(columns)} (it has {listed(sources[name].names) or 'no column'})"
        for name, columns in lacking.items()
    ]
    first, columns = next(iter(lacking.items()))
    near = nearest(columns[0], sources[first].names)
    raise DataError(
        f"{target} cannot be predicted from the given rows: " + "; ".join(texts),
        f"add {', '.join(columns)} to the rows of {first}"
        + (f", or rename `{near}` to `{columns[0]}` if that is what it holds" if near else ""),
    )


def _format(dataset: Dataset, files: Sequence[DataFile]) -> FileFormat | None:
    """The declared format where the suffix does not tell: serving files need not look like those of training."""
    known = not files or files[0].suffix.lower() in _SUFFIXES
    return None if known else dataset.format


def to_arrow(dataset: str, frame: Frame) -> pa.Table:
    """A table in memory as Arrow's; DataError for what is none."""
    try:
        if type(frame).__module__.split(".")[0] == "pandas" and hasattr(frame, "columns"):
            return _from_pandas(dataset, cast("pd.DataFrame", frame))
        if isinstance(frame, pa.RecordBatch):
            return pa.Table.from_batches([frame])
        if hasattr(frame, "__arrow_c_stream__") and not _is_series(frame):
            return pa.table(frame)
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise DataError(
            f"dataset {dataset}: the given table cannot be read: {str(error).splitlines()[0]}",
            "give each column values of one type",
        ) from error
    raise DataError(
        f"dataset {dataset}: {a_kind(frame)} is not a table",
        "give a path, a pandas DataFrame or a pyarrow Table",
    )


def _from_pandas(dataset: str, frame: pd.DataFrame) -> pa.Table:
    """A DataFrame as Arrow's table; levels of the index that have a name are columns too."""
    index = [name for name in frame.index.names if name is not None and name not in frame.columns]
    if index:
        frame = frame.reset_index(level=index)
    names = [str(name) for name in frame.columns]
    _check_once(dataset, names)
    return pa.Table.from_pandas(frame.set_axis(names, axis=1), preserve_index=False)


def _check_once(dataset: str, names: Sequence[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(
            f"dataset {dataset}: the given rows have more than one column {listed(twice)}",
            "give each column its own name",
        )


def _is_series(frame: Frame) -> bool:
    """Whether it is one column without a name for it: Arrow's stream of a table's columns is a struct."""
    return type(frame).__name__ in ("Series", "ChunkedArray")


def _check_moments(dataset: Dataset, table: Table) -> None:
    if dataset.time is None or dataset.time not in table.columns:
        return
    missing = int(table.columns[dataset.time].missing().sum())
    if missing:
        raise DataError(
            f"dataset {dataset.name}: the time column {dataset.time} is missing in {missing} of {table.n_rows} rows",
            "every row needs the moment at which its prediction is made: fill it in or leave the rows out",
        )
