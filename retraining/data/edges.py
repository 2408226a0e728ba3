"""Which upstream rows a reader's row may read: row by row, by key, as of its own moment, or a whole group.

The availability rule of docs/design.md 2 lives here: a prediction can be read only by rows that were decided
when it existed. What is read of one group depends on that group's rows alone, to the last bit.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from retraining.data.rows import available_from, folds_of
from retraining.data.tables import Column, Table, match_codes
from retraining.decide.recipes import microseconds
from retraining.errors import DataError
from retraining.manifest.values import Aggregation, Dataset, FoldScheme, Input, Json, Scheme

Floats = NDArray[np.float64]
Rows = NDArray[np.intp]

_RUNNING: Mapping[Aggregation, tuple[np.ufunc, float]] = MappingProxyType(
    {"sum": (np.add, 0.0), "mean": (np.add, 0.0), "min": (np.minimum, np.inf), "max": (np.maximum, -np.inf)}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Groups:
    """The upstream rows that each row of a reader's dataset may aggregate.

    `order` are upstream rows by (group, moment from which they exist, key) and `bounds` where each group
    begins in it; reader row i reads `order[start[i]:end[i]]`, which is the beginning of one group.
    """

    order: Rows
    bounds: Rows
    start: Rows
    end: Rows

    def counts(self, chosen: NDArray[np.bool_]) -> NDArray[np.int64]:
        """How many of the chosen upstream rows each reader row may read, `(n_reader_rows,)`."""
        before = np.concatenate([[0], np.cumsum(chosen[self.order])])
        return np.asarray(before[self.end] - before[self.start], np.int64)

    def aggregate(self, values: Floats, functions: Sequence[Aggregation]) -> Floats:
        """Each function of each output over the predictions that a reader row may read.

        `values` are `(n_upstream_rows, n_outputs)`, the result `(n_reader_rows, n_outputs * n_functions)`;
        all NaN where no row of the group has a prediction yet.
        """
        present = np.asarray(~np.isnan(values).any(axis=1))
        count = self.counts(present).astype(np.float64)
        count[count == 0] = np.nan
        columns = []
        for output in values.T:
            for function in functions:
                if function == "count":
                    columns.append(count)
                    continue
                total = self._running(np.where(present, output, np.nan), function)
                total[np.isnan(count)] = np.nan
                columns.append(total / count if function == "mean" else total)
        return np.stack(columns, axis=1)

    def _running(self, output: Floats, function: Aggregation) -> Floats:
        ufunc, neutral = _RUNNING[function]
        ordered = output[self.order]
        running = np.where(np.isnan(ordered), neutral, ordered)
        ends = np.append(self.bounds[1:], len(running))[: len(self.bounds)]  # none, where there are no rows
        for begin, end in zip(self.bounds.tolist(), ends.tolist(), strict=True):
            if end - begin > 1:  # group by group: a sum must not hang on the rows of other groups
                ufunc.accumulate(running[begin:end], out=running[begin:end])
        if not len(running):
            return np.full(len(self.end), np.nan)
        return np.asarray(running[np.maximum(self.end - 1, 0)])


@dataclass(frozen=True, slots=True, kw_only=True)
class Newest:
    """The upstream rows of which each row of a reader's dataset reads the newest that has a prediction.

    `groups` are the rows that existed when the reader's row was decided; `decided` are the readers'
    moments and `moments` the upstream rows', in microseconds; a row older than `tolerance` is not read.
    """

    groups: Groups
    decided: NDArray[np.int64]
    moments: NDArray[np.int64]
    tolerance: int | None

    def pick(self, present: NDArray[np.bool_]) -> Rows:
        """For each reader row the `present` upstream row decided last (of equals the last by key); -1: none."""
        groups, order = self.groups, self.groups.order
        n_rows = len(order)
        found = np.full(len(groups.end), -1, np.intp)
        if not n_rows:
            return found
        by_moment = np.lexsort((order, self.moments[order]))
        rank = np.empty(n_rows, np.int64)
        rank[by_moment] = np.arange(1, n_rows + 1)
        rank[~present[order]] = 0
        group = np.zeros(n_rows, np.int64)
        group[groups.bounds[1:]] = 1
        # one running maximum for all groups: a later group's numbers are above all of an earlier one's
        newest = np.maximum.accumulate(np.cumsum(group) * (n_rows + 1) + rank) % (n_rows + 1)
        reads = np.flatnonzero(groups.end > groups.start)
        reads = reads[newest[groups.end[reads] - 1] > 0]
        found[reads] = order[by_moment[newest[groups.end[reads] - 1] - 1]]
        if self.tolerance is not None:
            old = self.decided[reads] - self.moments[found[reads]] > self.tolerance
            found[reads[old]] = -1
        return found

    def within(self, positions: Rows, readers: Rows) -> NDArray[np.bool_]:
        """True where a reader finds the upstream row at a position of the order young enough to be read."""
        age = self.decided[readers] - self.moments[self.groups.order[positions]]
        return np.asarray(age <= self.tolerance) if self.tolerance is not None else np.ones(len(age), bool)


LinkKey: TypeAlias = tuple[tuple[tuple[str, str], ...], str, dt.timedelta | None]
#: None: the same row; rows: for each reader row an upstream row (-1: none); groups: several; newest: one of several.
Link: TypeAlias = Rows | Groups | Newest | None


def link_rows(
    item: Input, reader: Table, reader_dataset: Dataset, upstream: Table, upstream_dataset: Dataset
) -> Link:
    """What each row of the reader's table may read of the upstream's.

    Raises `DataError` where a key edge finds several upstream rows for one key.
    """
    if not item.match:
        return None
    left = [reader.columns[own] for _, own in item.match]
    right = [upstream.columns[theirs] for theirs, _ in item.match]
    _check_moments(item, reader_dataset, upstream_dataset, left, right)
    codes = match_codes(left, right)
    exists = available_from(upstream, upstream_dataset)
    decided = _decided(reader, reader_dataset) if exists is not None else None
    if item.as_of or item.aggregate:
        groups = _groups(*codes, decided, exists)
        return _newest(item, groups, decided, _decided(upstream, upstream_dataset)) if item.as_of else groups
    found = _one_row(item, *codes, reader_dataset, upstream_dataset)
    if exists is not None and decided is not None:
        at = np.flatnonzero(found >= 0)
        found[at[exists[found[at]] > decided[at]]] = -1
    return found


def link_key(item: Input) -> LinkKey:
    """What a link depends on besides the two tables."""
    return (item.match, edge_kind(item), item.tolerance)


def edge_kind(item: Input) -> str:
    """The word for the way in which an edge finds its rows."""
    return "as of" if item.as_of else "group" if item.aggregate else "key" if item.match else "row"


def link_words(item: Input) -> list[Json]:
    """`link_key` as JSON, for the names of arrays."""
    match, kind, tolerance = link_key(item)
    return [[list(pair) for pair in match], kind, None if tolerance is None else tolerance.total_seconds()]


def reached_rows(link: Link, readers: NDArray[np.bool_], n_upstream: int) -> NDArray[np.bool_]:
    """True for upstream rows that some of the chosen reader rows may read, `(n_upstream,)`."""
    reached = np.zeros(n_upstream, bool)
    if link is None:
        return readers.copy()
    if not isinstance(link, Groups | Newest):
        found = link[readers]
        reached[found[found >= 0]] = True
        return reached
    groups = link.groups if isinstance(link, Newest) else link
    reads = np.flatnonzero(readers & (groups.end > groups.start))
    earliest = link.decided[reads] if isinstance(link, Newest) else reads
    reads = reads[np.lexsort((earliest, groups.end[reads]))]
    places = np.arange(len(groups.order))
    # the first reader whose range ends behind a row, if it begins before it, finds the row youngest
    first = np.searchsorted(groups.end[reads], places, side="right")
    places = places[first < len(reads)]
    first = reads[first[first < len(reads)]]
    hit = groups.start[first] <= places
    if isinstance(link, Newest):
        hit &= link.within(places, first)
    reached[groups.order[places[hit]]] = True
    return reached


def check_folds(
    item: Input,
    link: Link,
    tables: tuple[Table, Table],
    datasets: tuple[Dataset, Dataset],
    schemes: tuple[Scheme, Scheme],
    seed: int,
) -> None:
    """Refuses an edge of the fold scheme that joins rows of different folds (their labels would leak)."""
    if link is None or not (isinstance(schemes[0], FoldScheme) and isinstance(schemes[1], FoldScheme)):
        return
    own = folds_of(tables[0], datasets[0], schemes[0], seed)
    theirs = folds_of(tables[1], datasets[1], schemes[1], seed)
    if isinstance(link, Newest):
        link = link.groups  # any of its rows may be the newest with a prediction
    if isinstance(link, Groups):
        reads = link.end > link.start
        alike = np.zeros(len(own), np.int64)
        for fold in range(schemes[0].folds):
            here = own == fold
            alike[here] = link.counts(theirs == fold)[here]
        differing = int((alike < link.end - link.start).sum())
        total = int(reads.sum())
    else:
        hit = link >= 0
        differing, total = int((own[hit] != theirs[link[hit]]).sum()), int(hit.sum())
    if differing:
        raise DataError(
            f"input {item.upstream}: {differing} of {total} rows of {datasets[0].name} read a row of "
            f"{datasets[1].name} in another fold, whose label the fits have seen",
            "give both datasets the same `group` (the leak group) and let matched rows share it",
        )


def linked_pairs(link: Link, upper: NDArray[np.int64], lower: NDArray[np.int64]) -> NDArray[np.int64]:
    """The pairs (upstream node, downstream node) that share a row, `(n_pairs, 2)`.

    `upper` and `lower` give the node of each row of the two datasets, -1 for none.
    """
    if isinstance(link, Newest):
        return _newest_pairs(link, upper, lower)
    if not isinstance(link, Groups):
        source = np.arange(len(lower)) if link is None else link
        hit = np.flatnonzero((source >= 0) & (lower >= 0))
        pairs = np.stack([upper[source[hit]], lower[hit]], axis=1)
        return np.unique(pairs[pairs[:, 0] >= 0], axis=0)
    found: set[tuple[int, int]] = set()
    owners = upper[link.order]
    reads = np.flatnonzero((link.end > link.start) & (lower >= 0))
    # of the ranges that begin alike the longest one holds what the others hold
    ranges: dict[tuple[int, int], int] = {}
    for row in reads.tolist():
        key = (int(lower[row]), int(link.start[row]))
        ranges[key] = max(ranges.get(key, 0), int(link.end[row]))
    for (reader, start), end in ranges.items():
        found |= {(owner, reader) for owner in np.unique(owners[start:end]).tolist() if owner >= 0}
    return np.array(sorted(found), np.int64).reshape(-1, 2)


def _decided(table: Table, dataset: Dataset) -> NDArray[np.int64] | None:
    return None if dataset.time is None else table.columns[dataset.time].values.astype(np.int64, copy=False)


def _one_row(
    item: Input,
    own_codes: NDArray[np.int64],
    their_codes: NDArray[np.int64],
    reader_dataset: Dataset,
    upstream_dataset: Dataset,
) -> Rows:
    order = np.argsort(their_codes, kind="stable")
    ordered = their_codes[order]
    start = int(np.searchsorted(ordered, 0))
    repeated = int((ordered[start + 1 :] == ordered[start:-1]).sum()) if len(ordered) > start else 0
    if repeated:
        columns = ", ".join(theirs for theirs, _ in item.match)
        raise DataError(
            f"input {item.upstream}: {repeated} rows of {upstream_dataset.name} repeat another row's "
            f"{columns}, so it is not clear which prediction a row of {reader_dataset.name} reads",
            "match on columns that identify one upstream row (many to one), or write `as_of` or `aggregate`",
        )
    position = np.searchsorted(ordered, own_codes)
    hit = (own_codes >= 0) & (position < len(ordered))
    hit[hit] = ordered[position[hit]] == own_codes[hit]
    found = np.full(len(own_codes), -1, np.intp)
    found[hit] = order[position[hit]]
    return found


def _groups(
    own_codes: NDArray[np.int64],
    their_codes: NDArray[np.int64],
    decided: NDArray[np.int64] | None,
    exists: NDArray[np.int64] | None,
) -> Groups:
    known = np.flatnonzero(their_codes >= 0)
    moments = np.zeros(len(their_codes), np.int64) if exists is None else exists
    order = known[np.lexsort((known, moments[known], their_codes[known]))]
    codes = their_codes[order]
    start = np.searchsorted(codes, own_codes, side="left")
    if exists is None or decided is None:
        end = np.searchsorted(codes, own_codes, side="right")
    else:
        # one order of both tables' rows: what stands before a reader's row in its group exists in time
        both = np.concatenate([codes, own_codes])
        at = np.concatenate([moments[order], decided])
        reads = np.repeat([False, True], [len(codes), len(own_codes)])
        merged = np.lexsort((reads, at, both))
        before = np.empty(len(both), np.int64)
        before[merged] = np.cumsum(~reads[merged])
        end = np.maximum(before[len(codes) :], start)
    start, end = np.where(own_codes < 0, 0, start), np.where(own_codes < 0, 0, end)
    bounds = np.flatnonzero(np.concatenate([[True], codes[1:] != codes[:-1]])) if len(codes) else codes
    return Groups(
        order=order,
        bounds=np.asarray(bounds, np.intp),
        start=np.asarray(start, np.intp),
        end=np.asarray(end, np.intp),
    )


def _newest(
    item: Input, groups: Groups, decided: NDArray[np.int64] | None, moments: NDArray[np.int64] | None
) -> Newest:
    assert decided is not None
    assert moments is not None
    tolerance = None if item.tolerance is None else microseconds(item.tolerance)
    return Newest(groups=groups, decided=decided, moments=moments, tolerance=tolerance)


def _newest_pairs(link: Newest, upper: NDArray[np.int64], lower: NDArray[np.int64]) -> NDArray[np.int64]:
    """The pairs of nodes where a row of the upstream may be the newest that a row of the reader finds."""
    groups, owners = link.groups, upper[link.groups.order]
    reads = np.flatnonzero((groups.end > groups.start) & (lower >= 0))
    reads = reads[np.lexsort((link.decided[reads], groups.start[reads], lower[reads]))]
    changes = (np.diff(lower[reads]) != 0) | (np.diff(groups.start[reads]) != 0)
    found: set[tuple[int, int]] = set()
    for rows in np.split(reads, np.flatnonzero(changes) + 1) if len(reads) else []:
        ends = np.maximum.accumulate(groups.end[rows])
        places = np.arange(groups.start[rows[0]], ends[-1])
        # the first reader that finds a row there finds it youngest
        places = places[link.within(places, rows[np.searchsorted(ends, places, side="right")])]
        reader = int(lower[rows[0]])
        found |= {(owner, reader) for owner in np.unique(owners[places]).tolist() if owner >= 0}
    return np.array(sorted(found), np.int64).reshape(-1, 2)


def _check_moments(
    item: Input,
    reader_dataset: Dataset,
    upstream_dataset: Dataset,
    left: Sequence[Column],
    right: Sequence[Column],
) -> None:
    """Refuses a moment matched with text or numbers: JSON Lines hold moments as text, and none would be equal."""
    for (theirs, own), a, b in zip(item.match, left, right, strict=True):
        if (a.kind == "timestamp") == (b.kind == "timestamp"):
            continue
        name, column, found = (
            (upstream_dataset.name, theirs, b) if a.kind == "timestamp" else (reader_dataset.name, own, a)
        )
        raise DataError(
            f"input {item.upstream}: `match` pairs {upstream_dataset.name}.{theirs} with {reader_dataset.name}.{own}, "
            f"but {column} of {name} is of kind {found.kind} and the other holds moments",
            f"write `types: {{{column}: timestamp}}` under `datasets.{name}`",
        )
