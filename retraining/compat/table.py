"""Rows of features as a user holds them -> columns of numbers or of texts.

Invariant: whatever the container (lists, tuples, mappings, arrays, data frames), the same values
give the same columns, and a value that is neither a number nor a text is refused with its row.
Rows count from 1 in messages. Nothing here imports pandas: a frame's library is loaded already.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from numbers import Real
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from retraining.errors import InputError

__all__ = ["Column", "FeatureRow", "Kind", "Table", "is_missing", "read_column", "read_table"]

Kind: TypeAlias = Literal["number", "category", "empty"]


class FeatureRow(list[Any]):
    """A row of features: a plain list that remembers the column names of the file it came from."""

    __slots__ = ("names",)

    def __init__(self, values: Iterable[Any], names: tuple[str, ...]) -> None:
        super().__init__(values)
        self.names = names

    def __reduce__(self) -> tuple[type[FeatureRow], tuple[list[Any], tuple[str, ...]]]:
        return type(self), (list(self), self.names)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Table:
    """Columns of equal length; `names` is None where the rows were given by position only."""

    names: tuple[str, ...] | None
    columns: tuple[Sequence[Any] | NDArray[Any], ...]
    n_rows: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Column:
    """One column, read: numbers, or codes into the sorted `texts` where `kind` is `category`.

    `values` has shape (n_rows,), float64; missing is NaN. `empty` means that all are missing.
    """

    kind: Kind
    values: NDArray[np.float64]
    texts: tuple[str, ...] = ()


def is_missing(value: object) -> bool:
    """Whether a single value is None, NaN, or the missing markers of pandas."""
    if value is None:
        return True
    if isinstance(value, float | np.floating):
        return bool(np.isnan(value))
    if isinstance(value, Decimal):
        return value.is_nan()
    return type(value).__name__ in {"NAType", "NaTType"}


def read_table(rows: object, *, what: str = "rows") -> Table:
    """The columns of rows given as a list of lists, a list of mappings, a 2-D array or a data frame.

    Raises InputError for a single row, rows of different lengths or names, and anything else.
    """
    if not isinstance(rows, Sequence | np.ndarray) and hasattr(rows, "to_pandas"):
        rows = rows.to_pandas()  # pyarrow and polars
    pandas = sys.modules.get("pandas")
    if pandas is not None and isinstance(rows, pandas.DataFrame):
        return _from_frame(rows)
    if hasattr(rows, "toarray") and hasattr(rows, "nnz"):
        raise InputError(f"{what}: found a sparse matrix, expected rows of values", "pass .toarray()")
    if isinstance(rows, np.ndarray):
        return _from_array(rows, what)
    if isinstance(rows, str | bytes | Mapping) or not isinstance(rows, Iterable):
        raise _not_rows(rows, what)
    listed = list(rows)
    if not listed:
        return Table(names=None, columns=(), n_rows=0)
    if isinstance(listed[0], Mapping):
        return _from_mappings(listed, what)
    return _from_sequences(listed, what)


def _not_rows(rows: object, what: str) -> InputError:
    return InputError(
        f"{what}: found {_describe(rows)}, expected a list of rows",
        "pass rows as a list of lists ([[1, 2, 3], [4, 5, 6]]), a 2-D array or a data frame",
    )


def _describe(value: object) -> str:
    text = repr(value)
    return f"{type(value).__name__} {text if len(text) <= 40 else text[:37] + '...'}"


def _from_frame(frame: Any) -> Table:
    positional = all(isinstance(name, int | np.integer) for name in frame.columns)
    names = None if positional else tuple(str(name) for name in frame.columns)
    if names is not None and len(set(names)) < len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise InputError(f"the data frame has several columns named {twice[0]!r}", "rename all but one")
    columns = tuple(_from_series(frame.iloc[:, index]) for index in range(frame.shape[1]))
    return Table(names=names, columns=columns, n_rows=len(frame))


def _from_series(series: Any) -> Sequence[Any] | NDArray[Any]:
    if getattr(series.dtype, "kind", "O") in "biuf":
        values: NDArray[np.float64] = series.to_numpy(dtype=np.float64, na_value=np.nan)
        return values
    listed: list[Any] = series.astype(object).where(series.notna(), None).tolist()
    return listed


def _from_array(array: NDArray[Any], what: str) -> Table:
    if array.ndim != 2:
        raise InputError(
            f"{what}: found an array with {array.ndim} dimension(s), expected 2: rows and features",
            "for one row, pass [row]; for one feature, pass array.reshape(-1, 1)",
        )
    return Table(names=None, columns=tuple(array.T), n_rows=len(array))


def _from_mappings(rows: list[Any], what: str) -> Table:
    names = tuple(rows[0])
    expected = set(names)
    for number, row in enumerate(rows, 1):
        if not isinstance(row, Mapping):
            raise InputError(
                f"{what}: row {number} is {_describe(row)}, and row 1 a mapping of names to values"
            )
        if row.keys() != expected:
            raise InputError(
                f"{what}: row {number} has the features {_names(row)}, and row 1 has {_names(names)}",
                "give every row the same features; write null or None where a value is missing",
            )
    columns = tuple([row[name] for row in rows] for name in names)
    return Table(names=tuple(str(name) for name in names), columns=columns, n_rows=len(rows))


def _names(names: Iterable[object]) -> str:
    listed = [str(name) for name in names]
    return ", ".join(listed[:8]) + (", ..." if len(listed) > 8 else "") if listed else "(none)"


def _from_sequences(rows: list[Any], what: str) -> Table:
    first = rows[0]
    if isinstance(first, str | bytes) or not isinstance(first, Iterable):
        raise _not_rows(rows, what)
    width = len(list(first))
    for number, row in enumerate(rows, 1):
        if isinstance(row, str | bytes | Mapping) or not isinstance(row, Iterable):
            raise InputError(f"{what}: row {number} is {_describe(row)}, expected a list of {width} values")
        found = len(row) if isinstance(row, Sequence | np.ndarray) else len(list(row))
        if found != width:
            raise InputError(
                f"{what}: row {number} has {found} feature(s), and row 1 has {width}",
                "give every row the same number of features; write null or None where a value is missing",
            )
    names = first.names if isinstance(first, FeatureRow) else None
    return Table(names=names, columns=_transpose(rows, width), n_rows=len(rows))


def _transpose(rows: list[Any], width: int) -> tuple[Sequence[Any] | NDArray[Any], ...]:
    """Columns of equally long rows; all-numeric rows go through one array, which is much faster."""
    try:
        array = np.asarray(rows)
    except (ValueError, OverflowError):  # nested values; `read_column` names the row
        array = np.empty(0, dtype=object)
    if array.dtype.kind in "biuf" and array.ndim == 2:
        return tuple(array.T)
    return tuple(zip(*rows, strict=True)) if width else ()


def read_column(values: Sequence[Any] | NDArray[Any], *, name: str) -> Column:
    """The column as numbers or as codes of texts; bools are 0 and 1.

    Raises InputError with the first bad row for infinite numbers, values that are neither number nor
    text, and columns that mix both.
    """
    if isinstance(values, np.ndarray) and values.dtype.kind in "biuf":
        return _numbers(values.astype(np.float64), name)
    listed = values.tolist() if isinstance(values, np.ndarray) else values
    numbers = texts = 0  # the first row of each kind
    for row, value in enumerate(listed, 1):
        if isinstance(value, str):
            texts = texts or row
        elif isinstance(value, Real | Decimal | np.bool_):
            if not is_missing(value):
                numbers = numbers or row
        elif not is_missing(value):
            raise InputError(
                f"feature {name!r}: row {row} holds {_describe(value)}, expected a number or a text",
                "leave the feature out, or turn it into numbers (a date: days since some day)",
            )
    if numbers and texts:
        raise InputError(
            f"feature {name!r}: row {numbers} holds a number and row {texts} the text {listed[texts - 1]!r}",
            "give the feature one kind; write null or None where a value is missing",
        )
    return _categories(listed) if texts else _numbers(_floats(listed, name), name)


def _floats(values: Sequence[Any], name: str) -> NDArray[np.float64]:
    try:
        return np.array([np.nan if is_missing(value) else float(value) for value in values], dtype=np.float64)
    except OverflowError:
        row = next(
            row for row, value in enumerate(values, 1) if isinstance(value, int) and abs(value) > 1e308
        )
        raise InputError(f"feature {name!r}: row {row} holds a number too large for a float") from None


def _numbers(values: NDArray[np.float64], name: str) -> Column:
    infinite = np.isinf(values)
    if infinite.any():
        row = int(np.argmax(infinite)) + 1
        raise InputError(
            f"feature {name!r}: row {row} holds {values[row - 1]}, expected a finite number",
            "write null or None where a value is missing",
        )
    return Column(kind="empty" if np.isnan(values).all() else "number", values=values)


def _categories(values: Sequence[Any]) -> Column:
    texts = tuple(sorted({value for value in values if isinstance(value, str)}))
    codes = {text: float(code) for code, text in enumerate(texts)}
    coded = [codes[value] if isinstance(value, str) else np.nan for value in values]
    return Column(kind="category", values=np.array(coded, dtype=np.float64), texts=texts)
