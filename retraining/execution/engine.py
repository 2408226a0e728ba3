"""The life of a node in one run, as flows: settle, column, ship (docs/design.md 1, 4).

`settle` waits for the node's upstreams, resolves the plan's condition, judges the challenger and,
where somebody reads it, makes its column; readers start then. `ship` fits what is served, off the
critical path. A flow that needs a fit yields the task's key; the driver runs it and feeds the result.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import assert_never

from retraining.decide.facts import TO_BE_CHECKED, Decision
from retraining.decide.fingerprints import attempt_fingerprint
from retraining.decide.fits import Before, Folds, LeftOut
from retraining.decide.notes import unread_note
from retraining.decide.reasons import Reason
from retraining.decide.verdicts import overrule
from retraining.execution.candidates import Candidate, Fed, Side, Source, shipped_fit
from retraining.execution.champions import waiting_of
from retraining.execution.choosing import choose_release
from retraining.execution.comparing import compare_inputs
from retraining.execution.flows import Flow, Key
from retraining.execution.inputs import prepare, thin_inputs
from retraining.execution.judging import failed, judge_challenger, score_challenger
from retraining.execution.keys import (
    Again,
    Challenge,
    Chosen,
    ColumnOf,
    MeasureOf,
    PairOf,
    PoolOf,
    ProfilesOf,
    Settle,
    Ship,
    StayOf,
    Tried,
)
from retraining.execution.measuring import measure
from retraining.execution.pairs import check_pair
from retraining.execution.pooling import is_judged_together, pool_of
from retraining.execution.predictions import column, reader_columns
from retraining.execution.profiling import profile_inputs
from retraining.execution.shipping import ship
from retraining.execution.skewing import check_skew
from retraining.execution.staying import stay, stay_of
from retraining.execution.study import NodeResult, Study
from retraining.manifest.values import TimeScheme
from retraining.release.values import NodeState


def open_flow(study: Study, key: Key) -> Flow | None:
    """The flow that computes a key; None for tasks, whose results are fed."""
    match key:
        case Settle(node=node):
            return settle(study, node)
        case Tried(node=node):
            return tried(study, node)
        case Again(node=node):
            return again(study, node)
        case StayOf():
            return stay_of(study, key)
        case Challenge():
            return challenge(study, key)
        case PoolOf():
            return pool_of(study, key)
        case Ship(node=node):
            return ship(study, node)
        case ColumnOf():
            return column(study, key)
        case PairOf():
            return check_pair(study, key)
        case MeasureOf(node=node):
            return measure(study, node)
        case ProfilesOf(node=node):
            return profile_inputs(study, node)
        case Chosen():
            return choose_release(study)
        case _:
            return None


def settle(study: Study, node: str) -> Flow:
    """The flow of a node: wait for upstreams, resolve the condition, judge, make the column for readers.

    A champion that stays below new versions is checked with their columns, and where it does not bear
    them the node becomes due whatever its schedule.
    """
    above = yield from _above(study, node)
    if is_judged_together(study, node):
        (result,) = yield (Tried(node=node),)
    else:
        result = yield from _tried(study, node, above)
    result = yield from _stayed(study, result)
    if result.won:
        study.won.add(node)
        study.needs[node] = _needs(result)
    if result.won or not study.touched.isdisjoint(above):
        study.touched.add(node)
    if study.world.plan[node].compared and result.outcome == "kept":
        yield from compare_inputs(study, result)
    return result


def tried(study: Study, node: str) -> Flow:
    """The flow of what the plan decided, for nodes that are judged together."""
    above = yield from _above(study, node)
    return (yield from _tried(study, node, above))


def again(study: Study, node: str) -> Flow:
    """The flow of a node that its lost pair check made due."""
    above = yield from _above(study, node)
    return (yield from _retrained(study, node, study.late[node], above, late=True))


def _above(study: Study, node: str) -> Flow:
    """The results of a node's upstreams; what they keep out stays out for the node."""
    upstreams = study.world.graph.upstreams(node)
    above = dict(zip(upstreams, (yield tuple(Settle(node=name) for name in upstreams)), strict=True))
    study.out.setdefault(node, frozenset().union(*(study.out[name] for name in upstreams)))
    return above


def _stayed(study: Study, result: NodeResult) -> Flow:
    """A node's result after the check of the pair that would be released, if it keeps its champion below a new one."""
    node = result.node
    if result.won or study.touched.isdisjoint(study.world.graph.upstreams(node)):
        return result
    if is_judged_together(study, node):
        (stayed,) = yield (StayOf(model=study.world.facts[node].recipe.model),)
    else:
        stayed = yield from stay(study, {node: result})
    if node not in stayed:
        return result
    study.out[node] |= stayed[node].out
    return stayed[node].result


def _tried(study: Study, node: str, above: Mapping[str, NodeResult]) -> Flow:
    """The result of what the plan decided."""
    decision = study.world.plan[node]
    match decision.action:
        case "blocked":
            return NodeResult(node=node, decision=decision, outcome="blocked", because=decision.note)
        case "keep" | "rescore":
            if decision.resumes:
                return (yield from _retrained(study, node, decision, above))
            note = decision.note.removesuffix(TO_BE_CHECKED)
            return NodeResult(node=node, decision=decision, outcome="kept", because=note)
        case "retrain":
            return (yield from _retrained(study, node, decision, above))
        case _:
            assert_never(decision.action)


def _retrained(
    study: Study, node: str, decision: Decision, above: Mapping[str, NodeResult], *, late: bool = False
) -> Flow:
    """The result of a node that is due, or whose challenger waits: the challenger, judged, or why there is none.

    Nodes of a model are judged together: those that the plan has, and those that become due later.
    """
    together = is_judged_together(study, node)
    if together:
        (result,) = yield (Challenge(node=node, late=late),)
    else:
        result = yield from _challenged(study, node, decision, above)
    if result.evidence is None and not _overrules(study, result):
        return result
    pool = None
    if result.evidence is not None:
        if together:
            (pools,) = yield (PoolOf(model=study.world.facts[node].recipe.model, late=late),)
            pool = pools.get(result.evidence.kind)
        judge_challenger(study, result, pool)
        check_skew(study, result)
    said = study.world.promoted.get(node)
    if said is not None:
        result.verdict = overrule(result.verdict, said)
        result.outcome, result.because = result.verdict.word, result.verdict.because
    if result.won and study.readers[node]:
        error = yield from reader_columns(study, node, result.candidate)
        if error is not None:
            del study.challengers[node]
            return failed(study, node, result.decision, result.candidate, error)
    return result


def _overrules(study: Study, result: NodeResult) -> bool:
    """True where a person releases a challenger that has too little data to be judged."""
    return result.node in study.world.promoted and result.outcome == "insufficient"


def challenge(study: Study, key: Challenge) -> Flow:
    """The flow of a node's challenger up to its evidence, for nodes that are judged together."""
    above = yield from _above(study, key.node)
    decision = study.late[key.node] if key.late else study.world.plan[key.node]
    return (yield from _challenged(study, key.node, decision, above))


def _challenged(study: Study, node: str, decision: Decision, above: Mapping[str, NodeResult]) -> Flow:
    """The result of a node that is due, with the evidence of its challenger, or why there is none after all."""
    if decision.resumes and decision.action != "retrain":  # a failed pair check makes a new one due
        return (yield from _resumed(study, node, decision))
    candidate = _challenger(study, node)
    lacking = [column for column, sources in candidate.sources.items() if not sources]
    if lacking:
        return _blocked(study, node, decision, above, lacking[0])
    error = yield from prepare(study, candidate, None if candidate.cut is not None else frozenset())
    if error is not None:
        return failed(study, node, decision, candidate, error)
    thin = thin_inputs(study, candidate)
    if thin:
        return NodeResult(node=node, decision=decision, outcome="blocked", because=thin, candidate=candidate)
    decision, result = _resolve(study, node, decision, candidate)
    if result is not None:
        return result
    study.challengers[node] = candidate
    return (yield from score_challenger(study, node, decision, candidate))


def _resumed(study: Study, node: str, decision: Decision) -> Flow:
    """The result of a challenger that won in an earlier run and had to wait: scored again, and not made again."""
    candidate = waiting_of(study, node, lambda name: _side_for(study, node, name))
    if candidate is None:
        note = f"{decision.note}; its upstreams hand down other columns now"
        return NodeResult(node=node, decision=decision, outcome="kept", because=note)
    state = study.world.states[node]
    document = study.document(state.attempt.document if state.attempt is not None else None) or {}
    reasons = tuple(Reason(**one) for one in document["decision"]["reasons"])
    # what made the challenger due was consumed when it was made
    decision = replace(decision, reasons=reasons, cursors=decision.consumes)
    error = yield from prepare(study, candidate, None if candidate.cut is not None else frozenset())
    if error is not None:
        return failed(study, node, decision, candidate, error)
    study.challengers[node] = candidate
    return (yield from score_challenger(study, node, decision, candidate, state.attempt))


def _side_for(study: Study, reader: str, upstream: str) -> Side:
    """What an upstream hands down to a reader in this run: never what is known not to be released."""
    out = study.out[reader]
    if upstream not in study.touched:
        return "champion"
    if study.may_ship(upstream, out):
        return "challenger"
    new = study.reached(upstream, lambda name: study.may_ship(name, out), known=True)
    return Fed(new) if new else "champion"


def _needs(result: NodeResult) -> frozenset[str]:
    """The winners that a winner learnt from, and cannot be released without."""
    found: set[str] = set()
    for sources in result.candidate.sources.values() if result.candidate is not None else ():
        for name, side in sources:
            found |= {name} if side == "challenger" else side.new if isinstance(side, Fed) else frozenset()
    return frozenset(found)


def _challenger(study: Study, node: str) -> Candidate:
    facts = study.world.facts[node]
    sources: dict[str, tuple[Source, ...]] = {item.column: () for item in facts.recipe.inputs}
    for edge in study.world.graph.edges_into(node):
        state = study.world.states.get(edge.upstream)
        side = _side_for(study, node, edge.upstream)
        if side == "challenger" or (state is not None and state.version is not None):
            sources[edge.column] += ((edge.upstream, side),)
    cut = None
    if isinstance(facts.recipe.scheme, TimeScheme):
        gated = facts.recipe.ship == "gated" and facts.data.holdout
        cut = facts.data.holdout[0] if gated else facts.data.next_block
    return study.new_candidate(node, "challenger", facts.recipe, facts.data, cut, sources)


def _resolve(
    study: Study, node: str, decision: Decision, candidate: Candidate
) -> tuple[Decision, NodeResult | None]:
    """Settles the plan's condition; a result where there is nothing to do after all."""
    facts = study.world.facts[node]
    state = facts.state
    parts = candidate.evidence.parts(shipped_fit(candidate))
    changed = _changed_columns(study, candidate, state)
    forced = any(reason.kind in ("forced", "failed before", "promote") for reason in decision.reasons)
    if decision.conditional and not changed and state is not None and state.version is not None:
        note = "its upstream columns did not change on its rows"
        settled = replace(decision, action="keep", conditional=False, note=note)
        return settled, NodeResult(
            node=node,
            decision=settled,
            outcome="kept",
            because=note,
            candidate=candidate,
        )
    if decision.conditional:
        text = f"{', '.join(changed) or 'an upstream column'} changed"
        kept = tuple(reason for reason in decision.reasons if reason.kind != "upstream")
        reason = Reason(kind="upstream", text=text, evidence={"columns": list(changed)})
        decision = replace(decision, conditional=False, reasons=(*kept, reason))
    fingerprint = attempt_fingerprint(node, parts, candidate.data.holdout)
    attempt = state.attempt if state is not None else None
    if (
        attempt is not None
        and attempt.fingerprint == fingerprint
        and not forced
        and attempt.outcome != "waiting"
    ):
        note = f"due, and nothing changed since the last attempt ({attempt.outcome}: {attempt.because})"
        settled = replace(decision, action="keep", note=note)
        return settled, NodeResult(
            node=node,
            decision=settled,
            outcome="kept",
            because=note,
            candidate=candidate,
        )
    return decision, None


def _changed_columns(study: Study, candidate: Candidate, state: NodeState | None) -> list[str]:
    """The inputs whose column differs from the champion's on the champion's training rows."""
    if state is None or state.parts is None or state.version is None:
        return list(candidate.sources)
    wiring = state.wiring
    changed = []
    before = _champion_left_out(study, candidate.node, state)
    now = candidate.evidence.upstream_parts(before)
    for item, sources in candidate.sources.items():
        same = all(
            side == "champion"
            and name not in state.checked
            and wiring.get(name) == study.world.states[name].hands_down
            for name, side in sources
        )
        if not same and now.get(item) != state.parts.upstream.get(item):
            changed.append(item)
    return changed


def _champion_left_out(study: Study, node: str, state: NodeState) -> LeftOut:
    document = study.document(state.document)
    block = document.get("cut_block") if document else None
    return Folds(frozenset()) if block is None else Before(int(block))


def _blocked(
    study: Study, node: str, decision: Decision, above: Mapping[str, NodeResult], column: str
) -> NodeResult:
    names = [edge.upstream for edge in study.world.graph.edges_into(node) if edge.column == column]
    causes = [_cause(name, above[name]) for name in names if name in above]
    because = f"no usable version of {column}" + (f" ({'; '.join(causes[:2])})" if causes else "")
    if not names:
        because = unread_note(column)
    return NodeResult(node=node, decision=decision, outcome="blocked", because=because)


def _cause(name: str, result: NodeResult) -> str:
    """What became of an upstream without a version, as part of a sentence."""
    said = {"failed": "failed", "blocked": "is blocked", "insufficient": "has too little data"}
    return f"{name} {said.get(result.outcome, 'was ' + result.outcome)}: {result.because}"
