"""The record of a run (format 1): what `report`, `explain` and other programs read of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from retraining.decide.advice import advise
from retraining.decide.calendar import Calendar, iso_of
from retraining.decide.drift import ranked
from retraining.decide.facts import Decision
from retraining.decide.pairs import PairCheck
from retraining.execution.candidates import row_counts
from retraining.execution.driver import Execution, Ran
from retraining.execution.study import NodeResult
from retraining.manifest.values import Json, TimeScheme
from retraining.operations.conclude import Conclusion
from retraining.operations.leaves import leaf_scores, pair_of
from retraining.operations.performance import performance_document
from retraining.operations.session import Session
from retraining.store.log import Head


def exit_code_of(counts: Mapping[str, int]) -> int:
    """The exit code of a run: 1 where a node failed; what a gate or the data held back was handled.

    What a failure blocks needs no rule of its own: the failure is tried again, and counted, in every run.
    """
    return 1 if counts.get("failed") else 0


def run_record(
    session: Session,
    run: str,
    execution: Execution,
    conclusion: Conclusion,
    after: Head,
    backend: str,
    started: float,
    ended: float,
) -> dict[str, Json]:
    """The record of a finished run; times are seconds since the epoch, written as ISO instants in UTC."""
    results = execution.results
    counts: dict[str, int] = {}
    for outcome, _ in conclusion.outcomes.values():
        counts[outcome] = counts.get(outcome, 0) + 1
    nodes = [
        _node(session, results[node.name], conclusion, pair_of(results[node.name], execution.chosen))
        for node in session.observation.graph.nodes
        if node.name in results
    ]
    document: dict[str, Any] = {
        "format": 1,
        "run": run,
        "started": iso_of(started),
        "ended": iso_of(ended),
        "as_of": session.plan.as_of,
        "feedback_through": session.observation.feedback.through,
        "manifest": {
            "name": session.manifest.name,
            "file": session.manifest.file.name,
            "digest": session.manifest.digest,
            "timezone": session.manifest.timezone,
        },
        "store": session.store_url,
        "backend": backend,
        "slots": execution.slots,
        "release": {"before": session.head.release, "after": after.release, "sequence": after.sequence},
        "exit_code": exit_code_of(counts),
        "counts": dict(sorted(counts.items())),
        "fits": {
            "made": execution.fits_made,
            "again": execution.fits_again,
            "reused": sum(r.candidate.counts.get("reused", 0) for r in results.values() if r.candidate),
            "comparisons": sum(
                r.candidate.counts.get("comparisons", 0) for r in results.values() if r.candidate
            ),
        },
        "seconds": {
            "total": ended - started,
            "training": sum(ran.ended - ran.started for ran in execution.timeline),
        },
        "nodes": nodes,
        "pools": _pools(results),
        "set": {
            "new": sorted(execution.chosen.new),
            "rewired": sorted(execution.chosen.rewired),
            "waiting": {node: sorted(names) for node, names in execution.chosen.waiting.items()},
            "failed_checks": [check.to_json() for check in execution.chosen.failed],
            "leaves": leaf_scores(results, execution.chosen, session.head.nodes),
        },
        "timeline": [
            {
                "node": ran.node,
                "fit": fit_name(session, ran),
                "kind": ran.kind,
                "worker": ran.worker,
                "start": ran.started - started,
                "end": ran.ended - started,
                "error": ran.error,
            }
            for ran in execution.timeline
        ],
        "drift": _drift(session),
        "skipped_partitions": [
            {"model": one.model, "partition": one.partition, "rows": one.rows, "why": one.why}
            for one in session.observation.skipped
        ],
    }
    plain: dict[str, Json] = json.loads(json.dumps(document))
    return plain


def _pools(results: Mapping[str, NodeResult]) -> list[dict[str, Json]]:
    """The verdicts on nodes that were judged together, once for each model, kind of comparison and round."""
    found = {
        (pool.model, pool.verdict.evidence.kind if pool.verdict.evidence else "", pool.late): pool
        for result in results.values()
        if result.verdict is not None and (pool := result.verdict.pooled) is not None
    }
    return [
        {"model": pool.model, "nodes": pool.nodes, **pool.verdict.to_json()}
        for _, pool in sorted(found.items())
    ]


def _node(
    session: Session, result: NodeResult, conclusion: Conclusion, pair: PairCheck | None
) -> dict[str, Any]:
    graph, manifest = session.observation.graph, session.manifest
    model = manifest.models[graph.node(result.node).model]
    recipe = session.observation.recipes[result.node]
    candidate = result.candidate
    outcome, because = conclusion.outcomes[result.node]
    before = session.head.nodes.get(result.node)
    released = outcome == "promoted"
    previous = before.version if before is not None else None
    return {
        "node": result.node,
        "model": model.name,
        "description": model.description,
        "owner": model.owner,
        "tags": list(model.tags),
        "level": graph.level(result.node),
        "task": recipe.task,
        "estimator": recipe.estimator,
        "upstreams": list(graph.upstreams(result.node)),
        "inputs": [
            {
                "column": item.column,
                "upstreams": [e.upstream for e in graph.edges_into(result.node) if e.column == item.column],
                "coverage": candidate.coverage.get(item.column) if candidate is not None else None,
            }
            for item in recipe.inputs
        ],
        "decision": _decision(result.decision),
        "outcome": outcome,
        "because": because,
        "version": result.version if released else previous,
        "previous": previous if released else None,
        "verdict": None if result.verdict is None else result.verdict.to_json(),
        "edges": result.edges,
        "skew": [one.to_json() for one in result.skew],
        "pair": None if pair is None else pair.to_json(),
        "fits": {
            "made": candidate.counts.get("made", 0) if candidate else 0,
            "reused": candidate.counts.get("reused", 0) if candidate else 0,
            "seconds": candidate.seconds if candidate else 0.0,
        },
        "rows": _rows(session, result),
        "cut": conclusion.update.set[result.node].cut if released else None,
        "first_predicted": result.decision.first_predicted,
        "error": result.error,
        "performance": performance_of(session, result.node),
    }


def performance_of(session: Session, node: str) -> dict[str, Json] | None:
    """How the champion that the run found does on what came after it; None where no rule asks."""
    found = session.known.measures.get(node)
    if found is None or session.store is None:
        return None
    model = session.manifest.models[session.graph.node(node).model]
    return performance_document(session.store, node, found, model)


def _drift(session: Session) -> dict[str, Json]:
    """What the run's scan said of the columns that conditions look at, most severe first, and what it means."""
    found = ranked(
        one for drift in session.known.drift.values() for several in drift.values() for one in several
    )
    return {
        "findings": [one.to_json() for one in found],
        "advice": [one.to_json() for one in advise(found, session.graph)],
    }


def fit_name(session: Session, ran: Ran) -> str:
    """A fit's name for people: the day before which its labels were known, or the folds that it left out."""
    recipe = session.observation.recipes.get(ran.node)  # none of a node that left, whose champion others read
    if recipe is None or not ran.fit.startswith("<") or not isinstance(recipe.scheme, TimeScheme):
        return ran.fit
    day = Calendar(session.manifest.timezone, recipe.scheme.block_days).date(int(ran.fit[1:]))
    return f"< {day.isoformat()}"


def _rows(session: Session, result: NodeResult) -> dict[str, int]:
    """The rows in each state of docs/design.md 1, those without an upstream column among them where it was made."""
    if result.candidate is None:
        return dict(session.observation.data[result.node].counts)
    return row_counts(result.candidate)


def _decision(decision: Decision) -> dict[str, Json]:
    return decision.to_json()
