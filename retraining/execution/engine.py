"""The life of a node in one run, as flows: settle, column, ship (MANIFEST 1, DESIGN 3).

`settle` waits for the node's upstreams, resolves the plan's condition, judges the challenger and,
where somebody reads it, makes its column; readers start then. `ship` fits what is served, off the
critical path. A flow that needs a fit yields the task's key; the driver runs it and feeds the result.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from retraining.decide.fingerprints import attempt_fingerprint
from retraining.decide.fits import Before, Folds, LeftOut
from retraining.decide.plan import Decision
from retraining.decide.triggers import Reason
from retraining.execution.candidates import (
    Candidate,
    Source,
    shipped_fit,
)
from retraining.execution.flows import Flow, Key
from retraining.execution.inputs import prepare, thin_inputs
from retraining.execution.judging import failed, judge_challenger
from retraining.execution.predictions import column, reader_columns
from retraining.execution.shipping import ship
from retraining.execution.study import (
    ColumnOf,
    NodeResult,
    Settle,
    Ship,
    Study,
)
from retraining.manifest.values import TimeScheme
from retraining.release.values import NodeState, Parts


def open_flow(study: Study, key: Key) -> Flow | None:
    """The flow that computes a key; None for tasks, whose results are fed."""
    match key:
        case Settle(node=node):
            return settle(study, node)
        case Ship(node=node):
            return ship(study, node)
        case ColumnOf():
            return column(study, key)
        case _:
            return None


def settle(study: Study, node: str) -> Flow:
    """The flow of a node: wait for upstreams, resolve the condition, judge, make the column for readers."""
    world = study.world
    decision = world.plan[node]
    upstreams = world.graph.upstreams(node)
    above = dict(zip(upstreams, (yield tuple(Settle(node=name) for name in upstreams)), strict=True))
    won = {name for name, result in above.items() if result.won}
    if decision.action == "blocked":
        return NodeResult(node=node, decision=decision, outcome="blocked", because=decision.note)
    if decision.action == "keep" and not won:
        return NodeResult(node=node, decision=decision, outcome="kept", because=decision.note)
    candidate = _challenger(study, node, won)
    lacking = [column for column, sources in candidate.sources.items() if not sources]
    if lacking:
        return _blocked(study, node, decision, above, lacking[0])
    error = yield from prepare(study, candidate, None if candidate.cut is not None else frozenset())
    if error is not None:
        return failed(study, node, decision, candidate, error)
    thin = thin_inputs(study, candidate)
    if thin and decision.action != "keep":
        return NodeResult(node=node, decision=decision, outcome="blocked", because=thin, candidate=candidate)
    decision, result = _resolve(study, node, decision, candidate)
    if result is not None:
        return result
    study.challengers[node] = candidate
    result = yield from judge_challenger(study, node, decision, candidate)
    if result.won and study.readers[node]:
        error = yield from reader_columns(study, node, candidate)
        if error is not None:
            del study.challengers[node]
            return failed(study, node, decision, candidate, error)
    return result


def _challenger(study: Study, node: str, won: Collection[str]) -> Candidate:
    facts = study.world.facts[node]
    sources: dict[str, tuple[Source, ...]] = {item.column: () for item in facts.recipe.inputs}
    for edge in study.world.graph.edges_into(node):
        state = study.world.states.get(edge.upstream)
        if edge.upstream in won:
            sources[edge.column] += ((edge.upstream, "challenger"),)
        elif state is not None and state.version is not None:
            sources[edge.column] += ((edge.upstream, "champion"),)
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
    if decision.action == "keep":
        return decision, NodeResult(
            node=node,
            decision=decision,
            outcome="kept",
            because=decision.note,
            candidate=candidate,
            unchanged=not changed and _same_rows(parts, state),
        )
    forced = any(reason.kind in ("forced", "failed before") for reason in decision.reasons)
    if decision.conditional and not changed and state is not None and state.version is not None:
        note = "its upstream columns did not change on its rows"
        settled = replace(decision, action="keep", conditional=False, note=note)
        return settled, NodeResult(
            node=node,
            decision=settled,
            outcome="kept",
            because=note,
            candidate=candidate,
            unchanged=_same_rows(parts, state),
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
            unchanged=not changed and _same_rows(parts, state),
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
            side == "champion" and wiring.get(name) == study.world.states[name].version
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
        because = (
            f"no row finds a row of {column}: check `match`, and that the upstream's rows are decided "
            "no later than those that read them"
        )
    return NodeResult(node=node, decision=decision, outcome="blocked", because=because)


def _cause(name: str, result: NodeResult) -> str:
    """What became of an upstream without a version, as part of a sentence."""
    said = {"failed": "failed", "blocked": "is blocked", "insufficient": "has too little data"}
    return f"{name} {said.get(result.outcome, 'was ' + result.outcome)}: {result.because}"


def _same_rows(parts: Parts, state: NodeState | None) -> bool:
    """True where a champion's recipe and training rows are today's: then only its columns could differ."""
    return (
        state is not None
        and state.parts is not None
        and (state.parts.recipe, state.parts.data) == (parts.recipe, parts.data)
    )
