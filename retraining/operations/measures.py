"""Which champions are to be measured, and what of that the store has.

A plan knows a block's measure by what it is made from, without making predictions: the champion's column, the
block's rows and known labels, and all rows that upstreams can have read from. So `plan` says what is not measured
yet, and `run` measures that alone, before it plans.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from retraining.decide.calendar import Calendar
from retraining.decide.fits import Before, Folds
from retraining.decide.measures import loss_metric
from retraining.decide.performance import Track
from retraining.decide.profiles import bins_from_json
from retraining.decide.recipes import Recipe, digest_of, recipe_from_json
from retraining.decide.snapshots import NodeData
from retraining.decide.wording import counted
from retraining.decide.worth import Worth
from retraining.execution.orders import Order
from retraining.manifest.own import metric_facts
from retraining.manifest.values import Json, Model, PerformanceCondition, TimeScheme
from retraining.operations.observe import Observation
from retraining.release.values import NodeState
from retraining.store.log import Store
from retraining.store.packs import StoredRecord, read_documents
from retraining.store.results import ResultIndex

__all__ = [
    "Champion",
    "Measurable",
    "NodeMeasures",
    "champions_of",
    "measure_notes",
    "recorded_columns",
    "stored_measures",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeMeasures:
    """What the store has of one champion's measures, and what is still to be measured (`order.missing`).

    `records` are those of its blocks that are there; `worth` is None where it is not known, or nothing is mature yet.
    `through` (microseconds UTC; by folds the number of labelled rows) is how far it looked, and `since` the first day
    of it; `block_days` is the length of its blocks (None by folds). `due`: there is something to measure before the
    node's triggers can be told all. `error` says why the champion could not be measured.
    """

    order: Order
    loss: str
    column: str
    records: Mapping[int, StoredRecord]
    worth: Worth | None
    through: int | None
    due: bool
    since: str | None = None
    block_days: int | None = None
    error: str | None = None

    @property
    def pending(self) -> int:
        """The blocks since the champion's cut that are not measured yet; at least 1 where something is due."""
        return max(len(self.order.missing & self.order.since.keys()), int(self.due))

    def track(self, model: Model) -> Track:
        """What triggers are told of it."""
        return Track(
            deciding=model.metrics[0],
            min_clusters=model.gate.min_clusters,
            worth=self.worth,
            through=self.through,
            since=self.since,
            pending=self.pending,
            error=self.error,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Champion:
    """A champion as its document has it, on today's rows."""

    node: str
    recipe: Recipe
    data: NodeData
    cut: int | None
    holdout: tuple[int, ...]
    fits: Collection[str]


def stored_measures(
    observation: Observation,
    states: Mapping[str, NodeState],
    champions: Mapping[str, Champion | str],
    index: ResultIndex,
    unmeasured: Mapping[str, str],
) -> dict[str, NodeMeasures]:
    """What the store has of the measures of some champions; `unmeasured` says why some could not be measured."""
    keys = _Keys(observation, states)
    found = {
        node: _not_measurable(champion)
        if isinstance(champion, str)
        else _measures(observation, states[node], champion, keys, index)
        for node, champion in champions.items()
    }
    return {
        node: replace(one, error=unmeasured[node]) if node in unmeasured else one
        for node, one in found.items()
    }


class Measurable(Protocol):
    """What can be measured of one node, and is not yet."""

    @property
    def due(self) -> bool:
        """True where there is something to measure."""
        ...

    @property
    def pending(self) -> int:
        """How many blocks that is."""
        ...

    @property
    def error(self) -> str | None:
        """Why it could not be measured."""
        ...


def measure_notes(*known: Mapping[str, Measurable]) -> tuple[str, ...]:
    """Sentences on champions that are not measured: how much that is, and what measures them; or why not."""
    found = [item for each in known for item in each.items()]
    errors = {node: one.error for node, one in found if one.error}
    notes = [f"{node} could not be measured: {error}" for node, error in sorted(errors.items())]
    due: dict[str, int] = {}
    for node, one in found:
        if one.due and not one.error:
            due[node] = max(due.get(node, 0), one.pending)
    if due:
        blocks, champions = counted(sum(due.values()), "block"), counted(len(due), "champion")
        notes.append(f"{blocks} of {champions} not measured yet: `retrain run` measures before it decides")
    return tuple(notes)


def champions_of(
    observation: Observation, states: Mapping[str, NodeState], store: Store, nodes: Collection[str]
) -> dict[str, Champion | str]:
    """The champions of some nodes as their documents have them, or why one cannot be measured."""
    pointers = {pointer: node for node in nodes if (pointer := states[node].document) is not None}
    documents = {pointers[pointer]: doc for pointer, doc in read_documents(store.objects, pointers)}
    found: dict[str, Champion | str] = {}
    for node in nodes:
        document, state = documents[node], states[node]
        recipe, data = observation.recipes[node], observation.data[node]
        if state.parts is None or state.parts.recipe != recipe.digest():
            own, recipe = recipe, recipe_from_json(document["recipe"])
            if (own.task, own.target.column) != (recipe.task, recipe.target.column):
                found[node] = "it predicts another target than the model does now"
                continue
            columns = recorded_columns(document)
            if not columns <= observation.tables({recipe.dataset: columns})[recipe.dataset].columns.keys():
                found[node] = "columns that it reads have left the data"
                continue
            data = observation.describe(recipe, tuple(document["data"]["classes"]))
        found[node] = Champion(
            node=node,
            recipe=recipe,
            data=data,
            cut=document["cut_block"],
            holdout=tuple(document["data"]["holdout"]),
            fits=document["fits"].keys(),
        )
    return found


def recorded_columns(document: Mapping[str, Any]) -> set[str]:
    """The columns of its dataset that a recorded version reads."""
    definition = document["recipe"]["definition"]
    weight = definition.get("weight") or {}
    optional = (
        definition["target"]["known_at"],
        weight.get("column"),
        definition.get("train_where"),
        definition["validation"].get("column"),
    )
    columns = {*definition["features"], definition["target"]["column"]}
    columns |= {name for name in optional if name is not None}
    columns |= {column for column, _ in definition["partition"]}
    return columns | {own for item in definition["inputs"] for _, own in item["match"]}


def _not_measurable(why: str) -> NodeMeasures:
    nothing = Order(
        metrics=(),
        compared=None,
        reference={},
        judged=frozenset(),
        since={},
        missing=frozenset(),
        bins=None,
        bins_key="",
        worth="",
    )
    return NodeMeasures(
        order=nothing, loss="", column="", records={}, worth=None, through=None, due=False, error=why
    )


def _measures(
    observation: Observation, state: NodeState, champion: Champion, keys: _Keys, index: ResultIndex
) -> NodeMeasures:
    model, scheme = observation.manifest.models[champion.recipe.model], champion.recipe.scheme
    column = state.hands_down or ""
    loss = loss_metric(
        [metric_facts(name, model.own_metrics) for name in model.metrics],
        champion.recipe.task,
        probabilities=champion.recipe.probabilities,
    )
    metrics = _metrics(model, loss)
    reference, judged, since = _blocks(champion)
    names = {part: keys.block(champion, column, metrics, part) for part in (*reference, *since)}
    records = {
        part: record for part, name in names.items() if (record := index.find("score", name)) is not None
    }
    mature = [part for part in since if part in champion.data.labels]
    compared = _compared(model)
    worth_key = digest_of(
        [
            "worth",
            champion.node,
            column,
            *[names[part] for part in sorted(judged)],
            None,
            *[names[part] for part in mature],
            None,
            *metrics,
            None if compared is None else [compared, model.gate.margin.value, model.gate.margin.absolute],
        ]
    )
    bins_key = digest_of(["bins", champion.node, column])
    bins = index.find("score", bins_key)
    worth = index.find("score", worth_key) if mature else None
    found = None if worth is None else Worth.from_json(_mapping(worth.metrics["worth"]))
    missing = frozenset(names.keys() - records.keys())
    return NodeMeasures(
        order=Order(
            metrics=metrics,
            compared=compared,
            reference={part: names[part] for part in reference},
            judged=judged,
            since={part: names[part] for part in since},
            missing=missing,
            bins=None if bins is None else bins_from_json(_mapping(bins.metrics["bins"])),
            bins_key=bins_key,
            worth=worth_key,
        ),
        loss=loss,
        column=column,
        records=records,
        worth=found,
        through=_through(champion, mature, found),
        since=_since(champion, mature),
        block_days=scheme.block_days if isinstance(scheme, TimeScheme) else None,
        due=bool(missing & set(since)) or (bool(mature) and found is None),
    )


def _mapping(value: Json) -> Mapping[str, Any]:
    assert isinstance(value, dict)
    return value


def _metrics(model: Model, loss: str) -> tuple[str, ...]:
    """All metrics that are measured: the model's, those of its conditions, and the one that stands for its loss."""
    return tuple(dict.fromkeys([*model.metrics, *model.retrain_when.measured_metrics, loss]))


def _compared(model: Model) -> str | None:
    conditions = model.retrain_when.conditions
    if any(isinstance(one, PerformanceCondition) and one.worse_than_gate for one in conditions):
        return model.metrics[0]
    return None


def _blocks(champion: Champion) -> tuple[list[int], frozenset[int], list[int]]:
    """The blocks of the reference, those of them that it was judged on, and those since its cut."""
    parts, cut, until = sorted(champion.data.rows), champion.cut, champion.data.next_block
    if cut is None or until is None:
        return [], frozenset(), [part for part in parts if str(Folds(frozenset({part}))) in champion.fits]
    gate = str(Before(min(cut, *champion.holdout))) if champion.holdout else ""
    judged = frozenset(champion.holdout) & set(parts) if gate in champion.fits else frozenset()
    reference = [
        part for part in parts if part in judged or (part < cut and str(Before(part)) in champion.fits)
    ]
    first = max([cut, *(part + 1 for part in judged)])
    return reference, judged, [part for part in parts if first <= part < until]


def _through(champion: Champion, mature: list[int], worth: Worth | None) -> int | None:
    scheme = champion.recipe.scheme
    if worth is None:
        return None
    if not isinstance(scheme, TimeScheme):
        return worth.rows
    return Calendar(champion.recipe.timezone, scheme.block_days).start(max(mature) + 1)


def _since(champion: Champion, mature: list[int]) -> str | None:
    scheme = champion.recipe.scheme
    if not mature or not isinstance(scheme, TimeScheme):
        return None
    return Calendar(champion.recipe.timezone, scheme.block_days).date(min(mature)).isoformat()


class _Keys:
    """The fingerprints of measures, from what a plan knows."""

    def __init__(self, observation: Observation, states: Mapping[str, NodeState]) -> None:
        self._seen = observation
        self._states = states
        self._rows: dict[str, tuple[list[int], list[str]]] = {}
        self._above: dict[tuple[str, int | None], str] = {}

    def block(self, champion: Champion, column: str, metrics: tuple[str, ...], part: int) -> str:
        """The fingerprint of the measure of one block (or fold) of a champion's column."""
        # by folds an upstream's row may be of any fold
        until = None if champion.cut is None else part
        return digest_of(
            {
                "action": "measure",
                "node": champion.node,
                "column": column,
                "part": part,
                "rows": champion.data.features.get(part, ""),
                "labels": champion.data.labels.get(part),
                "upstream": self._upstream(champion.node, until),
                "metrics": list(metrics),
            }
        )

    def _upstream(self, node: str, until: int | None) -> str:
        """A digest of all that a node's upstream columns are made from on rows up to the end of a block."""
        if (node, until) not in self._above:
            state = self._states.get(node)
            told: list[Json] = [
                [name, self._column(name), self._until(name, until), self._upstream(name, until)]
                for name in sorted(state.wiring if state is not None else ())
            ]
            self._above[(node, until)] = digest_of(told) if told else ""
        return self._above[(node, until)]

    def _column(self, node: str) -> str | None:
        state = self._states.get(node)
        return None if state is None else state.hands_down

    def _until(self, node: str, until: int | None) -> str:
        """A digest of a node's rows up to the end of a block; of all data where its champion has another recipe."""
        state, recipe = self._states.get(node), self._seen.recipes.get(node)
        if recipe is None or state is None or state.parts is None or state.parts.recipe != recipe.digest():
            return self._seen.signature
        if node not in self._rows:
            features = sorted(self._seen.data[node].features.items())
            running, digests = hashlib.sha256(), []
            for part, digest in features:
                running.update(f"{part},{digest};".encode())
                digests.append(running.hexdigest())
            self._rows[node] = [part for part, _ in features], digests
        parts, digests = self._rows[node]
        place = len(parts) if until is None else bisect_right(parts, until)
        return digests[place - 1] if place else ""
