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
    waits = {node: _wait(results, chosen, states.get(node), node, now) for node in chosen.waiting}
    outcomes = _outcomes(results, chosen, waits)
    # what waits as before leaves nothing to write down
    recorded = {
        node: result
        for node, result in sorted(results.items())
        if _is_recorded(result, outcomes[node][0]) and not _waits_as_before(result, waits.get(node), objects)
    }
    documents = _documents(recorded, outcomes, chosen, waits, states, index, objects, declarations, run, now)
    lineages = Lineages(index, objects)
    _name_lineages(documents, results, states, lineages)
    pointers = _write_documents(documents, lineages, objects, run)
    rows: dict[str, NodeState] = {}
    attempts: dict[str, Attempt] = {}
    for node, result in recorded.items():
        outcome, because = outcomes[node]
        assert result.parts is not None
        before, wait = result.waiting, waits.get(node)
        # a challenger that goes on waiting is the one of the run that made it
        made = (run, now) if before is None or wait is None else (before.run, before.time)
        attempt = Attempt(
            fingerprint=result.fingerprint,
            outcome=outcome,
            because=because,
            run=made[0],
            time=made[1],
            parts=result.parts,
            version=result.version,
            document=pointers.get(("version", node)),
            since=wait.since if wait is not None else "",
            waits_for=tuple(wait.names) if wait is not None else (),
        )
        if outcome == "promoted":
            rows[node] = _row(result, attempt, pointers[("version", node)], states.get(node), index)
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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wait:
    """What a winner waits for, since when, and which of these nodes this run could not train."""

    names: list[str]
    told: list[str]
    since: str
    held: list[str]

    def to_json(self) -> Json:
        return [{"node": name, "held": name in self.held} for name in self.names]


def _wait(
    results: Mapping[str, NodeResult], chosen: ReleaseSet, state: NodeState | None, node: str, now: str
) -> _Wait:
    failed = {check.node: check for check in reversed(chosen.failed)}
    names = sorted(chosen.waiting[node])
    before = state.attempt if state is not None else None
    waited = before is not None and before.outcome == "waiting"
    return _Wait(
        names=names,
        told=[_cause(name, results[name], failed.get(name)) for name in names],
        since=(before.since or before.time) if before is not None and waited else now,
        held=[name for name in names if results[name].decision.fixed],
    )


def _waits_as_before(result: NodeResult, wait: _Wait | None, objects: Objects) -> bool:
    """True where a challenger of an earlier run waits for whom it waited then, for the same reasons."""
    before = result.waiting
    if before is None or before.document is None or wait is None or tuple(wait.names) != before.waits_for:
        return False
    known: Json = read_document(objects, before.document).get("waits_for")
    return known == wait.to_json()


def _outcomes(
    results: Mapping[str, NodeResult], chosen: ReleaseSet, waits: Mapping[str, _Wait]
) -> dict[str, tuple[str, str]]:
    """Each node's outcome; winners that are not released wait, and say since when, for whom and why."""
    outcomes = {node: (result.outcome, _told(result, chosen)) for node, result in results.items()}
    for node, wait in waits.items():
        outcomes[node] = ("waiting", f"won, and waits since {wait.since[:10]} for {_listed(wait.told)}")
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
    result: NodeResult,
    attempt: Attempt,
    document: BlobPointer,
    before: NodeState | None,
    index: ResultIndex,
) -> NodeState:
    candidate = result.candidate
    assert candidate is not None
    made = candidate.counts.get("made", 0)
    if made or before is None:
        cost = (candidate.seconds, candidate.peak_bytes, made)
    else:
        cost = (
            before.seconds,
            before.peak_bytes,
            before.fits,
        )  # all was there: the last cost is the best guess
    return NodeState(
        node=result.node,
        version=result.version,
        parts=result.parts,
        cut=_cut_time(candidate),
        wiring=dict(result.wiring),
        document=document,
        artifact=_model(candidate, str(shipped_fit(candidate)), index),
        attempt=attempt,
        seconds=cost[0],
        peak_bytes=cost[1],
        fits=cost[2],
        time=attempt.time,
        run=attempt.run,
    )


def _model(candidate: Candidate, left_out: str, index: ResultIndex) -> BlobPointer | None:
    """The stored model of a fit: of this run's results, else where the version's own document has it."""
    record = index.find("fit", candidate.made[left_out])
    found = record.blob("model") if record is not None else None
    recorded = candidate.recorded.get(left_out)
    if found is None and recorded is not None and recorded["fingerprint"] == candidate.made[left_out]:
        found = None if recorded["model"] is None else BlobPointer.from_json(recorded["model"])
    return found


def _documents(
    recorded: Mapping[str, NodeResult],
    outcomes: Mapping[str, tuple[str, str]],
    chosen: ReleaseSet,
    waits: Mapping[str, _Wait],
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
    for node, result in recorded.items():
        wait = waits.get(node)
        documents[("version", node)] = {
            **version_document(result, outcomes[node], index, states.get(node), declarations),
            "waits_for": None if wait is None else wait.to_json(),
        }
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
