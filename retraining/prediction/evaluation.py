"""Evaluates the shipped models of a release on given tables, upstreams first, each node once.

Joins, columns, missing policies and feature matrices come from `retraining.data.columns`, as in
training: nothing of that is decided here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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
from retraining.data.edges import Link, LinkKey, link_key, link_rows
from retraining.data.rows import partition_rows
from retraining.data.tables import Table
from retraining.errors import DataError, IntegrityError
from retraining.learn.estimators import FitError
from retraining.learn.features import Features
from retraining.learn.fitting import FittedModel
from retraining.manifest.values import Input
from retraining.prediction.versions import ServedVersion

Floats = NDArray[np.float64]
Rows = NDArray[np.intp]

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
    """One call's evaluation: `versions` by node, `tables` by dataset, and `load`, which reads a model."""

    versions: Mapping[str, ServedVersion]
    tables: Mapping[str, Table]
    load: Callable[[ServedVersion], FittedModel]
    _asked: tuple[str, ...] = ()
    _values: dict[str, NodeValues] = field(default_factory=dict)
    _links: dict[tuple[str, str, LinkKey], Link] = field(default_factory=dict)
    _columns: dict[tuple[str, ...], Floats] = field(default_factory=dict)

    def run(self, nodes: Sequence[str]) -> dict[str, NodeValues]:
        """The predictions of `nodes`; DataError where a model refuses its rows."""
        self._asked = tuple(nodes)
        for node in upstream_order(nodes, self.versions):
            self._values[node] = self._evaluate(self.versions[node])
        return {node: self._values[node] for node in nodes}

    def _evaluate(self, version: ServedVersion) -> NodeValues:
        table = self.tables[version.dataset]
        rows = self._rows(version, table)
        inputs = [self._input(version, item) for item in version.recipe.inputs]
        missing = _missing(version, rows, inputs)
        usable = usable_rows(rows, inputs)
        values = np.full((len(rows), version.width), np.nan)
        if usable.any():
            matrix = assemble(version.recipe, table, rows[usable], inputs)
            features = Features(names=matrix.names, values=matrix.values, categories=matrix.categories)
            try:
                model = self.load(version)
                values[usable] = align_classes(model.predict(features), model.classes, version.classes)
            except FitError as error:
                raise DataError(f"{version.node}: {error.message}", error.next_step or _MEND) from error
        return NodeValues(rows=rows, values=values, usable=usable, missing=missing)

    def _rows(self, version: ServedVersion, table: Table) -> Rows:
        """The rows that a version predicts: of its partition, or what no node beside a pool does."""
        if not version.recipe.pool:
            return partition_rows(version.recipe, table)
        wanted = np.zeros(table.n_rows, bool)
        together = {self._asked, *(names for one in self.versions.values() for names in one.sources.values())}
        for names in together:
            if version.node not in names:
                continue
            left = np.ones(table.n_rows, bool)
            for name in names:
                other = self.versions[name].recipe
                if other.model == version.recipe.model and not other.pool:
                    left[partition_rows(other, table)] = False
            wanted |= left
        return np.flatnonzero(wanted)

    def _input(self, version: ServedVersion, item: Input) -> UpstreamColumn:
        names = version.sources.get(item.column, ())
        upstream = self.versions[names[0]] if names else None
        policy = version.recipe.missing_policy(item)
        if upstream is None:
            nothing = np.full((self.tables[version.dataset].n_rows, 1), np.nan)
            return UpstreamColumn(values=nothing, join=None, names=(item.column,), policy=policy)
        outputs = output_names(item.column, upstream.recipe.task, upstream.classes)
        if names not in self._columns:
            self._columns[names] = self._united(names, upstream)
        link = self._link(version, item, upstream)
        return reader_column(item, link, self._columns[names], outputs, policy)

    def _united(self, names: Sequence[str], first: ServedVersion) -> Floats:
        n_rows = self.tables[first.dataset].n_rows
        parts = [
            (self._values[name].rows, self._values[name].values, self.versions[name].classes)
            for name in sorted(names, key=lambda name: self.versions[name].recipe.pool)
        ]
        return unite(n_rows, first.recipe.task, first.classes, parts)

    def _link(self, version: ServedVersion, item: Input, upstream: ServedVersion) -> Link:
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


def _missing(version: ServedVersion, rows: Rows, inputs: Sequence[UpstreamColumn]) -> dict[str, int]:
    """The rows without each upstream column; DataError where the policy allows none."""
    counts = {}
    for item, column in zip(version.recipe.inputs, inputs, strict=True):
        lacking = int(np.isnan(column.at(rows)).any(axis=1).sum())
        if lacking and column.policy == "refuse":
            raise DataError(
                f"{version.node}: {item.column} is missing in {lacking} of {len(rows)} rows, and "
                "`missing: refuse` allows none",
                f"give the rows of {', '.join(item.models)} that these rows read",
            )
        counts[item.column] = lacking
    return counts
