"""When a challenger that won and had to wait is tried for release again, without being made again."""

from __future__ import annotations

from collections.abc import Mapping

from retraining.decide.facts import Decision, Facts
from retraining.graph.graph import Graph

__all__ = ["resumes"]


def resumes(node: str, graph: Graph, facts: Mapping[str, Facts], decisions: Mapping[str, Decision]) -> bool:
    """True where something changed, or will in this run, about a node that the waiting challenger waits for.

    It is due, it has another champion by now, it left the manifest or the data, or the run before could
    not train it and this one may. A node that is due itself gets a new challenger instead.
    """
    decision, fact = decisions[node], facts[node]
    attempt = fact.state.attempt if fact.state is not None else None
    if (
        decision.action not in ("keep", "rescore")
        or decision.fixed
        or attempt is None
        or attempt.outcome != "waiting"
    ):
        return False
    if attempt.parts.recipe != fact.recipe.digest():
        return False  # the manifest asks for something else by now
    if not _still_fed(node, facts, decisions):
        return False
    known = fact.baseline.waits_for if fact.baseline is not None else {}
    for name in attempt.waits_for or graph.downstreams(node):
        if name not in decisions:
            return True
        state = facts[name].state
        held, champion = known.get(name, (False, state.hands_down if state is not None else None))
        other = state is not None and state.hands_down != champion
        due = decisions[name].action == "retrain" and not _only_for(
            node, attempt.version, name, facts, decisions
        )
        if other or due or (held and not decisions[name].fixed):
            return True
    return False


def _still_fed(node: str, facts: Mapping[str, Facts], decisions: Mapping[str, Decision]) -> bool:
    """True where each upstream hands down what the waiting version learnt from, or waits itself with just that."""
    baseline = facts[node].baseline
    for name, column in baseline.wiring.items() if baseline is not None else ():
        state = facts[name].state if name in facts else None
        if state is None:
            return False
        waits = decisions[name].resumes and state.attempt is not None and state.attempt.version == column
        if state.hands_down != column and not waits:
            return False
    return True


def _only_for(
    node: str, version: str, reader: str, facts: Mapping[str, Facts], decisions: Mapping[str, Decision]
) -> bool:
    """True where a reader has tried the waiting version, and is due for another column of the same node alone.

    Else the two would make each other due in every run, and the reader never learn from what is released.
    """
    baseline = facts[reader].baseline
    if baseline is None or baseline.wiring.get(node) != version:
        return False
    reasons = decisions[reader].reasons
    return all(one.kind == "upstream" and one.evidence.get("upstreams") == [node] for one in reasons)
