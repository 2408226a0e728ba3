"""What a fit or a prediction was really made from, observed of the rows that were used.

Invariant: moments are read from the dataset's own columns, and positions from the very join and origin
that fed the values. Nothing here asks the functions that chose the rows (`data.rows`, `data.edges`,
`decide.fits`): a mistake in one of them must show in the evidence, not be repeated by it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from retraining.data.edges import Groups
from retraining.data.tables import NO_MOMENT, Table, key_hash
from retraining.decide.lineage import UNKNOWN_PIECE, FedCell, Trained
from retraining.decide.recipes import Recipe
from retraining.manifest.values import Dataset

Rows = NDArray[np.intp]
Floats = NDArray[np.float64]
Moments = NDArray[np.int64]


@dataclass(slots=True)
class RowEvidence:
    """The keys and moments of a node's rows, which are positions in the dataset's table; read once, when asked."""

    recipe: Recipe
    table: Table
    dataset: Dataset
    rows: Rows
    part: NDArray[np.int32]
    _keys: NDArray[np.uint64] | None = field(default=None)

    def trained(self, chosen: Rows) -> Trained:
        """What a fit saw that learnt from these positions of the node's rows, in this order."""
        parts, counts = np.unique(self.part[chosen], return_counts=True)
        known, decided = self._known(self.rows[chosen]), decided_moments(self.table, self.dataset)
        return Trained(
            rows=len(chosen),
            keys=self.keys(chosen),
            parts={int(part): int(count) for part, count in zip(parts, counts, strict=True)},
            known_through=None if known is None else int(known.max()),
            decided_through=None if decided is None else int(decided[self.rows[chosen]].max()),
        )

    def decided_from(self, chosen: Rows) -> int | None:
        """The earliest decision among these positions of the node's rows."""
        decided = decided_moments(self.table, self.dataset)
        return None if decided is None or not len(chosen) else int(decided[self.rows[chosen]].min())

    def keys(self, chosen: Rows) -> str:
        """The digest of the rows' keys, in this order: 16 hexadecimal digits."""
        if self._keys is None:
            columns = [self.table.columns[name].take(self.rows) for name in self.table.key]
            self._keys = key_hash(columns)
        return hashlib.sha256(np.ascontiguousarray(self._keys[chosen]).data).hexdigest()[:16]

    def _known(self, rows: Rows) -> Moments | None:
        """When the labels of rows of the table became known."""
        decided = decided_moments(self.table, self.dataset)
        if decided is None or not len(rows):
            return None
        target = self.recipe.target
        if target.known_at is not None:
            known = self.table.columns[target.known_at].values[rows].astype(np.int64)
        else:
            delay = 0 if target.known_after is None else round(target.known_after.total_seconds() * 1_000_000)
            known = decided[rows] + delay
        late = self.table.late.get(target.column)
        if late is not None:
            told = late.known[rows]
            known = np.where(told > known, told, known)
        if self.dataset.ingested is not None:
            seen = self.table.columns[self.dataset.ingested].values[rows].astype(np.int64)
            known = np.where(known == NO_MOMENT, NO_MOMENT, np.maximum(known, seen))
        # a label without a moment cannot have been known: whoever learns from it has looked ahead
        return np.where(known == NO_MOMENT, np.iinfo(np.int64).max, known)


def decided_moments(table: Table, dataset: Dataset) -> Moments | None:
    """When each row of a table was decided; None without a decision time."""
    return None if dataset.time is None else table.columns[dataset.time].values.astype(np.int64, copy=False)


def existing_moments(table: Table, dataset: Dataset) -> Moments | None:
    """From when each row of a table could be read: when it was decided or, if later, had come in."""
    decided = decided_moments(table, dataset)
    if decided is None or dataset.ingested is None:
        return decided
    return np.maximum(decided, table.columns[dataset.ingested].values.astype(np.int64, copy=False))


def unite_origins(n_rows: int, parts: Sequence[tuple[Rows, Floats, NDArray[np.int32]]]) -> NDArray[np.int64]:
    """Which node, by position, and which of its pieces predicted each row of the upstream's dataset.

    The two numbers in one: node * 2**32 + piece; -1 where none did. Each part has a node's rows, its
    predictions and the piece of each (-1: none); as in `columns.unite` it fills what those before it left.
    """
    origin = np.full(n_rows, -1, np.int64)
    for place, (rows, prediction, pieces) in enumerate(parts):
        fills = (origin[rows] < 0) & ~np.isnan(prediction).any(axis=1) & (pieces >= 0)
        origin[rows[fills]] = (place << 32) + pieces[fills].astype(np.int64)
    return origin


def fed_cells(
    link: Groups | Rows | None,
    rows: Rows,
    part: NDArray[np.int32],
    united: Floats,
    origin: NDArray[np.int64],
    reader: tuple[Table, Dataset],
    upstream: tuple[Table, Dataset],
) -> tuple[list[FedCell], dict[int, tuple[int, int]]]:
    """Which pieces fed which blocks or folds of a reader's rows, through the link that its values came by.

    And for each block or fold how many of the rows read a prediction and how many found none. `rows` are
    the reader's rows in its dataset, `part` their blocks or folds; `united` and `origin` are the
    predictions `(n_upstream_rows, n_outputs)` and where each comes from.
    """
    decided, exists = decided_moments(*reader), existing_moments(*upstream)
    present = np.asarray(~np.isnan(united).any(axis=1))
    if isinstance(link, Groups):
        pairs = _pairs_of_groups(link, rows, part, present, origin, decided)
        cells = _cells(*pairs, None if decided is None else decided[rows], exists)
        return cells, _readers(part, link.counts(present)[rows] > 0)
    source = rows if link is None else link[rows]
    reads = source >= 0
    reads[reads] = present[source[reads]]
    own = np.flatnonzero(reads)
    # a row that reads itself is read when it exists: nobody predicts it before
    moments = exists if link is None else decided
    cells = _cells(
        part[own],
        origin[source[own]],
        own,
        source[own],
        None if decided is None else decided[rows],
        exists,
        None if moments is None else moments[rows],
    )
    return cells, _readers(part, reads)


def _readers(part: NDArray[np.int32], reads: NDArray[np.bool_]) -> dict[int, tuple[int, int]]:
    parts, place = np.unique(part, return_inverse=True)
    found = np.bincount(place, weights=reads, minlength=len(parts)).astype(int).tolist()
    every = np.bincount(place, minlength=len(parts)).tolist()
    return {
        int(one): (reading, rows - reading)
        for one, reading, rows in zip(parts.tolist(), found, every, strict=True)
    }


def _pairs_of_groups(
    link: Groups,
    rows: Rows,
    part: NDArray[np.int32],
    present: NDArray[np.bool_],
    origin: NDArray[np.int64],
    decided: Moments | None,
) -> tuple[NDArray[np.int32], NDArray[np.int64], Rows, Rows]:
    """(part, origin, reader's row, upstream row) of the pairs that an aggregate reads, each upstream row once a part.

    A group's range begins at one place for all its readers, so of a part's readers of one group the first
    by decision that reads an upstream row stands for the later ones.
    """
    parts: list[NDArray[np.int32]] = []
    own: list[Rows] = []
    theirs: list[Rows] = []
    reads = np.flatnonzero(link.end[rows] > link.start[rows])
    order = reads[np.lexsort((reads if decided is None else decided[rows[reads]], part[reads]))]
    begun: dict[tuple[int, int], int] = {}
    for position in order.tolist():
        row, block = rows[position], int(part[position])
        start, end = int(link.start[row]), int(link.end[row])
        first = begun.get((block, start), start)
        if end > first:
            begun[(block, start)] = end
            found = link.order[first:end]
            found = found[present[found]]
            theirs.append(found)
            own.append(np.full(len(found), position, np.intp))
            parts.append(np.full(len(found), block, np.int32))
    if not theirs:
        nothing = np.zeros(0, np.intp)
        return np.zeros(0, np.int32), np.zeros(0, np.int64), nothing, nothing
    sources = np.concatenate(theirs)
    return np.concatenate(parts), origin[sources], np.concatenate(own), sources


def _cells(
    part: NDArray[np.int32],
    origin: NDArray[np.int64],
    own: Rows,
    source: Rows,
    decided: Moments | None,
    exists: Moments | None,
    moments: Moments | None = None,
) -> list[FedCell]:
    """The pairs (reader's row, upstream row) gathered by the reader's part and the piece that fed them."""
    if not len(own):
        return []
    moments = decided if moments is None else moments
    order = np.lexsort((origin, part))
    part, origin, own, source = part[order], origin[order], own[order], source[order]
    starts = np.flatnonzero(np.concatenate([[True], (part[1:] != part[:-1]) | (origin[1:] != origin[:-1])]))
    ends = np.append(starts[1:], len(own))
    first: list[int | None] = [None] * len(starts)
    gaps: list[int | None] = [None] * len(starts)
    if decided is not None:
        first = np.minimum.reduceat(decided[own], starts).tolist()
    if exists is not None and moments is not None:
        gaps = np.maximum.reduceat(exists[source] - moments[own], starts).tolist()
    cells = []
    for index, (start, end) in enumerate(zip(starts.tolist(), ends.tolist(), strict=True)):
        code = int(origin[start])
        cells.append(
            FedCell(
                part=int(part[start]),
                upstream=max(code, 0) >> 32,
                piece=UNKNOWN_PIECE if code < 0 else code & 0xFFFFFFFF,
                rows=end - start,
                decided_from=first[index],
                gap=gaps[index],
            )
        )
    return cells


def remapped(cells: Sequence[FedCell], places: Sequence[Mapping[int, int]]) -> tuple[FedCell, ...]:
    """The cells with each upstream's pieces by their new places, in canonical order."""
    return tuple(
        sorted(
            FedCell(
                part=one.part,
                upstream=one.upstream,
                piece=places[one.upstream].get(one.piece, UNKNOWN_PIECE),
                rows=one.rows,
                decided_from=one.decided_from,
                gap=one.gap,
            )
            for one in cells
        )
    )
