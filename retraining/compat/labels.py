"""Labels as a user writes them -> what an estimator learns from, and back.

Invariant: the classes keep the type that the user gave them (text, bool, int or float), sorted, so
that `predict` answers in the user's own labels. Rows count from 1 in messages.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from decimal import Decimal
from numbers import Integral, Real
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from retraining.compat.table import is_missing
from retraining.errors import InputError

__all__ = ["Label", "classes_of", "plain_label", "plain_labels", "positions"]

Label: TypeAlias = str | int | float | bool


def plain_label(value: object, *, where: str) -> Label:
    """The label as a plain str, bool, int or finite float; `where` names its row in an error."""
    if isinstance(value, np.generic):
        value = value.item()
    if is_missing(value):
        raise InputError(f"{where} has no label", "leave out the rows that are not labelled yet")
    match value:
        case str() | bool():
            return value
        case Integral():
            return int(value)
        case Real() | Decimal() if math.isfinite(value):
            return float(value)
    expected = "expected a text, a whole number, a number or true/false"
    raise InputError(f"{where} has the label {value!r} ({type(value).__name__}), {expected}")


def plain_labels(labels: object, *, n_rows: int) -> list[Label]:
    """One plain label for each row; whole numbers become floats where any label is a float.

    Raises InputError for a wrong count, a missing label, or labels of several kinds.
    """
    if isinstance(labels, str | bytes | Mapping) or not isinstance(labels, Iterable):
        raise InputError(f"the labels are a {type(labels).__name__}, expected a list with one for each row")
    if hasattr(labels, "columns"):
        raise InputError("the labels are a table, expected one column", "pass the column: frame['label']")
    plain = [plain_label(label, where=f"row {row}") for row, label in enumerate(labels, 1)]
    if len(plain) != n_rows:
        raise InputError(f"found {n_rows} row(s) of features and {len(plain)} label(s), expected as many")
    kinds = {kind: row for row, kind in reversed(list(enumerate(map(_kind, plain), 1)))}
    if len(kinds) > 1:
        (first, first_row), (second, second_row) = sorted(kinds.items(), key=lambda item: item[1])[:2]
        raise InputError(
            f"row {first_row} has a {first} as label ({plain[first_row - 1]!r}) and row {second_row} "
            f"a {second} ({plain[second_row - 1]!r})",
            "write all labels in the same way",
        )
    if any(isinstance(label, float) for label in plain):
        return [float(label) for label in plain]
    return plain


def _kind(label: Label) -> str:
    if isinstance(label, str):
        return "text"
    return "truth value" if isinstance(label, bool) else "number"


def classes_of(labels: list[Label]) -> tuple[Label, ...]:
    """The distinct labels, sorted."""
    return tuple(sorted(set(labels)))


def positions(labels: list[Label], classes: tuple[Any, ...]) -> NDArray[np.int64]:
    """The position of each label among `classes`, shape (n_rows,)."""
    index = {label: position for position, label in enumerate(classes)}
    return np.array([index[label] for label in labels], dtype=np.int64)
