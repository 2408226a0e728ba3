"""Which columns a scan for drift looks at, what the store has of them, and what the scan says of each node.

Losses and predictions come from the measures of champions, inputs from profiles of their features, which need the
data alone. A plan reads what is stored and says what is not there yet; `run` and `drift` have that counted first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from retraining.decide.drift import Finding, scan
from retraining.decide.drifting import DEFAULT_FLOORS, Drift, after_day, floor_of
from retraining.decide.fits import Before
from retraining.decide.measures import Measured, MeasuredBlock, days_of
from retraining.decide.profiles import Profile, bins_from_json, merge
from retraining.decide.recipes import digest_of
from retraining.decide.shifts import LossDays
from retraining.decide.watched import WINDOW_DAYS, Watched
from retraining.execution.counting import INPUT_ROLE
from retraining.execution.orders import InputOrder
from retraining.graph.graph import Graph
from retraining.manifest.catalog import METRICS
from retraining.manifest.values import DriftColumn, DriftCondition, Manifest, Model, Rule, TimeScheme
from retraining.operations.measured import read_measured, read_what_is_there
from retraining.operations.measures import Champion, NodeMeasures, champions_of, stored_measures
from retraining.operations.observe import Observation
from retraining.release.values import NodeState
from retraining.store.log import Head, Store
from retraining.store.packs import StoredRecord
from retraining.store.results import ResultIndex, load_results

__all__ = ["Known", "NodeInputs", "profiled_nodes", "watch_everything", "watched_nodes", "what_is_known"]


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeInputs:
    """What the store has of the profiles of one champion's features, and what is still to be counted.

    `since` are the complete blocks from the champion's cut on. `label` names the table, and the partition, that
    the features are of. `error` says why they could not be counted.
    """

    order: InputOrder
    label: str
    features: tuple[str, ...]
    since: frozenset[int]
    records: Mapping[int, StoredRecord]
    error: str | None = None

    @property
    def due(self) -> bool:
        """True where there is something to count."""
        return bool(self.order.missing)

    @property
    def pending(self) -> int:
        """The blocks since the champion's cut that are not counted yet; at least 1 where something is due."""
        return max(len(self.order.missing & self.since), int(self.due))


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What the store has of what triggers look at besides changes, by node; `drift` is what one scan says."""

    measures: Mapping[str, NodeMeasures] = field(default_factory=dict)
    inputs: Mapping[str, NodeInputs] = field(default_factory=dict)
    drift: Mapping[str, Drift] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """True where nothing is left to be measured."""
        measured = not any(one.due or one.error for one in self.measures.values())
        return measured and not any(one.due or one.error for one in self.inputs.values())


def what_is_known(
    observation: Observation,
    head: Head,
    store: Store | None,
    unmeasured: Mapping[str, str],
    *,
    length: int = WINDOW_DAYS,
    consumed: bool = True,
) -> Known:
    """What the store has of all that conditions look at; `unmeasured` says what could not be measured just now.

    Of drift with windows of at most `length` days, which with `consumed` begin after what cursors have looked at.
    """
    graph, manifest = observation.graph, observation.manifest
    measured, profiled = watched_nodes(graph, manifest.models), profiled_nodes(graph, manifest.models)
    released = [
        node.name
        for node in graph.nodes
        if node.name in measured | profiled
        and (state := head.nodes.get(node.name)) is not None
        and state.version is not None
        and state.document is not None
    ]
    if not released or store is None:
        return Known()
    index = load_results(store.objects, None if head.entry is None else head.entry.results, store.keys)
    champions = champions_of(observation, head.nodes, store, released)
    measures = stored_measures(
        observation,
        head.nodes,
        {node: one for node, one in champions.items() if node in measured},
        index,
        unmeasured,
    )
    inputs = {
        node: replace(_inputs(one, head.nodes[node].version or "", index), error=unmeasured.get(node))
        for node, one in champions.items()
        if node in profiled
        and not isinstance(one, str)
        and one.cut is not None
        and one.data.next_block is not None
    }
    drift = _drift(observation, head.nodes, store, measures, inputs, length, consumed)
    return Known(measures=measures, inputs=inputs, drift=drift)


def watch_everything(manifest: Manifest) -> Manifest:
    """The manifest with conditions on the loss, predictions and inputs of every model that has days."""
    columns: tuple[DriftColumn, ...] = ("loss", "prediction", "inputs")

    def watching(model: Model) -> Model:
        rule = model.retrain_when
        if not isinstance(manifest.schemes[model.dataset], TimeScheme):
            return model
        more = tuple(DriftCondition(column=column) for column in columns if not _conditions(rule, column))
        return replace(model, retrain_when=replace(rule, conditions=(*rule.conditions, *more)))

    return replace(manifest, models={name: watching(model) for name, model in manifest.models.items()})


def watched_nodes(graph: Graph, models: Mapping[str, Model]) -> frozenset[str]:
    """The nodes whose champions are measured: their rules ask for it, or they feed a node with watched inputs."""
    found = {node.name for node in graph.nodes if models[node.model].retrain_when.measures}
    for name in profiled_nodes(graph, models):
        found.update(graph.upstreams(name))
    return frozenset(found)


def profiled_nodes(graph: Graph, models: Mapping[str, Model]) -> frozenset[str]:
    """The nodes whose features are profiled: a condition looks at their inputs."""
    return frozenset(
        node.name for node in graph.nodes if _conditions(models[node.model].retrain_when, "inputs")
    )


def _inputs(champion: Champion, version: str, index: ResultIndex) -> NodeInputs:
    cut, until, recipe = champion.cut, champion.data.next_block, champion.recipe
    assert cut is not None
    assert until is not None
    first = recipe.first_block(Before(cut))
    parts = [part for part in sorted(champion.data.rows) if part < until and (first is None or part >= first)]
    names = {
        part: digest_of(["inputs", champion.node, version, part, champion.data.features.get(part, "")])
        for part in parts
    }
    records = {
        part: record for part, name in names.items() if (record := index.find("score", name)) is not None
    }
    bins_key = digest_of(["input bins", champion.node, version])
    stored = index.find("score", bins_key)
    told: Any = {} if stored is None else stored.metrics["bins"]
    return NodeInputs(
        order=InputOrder(
            records=names,
            reference=frozenset(part for part in parts if part < cut),
            missing=frozenset(names.keys() - records.keys()),
            bins=None if stored is None else {name: bins_from_json(doc) for name, doc in told.items()},
            bins_key=bins_key,
        ),
        label=recipe.dataset + champion.node.removeprefix(recipe.model),
        features=recipe.features,
        since=frozenset(part for part in parts if part >= cut),
        records=records,
    )


def _drift(
    observation: Observation,
    states: Mapping[str, NodeState],
    store: Store,
    measures: Mapping[str, NodeMeasures],
    inputs: Mapping[str, NodeInputs],
    length: int,
    consumed: bool,
) -> dict[str, Drift]:
    """What one scan says of the columns that the conditions of each node look at."""
    graph, manifest = observation.graph, observation.manifest
    reader = _Reader(observation, states, store, measures, inputs, consumed)
    asked = [
        (node.name, column, one)
        for node in graph.nodes
        for column in DEFAULT_FLOORS
        if _conditions(manifest.models[node.model].retrain_when, column)
        for one in reader.watched(node.name, column)
    ]
    found = scan([one for _, _, one in asked], manifest.seed, length)
    drift: dict[str, dict[DriftColumn, list[Finding]]] = {}
    for (node, column, _), finding in zip(asked, found, strict=True):
        drift.setdefault(node, {}).setdefault(column, []).append(finding)
    return {node: dict(columns) for node, columns in drift.items()}


class _Reader:
    """Reads what a scan looks at from the store, each champion once."""

    def __init__(
        self,
        observation: Observation,
        states: Mapping[str, NodeState],
        store: Store,
        measures: Mapping[str, NodeMeasures],
        inputs: Mapping[str, NodeInputs],
        consumed: bool,
    ) -> None:
        self._manifest = observation.manifest
        self._graph = observation.graph
        self._states = states
        self._store = store
        self._measures = measures
        self._inputs = inputs
        self._consumed = consumed
        self._read: dict[str, Measured] = {}

    def watched(self, node: str, column: DriftColumn) -> list[Watched]:
        """What the conditions of a node on these columns look at."""
        model = self._manifest.models[self._graph.node(node).model]
        floor = min(floor_of(one) for one in _conditions(model.retrain_when, column))
        state = self._states.get(node)
        after = after_day(column, state.cursors) if self._consumed and state is not None else None
        if column == "loss":
            return self._losses(node, model, after)
        if column == "prediction":
            return self._predictions(node, floor, after)
        above = [one for name in self._graph.upstreams(node) for one in self._predictions(name, floor, after)]
        return [*above, *self._features(node, floor, after)]

    def _measured(self, node: str) -> Measured | None:
        found = self._measures.get(node)
        if found is None or not found.column:
            return None
        if node not in self._read:
            self._read[node] = read_measured(self._store, node, found)
        return self._read[node]

    def _losses(self, node: str, model: Model, after: int | None) -> list[Watched]:
        measured = self._measured(node)
        if measured is None:
            return []
        margin, loss = model.gate.margin, measured.loss
        better_high = METRICS[loss].greater_is_better if loss in METRICS else False
        return [
            Watched(
                kind="loss",
                column=node,
                nodes=(node,),
                before=_loss_days(measured.reference, loss),
                since=_loss_days(measured.mature, loss),
                floor=margin.value,
                absolute=margin.absolute,
                after=after,
                metric=f"1 - {loss}" if better_high else loss,
                root=loss == "root_mean_squared_error",
                pending=measured.pending,
            )
        ]

    def _predictions(self, node: str, floor: float, after: int | None) -> list[Watched]:
        measured = self._measured(node)
        if measured is None:
            return []
        before = [one.prediction for one in measured.reference if one.prediction is not None]
        since = [one.prediction for one in measured.since if one.prediction is not None]
        if not before and not since:
            return []
        empty = Profile.empty((before or since)[0].bins)
        return [
            Watched(
                kind="prediction",
                column=node,
                nodes=(node,),
                before=merge([empty, *before]),
                since=merge([empty, *since]),
                floor=floor,
                after=after,
                pending=measured.pending,
            )
        ]

    def _features(self, node: str, floor: float, after: int | None) -> list[Watched]:
        found = self._inputs.get(node)
        if found is None or found.order.bins is None:
            return []
        bins = found.order.bins
        before = {name: [Profile.empty(bins[name])] for name in found.features}
        since = {name: [Profile.empty(bins[name])] for name in found.features}
        pointers = [
            (part, pointer.role.removeprefix(INPUT_ROLE), pointer)
            for part, record in sorted(found.records.items())
            for pointer in record.blobs
        ]
        bodies = read_what_is_there(self._store, [pointer for _, _, pointer in pointers])
        for (part, name, _), body in zip(pointers, bodies, strict=True):
            if body is not None:
                (since if part in found.since else before)[name].append(Profile.from_bytes(body))
        return [
            Watched(
                kind="inputs",
                column=f"{found.label}.{name}",
                nodes=(node,),
                before=merge(before[name]),
                since=merge(since[name]),
                floor=floor,
                after=after,
                pending=found.pending,
            )
            for name in found.features
        ]


def _loss_days(blocks: Iterable[MeasuredBlock], loss: str) -> LossDays:
    days = [one for one in days_of(blocks) if one.weight > 0]
    return LossDays(
        days=tuple(one.unit for one in days),
        rows=tuple(one.labelled for one in days),
        weight=tuple(one.weight for one in days),
        loss=tuple(one.losses[loss] for one in days),
    )


def _conditions(rule: Rule, column: DriftColumn) -> list[DriftCondition]:
    return [one for one in rule.conditions if isinstance(one, DriftCondition) and one.column == column]
