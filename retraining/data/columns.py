"""The only code that turns upstream predictions into a reader's columns: for fits, gates and predict.

An upstream column is an array over the rows of the upstream's dataset, `(n_rows, n_outputs)`, NaN
where no honest prediction exists. A link (`data.edges`) says which upstream rows each row of the reader's dataset
may read. Both leaks end here: a column holds only honest predictions, and a link only rows whose
prediction existed when the reader's own was made (docs/design.md 2).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retraining.data.cells import cell_starts
from retraining.data.edges import Groups, Link, Newest
from retraining.data.tables import Table
from retraining.decide.fingerprints import ColumnDigests
from retraining.decide.recipes import Recipe
from retraining.manifest.values import Input

Floats = NDArray[np.float64]
Rows = NDArray[np.intp]


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamColumn:
    """One input of a reader: the upstream's predictions, the join, and the names of the outputs."""

    values: Floats
    join: Rows | None
    names: tuple[str, ...]
    policy: str

    def at(self, rows: Rows) -> Floats:
        """The predictions that the reader's `rows` see, `(len(rows), n_outputs)`."""
        if self.join is None:
            return self.values[rows]
        source = self.join[rows]
        found = np.full((len(source), self.values.shape[1]), np.nan)
        there = source >= 0
        found[there] = self.values[source[there]]
        return found


def output_names(column: str, task: str, classes: Sequence[object]) -> tuple[str, ...]:
    """The columns that a model hands down: one, or one for each class where there are more than two."""
    if task == "regression" or len(classes) <= 2:
        return (column,)
    return tuple(f"{column}.{value}" for value in classes)


def handed_down(prediction: Floats, task: str, n_classes: int) -> Floats:
    """The part of a prediction that readers see: the value, the positive class, or every class."""
    if task == "classification" and n_classes == 2:
        return prediction[:, 1:2]
    return prediction


def unite(
    n_rows: int,
    task: str,
    classes: Sequence[object],
    parts: Iterable[tuple[Rows, Floats, Sequence[object]]],
) -> Floats:
    """The column that an upstream model's nodes make together, `(n_rows, n_outputs)`; NaN where none predicts.

    Each part has a node's rows, its predictions `(len(rows), its outputs)` and its classes. A node that
    does not know one of `classes` gives it the probability 0; a class that only it knows is left out. A part
    fills only what those before it left: a pool, which predicts every row, comes last.
    """
    width = 1 if task == "regression" or len(classes) <= 2 else len(classes)
    values = np.full((n_rows, width), np.nan)
    for rows, prediction, own in parts:
        lacking = np.isnan(values[rows]).any(axis=1)
        values[rows[lacking]] = handed_down(
            align_classes(prediction[lacking], own, classes), task, len(classes)
        )
    return values


def align_classes(prediction: Floats, own: Sequence[object], classes: Sequence[object]) -> Floats:
    """Probabilities of `own` classes in the order of `classes`; 0 for those that are not among them."""
    if tuple(own) == tuple(classes):
        return prediction
    out = np.zeros((len(prediction), len(classes)))
    for index, value in enumerate(classes):
        if value in own:
            out[:, index] = prediction[:, list(own).index(value)]
    out[np.isnan(prediction).any(axis=1)] = np.nan
    return out


def reader_column(
    item: Input, link: Link, values: Floats, names: Sequence[str], policy: str
) -> UpstreamColumn:
    """What the rows of a reader's dataset see of an upstream's predictions `(n_upstream_rows, n_outputs)`."""
    if isinstance(link, Groups):
        columns = tuple(f"{name}.{function}" for name in names for function in item.aggregate)
        return UpstreamColumn(
            values=link.aggregate(values, item.aggregate), join=None, names=columns, policy=policy
        )
    join = link.pick(np.asarray(~np.isnan(values).any(axis=1))) if isinstance(link, Newest) else link
    return UpstreamColumn(values=values, join=join, names=tuple(names), policy=policy)


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """Features of some rows, `(n_rows, n_features)` float64 in C order; category columns hold codes.

    `categories` gives the texts that a category column's codes stand for, by the column's position.
    """

    names: tuple[str, ...]
    values: Floats
    categories: Mapping[int, tuple[str, ...]]


def assemble(recipe: Recipe, table: Table, rows: Rows, inputs: Sequence[UpstreamColumn]) -> Matrix:
    """The features of some rows of the dataset: upstream columns first, in the order of `inputs`."""
    upstream = [item.at(rows) for item in inputs]
    names = [name for item in inputs for name in item.names] + list(recipe.features)
    width = sum(block.shape[1] for block in upstream)
    values = np.empty((len(rows), len(names)), np.float64)
    if upstream:
        np.concatenate(upstream, axis=1, out=values[:, :width])
    categories: dict[int, tuple[str, ...]] = {}
    for offset, name in enumerate(recipe.features):
        column = table.columns[name]
        values[:, width + offset] = column.take(rows).as_floats()
        if column.kind == "category":
            categories[width + offset] = column.categories
    return Matrix(names=tuple(names), values=values, categories=categories)


def usable_rows(rows: Rows, inputs: Sequence[UpstreamColumn]) -> NDArray[np.bool_]:
    """False for rows that lack an upstream column whose policy is `drop` (or `refuse`)."""
    usable = np.ones(len(rows), bool)
    for item in inputs:
        if item.policy != "nan":
            usable &= ~np.isnan(item.at(rows)).any(axis=1)
    return usable


def column_digests(values: Floats, part: NDArray[np.int32], known: NDArray[np.int32]) -> ColumnDigests:
    """The digests of an assembled column on each (part, known) cell of a node's rows, and on each part."""
    normal = values + 0.0
    normal[np.isnan(normal)] = np.nan
    whole = np.zeros(len(part), np.int32)
    return ColumnDigests(
        cells=_slice_digests(normal, part, known),
        parts={at: digest for (at, _), digest in _slice_digests(normal, part, whole).items()},
    )


def _slice_digests(
    values: Floats, part: NDArray[np.int32], known: NDArray[np.int32]
) -> dict[tuple[int, int], str]:
    order = np.lexsort((part, known))
    part, known = part[order], known[order]
    starts = cell_starts(part, known)
    ends = [*starts[1:], len(order)] if starts else []
    ordered = values[order]
    return {
        (int(part[start]), int(known[start])): hashlib.sha256(
            np.ascontiguousarray(ordered[start:end]).data
        ).hexdigest()[:16]
        for start, end in zip(starts, ends, strict=True)
    }
