"""What is current in a store, and how it came to be: read from the log alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice, takewhile

from retraining.graph.nodes import parse_node_name
from retraining.manifest.values import Json
from retraining.operations.stored import Stored
from retraining.release.values import NodeState
from retraining.reporting.history import CommitEntry, ReleaseEntry
from retraining.reporting.standing import NodeStanding, Standing
from retraining.store.entries import RELEASING, LogEntry
from retraining.store.log import Head, Store

__all__ = ["commit_entry", "commits", "release_entry", "releases", "status"]


def status(stored: Stored) -> Standing:
    """The current release of a store with every node that it remembers."""
    head = stored.store.read_head()
    nodes = tuple(_node(state) for state in head.nodes.values())
    entry = _release_entry(stored.store, head)
    named = stored.manifest.name if stored.manifest is not None else ""
    models = stored.manifest.models if stored.manifest is not None else {}
    known = {node.model for node in nodes}
    return Standing(
        store=stored.url,
        manifest=named or (head.entry.manifest.get("name", "") if head.entry is not None else ""),
        release=head.release,
        released=entry.time if entry is not None else "",
        who=entry.who if entry is not None else "",
        run=entry.run if entry is not None else "",
        sequence=head.sequence,
        nodes=nodes,
        untried=tuple(name for name in models if name not in known),
        timezone=_timezone(head.entry.manifest) if head.entry is not None else "UTC",
    )


def releases(stored: Stored, limit: int | None) -> tuple[tuple[ReleaseEntry, ...], int]:
    """The newest releases of a store, newest first, at most `limit`; and how many there are."""
    head = stored.store.read_head()
    oldest = (head.entry.oldest_release if head.entry is not None else None) or 1
    found = islice(_entries(stored.store), limit)
    return tuple(replace(one, kept=one.number >= oldest) for one in found), head.release or 0


def commits(stored: Stored, newest: Sequence[ReleaseEntry], limit: int | None) -> tuple[CommitEntry, ...]:
    """The log entries that made no release, newest first: as far back as the releases shown, at most `limit`.

    `newest` are empty where all releases are shown.
    """
    oldest = min((one.entry for one in newest), default=0)
    found = (commit_entry(entry) for entry in stored.store.entries() if entry.kind not in RELEASING)
    return tuple(islice(takewhile(lambda one: one.entry > oldest, found), limit))


def commit_entry(entry: LogEntry) -> CommitEntry:
    """What a log entry did that made no release, as it tells it itself."""
    why = entry.why
    names = next((_texts(why[word]) for word in ("pinned", "unpinned", "nothing changed") if word in why), ())
    count = why.get("count")
    return CommitEntry(
        entry=entry.sequence,
        kind=entry.kind,
        time=entry.time,
        who=entry.who,
        run=entry.run,
        what=_done(why),
        because=str(why.get("because") or ""),
        nodes=names,
        changed=count if isinstance(count, int) else len(names),
        timezone=_timezone(entry.manifest),
    )


def _done(why: Mapping[str, Json]) -> str:
    """What a log entry says of itself, in words."""
    for word in ("pinned", "unpinned"):
        if word in why:
            return word
    if "nothing changed" in why:
        return "due, nothing changed"
    if isinstance(why.get("signed"), int):
        return f"vouched for entries up to {why['signed']}"
    deleted, condemned = why.get("deleted"), why.get("condemned")
    if isinstance(deleted, dict) and isinstance(condemned, dict):
        return f"gc: {condemned.get('objects', 0)} to go, {deleted.get('objects', 0)} deleted"
    outcomes = why.get("outcomes")
    if isinstance(outcomes, dict):
        return ", ".join(f"{number} {word}" for word, number in sorted(outcomes.items()))
    return "noted"


def _release_entry(store: Store, head: Head) -> ReleaseEntry | None:
    """The entry that made the current release; the newest entry may only have noted attempts."""
    if head.release is None or head.entry is None:
        return None
    entry = head.entry if head.entry.kind in RELEASING else store.read_release(head.release).entry
    assert entry is not None
    return release_entry(entry)


def _entries(store: Store) -> Iterator[ReleaseEntry]:
    for entry in store.entries():
        if entry.kind not in RELEASING or entry.release is None:
            continue
        yield release_entry(entry)


def release_entry(entry: LogEntry) -> ReleaseEntry:
    """A release as its log entry tells it; what an older entry does not tell is empty."""
    assert entry.release is not None
    why = entry.why
    outcomes, restored, changed = why.get("outcomes"), why.get("restored"), why.get("count")
    pruned = why.get("pruned")
    nodes = _texts(why.get("nodes"))
    return ReleaseEntry(
        number=entry.release,
        time=entry.time,
        who=entry.who,
        run=entry.run,
        manifest=entry.manifest.get("name", ""),
        outcomes={word: int(n) for word, n in outcomes.items() if isinstance(n, int)}
        if isinstance(outcomes, dict)
        else {},
        reasons=_texts(why.get("reasons")),
        timezone=_timezone(entry.manifest),
        kind=entry.kind,
        because=str(why.get("because") or ""),
        restored=restored if isinstance(restored, int) else None,
        nodes=nodes,
        pruned=pruned if isinstance(pruned, int) else 0,
        changed=changed if isinstance(changed, int) else len(nodes),
        entry=entry.sequence,
        feedback_through=entry.feedback_through,
    )


def _texts(value: Json) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, list) else ()


def _timezone(manifest: Mapping[str, str]) -> str:
    return manifest.get("timezone") or "UTC"


def _node(state: NodeState) -> NodeStanding:
    attempt = state.attempt
    return NodeStanding(
        node=state.node,
        model=parse_node_name(state.node)[0],
        version=state.version,
        trained_through=state.cut,
        released=state.time if state.version is not None else "",
        run=state.run,
        outcome=attempt.outcome if attempt is not None else "",
        because=attempt.because if attempt is not None else "",
        attempted=attempt.time if attempt is not None else "",
        orphaned=state.orphaned,
        since=attempt.since if attempt is not None else "",
        waits_for=attempt.waits_for if attempt is not None else (),
        pin=state.pin,
    )
