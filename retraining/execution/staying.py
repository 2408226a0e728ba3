"""What becomes of champions that stay below new versions: checked, made due where they do not bear them, left out.

Nodes of a model that is judged as one (`gate: {by: model}`) are asked together.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from retraining.decide.facts import edge_policies
from retraining.decide.pairs import PairCheck
from retraining.decide.reasons import Reason
from retraining.execution.flows import Flow
from retraining.execution.keys import Again, PairOf, StayOf, Tried
from retraining.execution.pooling import check_together, is_judged_together
from retraining.execution.study import NodeResult, Study
from retraining.release.choice import Dialogue, Question, blamed

__all__ = ["Stayed", "answered", "stay", "stay_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stayed:
    """A node's result after its check, and the new versions above it that stay out for its sake."""

    result: NodeResult
    out: frozenset[str] = frozenset()


def stay_of(study: Study, key: StayOf) -> Flow:
    """The flow for the nodes of a model that are judged together: waits until the plan was tried on each."""
    nodes = study.world.graph.nodes
    names = [one.name for one in nodes if one.model == key.model and is_judged_together(study, one.name)]
    results: Sequence[NodeResult] = yield tuple(Tried(node=name) for name in names)
    return (yield from stay(study, dict(zip(names, results, strict=True))))


def stay(study: Study, results: Mapping[str, NodeResult]) -> Flow:
    """What becomes of nodes that the plan was tried on, by node: those are left out that nothing new reaches.

    Where the champions do not bear what is new above them the nodes become due; what remains of them after that
    is asked again, and who harms those stays out.
    """
    question = {
        name: new
        for name, result in results.items()
        if not result.won and _is_below(study, name) and (new := _usable_above(study, name))
    }
    if not question:
        return {}
    checks = yield from _checked(study, question)
    due = [
        name
        for name, check in checks.items()
        if not check.passed and _may_become_due(study, results[name], check)
    ]
    for name in due:
        text = f"with {_names(checks[name].new)} its champion {checks[name].because}"
        reason = Reason(kind="pair check", text=text, evidence=checks[name].to_json())
        before = results[name].decision
        reasons = (*before.reasons, reason)
        study.late[name] = replace(before, action="retrain", conditional=False, reasons=reasons, note="")
    tried: Sequence[NodeResult] = (yield tuple(Again(node=name) for name in due)) if due else ()
    after = {**results, **dict(zip(due, tried, strict=True))}
    for name, check in checks.items():
        after[name].pair = check
    left = [name for name in question if not after[name].won]
    out: Mapping[str, frozenset[str]] = {}
    if not all(checks[name].passed for name in left):
        out = yield from _unbearable(study, left)
    return {name: Stayed(result=after[name], out=out.get(name, frozenset())) for name in question}


def answered(study: Study, dialogue: Dialogue[PairCheck, Any]) -> Flow:
    """What a dialogue of `release.choice` ends with, its questions answered by scoring champions."""
    answers: list[Mapping[str, PairCheck]] | None = None
    while True:
        try:
            questions = next(dialogue) if answers is None else dialogue.send(answers)
        except StopIteration as end:
            return end.value
        keys = [PairOf(node=name, new=new) for question in questions for name, new in question.items()]
        found: Iterator[PairCheck] = iter((yield tuple(keys)))
        answers = [check_together(study, {name: next(found) for name in asked}) for asked in questions]


def _checked(study: Study, question: Question) -> Flow:
    """The checks of champions that would stay side by side, by node."""
    found = yield tuple(PairOf(node=name, new=new) for name, new in question.items())
    return check_together(study, dict(zip(question, found, strict=True)))


def _unbearable(study: Study, names: Sequence[str]) -> Flow:
    """By node the new versions that stay out, because champions do not bear them; as `release.choice` will choose."""
    out: dict[str, frozenset[str]] = dict.fromkeys(names, frozenset())
    recipes = {name: study.world.facts[name].recipe for name in names}
    together = {name: recipe.model for name, recipe in recipes.items() if is_judged_together(study, name)}
    while True:
        question = {name: new for name in names if (new := _usable_above(study, name, out[name]))}
        checks = yield from _checked(study, question)
        lost = [name for name, check in checks.items() if not check.passed]
        if not lost:
            return out
        for culprit, readers in (yield from answered(study, blamed(question, lost, together))).items():
            out |= {name: out[name] | {culprit} for name in readers}


def _is_below(study: Study, node: str) -> bool:
    """True for a released node below something that may hand down another column."""
    state = study.world.states.get(node)
    upstreams = study.world.graph.upstreams(node)
    return state is not None and state.version is not None and not study.touched.isdisjoint(upstreams)


def _usable_above(study: Study, node: str, more: frozenset[str] = frozenset()) -> frozenset[str]:
    """The winners that reach a node's champion, without those that are known to stay out (and `more`)."""
    out = study.out[node] | more
    return study.reached(node, lambda name: study.may_ship(name, out), known=True)


def _may_become_due(study: Study, result: NodeResult, check: PairCheck) -> bool:
    """True where a failed check makes the node due: it was not tried in this run, may be, and an edge cares."""
    decision, node = result.decision, result.node
    if decision.action not in ("keep", "rescore") or decision.fixed:
        return False
    policies = edge_policies(node, study.world.graph, study.world.facts[node].recipe)
    return any(policies.get(name) != "ignore" for name in check.columns)


def _names(names: Sequence[str]) -> str:
    return (
        "the new column of "
        + ", ".join(names[:3])
        + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    )
