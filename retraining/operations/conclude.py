"""From what became of the nodes to what is committed: the consistent set, documents, the update.

Pure but for the pack that holds the documents: winners that cannot be released together wait, and a
version document says everything that later runs, `explain` and `report` need of a version.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from retraining.decide.calendar import Calendar, moment
from retraining.decide.fits import Before
from retraining.execution.candidates import Candidate, row_counts, shipped_fit
from retraining.execution.study import NodeResult
from retraining.graph.graph import Graph
from retraining.manifest.values import Json, TimeScheme
from retraining.release.consistent import largest_consistent_set
from retraining.release.update import Update
from retraining.release.values import Attempt, BlobPointer, NodeState
from retraining.store.objects import Objects
from retraining.store.packs import Blob, Record, build_pack
from retraining.store.results import ResultIndex

_RECORDED = ("promoted", "rejected", "insufficient", "waiting", "failed")


@dataclass(slots=True)
class Conclusion:
    """What a run will commit, and each node's final outcome and its sentence."""

    update: Update = field(default_factory=Update)
    outcomes: dict[str, tuple[str, str]] = field(default_factory=dict)


def conclude(
    graph: Graph,
    results: Mapping[str, NodeResult],
    states: Mapping[str, NodeState],
    index: ResultIndex,
    objects: Objects,
    *,
    declarations: Mapping[str, Json],
    run: str,
    now: str,
) -> Conclusion:
    """Finds the largest consistent set, writes the documents' pack, and makes the update.

    `declarations` says of each dataset what serving must know (`data.declarations`).
    """
    outcomes = _outcomes(graph, results, states)
    documents = _write_documents(results, outcomes, index, objects, run, states, declarations)
    rows: dict[str, NodeState] = {}
    attempts: dict[str, Attempt] = {}
    for node, result in results.items():
        outcome, because = outcomes[node]
        if outcome not in _RECORDED or result.parts is None or result.candidate is None:
            continue
        attempt = Attempt(
            fingerprint=result.fingerprint,
            outcome=outcome,
            because=because,
            run=run,
            time=now,
            parts=result.parts,
            version=result.version,
            document=documents.get(node),
        )
        if outcome == "promoted":
            rows[node] = _row(node, result, attempt, documents[node], index, run, now)
        attempts[node] = attempt
    rows |= _rewired(results, rows, states)
    gone = frozenset(
        node for node, state in states.items() if node not in graph and not state.orphaned and state.version
    )
    back = frozenset(node for node, state in states.items() if node in graph and state.orphaned)
    return Conclusion(
        update=Update(set=rows, attempts=attempts, orphaned=gone, returned=back), outcomes=outcomes
    )


def _outcomes(
    graph: Graph, results: Mapping[str, NodeResult], states: Mapping[str, NodeState]
) -> dict[str, tuple[str, str]]:
    """Each node's outcome; winners outside the largest consistent set wait, and say for whom."""
    winners = {node for node, result in results.items() if result.won}
    requires: dict[str, set[str]] = {node: set() for node in winners}
    for node in winners:
        candidate = results[node].candidate
        if candidate is not None:
            # trained on the new version of an upstream
            requires[node] |= {
                name
                for sources in candidate.sources.values()
                for name, side in sources
                if side == "challenger"
            }
        for reader in _readers_with_champion(node, graph, states):
            if reader in winners or not _unaffected(results.get(reader)):
                requires[node].add(reader)
    kept, waiting = largest_consistent_set(winners, requires)
    outcomes = {node: (result.outcome, result.because) for node, result in results.items()}
    for node in winners - kept:
        blockers = sorted(waiting.get(node, ()))
        outcomes[node] = ("waiting", f"won, and waits for {_listed(blockers)}")
    return outcomes


def _rewired(
    results: Mapping[str, NodeResult], rows: Mapping[str, NodeState], states: Mapping[str, NodeState]
) -> dict[str, NodeState]:
    """The kept readers of promoted nodes: checked with the new versions, whose columns are the same for them."""
    out = {}
    for node, result in results.items():
        state = states.get(node)
        if not result.unchanged or state is None or node in rows:
            continue
        new = {name: rows[name].version or "" for name in state.wiring if name in rows}
        if new:
            out[node] = replace(state, wiring={**state.wiring, **new})
    return out


def _readers_with_champion(node: str, graph: Graph, states: Mapping[str, NodeState]) -> set[str]:
    """The nodes whose released version reads this one."""
    return {
        name
        for name, state in states.items()
        if state.version is not None and node in state.wiring and name in graph and not state.orphaned
    }


def _unaffected(result: NodeResult | None) -> bool:
    """True where a reader's champion learnt from a column that the new version would not change."""
    return result is not None and result.unchanged


def _row(
    node: str,
    result: NodeResult,
    attempt: Attempt,
    document: BlobPointer,
    index: ResultIndex,
    run: str,
    now: str,
) -> NodeState:
    candidate = result.candidate
    assert candidate is not None
    record = index.find("fit", candidate.made[str(shipped_fit(candidate))])
    return NodeState(
        node=node,
        version=result.version,
        parts=result.parts,
        cut=_cut_time(candidate),
        wiring=dict(result.wiring),
        document=document,
        artifact=record.blob("model") if record is not None else None,
        attempt=attempt,
        seconds=candidate.seconds,
        peak_bytes=candidate.peak_bytes,
        fits=candidate.counts.get("made", 0),
        time=now,
        run=run,
    )


def _write_documents(
    results: Mapping[str, NodeResult],
    outcomes: Mapping[str, tuple[str, str]],
    index: ResultIndex,
    objects: Objects,
    run: str,
    states: Mapping[str, NodeState],
    declarations: Mapping[str, Json],
) -> dict[str, BlobPointer]:
    """One pack with the document of every node that was tried; the pointers by node."""
    records = []
    nodes = []
    for node, result in sorted(results.items()):
        if outcomes[node][0] in _RECORDED and result.parts is not None and result.candidate is not None:
            document = version_document(result, outcomes[node], index, states.get(node), declarations)
            blob = Blob(role="version", format="json", data=json.dumps(document, sort_keys=True).encode())
            records.append(
                Record(
                    action="version",
                    fingerprint=result.version,
                    parts={"node": node},
                    blobs=(blob,),
                    metrics={},
                )
            )
            nodes.append(node)
    if not records:
        return {}
    key = f"packs/{run}/documents-1"
    body, stored = build_pack(key, records)
    objects.put(key, body)
    return {node: record.blobs[0] for node, record in zip(nodes, stored, strict=True)}


def version_document(
    result: NodeResult,
    outcome: tuple[str, str],
    index: ResultIndex,
    before: NodeState | None,
    declarations: Mapping[str, Json],
) -> dict[str, Json]:
    """Everything that is worth knowing of one version, as a document (format 1)."""
    candidate = result.candidate
    assert candidate is not None
    assert result.parts is not None
    fits: dict[str, Json] = {}
    for left_out, fingerprint in sorted(candidate.made.items()):
        record = index.find("fit", fingerprint)
        model = record.blob("model") if record is not None else None
        fits[left_out] = {"fingerprint": fingerprint, "model": None if model is None else model.to_json()}
    return {
        "format": 1,
        "node": result.node,
        "version": result.version,
        "replaces": before.version if before is not None else None,
        "outcome": outcome[0],
        "because": outcome[1],
        "recipe": candidate.recipe.to_json(),
        "datasets": {candidate.recipe.dataset: declarations[candidate.recipe.dataset]},
        "cut_block": candidate.cut,
        "cut": _cut_time(candidate),
        "data": candidate.data.to_json(),
        "counts": _plain(row_counts(candidate)),
        "parts": result.parts.to_json(),
        "wiring": dict(result.wiring),
        "sources": {column: [name for name, _ in sources] for column, sources in candidate.sources.items()},
        "edges_known": [item.column for item in candidate.recipe.inputs],
        "coverage": dict(candidate.coverage),
        "fits": fits,
        "decision": result.decision.to_json(),
        "verdict": None if result.verdict is None else result.verdict.to_json(),
        "edges": _plain(result.edges),
        "error": result.error,
    }


def _plain(value: Any) -> Json:
    plain: Json = json.loads(json.dumps(value))
    return plain


def _cut_time(candidate: Candidate) -> str | None:
    scheme = candidate.recipe.scheme
    shipped = shipped_fit(candidate)
    if not isinstance(scheme, TimeScheme) or not isinstance(shipped, Before):
        return None
    start = Calendar(candidate.recipe.timezone, scheme.block_days).start(shipped.block)
    return moment(start).isoformat().replace("+00:00", "Z")


def _listed(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
