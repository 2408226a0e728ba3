"""The documents that a run leaves: everything worth knowing of a version, and the facts behind it.

A version document is what later runs, `explain`, `audit` and `report` read of a version.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from retraining.decide.calendar import Calendar, moment
from retraining.decide.fits import Before
from retraining.execution.candidates import Candidate, row_counts, shipped_fit
from retraining.execution.lineages import Lineages, trained_by
from retraining.execution.study import NodeResult, ReleaseSet
from retraining.manifest.values import Json, TimeScheme
from retraining.release.values import BlobPointer, NodeState
from retraining.store.objects import Objects
from retraining.store.packs import Blob, Record, build_pack
from retraining.store.results import ResultIndex

#: How many pair checks the document of a champion keeps: the newest.
MOST_CHECKS = 20


def _model(candidate: Candidate, left_out: str, index: ResultIndex) -> BlobPointer | None:
    """The stored model of a fit: of this run's results, else where the version's own document has it."""
    record = index.find("fit", candidate.made[left_out])
    found = record.blob("model") if record is not None else None
    recorded = candidate.recorded.get(left_out)
    if found is None and recorded is not None and recorded["fingerprint"] == candidate.made[left_out]:
        found = None if recorded["model"] is None else BlobPointer.from_json(recorded["model"])
    return found


def shipped_model(result: NodeResult, index: ResultIndex) -> BlobPointer | None:
    """The stored model that a winner would serve."""
    candidate = result.candidate
    assert candidate is not None
    return _model(candidate, str(shipped_fit(candidate)), index)


def held_document(node: str, result: NodeResult, chosen: ReleaseSet, states: Mapping[str, NodeState]) -> Json:
    """What a person's approval needs to release a pending challenger from the store alone; None for others."""
    if node not in chosen.pending or result.candidate is None:
        return None
    candidate = result.candidate
    readers: dict[str, Json] = {
        name: {
            "version": states[name].version,
            "new": [*sorted(rewired.check.new)],
            "wiring": dict(rewired.wiring),
            "column": rewired.column,
            "checked": [*rewired.checked],
            "check": rewired.check.to_json(),
        }
        for name, rewired in sorted(chosen.pending_rewired.items())
        if node in rewired.check.new
    }
    return {
        "approve": node in chosen.approve,
        "readers": readers,
        "seconds": candidate.seconds,
        "peak_bytes": candidate.peak_bytes,
        "fits": candidate.counts.get("made", 0),
    }


def name_lineages(
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


def write_documents(
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
        model = _model(candidate, left_out, index)
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
        "as_of": moment(candidate.as_of).isoformat().replace("+00:00", "Z"),
        "cut_block": candidate.cut,
        "cut": cut_time(candidate),
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
        "skew": [one.to_json() for one in result.skew],
        "pair": None if result.pair is None else result.pair.to_json(),
        "error": result.error,
    }


def _plain(value: Any) -> Json:
    plain: Json = json.loads(json.dumps(value))
    return plain


def cut_time(candidate: Candidate) -> str | None:
    """The moment before which the labels of the shipped fit were known, as an ISO instant; None by folds."""
    scheme = candidate.recipe.scheme
    shipped = shipped_fit(candidate)
    if not isinstance(scheme, TimeScheme) or not isinstance(shipped, Before):
        return None
    start = Calendar(candidate.recipe.timezone, scheme.block_days).start(shipped.block)
    return moment(start).isoformat().replace("+00:00", "Z")
