"""When the labels of a node's rows are known: as the manifest says, and as late labels say."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from retraining.data.tables import NO_MOMENT, Table
from retraining.decide.recipes import Recipe
from retraining.manifest.values import Dataset

__all__ = ["MATURE_QUANTILE", "first_moments", "known_moments", "label_delay"]

#: Share of labels that must be known before a block counts as mature where labels have their own moments.
MATURE_QUANTILE = 0.98


def known_moments(
    recipe: Recipe,
    table: Table,
    dataset: Dataset,
    rows: NDArray[np.intp],
    decided: NDArray[np.int64],
) -> NDArray[np.int64]:
    """When each row's label was known, late labels by what feedback says and no earlier than the manifest allows."""
    known = _stated(recipe, table, rows, decided)
    late = table.late.get(recipe.target.column)
    if late is not None:
        known = np.maximum(known, late.known[rows])
    return _seen(known, table, dataset, rows)


def first_moments(
    recipe: Recipe,
    table: Table,
    dataset: Dataset,
    rows: NDArray[np.intp],
    decided: NDArray[np.int64],
) -> NDArray[np.int64]:
    """When a label of each row was known first: one that is corrected later was there nonetheless."""
    known = _stated(recipe, table, rows, decided)
    late = table.late.get(recipe.target.column)
    if late is not None:
        own = ~table.columns[recipe.target.column].take(rows).missing() & (known != NO_MOMENT)
        known = np.where(own, known, np.maximum(known, late.first[rows]))
    return _seen(known, table, dataset, rows)


def _stated(
    recipe: Recipe, table: Table, rows: NDArray[np.intp], decided: NDArray[np.int64]
) -> NDArray[np.int64]:
    """When the manifest says that labels are known."""
    if recipe.target.known_at is not None:
        return table.columns[recipe.target.known_at].values[rows].astype(np.int64, copy=False)
    delay = recipe.target.known_after
    return decided + int(delay.total_seconds() * 1_000_000 if delay is not None else 0)


def _seen(
    known: NDArray[np.int64], table: Table, dataset: Dataset, rows: NDArray[np.intp]
) -> NDArray[np.int64]:
    """The moments, none before its row existed."""
    if dataset.ingested is None:
        return known
    seen = table.columns[dataset.ingested].values[rows].astype(np.int64, copy=False)
    return np.where(known == NO_MOMENT, NO_MOMENT, np.maximum(known, seen))


def label_delay(
    recipe: Recipe, decided: NDArray[np.int64], known_at: NDArray[np.int64], known_now: NDArray[np.bool_]
) -> int | None:
    """How long after the end of a block its labels are known (microseconds); None: no label is known yet."""
    if recipe.target.known_after is not None:
        return int(recipe.target.known_after.total_seconds() * 1_000_000)
    if not known_now.any():
        return None
    return max(int(np.quantile((known_at - decided)[known_now], MATURE_QUANTILE, method="higher")), 0)
