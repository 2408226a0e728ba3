"""Chooses what is released together, once every node has its result (`release.choice` decides, this answers it)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from retraining.decide.pairs import PairCheck
from retraining.execution.candidates import Fed
from retraining.execution.flows import Flow
from retraining.execution.keys import Chosen, Settle, Ship
from retraining.execution.pooling import pools
from retraining.execution.staying import answered
from retraining.execution.study import NodeResult, ReleaseSet, Rewired, Study
from retraining.release.choice import Choice, choose

__all__ = ["Chosen", "choose_release"]


def choose_release(study: Study) -> Flow:
    """The flow of the release: waits for every node, then checks each champion with exactly what would feed it."""
    names = [node.name for node in study.world.graph.nodes]
    settled = yield tuple(Settle(node=name) for name in names)
    yield tuple(Ship(node=name) for name in names)
    results: dict[str, NodeResult] = dict(zip(names, settled, strict=True))
    winners = {name for name, result in results.items() if result.won}
    if not winners:
        return ReleaseSet()
    learnt, wiring, together = _learnt(results, winners), _wiring(study, names), pools(study)
    choice: Choice[PairCheck] = yield from answered(study, choose(winners, learnt, wiring, together))
    approve = frozenset(name for name in choice.new if study.needs_approval(name))
    now = choice
    if approve:
        # what the others come to without those that a person has to approve first
        now = yield from answered(study, choose(choice.new - approve, learnt, wiring, together))
    return ReleaseSet(
        new=now.new,
        rewired={node: _rewired(study, node, new, check) for (node, new), check in now.passed.items()},
        approve=approve,
        pending=choice.new - now.new,
        pending_rewired={
            node: _rewired(study, node, new, check)
            for (node, new), check in choice.passed.items()
            if not new <= now.new
        },
        waiting=choice.waiting,
        failed=tuple(choice.failed.values()),
    )


def _learnt(results: Mapping[str, NodeResult], winners: set[str]) -> dict[str, dict[str, frozenset[str]]]:
    """For each winner the new versions that each of its upstream columns came from."""
    learnt: dict[str, dict[str, frozenset[str]]] = {}
    for node in winners:
        candidate = results[node].candidate
        learnt[node] = {}
        for sources in candidate.sources.values() if candidate is not None else ():
            for name, side in sources:
                own = frozenset({name}) if side == "challenger" else frozenset[str]()
                learnt[node][name] = side.new if isinstance(side, Fed) else own
    return learnt


def _wiring(study: Study, names: Sequence[str]) -> dict[str, list[str]]:
    """The upstreams that each released node reads; what left the manifest or the data hands nothing new down."""
    graph, states = study.world.graph, study.world.states
    return {
        name: [upstream for upstream in state.wiring if upstream in graph]
        for name in names
        if (state := states.get(name)) is not None and state.version is not None
    }


def _rewired(study: Study, node: str, new: frozenset[str], check: PairCheck) -> Rewired:
    state = study.world.states[node]
    column = study.column_name(node, Fed(new))
    checked = {*state.checked, *check.columns} - {*check.learnt}
    return Rewired(
        candidate=study.fed[(node, new)],
        wiring=study.wiring_under(node, new),
        column=column,
        checked=() if column == state.version else tuple(sorted(checked)),
        check=check,
    )
