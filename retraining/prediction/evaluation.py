"""Evaluates the versions of a release on given tables, upstreams first, each node once.

Joins, columns, missing policies and feature matrices come from `retraining.data.columns`, as in
training: nothing of that is decided here.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter

import numpy as np
from numpy.typing import NDArray

from retraining.data.columns import (
    UpstreamColumn,
    align_classes,
    assemble,
    output_names,
    reader_column,
    unite,
    usable_rows,
)
from retraining.data.edges import Groups
from retraining.data.identities import (
    Identities,
    find_rows,
    read_identities,
    row_identities,
    unite_identities,
)
from retraining.data.tables import Table
from retraining.errors import DataError, IntegrityError
from retraining.learn.estimators import FitError
from retraining.learn.features import Features
from retraining.learn.fitting import FittedModel
from retraining.manifest.values import Input
from retraining.prediction.past import Past, PastRows
from retraining.prediction.placement import Blocks, Mask, Placement, Rows
from retraining.prediction.versions import ServedVersion

Floats = NDArray[np.float64]

_MEND = "give such values as missing ones where the model learnt from gaps, or leave the rows out"


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeValues:
    """A node's predictions on the rows of its partition; a pool's on those that no node beside it predicts.

    `rows` are positions in the dataset's table and `values` the outputs, `(len(rows), n_outputs)`; rows
    that are not `usable` (an upstream column is missing, and its policy is drop) are NaN. `missing`
    counts for each upstream column the rows without it.
    """

    rows: Rows
    values: Floats
    usable: NDArray[np.bool_]
    missing: Mapping[str, int]


@dataclass(slots=True, kw_only=True)
class Evaluation:
    """One call's evaluation: `versions` by node, `tables` by dataset, and `load`, which reads a model.

    `fetch` is told which models will be loaded.

    With a `past` the rows from before a version's cut that are asked for, or may be read, get what its column has
    for them, and `earlier` counts how; without it the shipped models predict every row.
    """

    versions: Mapping[str, ServedVersion]
    tables: Mapping[str, Table]
    load: Callable[[ServedVersion], FittedModel]
    fetch: Callable[[Iterable[ServedVersion]], None]
    past: Past | None = None
    earlier: dict[str, PastRows] = field(default_factory=dict)
    _placement: Placement = field(init=False)
    _read: Mapping[str, Mask] = field(default_factory=dict)
    _values: dict[str, NodeValues] = field(default_factory=dict)
    _columns: dict[tuple[str, ...], Floats] = field(default_factory=dict)
    _through: dict[tuple[str, str], Groups | Rows | None] = field(default_factory=dict)
    _identities: dict[str, Identities] = field(default_factory=dict)
    _united: dict[tuple[str, ...], Identities] = field(default_factory=dict)

    def run(self, nodes: Sequence[str]) -> dict[str, NodeValues]:
        """The predictions of `nodes`; DataError where a model refuses its rows."""
        order = upstream_order(nodes, self.versions)
        self._placement = Placement(
            versions=self.versions, tables=self.tables, asked=tuple(nodes), past=self.past
        )
        if self.past is not None:
            self._read = self._placement.read(order)
        self._read_ahead(order)
        for node in order:
            self._values[node] = self._evaluate(self.versions[node])
        return {node: self._values[node] for node in nodes}

    def _read_ahead(self, order: Sequence[str]) -> None:
        """Has the models and the recorded blocks that the rows ask for read together."""
        fresh: list[ServedVersion] = []
        earlier: list[tuple[ServedVersion, Collection[int]]] = []
        for version in (self.versions[node] for node in order):
            rows = self._placement.rows(version)
            blocks = self._placement.blocks(version, rows)
            before = _before(version, blocks)
            if not before.all() or (self.past is None and len(rows)):
                fresh.append(version)
            if self.past is not None:
                read = np.unique(blocks[before & self._read[version.node][rows]])
                earlier.append((version, {*read.tolist()} & {*self.past.blocks(version)}))
        self.fetch(fresh)
        if self.past is not None:
            self.past.fetch(earlier)

    def _evaluate(self, version: ServedVersion) -> NodeValues:
        rows = self._placement.rows(version)
        blocks = self._placement.blocks(version, rows)
        before = _before(version, blocks)
        read = before if self.past is None else before & self._read[version.node][rows]
        inputs = [self._input(version, item) for item in version.recipe.inputs]
        counted = ~before | read
        missing = self._missing(version, rows[counted], blocks[counted], inputs)
        usable = usable_rows(rows, inputs)
        answers = _Answers(
            version=version,
            table=self.tables[version.dataset],
            rows=rows,
            inputs=inputs,
            values=np.full((len(rows), version.width), np.nan),
        )
        # as in training block by block, for the same bits
        for block in np.unique(blocks[usable & ~before]).tolist():
            answers.predict(usable & ~before & (blocks == block), lambda: self.load(version))
        if self.past is None:
            answers.predict(usable & before, lambda: self.load(version))
        elif (usable & read).any():
            self.earlier[version.node] = self._fill_past(answers, usable & read, blocks, self.past)
        predicted = np.asarray(~np.isnan(answers.values).any(axis=1))
        return NodeValues(rows=rows, values=answers.values, usable=predicted, missing=missing)

    def _fill_past(self, answers: _Answers, wanted: Mask, blocks: Blocks, past: Past) -> PastRows:
        """Predicts rows from before a version's cut as its column has them, and tells how (docs/design.md 1)."""
        version = answers.version
        present = np.unique(blocks[wanted]).tolist()
        pieces = past.read(version, [block for block in present if block in past.blocks(version)])
        left = wanted.copy()
        if pieces:
            identities = self._identities_of(version)[answers.rows]
        for block, piece in pieces.items():
            here = np.flatnonzero(wanted & (blocks == block))
            at = find_rows(identities[here], piece.rows)
            answers.values[here[at >= 0]] = piece.values[at[at >= 0]]
            left[here[at >= 0]] = False
        recorded, block_fit, none = int((wanted & ~left).sum()), 0, 0
        first = self._placement.first_block([version.node])
        if first is not None and version.node not in self._placement.asked:
            # nothing could predict these yet, and the readers learnt without
            none = int((left & (blocks < first)).sum())
            left = np.asarray(left & (blocks >= first))
        for block in np.unique(blocks[left]).tolist():
            fit, here = past.fit(version, block), left & (blocks == block)
            if fit is not None:
                answers.predict(here, _always(fit))
                block_fit += int(here.sum())
                left = np.asarray(left & ~here)
        answers.predict(left, lambda: self.load(version))
        changed = int(np.isin(blocks[left], [*pieces]).sum())
        return PastRows(
            recorded=recorded, block_fit=block_fit, shipped=int(left.sum()), changed=changed, none=none
        )

    def _identities_of(self, version: ServedVersion) -> Identities:
        """What each row of a version's dataset is predicted from; 0 for rows that are not its own."""
        if version.node not in self._identities:
            table, rows = self.tables[version.dataset], self._placement.rows(version)
            read = [self._read_identities(version, item)[rows] for item in version.recipe.inputs]
            found = np.zeros(table.n_rows, np.uint64)
            found[rows] = row_identities(version.recipe, table, rows, read)
            self._identities[version.node] = found
        return self._identities[version.node]

    def _read_identities(self, version: ServedVersion, item: Input) -> Identities:
        """What each row of a version's dataset reads of an input."""
        names = version.sources.get(item.column, ())
        if not names:
            return np.zeros(self.tables[version.dataset].n_rows, np.uint64)
        if names not in self._united:
            n_rows = self.tables[self.versions[names[0]].dataset].n_rows
            values = [(name, self._values[name]) for name in self._pool_last(names)]
            self._united[names] = unite_identities(
                n_rows,
                [
                    (own.rows, own.values, self._identities_of(self.versions[name])[own.rows])
                    for name, own in values
                ],
            )
        return read_identities(self._through[(version.node, item.column)], self._united[names])

    def _input(self, version: ServedVersion, item: Input) -> UpstreamColumn:
        names = version.sources.get(item.column, ())
        policy = version.recipe.missing_policy(item)
        if not names:
            nothing = np.full((self.tables[version.dataset].n_rows, 1), np.nan)
            return UpstreamColumn(values=nothing, join=None, names=(item.column,), policy=policy)
        upstream = self.versions[names[0]]
        outputs = output_names(item.column, upstream.recipe.task, upstream.classes)
        if names not in self._columns:
            self._columns[names] = self._union(names, upstream)
        link = self._placement.link(version, item)
        column = reader_column(item, link, self._columns[names], outputs, policy)
        self._through[(version.node, item.column)] = link if isinstance(link, Groups) else column.join
        return column

    def _union(self, names: Sequence[str], first: ServedVersion) -> Floats:
        n_rows = self.tables[first.dataset].n_rows
        parts = [
            (self._values[name].rows, self._values[name].values, self.versions[name].classes)
            for name in self._pool_last(names)
        ]
        return unite(n_rows, first.recipe.task, first.classes, parts)

    def _pool_last(self, names: Sequence[str]) -> list[str]:
        return sorted(names, key=lambda name: self.versions[name].recipe.pool)

    def _missing(
        self, version: ServedVersion, rows: Rows, blocks: Blocks, inputs: Sequence[UpstreamColumn]
    ) -> dict[str, int]:
        """The rows without each upstream column; DataError where the policy allows none.

        As in training rows from before the upstream's first predicted block do not count for that.
        """
        counts = {}
        for item, column in zip(version.recipe.inputs, inputs, strict=True):
            lacks = np.isnan(column.at(rows)).any(axis=1)
            counts[item.column] = int(lacks.sum())
            first = self._placement.first_block(version.sources.get(item.column, ()))
            refused = int((lacks if first is None else lacks & (blocks >= first)).sum())
            if column.policy == "refuse" and refused:
                raise DataError(
                    f"{version.node}: {item.column} is missing in {refused} of {len(rows)} rows, and "
                    "`missing: refuse` allows none",
                    f"give the rows of {', '.join(item.models)} that these rows read",
                )
        return counts


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answers:
    """A version's rows with its inputs, and the predictions that are filled in, `(len(rows), n_outputs)`."""

    version: ServedVersion
    table: Table
    rows: Rows
    inputs: Sequence[UpstreamColumn]
    values: Floats

    def predict(self, chosen: Mask, load: Callable[[], FittedModel]) -> None:
        """Fills in what a model predicts for the chosen rows, if there are any; DataError where it refuses them."""
        if not chosen.any():
            return
        model = load()
        matrix = assemble(self.version.recipe, self.table, self.rows[chosen], self.inputs)
        features = Features(names=matrix.names, values=matrix.values, categories=matrix.categories)
        try:
            self.values[chosen] = align_classes(model.predict(features), model.classes, self.version.classes)
        except FitError as error:
            raise DataError(f"{self.version.node}: {error.message}", error.next_step or _MEND) from error


def _before(version: ServedVersion, blocks: Blocks) -> Mask:
    """True for rows of blocks before a version's cut."""
    return np.zeros(len(blocks), bool) if version.cut is None else np.asarray(blocks < version.cut)


def _always(model: FittedModel) -> Callable[[], FittedModel]:
    return lambda: model


def upstream_order(nodes: Sequence[str], versions: Mapping[str, ServedVersion]) -> list[str]:
    """`nodes` and all that they read, every node after its upstreams."""
    order: TopologicalSorter[str] = TopologicalSorter()
    waiting, seen = list(nodes), set(nodes)
    while waiting:
        node = waiting.pop()
        upstreams = versions[node].upstreams
        order.add(node, *upstreams)
        waiting += [name for name in upstreams if name not in seen]
        seen |= {*upstreams}
    try:
        return list(order.static_order())
    except CycleError as error:
        raise IntegrityError(
            f"the release's nodes read each other in a circle: {' -> '.join(error.args[1])}",
            "run again: the next release puts it right",
        ) from error
