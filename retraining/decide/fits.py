"""Fits by name, and which fit predicts what.

A fit is M(node, what it left out): in the time scheme every row whose label was not known before a
block began, in the fold scheme a set of folds. Both schemes answer the same two questions with it
(docs/design.md 3): from which fit does a row's honest prediction come, and which rows does a fit learn from?

A *context* names a column: in the time scheme there is one (`None`); in the fold scheme column C_S
holds for each row the prediction of M(node, S + its fold), and feeds both the training and the
predicting of a reader's M(reader, S).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TypeAlias


@dataclass(frozen=True, slots=True, order=True)
class Before:
    """All rows whose label was not known when `block` began."""

    block: int

    def __str__(self) -> str:
        return f"<{self.block}"


@dataclass(frozen=True, slots=True)
class Folds:
    """The rows of these folds."""

    folds: frozenset[int]

    def __str__(self) -> str:
        return "-" + ",".join(str(fold) for fold in sorted(self.folds))


LeftOut: TypeAlias = Before | Folds
Context: TypeAlias = frozenset[int] | None


def parse_left_out(text: str) -> LeftOut:
    """The inverse of `str(left_out)`."""
    if text.startswith("<"):
        return Before(int(text[1:]))
    return Folds(frozenset(int(part) for part in text[1:].split(",") if part))


def column_fit(cell: int, cut: int | None, context: Context) -> LeftOut:
    """The fit that predicts a block (time scheme: `cut` is the version's) or a fold of a column."""
    if cut is not None:
        return Before(min(cell, cut))
    return Folds((context or frozenset()) | {cell})


def fit_context(left_out: LeftOut) -> Context:
    """The context of the upstream columns that a fit reads, for training and for predicting."""
    return None if isinstance(left_out, Before) else left_out.folds


def contexts(folds: int, depth: int) -> tuple[frozenset[int], ...]:
    """The contexts of the fold scheme that readers up to `depth` levels below ask for, smallest first."""
    return tuple(
        frozenset(chosen) for size in range(depth + 1) for chosen in combinations(range(folds), size)
    )


def lattice_fits(folds: int, depth: int) -> tuple[Folds, ...]:
    """The fits of a node with `depth` levels of readers below it: 6, 16, 26 ... for five folds."""
    return tuple(
        Folds(frozenset(chosen))
        for size in range(depth + 2)
        for chosen in combinations(range(folds), size)
        if size < folds
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """Rows that enter and leave training slices together.

    Time scheme: `part` is the block of the decision, `known` the first block that may learn from the
    labels. Fold scheme: `part` is the fold and `known` a bucket of the key's hash.
    """

    part: int
    known: int
    rows: int
    digest: str


def in_slice(cell_part: int, cell_known: int, left_out: LeftOut, first: int | None = None) -> bool:
    """True where a fit may learn from a cell; `first` is the block in which its window begins."""
    if isinstance(left_out, Before):
        return cell_known <= left_out.block and (first is None or cell_part >= first)
    return cell_part not in left_out.folds


def slice_cells(cells: Iterable[Cell], left_out: LeftOut, first: int | None = None) -> list[Cell]:
    """The cells that a fit learns from, in their order; of the window's first block all of them."""
    return [cell for cell in cells if in_slice(cell.part, cell.known, left_out, first)]


def enough(cells: Sequence[Cell], min_rows: int, min_blocks: int) -> bool:
    """True where a training slice has the rows and the blocks that `min_train` asks for."""
    return sum(cell.rows for cell in cells) >= min_rows and len({cell.part for cell in cells}) >= min_blocks
