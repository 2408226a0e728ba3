"""What a user calls a distribution -> numbers by name, or columns of values by name.

Invariant: a distribution is read without regard to the one it will be compared with, and whatever is
no finite number, sample or table is refused with the reason.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from numbers import Real
from typing import Any, TypeAlias

import numpy as np

from retraining.compat.table import Column, Table, read_column, read_table
from retraining.errors import InputError

__all__ = ["Distribution", "Numbers", "Samples", "read_distribution"]

_MIN_ROWS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbers:
    """Finite numbers by name; one number has the name `value`."""

    kind: str
    values: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Samples:
    """Columns by name, each of at least five values; one sample has the name `sample`."""

    kind: str
    columns: Mapping[str, Column]


Distribution: TypeAlias = Numbers | Samples


def read_distribution(given: Any, *, which: str) -> Distribution:
    """The distribution that a number, sample, mapping, table or list of rows means.

    `which` names it in messages. Raises InputError for a text, nothing, too few values, and numbers
    that are not finite.
    """
    what = f"the {which} distribution"
    if isinstance(given, np.ndarray) and given.ndim == 0:
        given = given.item()
    if hasattr(given, "to_pylist") and not _is_frame(given):
        given = given.to_pylist()  # a column of pyarrow
    if _is_number(given):
        return Numbers(kind="a number", values={"value": _finite(given, what)})
    if isinstance(given, Mapping):
        return _from_mapping(given, what)
    if isinstance(given, str | bytes):
        raise InputError(
            f"{what} is the text {given!r}, expected a number, a sample or a table",
            "read a file with TrainingDataManager().load_training_data(path)",
        )
    if _is_frame(given) or (isinstance(given, np.ndarray) and given.ndim > 1):
        return _from_table(read_table(given, what=what), what)
    if not isinstance(given, Iterable):
        raise InputError(f"{what} is {given!r}, expected a number, a sample or a table")
    return _from_iterable(given, what)


def _is_number(value: object) -> bool:
    return isinstance(value, Real | Decimal | np.bool_)


def _is_frame(value: object) -> bool:
    return hasattr(value, "columns") or hasattr(value, "column_names")


def _finite(value: Any, what: str) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise InputError(f"{what} is {number}, expected a finite number")
    return number


def _from_mapping(given: Mapping[Any, Any], what: str) -> Distribution:
    if not given:
        raise InputError(f"{what} is empty")
    numbers = [_is_number(value) for value in given.values()]
    if all(numbers):
        values = {str(name): _finite(value, f"{name!r} of {what}") for name, value in given.items()}
        return Numbers(kind="a mapping of names to numbers", values=values)
    columns: dict[str, Column] = {}
    for name, values in given.items():
        if isinstance(values, str | bytes | Mapping) or not isinstance(values, Iterable):
            raise InputError(
                f"{name!r} of {what} is a {type(values).__name__}, expected a sample of numbers or texts",
                "map every name to a list of values, or every name to a number",
            )
        columns[str(name)] = _column(values, str(name), what)
    return Samples(kind="a table", columns=columns)


def _from_iterable(given: Any, what: str) -> Samples:
    """One sample, or rows."""
    if not hasattr(given, "dtype"):
        given = list(given)
        first = next(iter(given), None)
        if isinstance(first, Mapping) and {"features", "label"} <= first.keys():
            return _from_training_rows(given, what)
        if isinstance(first, Iterable) and not isinstance(first, str | bytes):
            return _from_table(read_table(given, what=what), what)
    return Samples(kind="a sample", columns={"sample": _column(given, "sample", what)})


def _from_training_rows(rows: list[Mapping[str, Any]], what: str) -> Samples:
    features = _from_table(read_table([row["features"] for row in rows], what=what), what)
    label = _column([row.get("label") for row in rows], "label", what)
    return Samples(kind="a table", columns={**features.columns, "label": label})


def _from_table(table: Table, what: str) -> Samples:
    if not table.columns:
        raise InputError(f"{what} is a table without columns")
    names = table.names or tuple(f"x{index}" for index in range(len(table.columns)))
    columns = {name: _column(values, name, what) for name, values in zip(names, table.columns, strict=True)}
    return Samples(kind="a table", columns=columns)


def _column(values: Any, name: str, what: str) -> Column:
    listed = np.asarray(values) if hasattr(values, "dtype") else list(values)
    if len(listed) < _MIN_ROWS:
        raise InputError(
            f"{what} has {len(listed)} value(s) in {name!r}, a sample needs at least {_MIN_ROWS}",
            'compare numbers such as means, or shares by category: {"a": 0.3, "b": 0.7}',
        )
    return read_column(listed, name=f"{name} of {what}")
