"""A person's approval: what won and waits for it is released, from the store alone and without retraining."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from retraining.errors import InputError
from retraining.execution.lineages import Lineages
from retraining.manifest.values import Json
from retraining.operations.documents import MOST_CHECKS, write_documents
from retraining.operations.people import Word, named_briefly, word_of
from retraining.operations.session import read_document
from retraining.operations.stored import Stored, stored_selection
from retraining.release.approval import Approval, Reader, approve
from retraining.release.update import Mismatch, Update, requirements
from retraining.release.values import Attempt, BlobPointer, NodeState
from retraining.store.log import Head, Store
from retraining.store.results import ResultIndex

__all__ = ["Promoted", "approve_pending", "is_pending", "named_nodes"]

_RUN = re.compile(r"[0-9]{6,13}(-[0-9a-f]{0,8})?")
_WHOLE_RUN = re.compile(r"[0-9]{13}-[0-9a-f]{8}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Promoted:
    """What a promotion did: the release that it made, and the nodes that got a new champion by it.

    `rewired` are champions that stay and read new upstreams, `pending` are challengers that still wait.
    """

    before: int | None
    release: int | None
    nodes: tuple[NodeState, ...]
    rewired: tuple[str, ...]
    pending: tuple[str, ...]

    def to_json(self) -> dict[str, Json]:
        """What was done, as a document."""
        return {
            "release": {"before": self.before, "after": self.release},
            "promoted": [{"node": row.node, "version": row.version} for row in self.nodes],
            "rewired": [*self.rewired],
            "pending": [*self.pending],
        }


def named_nodes(stored: Stored, head: Head, names: Sequence[str]) -> frozenset[str]:
    """The nodes that some names mean: nodes by an expression of --select, or those that a run left pending.

    Of an expression for several nodes those count whose last challenger is not released, if there are any, and
    what reads them.
    """
    found: set[str] = set()
    for name in names:
        of_run = _of_run(head.nodes, name) if _RUN.fullmatch(name) else frozenset[str]()
        if _WHOLE_RUN.fullmatch(name) and not of_run:
            raise InputError(
                f"run {name} left nothing pending",
                "`retrain status` shows what is; nodes are named by themselves",
            )
        meant = of_run or frozenset(stored_selection(head.nodes, stored.manifest, (name,)))
        left = {node for node in meant if not _is_released(head.nodes[node])}
        found |= {node for node in meant if left & _with_ancestors(head.nodes, node)} or meant
    return frozenset(found)


def _is_released(state: NodeState) -> bool:
    return state.attempt is not None and state.attempt.outcome == "promoted"


def _with_ancestors(nodes: Mapping[str, NodeState], node: str) -> set[str]:
    """A node and all that its champion reads, directly or not."""
    found, ahead = {node}, [node]
    while ahead:
        near = set(nodes[ahead.pop()].wiring) & nodes.keys() - found
        found |= near
        ahead += near
    return found


def _of_run(nodes: Mapping[str, NodeState], text: str) -> frozenset[str]:
    """The pending nodes of the run with this name, or with the only name that begins so."""
    pending = {
        name: row.attempt.run
        for name, row in nodes.items()
        if row.attempt is not None and row.attempt.outcome == "pending"
    }
    runs = {run for run in pending.values() if run.startswith(text)}
    if len(runs) > 1:
        raise InputError(
            f"{len(runs)} runs left something pending whose names begin with {text}", "write more of the name"
        )
    return frozenset(name for name, run in pending.items() if run in runs)


def is_pending(head: Head, nodes: Collection[str]) -> bool:
    """True where all these nodes have a challenger that waits for approval."""
    attempts = [head.nodes[name].attempt for name in nodes]
    return all(attempt is not None and attempt.outcome == "pending" for attempt in attempts)


def approve_pending(stored: Stored, head: Head, nodes: Collection[str], because: str) -> Promoted:
    """Releases the named pending challengers as one release, with those that waited for them alone.

    Raises InputError where one is pinned, or cannot be released without others (they are named);
    ReleaseConflictError where another commit changes what is served at the same time.
    """
    word = word_of(because)
    pinned = [name for name in sorted(nodes) if head.nodes[name].pin is not None]
    if pinned:
        raise InputError(f"{pinned[0]} is pinned", f"let it go on first: `retrain unpin {pinned[0]}`")
    documents = _pending_documents(stored.store, head.nodes, _run_of(head.nodes, nodes))
    held = {name: _row(head.nodes[name], document) for name, document in documents.items()}
    asks = {name for name, document in documents.items() if document["held"]["approve"]}
    readers = _readers(documents.values())
    chosen = approve(head.nodes, held, readers, unapproved=asks - frozenset(nodes), named=frozenset(nodes))
    if chosen.unfit is not None or not chosen.promoted:
        raise _refused(chosen.unfit, sorted(nodes)[0], asks - frozenset(nodes), documents)
    after = _release(stored.store, head, word, chosen, documents, frozenset(nodes))
    return Promoted(
        before=head.release,
        release=after.release,
        nodes=tuple(after.nodes[name] for name in chosen.promoted),
        rewired=tuple(chosen.rewired),
        pending=tuple(sorted(chosen.left)),
    )


def _run_of(nodes: Mapping[str, NodeState], named: Collection[str]) -> str:
    """The run that made the named challengers; InputError where there are several."""
    runs = sorted({row.attempt.run for name in named if (row := nodes[name]).attempt is not None})
    if len(runs) > 1:
        raise InputError(
            f"these challengers were made by {len(runs)} runs, and never checked with one another",
            f"promote those of one run: `retrain promote {runs[-1]}`, then run again",
        )
    return runs[0]


def _pending_documents(store: Store, nodes: Mapping[str, NodeState], run: str) -> dict[str, dict[str, Any]]:
    """The documents of all challengers of a run that wait for a person."""
    return {
        name: read_document(store, row.attempt.document)
        for name, row in nodes.items()
        if row.attempt is not None
        and (row.attempt.outcome, row.attempt.run) == ("pending", run)
        and row.attempt.document is not None
        and row.pin is None
    }


def _row(now: NodeState, document: Mapping[str, Any]) -> NodeState:
    """The row of a node after its pending challenger is released."""
    attempt, held = now.attempt, document["held"]
    assert attempt is not None
    return NodeState(
        node=now.node,
        version=attempt.version,
        parts=attempt.parts,
        cut=document["cut"],
        wiring=document["wiring"],
        document=attempt.document,
        artifact=attempt.artifact,
        seconds=held["seconds"],
        peak_bytes=held["peak_bytes"],
        fits=held["fits"],
        run=attempt.run,
        orphaned=now.orphaned,
    )


def _readers(documents: Iterable[Mapping[str, Any]]) -> dict[str, Reader]:
    """The champions that were checked with pending challengers."""
    return {
        name: Reader(
            version=one["version"],
            new=frozenset(one["new"]),
            wiring=one["wiring"],
            column=one["column"],
            checked=tuple(one["checked"]),
        )
        for document in documents
        for name, one in document["held"]["readers"].items()
    }


def _refused(
    unfit: Mismatch | None, first: str, unapproved: Collection[str], documents: Mapping[str, Any]
) -> InputError:
    if unfit is None:
        return InputError(f"{first} cannot be released as it is", "run again: a new challenger is made")
    what = (
        f"{unfit.node} would be served with {unfit.upstream} {unfit.found or '(not served)'}, but it was "
        f"trained or checked with {unfit.trained_with}"
    )
    along = sorted({unfit.node, unfit.upstream} & set(unapproved)) or sorted(unapproved)
    if along:
        return InputError(f"{what}; nothing was released", f"promote these too: {', '.join(along[:8])}")
    return InputError(
        f"{what}, since something else was released meanwhile; nothing was released",
        f"run again with --force {first}: a new challenger is made",
    )


def _release(
    store: Store,
    head: Head,
    word: Word,
    chosen: Approval,
    documents: Mapping[str, Mapping[str, Any]],
    nodes: frozenset[str],
) -> Head:
    written = _write(store, word, chosen, documents, head.nodes, nodes)
    rows: dict[str, NodeState] = {}
    for name, row in chosen.promoted.items():
        attempt = head.nodes[name].attempt
        assert attempt is not None
        tried = replace(
            attempt,
            outcome="promoted",
            because=_said(word, attempt, asked=name in nodes),
            document=written[name],
            artifact=None,
            sequence=None,
            since="",
            waits_for=(),
        )
        rows[name] = replace(row, document=written[name], attempt=tried)
    for name, row in chosen.rewired.items():
        rows[name] = replace(row, document=written[name])
    update = Update(set=rows)
    return word.commit(
        store,
        update,
        requirements(update, head.nodes, ()),
        kind="release",
        start=head,
        why={
            "reasons": ["approved"],
            "outcomes": {"promoted": len(chosen.promoted)},
            "nodes": named_briefly(chosen.promoted),
            "count": len(chosen.promoted),
        },
        manifest=dict(head.entry.manifest) if head.entry is not None else {},
    )


def _said(word: Word, attempt: Attempt, *, asked: bool) -> str:
    how = "approved by" if asked else "released with what was approved by"
    return f"{how} {word.who}: {word.because} (pending since {attempt.time[:10]})"


def _write(
    store: Store,
    word: Word,
    chosen: Approval,
    documents: Mapping[str, Mapping[str, Any]],
    now: Mapping[str, NodeState],
    nodes: frozenset[str],
) -> dict[str, BlobPointer]:
    """One pack with the documents of what is released: who approved it, and the checks that champions passed."""
    new: dict[tuple[str, str], dict[str, Json]] = {}
    lineages = Lineages(ResultIndex(), store.objects)
    for name in chosen.promoted:
        attempt = now[name].attempt
        assert attempt is not None
        assert attempt.document is not None
        new[("version", name)] = {
            **documents[name],
            "outcome": "promoted",
            "because": _said(word, attempt, asked=name in nodes),
            "person": {"action": "approved", "who": word.who, "time": word.time, "because": word.because},
            "held": None,
        }
        _take_along(lineages, documents[name], attempt.document)
    for name in chosen.rewired:
        pointer = now[name].document
        assert pointer is not None
        document = read_document(store, pointer)
        reader = next(
            one["held"]["readers"][name] for one in documents.values() if name in one["held"]["readers"]
        )
        told = {"run": word.run, "time": word.time, **reader["check"]}
        new[("champion", name)] = {
            **document,
            "checks": [*document.get("checks", []), told][-MOST_CHECKS:],
            "recorded": reader.get("recorded"),
        }
        _take_along(lineages, document, pointer)
    return {
        name: pointer
        for (_, name), pointer in write_documents(new, lineages, store.objects, word.run).items()
    }


def _take_along(lineages: Lineages, document: Mapping[str, Any], pointer: BlobPointer) -> None:
    """Takes the facts of a version along, which lie beside its old document."""
    if isinstance(document.get("lineage"), str):
        lineages.carry(document["lineage"], pointer.pack)
