"""From what became of the nodes and what was chosen of it to what is committed: documents and the update.

What the documents say is in `operations/documents.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from retraining.decide.pairs import PairCheck
from retraining.execution.lineages import Lineages
from retraining.execution.study import NodeResult, ReleaseSet
from retraining.graph.graph import Graph
from retraining.manifest.values import Json
from retraining.operations.documents import (
    MOST_CHECKS,
    cut_time,
    held_document,
    name_lineages,
    shipped_model,
    version_document,
    write_documents,
)
from retraining.operations.recording import record_columns
from retraining.release.orphans import withdrawn
from retraining.release.recorded import recorded_of
from retraining.release.update import Update
from retraining.release.values import Attempt, BlobPointer, NodeState
from retraining.store.objects import Objects
from retraining.store.packs import read_document, read_documents
from retraining.store.results import ResultIndex

_RECORDED = ("promoted", "rejected", "insufficient", "waiting", "pending", "failed")


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
    as_of: str,
) -> Conclusion:
    """Writes the documents' pack and makes the update of what was `chosen` for release.

    `declarations` says of each dataset what serving must know (`data.declarations`), `as_of` is the plan's moment.
    """
    waits = {node: _wait(results, chosen, states, node, now) for node in chosen.waiting}
    outcomes = _outcomes(graph, results, chosen, waits)
    # what waits as before leaves nothing to write down
    recorded = {
        node: result
        for node, result in sorted(results.items())
        if _is_recorded(result, outcomes[node][0]) and not _waits_as_before(result, waits.get(node), objects)
    }
    documents = _documents(recorded, outcomes, chosen, waits, states, index, objects, declarations, run, now)
    lineages = Lineages(index, objects)
    name_lineages(documents, results, states, lineages)
    _name_columns(documents, recorded, outcomes, chosen, states, index, objects, run)
    pointers = write_documents(documents, lineages, objects, run)
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
            since=wait.since if wait is not None else now if outcome == "pending" else "",
            waits_for=tuple(wait.names) if wait is not None else _asked(node, graph, chosen),
            artifact=shipped_model(result, index) if outcome == "pending" else None,
            # a challenger of an earlier run was made of what that run saw
            as_of=as_of if before is None else before.as_of,
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
        update=Update(
            set=rows,
            attempts={**attempts, **withdrawn(states, {node.name for node in graph.nodes})},
            orphaned=gone,
            returned=back,
            cursors=consumed_cursors(results, outcomes),
        ),
        outcomes=outcomes,
    )


def consumed_cursors(
    results: Mapping[str, NodeResult], outcomes: Mapping[str, tuple[str, str]]
) -> dict[str, Mapping[str, int]]:
    """The cursors that move: of nodes that were acted on, whatever came of it, and of those found due in vain.

    What was cancelled or blocked has consumed nothing: its triggers fire again.
    """
    return {
        node: decision.cursors
        for node, result in sorted(results.items())
        if (decision := result.decision).cursors
        and (_is_recorded(result, outcomes[node][0]) or (outcomes[node][0] == "kept" and decision.consumes))
    }


def _is_recorded(result: NodeResult, outcome: str) -> bool:
    return outcome in _RECORDED and result.parts is not None and result.candidate is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wait:
    """What a winner waits for, since when, which of these nodes this run could not train, and their champions."""

    names: list[str]
    told: list[str]
    since: str
    held: list[str]
    champions: list[str | None]

    def to_json(self) -> Json:
        return [
            {"node": name, "held": name in self.held, "champion": champion}
            for name, champion in zip(self.names, self.champions, strict=True)
        ]


def _wait(
    results: Mapping[str, NodeResult],
    chosen: ReleaseSet,
    states: Mapping[str, NodeState],
    node: str,
    now: str,
) -> _Wait:
    state = states.get(node)
    failed = {check.node: check for check in reversed(chosen.failed)}
    names = sorted(chosen.waiting[node])
    before = state.attempt if state is not None else None
    waited = before is not None and before.outcome == "waiting"
    return _Wait(
        names=names,
        told=[_cause(name, results[name], failed.get(name)) for name in names],
        since=(before.since or before.time) if before is not None and waited else now,
        held=[name for name in names if results[name].decision.fixed],
        champions=[states[name].hands_down if name in states else None for name in names],
    )


def _waits_as_before(result: NodeResult, wait: _Wait | None, objects: Objects) -> bool:
    """True where a challenger of an earlier run waits for whom it waited then, for the same reasons."""
    before = result.waiting
    if before is None or before.document is None or wait is None or tuple(wait.names) != before.waits_for:
        return False
    known: Json = read_document(objects, before.document).get("waits_for")
    return known == wait.to_json()


def _outcomes(
    graph: Graph, results: Mapping[str, NodeResult], chosen: ReleaseSet, waits: Mapping[str, _Wait]
) -> dict[str, tuple[str, str]]:
    """Each node's outcome; winners that are not released wait, and say since when, for whom and why."""
    outcomes = {node: (result.outcome, _told(result, chosen)) for node, result in results.items()}
    for node, wait in waits.items():
        outcomes[node] = ("waiting", f"won, and waits since {wait.since[:10]} for {_listed(wait.told)}")
    for node in chosen.pending:
        asked = (
            "approval"
            if node in chosen.approve
            else f"the approval of {_listed([*_asked(node, graph, chosen)])}"
        )
        outcomes[node] = ("pending", f"won, and waits for {asked}: {results[node].because}")
    return outcomes


def _asked(node: str, graph: Graph, chosen: ReleaseSet) -> tuple[str, ...]:
    """The nodes that a person has to approve before this one can be released; none where it is not pending."""
    if node not in chosen.pending:
        return ()
    if node in chosen.approve:
        return (node,)
    near = chosen.approve & (graph.ancestors([node]) | graph.descendants([node]))
    return tuple(sorted(near or chosen.approve))


def _told(result: NodeResult, chosen: ReleaseSet) -> str:
    """Why a node has its outcome, and whether its champion is released with other columns than before."""
    rewired = chosen.rewired.get(result.node)
    # a forced retraining that gives the same version again has no new column
    new = [] if rewired is None else [n for n in rewired.check.columns if n not in rewired.check.learnt]
    if new:
        return f"{result.because}; its champion was checked with the new columns of {_listed(new)}"
    if rewired is None and result.pair is not None and not result.pair.passed and not result.won:
        # the name of a column is the same where only what feeds it changed
        above = result.pair.columns or result.pair.new
        return f"{result.because}; its champion does not bear the new columns of {_listed([*above])}"
    return result.because


def _cause(node: str, result: NodeResult, check: PairCheck | None) -> str:
    """A node that others wait for, with what keeps it from bearing their columns."""
    if check is None:
        return node
    after = "" if result.outcome == "kept" else f"was {result.outcome} and "
    return f"{node} ({after}its champion, with the new columns: {check.because})"


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
        cut=cut_time(candidate),
        wiring=dict(result.wiring),
        document=document,
        artifact=shipped_model(result, index),
        attempt=attempt,
        seconds=cost[0],
        peak_bytes=cost[1],
        fits=cost[2],
        time=attempt.time,
        run=attempt.run,
    )


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
            "held": held_document(node, result, chosen, states),
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
            "checks": [*(checks if isinstance(checks, list) else []), told][-MOST_CHECKS:],
        }
    return documents


def _name_columns(
    documents: Mapping[tuple[str, str], dict[str, Json]],
    recorded: Mapping[str, NodeResult],
    outcomes: Mapping[str, tuple[str, str]],
    chosen: ReleaseSet,
    states: Mapping[str, NodeState],
    index: ResultIndex,
    objects: Objects,
    run: str,
) -> None:
    """What is released, now or by a person's approval, tells of the columns that were recorded for it."""
    served = {"promoted", "pending"}
    candidates = {
        ("version", node): result.candidate
        for node, result in recorded.items()
        if outcomes[node][0] in served and result.candidate is not None
    }
    candidates |= {("champion", node): rewired.candidate for node, rewired in chosen.rewired.items()}
    candidates |= {("pending", node): rewired.candidate for node, rewired in chosen.pending_rewired.items()}
    pointers = {
        pointer for _, node in candidates if node in states and (pointer := states[node].document) is not None
    }
    before = {
        pointer.digest: recorded_of(document) for pointer, document in read_documents(objects, pointers)
    }
    told = record_columns(candidates, before, index, objects, run)
    for what, columns in told.items():
        if what in documents:
            documents[what]["recorded"] = columns.to_json()
    for document in documents.values():
        held = document.get("held")
        readers = held.get("readers") if isinstance(held, dict) else None
        for name, reader in readers.items() if isinstance(readers, dict) else ():
            if isinstance(reader, dict) and ("pending", name) in told:
                reader["recorded"] = told[("pending", name)].to_json()


def _listed(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
