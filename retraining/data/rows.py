"""The life of a node's rows at one moment (docs/design.md 1): which exist, when their labels are known, their cells.

The same function serves the driver (digests, plans) and the workers (training slices), so that what
was planned is what is trained. `data.cells` says what they hold.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from retraining.data.labels import Classes, encode_labels, label_classes
from retraining.data.moments import first_moments, known_moments, label_delay
from retraining.data.tables import NO_MOMENT, Table, key_hash
from retraining.decide.calendar import NEVER, Calendar
from retraining.decide.fits import Before, LeftOut, in_slice
from retraining.decide.recipes import Recipe, microseconds
from retraining.decide.wording import counted
from retraining.errors import DataError
from retraining.manifest.values import Dataset, FoldScheme, TimeScheme

#: Buckets of a fold's rows, so that `data: {share: ...}` can tell how much of a fold changed.
FOLD_BUCKETS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Aging:
    """How the fits of the time scheme forget: `decided` are the rows' moments, durations are microseconds."""

    decided: NDArray[np.int64]
    calendar: Calendar
    window: int | None
    half_life: int | None

    def inside(self, block: int) -> NDArray[np.bool_]:
        """True for rows in the window of the fit that ends before a block."""
        begin = np.iinfo(np.int64).min if self.window is None else self.calendar.start(block) - self.window
        return np.asarray(self.decided >= begin)

    def halved(self, block: int, chosen: NDArray[np.intp]) -> NDArray[np.float64] | None:
        """0.5 to the power of the age of each row in half lives, counted back from the begin of a block."""
        if self.half_life is None:
            return None
        age = self.calendar.start(block) - self.decided[chosen]
        return np.asarray(np.exp2(-(age / self.half_life)))


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeRows:
    """A node's visible rows, in the order of the key.

    `rows` are positions in the dataset's table; `part` is the block or fold; `known` the first block
    that may learn from the label (`NEVER` without one) or the bucket of the fold scheme; `target` is
    float64 (NaN: no label) or the class's index (-1: no label); `known_now` is True where the label is
    known at `as_of`; `cluster` is the day or the leak group. `mature` are the blocks whose labels count as known
    (by folds: all), oldest first; the `holdout` is the last of them. `changes_at` is the next moment at which
    time alone would change any of this (None: never). `weight` is how much a row counts (None: all the
    same), and `aging` how fits forget (None: they do not). A row that `train_where` leaves out is `excluded` (None:
    there are none) and has no label. `hidden` counts the rows of the node that do not exist yet;
    `decided` are the moments of the rows (time scheme).
    """

    rows: NDArray[np.intp]
    part: NDArray[np.int32]
    known: NDArray[np.int32]
    target: NDArray[np.generic]
    labelled: NDArray[np.bool_]
    known_now: NDArray[np.bool_]
    cluster: NDArray[np.int64]
    next_block: int | None
    mature: tuple[int, ...]
    holdout: tuple[int, ...]
    changes_at: int | None
    weight: NDArray[np.float64] | None = None
    aging: Aging | None = None
    excluded: NDArray[np.bool_] | None = None
    decided: NDArray[np.int64] | None = None
    hidden: int = 0

    def training(self, left_out: LeftOut, usable: NDArray[np.bool_]) -> NDArray[np.intp]:
        """Positions (into this value's arrays) of the rows that a fit learns from, in canonical order.

        Time scheme: by (known, part, key), so that every slice is a prefix of the next; fold scheme:
        by key. `usable` is False for rows that lack an upstream column and are dropped.
        """
        if self.next_block is None:
            return np.flatnonzero(self.learnable(left_out) & usable)
        wanted = np.flatnonzero(self.learnable(left_out) & usable)
        return wanted[np.lexsort((self.part[wanted], self.known[wanted]))]

    def learnable(self, left_out: LeftOut) -> NDArray[np.bool_]:
        """True for labelled rows that a fit may learn from, whatever their upstream columns."""
        if not isinstance(left_out, Before):
            folds = range(int(self.part.max(initial=0)) + 1)
            inside = np.array([in_slice(part, 0, left_out) for part in folds])
            return np.asarray(self.labelled & inside[self.part])
        found = self.labelled & (self.known <= left_out.block)
        return found if self.aging is None else found & self.aging.inside(left_out.block)

    def fit_weights(self, left_out: LeftOut, chosen: NDArray[np.intp]) -> NDArray[np.float64] | None:
        """How much each of the chosen rows counts in a fit: its weight, halved by age; None: all the same."""
        halved = None
        if self.aging is not None and isinstance(left_out, Before):
            halved = self.aging.halved(left_out.block, chosen)
        if self.weight is None or halved is None:
            return halved if self.weight is None else self.weight[chosen]
        return self.weight[chosen] * halved

    def row_weights(self, chosen: NDArray[np.bool_]) -> NDArray[np.float64] | None:
        """How much each of the chosen rows counts in a score; None: all the same."""
        return None if self.weight is None else self.weight[chosen]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Visible:
    """Rows that exist, with what both schemes know of them."""

    rows: NDArray[np.intp]
    target: NDArray[np.generic]
    labelled: NDArray[np.bool_]
    weight: NDArray[np.float64] | None


def node_rows(recipe: Recipe, table: Table, dataset: Dataset, as_of: int, classes: Classes) -> NodeRows:
    """The rows of a node that exist at `as_of` (microseconds UTC)."""
    every = rows = partition_rows(recipe, table)
    if dataset.time is not None:
        rows = rows[_exists_from(table, dataset)[rows] <= as_of]
    target, labelled = encode_labels(recipe, table.label(recipe.target.column).take(rows), classes)
    trained_on = _trained_on(recipe, table, rows)
    labelled = labelled & trained_on
    visible = _Visible(
        rows=rows, target=target, labelled=labelled, weight=_weights(recipe, table, rows, labelled)
    )
    if isinstance(recipe.scheme, FoldScheme):
        found = _fold_rows(recipe.scheme, recipe, table, dataset, visible)
    else:
        found = _time_rows(recipe.scheme, recipe, table, dataset, visible, as_of)
    excluded = None if recipe.train_where is None else ~trained_on
    return replace(found, excluded=excluded, hidden=len(every) - len(rows))


def classes_of(recipes: Sequence[Recipe], table: Table, dataset: Dataset, as_of: int) -> Classes:
    """The classes of a model in output order, from the labels of its nodes that exist at `as_of`; () for regression."""
    if recipes[0].task == "regression":
        return ()
    column = table.label(recipes[0].target.column)
    rows = np.concatenate([partition_rows(recipe, table) for recipe in recipes])
    if dataset.time is not None:
        rows = rows[_exists_from(table, dataset)[rows] <= as_of]
    rows = rows[_trained_on(recipes[0], table, rows)]
    return label_classes(recipes[0], column.take(rows))


def partition_rows(recipe: Recipe, table: Table) -> NDArray[np.intp]:
    """The positions of the rows that hold a node's partition values, in the order of the table."""
    if not recipe.partition:
        return np.arange(table.n_rows)
    return table.groups([name for name, _ in recipe.partition]).rows([text for _, text in recipe.partition])


def _exists_from(table: Table, dataset: Dataset) -> NDArray[np.int64]:
    """max(decided_at, seen_at): the moment from which a row can be read."""
    assert dataset.time is not None
    decided = table.columns[dataset.time].values.astype(np.int64, copy=False)
    if dataset.ingested is None:
        return decided
    return np.maximum(decided, table.columns[dataset.ingested].values.astype(np.int64, copy=False))


def available_from(table: Table, dataset: Dataset) -> NDArray[np.int64] | None:
    """When a row's prediction can exist, for the availability rule; None in the fold scheme."""
    return None if dataset.time is None else _exists_from(table, dataset)


def folds_of(table: Table, dataset: Dataset, scheme: FoldScheme, seed: int) -> NDArray[np.int32]:
    """The fold of each row: the place of its value, or a hash of its leak group (or key) and the seed.

    -1 where the scheme's column holds none of its values: only rows that no run has seen yet.
    """
    if scheme.column is not None:
        codes, texts = table.columns[scheme.column].texts()
        place = {text: fold for fold, text in enumerate(scheme.values)}
        return np.array([place.get(text, -1) for text in texts] + [-1], np.int32)[codes]
    columns = (
        [table.columns[dataset.group]] if dataset.group else [table.columns[name] for name in dataset.key]
    )
    mixed = key_hash(columns) ^ np.uint64((seed * 0x9E3779B97F4A7C15) & 0xFFFFFFFFFFFFFFFF)
    folds = (mixed >> np.uint64(11)) % np.uint64(scheme.folds)
    return np.asarray(folds, np.int32)


def _trained_on(recipe: Recipe, table: Table, rows: NDArray[np.intp]) -> NDArray[np.bool_]:
    """False for rows that `train_where` leaves out: it is false there, or missing."""
    if recipe.train_where is None:
        return np.ones(len(rows), bool)
    return np.asarray(table.columns[recipe.train_where].take(rows).as_floats() == 1.0)


def _weights(
    recipe: Recipe, table: Table, rows: NDArray[np.intp], labelled: NDArray[np.bool_]
) -> NDArray[np.float64] | None:
    if recipe.weight.column is None:
        return None
    weights = table.columns[recipe.weight.column].take(rows).as_floats()
    wrong = labelled & ~(np.isfinite(weights) & (weights >= 0))
    if wrong.any():
        raise DataError(
            f"{recipe.node}: the weight {recipe.weight.column} is missing, negative or infinite in "
            f"{counted(int(wrong.sum()), 'labelled row')}, first {weights[np.argmax(wrong)]}",
            "give every labelled row a weight of 0 or more",
        )
    return weights


def _fold_rows(
    scheme: FoldScheme, recipe: Recipe, table: Table, dataset: Dataset, visible: _Visible
) -> NodeRows:
    rows = visible.rows
    own = table.take(rows)  # hashed for these rows alone: there may be thousands of nodes
    by_key = key_hash([own.columns[name] for name in dataset.key])
    group = key_hash([own.columns[dataset.group]]) if dataset.group else by_key
    return NodeRows(
        rows=rows,
        part=folds_of(own, dataset, scheme, recipe.seed),
        known=np.asarray((by_key >> np.uint64(7)) % np.uint64(FOLD_BUCKETS), np.int32),
        target=visible.target,
        labelled=visible.labelled,
        known_now=visible.labelled,
        cluster=group.view(np.int64),
        next_block=None,
        mature=tuple(range(scheme.folds)),
        holdout=(),
        changes_at=None,
        weight=visible.weight,
    )


def _time_rows(
    scheme: TimeScheme, recipe: Recipe, table: Table, dataset: Dataset, visible: _Visible, as_of: int
) -> NodeRows:
    rows = visible.rows
    calendar = Calendar(recipe.timezone, scheme.block_days)
    decided = table.columns[dataset.time or ""].values[rows].astype(np.int64, copy=False)
    known_at = known_moments(recipe, table, dataset, rows, decided)
    labelled = visible.labelled & (known_at != NO_MOMENT)
    part = calendar.blocks_of(decided)
    embargo = int(scheme.embargo.total_seconds() * 1_000_000)
    known = np.full(len(rows), NEVER, np.int32)
    # a label that is known at the very begin of its row's block is learnt by the next block's fit: the
    # block's own predicts the row
    known[labelled] = np.maximum(calendar.first_from(known_at[labelled] + embargo), part[labelled] + 1)
    current = calendar.block_at(as_of)
    newest = int(part.max()) if len(part) else current
    known_now = labelled & (known_at <= as_of)
    delay = label_delay(recipe, decided, first_moments(recipe, table, dataset, rows, decided), known_now)
    mature = _mature(calendar, part, delay, as_of)
    return NodeRows(
        rows=rows,
        part=part,
        known=known,
        target=visible.target,
        labelled=labelled,
        known_now=known_now,
        cluster=calendar.days_of(decided),
        next_block=min(current, newest + 1),
        mature=mature,
        holdout=mature[-scheme.holdout :] if len(mature) >= scheme.holdout else (),
        changes_at=_changes_at(calendar, part, known_at[labelled], delay, as_of),
        weight=visible.weight,
        aging=_aging(recipe, calendar, decided),
        decided=decided,
    )


def _aging(recipe: Recipe, calendar: Calendar, decided: NDArray[np.int64]) -> Aging | None:
    window, half_life = recipe.window, recipe.weight.half_life
    if window is None and half_life is None:
        return None
    return Aging(
        decided=decided,
        calendar=calendar,
        window=None if window is None else microseconds(window),
        half_life=None if half_life is None else microseconds(half_life),
    )


def _mature(calendar: Calendar, part: NDArray[np.int32], delay: int | None, as_of: int) -> tuple[int, ...]:
    """The mature blocks that hold rows, oldest first."""
    if delay is None:
        return ()
    blocks: list[int] = np.unique(part).tolist()
    return tuple(block for block in blocks if calendar.start(block + 1) + delay <= as_of)


def _changes_at(
    calendar: Calendar, part: NDArray[np.int32], known_at: NDArray[np.int64], delay: int | None, as_of: int
) -> int | None:
    later = known_at[known_at > as_of]
    moments = [int(later.min())] if len(later) else []
    if len(part) and calendar.block_at(as_of) <= int(part.max()):
        moments.append(calendar.start(calendar.block_at(as_of) + 1))
    ends = [calendar.start(block + 1) + (delay or 0) for block in np.unique(part).tolist()]
    return min(moments + [end for end in ends if end > as_of], default=None)
