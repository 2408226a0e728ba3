"""What the decision about each node is made from: its recipe and data, its state, what its triggers look at."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

from retraining.decide.calendar import micros, moment
from retraining.decide.facts import Baseline, Facts, shipped_left_out
from retraining.decide.feedback import consumed_batch
from retraining.decide.signals import Signals
from retraining.decide.snapshots import NodeData, node_data_from_json
from retraining.manifest.values import Model
from retraining.operations.observe import Observation
from retraining.operations.watching import Known
from retraining.release.values import NodeState
from retraining.store.log import Store
from retraining.store.packs import read_document

__all__ = ["node_facts"]


def node_facts(
    observation: Observation,
    states: Mapping[str, NodeState],
    store: Store | None,
    known: Known,
    through: int | None = None,
) -> dict[str, Facts]:
    """For each node of the graph what a decision about it is made from; `through` as in `Request`."""
    models = observation.manifest.models
    facts = {}
    for node in observation.graph.nodes:
        state = states.get(node.name)
        recipe, data = observation.recipes[node.name], observation.data[node.name]
        baseline = None
        if state is not None and store is not None and _needs_baseline(observation, state, states):
            baseline = _baseline(state, store)
        facts[node.name] = Facts(
            recipe=recipe,
            data=data,
            state=state,
            baseline=baseline,
            rule=models[node.model].retrain_when,
            signals=_signals(
                node.name, state, observation, data, baseline, known, models[node.model], through
            ),
        )
    return facts


def _signals(
    node: str,
    state: NodeState | None,
    observation: Observation,
    data: NodeData,
    baseline: Baseline | None,
    known: Known,
    model: Model,
    through: int | None,
) -> Signals:
    """What a node's triggers look at besides what changed."""
    measures = known.measures.get(node)
    return Signals(
        as_of=observation.as_of,
        timezone=observation.manifest.timezone,
        looked=_looked(state),
        age=_age(state, observation.as_of),
        cursors=state.cursors if state is not None else {},
        through=through,
        track=None if measures is None else measures.track(model),
        feedback=data.feedback,
        # where no part differs, all that is there was seen
        feedback_seen=consumed_batch(data if baseline is None else baseline.data) if state is not None else 0,
        trained=data.counts.get("trained", 0),
        drift=known.drift.get(node, {}),
    )


def _looked(state: NodeState | None) -> int | None:
    """The moment up to which a node's last attempt, or else its champion, looked at the world."""
    attempt = state.attempt if state is not None else None
    text = (attempt.as_of or attempt.time) if attempt is not None else state.time if state is not None else ""
    return micros(dt.datetime.fromisoformat(text)) if text else None


def _age(state: NodeState | None, as_of: int) -> dt.timedelta | None:
    """How long ago what a champion learnt from ends; by folds, how long ago it was released."""
    if state is None or state.version is None:
        return None
    return moment(as_of) - dt.datetime.fromisoformat(state.cut or state.time)


def _needs_baseline(observation: Observation, state: NodeState, states: Mapping[str, NodeState]) -> bool:
    """True where a part of the fingerprint differs, so that the document must say how."""
    parts = state.attempt.parts if state.attempt is not None else state.parts
    if parts is None:
        return False
    recipe, data = observation.recipes[state.node], observation.data[state.node]
    if state.version is None or parts.recipe != recipe.digest():
        return True
    if state.attempt is not None and state.attempt.outcome != "promoted":
        return True
    shipped = shipped_left_out(recipe, data)
    if parts.data != data.slice_digest(shipped, recipe.first_block(shipped)):
        return True
    current = (
        (name, states[name].hands_down) for name in observation.graph.upstreams(state.node) if name in states
    )
    return bool(state.checked) or any(state.wiring.get(name) != column for name, column in current)


def _baseline(state: NodeState, store: Store) -> Baseline | None:
    pointer = state.attempt.document if state.attempt is not None else None
    pointer = pointer or state.document
    if pointer is None:
        return None
    document = read_document(store.objects, pointer)
    return Baseline(
        definition=document["recipe"]["definition"],
        data=node_data_from_json(document["data"]),
        wiring=document["wiring"],
        waits_for={
            one["node"]: (one["held"], one.get("champion")) for one in document.get("waits_for") or ()
        },
    )
