"""From what became of the nodes and what was chosen of it to what is committed: documents and the update.

A version document says everything that later runs, `explain` and `report` need of a version.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from retraining.decide.calendar import Calendar, moment
from retraining.decide.fits import Before
from retraining.decide.pairs import PairCheck
from retraining.execution.candidates import Candidate, row_counts, shipped_fit
from retraining.execution.lineages import Lineages, trained_by
from retraining.execution.study import NodeResult, ReleaseSet
from retraining.graph.graph import Graph
from retraining.manifest.values import Json, TimeScheme
from retraining.release.update import Update
from retraining.release.values import Attempt, BlobPointer, NodeState
from retraining.store.objects import Objects
from retraining.store.packs import Blob, Record, build_pack, read_document
from retraining.store.results import ResultIndex

_RECORDED = ("promoted", "rejected", "insufficient", "waiting", "failed")
#: How many pair checks the document of a champion keeps: the newest.
_MOST_CHECKS = 20


@dataclass(slots=True)
class Conclusion:
    """What a run will commit, and each node's final outcome and its sentence."""

    update: Update = field(default_factory=Update)
    outcomes: dict[str, tuple[str, str]] = field(default_factory=dict)


def conclude(
    graph: Graph,
    results: Mapping[str, NodeResult],
    chosen: ReleaseSet,
    states: Mapping[str, NodeState],
    index: ResultIndex,
    objects: Objects,
    *,
    declarations: Mapping[str, Json],
    run: str,
    now: str,
) -> Conclusion:
    """Writes the documents' pack and makes the update of what was `chosen` for release.

    `declarations` says of each dataset what serving must know (`data.declarations`).
    """
    outcomes = _outcomes(results, chosen)
    lineages = Lineages(index, objects)
    documents = _documents(results, outcomes, chosen, states, index, objects, declarations, run, now)
    _name_lineages(documents, results, states, lineages)
    pointers = _write_documents(documents, lineages, objects, run)
    rows: dict[str, NodeState] = {}
    attempts: dict[str, Attempt] = {}
    for node, result in results.items():
        outcome, because = outcomes[node]
        if not _is_recorded(result, outcome):
            continue
        assert result.parts is not None
        attempt = Attempt(
            fingerprint=result.fingerprint,
            outcome=outcome,
            because=because,
            run=run,
            time=now,
            parts=result.parts,
            version=result.version,
            document=pointers.get(("version", node)),
        )
        if outcome == "promoted":
            rows[node] = _row(node, result, attempt, pointers[("version", node)], index, run, now)
        attempts[node] = attempt
    for node, rewired in chosen.rewired.items():
        rows[node] = replace(
            states[node],
            wiring=rewired.wiring,
            column=None if rewired.column == states[node].version else rewired.column,
            checked=rewired.checked,
            document=pointers[("champion", node)],
            attempt=None,  # the table keeps the node's newest
        )
    gone = frozenset(
        node for node, state in states.items() if node not in graph and not state.orphaned and state.version
    )
    back = frozenset(node for node, state in states.items() if node in graph and state.orphaned)
    return Conclusion(
        update=Update(set=rows, attempts=attempts, orphaned=gone, returned=back), outcomes=outcomes
    )


def _is_recorded(result: NodeResult, outcome: str) -> bool:
    return outcome in _RECORDED and result.parts is not None and result.candidate is not None


def _outcomes(results: Mapping[str, NodeResult], chosen: ReleaseSet) -> dict[str, tuple[str, str]]:
    """Each node's outcome; winners that are not released wait, and say for whom and why."""
    outcomes = {node: (result.outcome, _told(result, chosen)) for node, result in results.items()}
    failed = {check.node: check for check in reversed(chosen.failed)}
    for node, causes in chosen.waiting.items():
        told = [_cause(one, results[one], failed.get(one)) for one in sorted(causes)]
        outcomes[node] = ("waiting", f"won, and waits for {_listed(told)}")
    return outcomes


def _told(result: NodeResult, chosen: ReleaseSet) -> str:
    """Why a node has its outcome, and whether its champion is released with other columns than before."""
    rewired = chosen.rewired.get(result.node)
    if rewired is not None and not rewired.check.learnt:
        return f"{result.because}; its champion was checked with the new columns of {_listed([*rewired.check.columns])}"
    if rewired is None and result.pair is not None and not result.pair.passed and not result.won:
        return f"{result.because}; its champion does not bear the new columns of {_listed([*result.pair.columns])}"
    return result.because


def _cause(node: str, result: NodeResult, check: PairCheck | None) -> str:
    """A node that others wait for, with what keeps it from bearing their columns."""
    if check is None:
        return node
    after = "" if result.outcome == "kept" else f"was {result.outcome} and "
    return f"{node} ({after}with the new columns its champion {check.because})"


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


def _documents(
    results: Mapping[str, NodeResult],
    outcomes: Mapping[str, tuple[str, str]],
    chosen: ReleaseSet,
    states: Mapping[str, NodeState],
    index: ResultIndex,
    objects: Objects,
    declarations: Mapping[str, Json],
    run: str,
    now: str,
) -> dict[tuple[str, str], dict[str, Json]]:
    """The documents that the run leaves, by what they describe: a `version` that was tried, or a `champion`.

    A champion's document is written again where it is released with other upstream columns: with the check.
    """
    documents: dict[tuple[str, str], dict[str, Json]] = {}
    for node, result in sorted(results.items()):
        if _is_recorded(result, outcomes[node][0]):
            documents[("version", node)] = version_document(
                result, outcomes[node], index, states.get(node), declarations
            )
    for node, rewired in sorted(chosen.rewired.items()):
        pointer = states[node].document
        assert pointer is not None
        document: dict[str, Json] = read_document(objects, pointer)
        checks = document.get("checks")
        told: Json = {"run": run, "time": now, **rewired.check.to_json()}
        documents[("champion", node)] = {
            **document,
            "checks": [*(checks if isinstance(checks, list) else []), told][-_MOST_CHECKS:],
        }
    return documents


def _name_lineages(
    documents: Mapping[tuple[str, str], dict[str, Json]],
    results: Mapping[str, NodeResult],
    states: Mapping[str, NodeState],
    lineages: Lineages,
) -> None:
    """Each document names the facts of its version by digest; those of a champion are taken along."""
    made = {node: results[node].candidate for kind, node in documents if kind == "version"}
    lineages.gather([candidate for candidate in made.values() if candidate is not None])
    for (kind, node), document in documents.items():
        candidate, pointer = made.get(node), states[node].document if node in states else None
        if kind == "version" and candidate is not None:
            document["lineage"] = lineages.digest(candidate)
        elif isinstance(document.get("lineage"), str) and pointer is not None:
            lineages.carry(str(document["lineage"]), pointer.pack)


def _write_documents(
    documents: Mapping[tuple[str, str], dict[str, Json]], lineages: Lineages, objects: Objects, run: str
) -> dict[tuple[str, str], BlobPointer]:
    """One pack with all documents and the lineages behind them, which are kept as long; their pointers."""
    if not documents:
        return {}
    records = []
    written: set[str] = set()
    for (_, node), document in documents.items():
        version, lineage = document["version"], document.get("lineage")
        assert isinstance(version, str)
        blob = Blob(role="version", format="json", data=json.dumps(document, sort_keys=True).encode())
        behind = lineages.behind(lineage) if isinstance(lineage, str) else ()
        facts = [
            Blob(role="lineage", format="json", data=lineages.bodies[one])
            for one in behind
            if one not in written
        ]
        written |= set(behind)
        records.append(
            Record(
                action="version",
                fingerprint=version,
                parts={"node": node},
                blobs=(blob, *facts),
                metrics={},
            )
        )
    key = f"packs/{run}/documents-1"
    body, stored = build_pack(key, records)
    objects.put(key, body)
    return {what: record.blobs[0] for what, record in zip(documents, stored, strict=True)}


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
        fit: dict[str, Json] = {"fingerprint": fingerprint, "model": model.to_json() if model else None}
        if record is not None and "degenerate" in record.metrics:
            fit["degenerate"] = record.metrics["degenerate"]
        trained = trained_by(candidate, left_out, fingerprint, index)
        if trained is not None:
            fit["trained"] = trained.to_json()
        fits[left_out] = fit
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
        "pair": None if result.pair is None else result.pair.to_json(),
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
