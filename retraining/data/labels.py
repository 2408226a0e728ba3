"""Labels as numbers: values of a regression, positions of classes in their order.

Invariant: the order of classes is that of a model's outputs everywhere; of two the last is the positive
one, which readers are handed down.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from retraining.data.tables import Column
from retraining.decide.recipes import Recipe
from retraining.errors import DataError

Class: TypeAlias = str | int | float | bool
Classes: TypeAlias = tuple[Class, ...]


def label_classes(recipe: Recipe, labels: Column) -> Classes:
    """The classes of a model in output order: as declared, else the sorted ones among its labels.

    A declared positive class comes last. DataError for labels outside the declared classes.
    """
    target = recipe.target
    found = _present(labels)
    classes = found
    if target.classes:
        classes = tuple(_valued(recipe, text, labels.kind) for text in target.classes)
        strangers = [value for value in found if value not in classes]
        if strangers:
            raise DataError(
                f"model {recipe.model}: the target {target.column} has the label {strangers[0]!r}, which is none of "
                f"its classes {', '.join(target.classes)}",
                "add it to `classes`, or leave such labels out",
            )
    if target.positive is None:
        return classes
    positive = _valued(recipe, target.positive, labels.kind)
    if len(classes) != 2 or positive not in classes:
        raise DataError(
            f"model {recipe.model}: the positive class {target.positive} must be one of two, and the target "
            f"{target.column} has {', '.join(map(str, classes)) or 'no label'}",
            "mend `positive`, or leave it out",
        )
    return (*(value for value in classes if value != positive), positive)


def encode_labels(
    recipe: Recipe, column: Column, classes: Classes
) -> tuple[NDArray[np.generic], NDArray[np.bool_]]:
    """The labels as float64 values or int64 positions in `classes`, and where there is one."""
    missing = column.missing()
    if recipe.task == "regression":
        values = column.as_floats().copy()
        if np.isinf(values).any():
            raise DataError(
                f"{recipe.node}: the target {recipe.target.column} is infinite in {int(np.isinf(values).sum())} rows",
                "leave such labels out (a missing label is never trained on)",
            )
        return values, ~missing
    codes = np.full(len(missing), -1, np.int64)
    if column.kind == "category":
        lookup = {value: index for index, value in enumerate(classes)}
        table = np.array([lookup.get(text, -1) for text in column.categories] + [-1], np.int64)
        codes = table[column.values.astype(np.int64)]
    elif classes:
        known = np.array([float(value) for value in classes], np.float64)
        order = np.argsort(known)
        values = column.as_floats()
        position = np.minimum(np.searchsorted(known[order], np.nan_to_num(values)), len(known) - 1)
        codes = np.where(known[order[position]] == values, order[position], -1).astype(np.int64)
    return codes, (codes >= 0) & ~missing


def _present(labels: Column) -> Classes:
    if labels.kind == "category":
        return tuple(labels.categories[code] for code in np.unique(labels.values) if code >= 0)
    values = np.unique(labels.values[~labels.missing()])
    if labels.kind == "bool":
        return tuple(bool(value) for value in values)
    return tuple(int(value) if float(value).is_integer() else float(value) for value in values)


def _valued(recipe: Recipe, text: str, kind: str) -> Class:
    """A class as written, as the value that the column holds for it."""
    if kind == "category":
        return text
    if kind == "bool" and text.lower() in ("true", "false"):
        return text.lower() == "true"
    try:
        value = float(text) if kind == "number" else None
    except ValueError:
        value = None
    if value is None:
        expected = "numbers" if kind == "number" else "truth values"
        raise DataError(
            f"model {recipe.model}: the class {text!r} cannot be a label of {recipe.target.column}, "
            f"which holds {expected}",
            "write classes as the data writes them" + ("" if kind == "number" else ": false, true"),
        )
    return int(value) if value.is_integer() else value
