"""Where the rows of one call stand: which version predicts them, in which block they lie, which rows they may read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from retraining.data.edges import Link, LinkKey, link_key, link_rows, reached_rows
from retraining.data.rows import partition_rows
from retraining.data.tables import NO_MOMENT, Table
from retraining.decide.calendar import NEVER, Calendar
from retraining.manifest.values import Input, TimeScheme
from retraining.prediction.past import Past
from retraining.prediction.versions import ServedVersion

Rows = NDArray[np.intp]
Mask = NDArray[np.bool_]
Blocks = NDArray[np.int32]

_CENTURY = 36_525 * 86_400 * 1_000_000


@dataclass(slots=True, kw_only=True)
class Placement:
    """The rows of `tables` as the `versions` see them, of which the nodes `asked` are to be predicted.

    `past` says from which block on a version could predict; None where the past does not matter.
    """

    versions: Mapping[str, ServedVersion]
    tables: Mapping[str, Table]
    asked: tuple[str, ...]
    past: Past | None
    _links: dict[tuple[str, str, LinkKey], Link] = field(default_factory=dict)
    _rows: dict[str, Rows] = field(default_factory=dict)
    _blocks: dict[tuple[str, str, int], Blocks] = field(default_factory=dict)

    def rows(self, version: ServedVersion) -> Rows:
        """The rows that a version predicts: of its partition, or what no node beside a pool does.

        A pool that others read serves also rows from before the node beside it could predict.
        """
        if version.node not in self._rows:
            table = self.tables[version.dataset]
            found = (
                self._pooled(version, table) if version.recipe.pool else partition_rows(version.recipe, table)
            )
            self._rows[version.node] = found
        return self._rows[version.node]

    def blocks(self, version: ServedVersion, rows: Rows) -> Blocks:
        """The blocks of rows; `NEVER` where no moment tells: it is not given, or there is none (fold scheme)."""
        scheme, table = version.recipe.scheme, self.tables[version.dataset]
        time = version.declaration.dataset.time
        if not isinstance(scheme, TimeScheme) or version.cut is None or time not in table.columns:
            return np.full(len(rows), NEVER, np.int32)
        assert time is not None
        key = (version.dataset, version.recipe.timezone, scheme.block_days)
        if key not in self._blocks:
            calendar = Calendar(version.recipe.timezone, scheme.block_days)
            moments = table.columns[time].values.astype(np.int64, copy=False)
            known = moments != NO_MOMENT
            blocks = np.full(len(moments), NEVER, np.int32)
            # a year that somebody mistyped has no blocks of its own
            middle = calendar.start(version.cut)
            near = np.clip(moments[known], middle - _CENTURY, middle + _CENTURY)
            blocks[known] = calendar.blocks_of(near)
            self._blocks[key] = blocks
        return self._blocks[key][rows]

    def first_block(self, names: Sequence[str]) -> int | None:
        """The first block for which one of some nodes could predict; None where that is not known."""
        if self.past is None:
            return None
        return min((block for name in names for block in self.past.blocks(self.versions[name])), default=None)

    def link(self, version: ServedVersion, item: Input) -> Link:
        """What each row of a version's dataset may read of an input that has upstream nodes."""
        upstream = self.versions[version.sources[item.column][0]]
        key = (version.dataset, upstream.dataset, link_key(item))
        if key not in self._links:
            self._links[key] = link_rows(
                item,
                self.tables[version.dataset],
                version.declaration.dataset,
                self.tables[upstream.dataset],
                upstream.declaration.dataset,
            )
        return self._links[key]

    def read(self, order: Sequence[str]) -> dict[str, Mask]:
        """The rows of each node's dataset that the asked rows are or may read, through any number of edges.

        `order` has every node after its upstreams.
        """
        read = {node: np.zeros(self.tables[self.versions[node].dataset].n_rows, bool) for node in order}
        for node in reversed(order):
            version = self.versions[node]
            own = np.zeros(len(read[node]), bool)
            own[self.rows(version)] = True
            if node in self.asked:
                read[node] |= own
            readers = read[node] & own
            for item in version.recipe.inputs:
                for name in version.sources.get(item.column, ()):
                    read[name] |= reached_rows(self.link(version, item), readers, len(read[name]))
        return read

    def _pooled(self, version: ServedVersion, table: Table) -> Rows:
        wanted = np.zeros(table.n_rows, bool)
        together = {names for one in self.versions.values() for names in one.sources.values()}
        for names in {self.asked, *together}:
            if version.node not in names:
                continue
            left = np.ones(table.n_rows, bool)
            for name in names:
                other = self.versions[name]
                if other.recipe.model == version.recipe.model and not other.recipe.pool:
                    rows = partition_rows(other.recipe, table)
                    first = None if names == self.asked else self.first_block([name])
                    left[rows if first is None else rows[self.blocks(other, rows) >= first]] = False
            wanted |= left
        return np.flatnonzero(wanted)
