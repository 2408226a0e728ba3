"""What a rollback restores, and how two releases differ, as values. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from retraining.release.update import Mismatch, Update, apply, mismatches
from retraining.release.values import Attempt, NodeState, Pin

__all__ = ["Change", "NodeChange", "changes", "restoring", "together"]

Change: TypeAlias = Literal["added", "removed", "changed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeChange:
    """A node that is served otherwise in one release than in another; None where it is not served."""

    node: str
    change: Change
    before: NodeState | None
    after: NodeState | None


def changes(before: Mapping[str, NodeState], after: Mapping[str, NodeState]) -> tuple[NodeChange, ...]:
    """The nodes that two node tables serve in other versions or beside other upstreams, sorted by name."""
    found: list[NodeChange] = []
    for node in sorted(before.keys() | after.keys()):
        old, new = _served(before, node), _served(after, node)
        if old is None and new is not None:
            found.append(NodeChange(node=node, change="added", before=None, after=new))
        elif old is not None and new is None:
            found.append(NodeChange(node=node, change="removed", before=old, after=None))
        elif old is not None and new is not None and _serves(old) != _serves(new):
            found.append(NodeChange(node=node, change="changed", before=old, after=new))
    return tuple(found)


def restoring(
    now: Mapping[str, NodeState],
    old: Mapping[str, NodeState],
    pin: Pin,
    chosen: Collection[str] | None = None,
) -> Update:
    """The update that serves the chosen nodes (None: all) as an old node table did, and pins each that it changes.

    A node that was not served then is taken out of service; its row stays, so that the pin holds it there.
    What was tried since is forgotten with it: else a run would believe that nothing is left to try.
    """
    rows: dict[str, NodeState] = {}
    for change in changes(now, old):
        if chosen is not None and change.node not in chosen:
            continue
        current = now.get(change.node)
        row = NodeState(node=change.node) if change.after is None else _promoted(change.after)
        orphaned = row.orphaned if current is None else current.orphaned
        rows[change.node] = replace(row, pin=None, orphaned=orphaned)
    return Update(set=rows, pins=dict.fromkeys(rows, pin))


def together(
    now: Mapping[str, NodeState], old: Mapping[str, NodeState], pin: Pin, chosen: Collection[str]
) -> tuple[tuple[Mismatch, ...], frozenset[str]]:
    """The pairs that a partial rollback would leave unfit, and the nodes that fit when they are rolled back together.

    The second is `chosen` and what has to go along; where it is all that differs the old table is restored.
    """
    known = set(mismatches(now))

    def unfit(nodes: Collection[str]) -> tuple[Mismatch, ...]:
        after = apply(now, restoring(now, old, pin, nodes))
        return tuple(one for one in mismatches(after) if one not in known)

    first = unfit(chosen)
    wanted, broken = set(chosen), first
    while broken:
        more = {name for one in broken for name in (one.node, one.upstream)} - wanted
        if not more:
            break
        wanted |= more
        broken = unfit(wanted)
    return first, frozenset(wanted)


def _promoted(row: NodeState) -> NodeState:
    """A row whose last attempt is the one that made its champion, whatever was tried before the old release ended."""
    attempt = row.attempt
    if row.parts is None or row.version is None:
        return row
    if attempt is not None and (attempt.outcome, attempt.version) == ("promoted", row.version):
        return row
    made = Attempt(
        fingerprint="",
        outcome="promoted",
        because="as it was released",
        run=row.run,
        time=row.time,
        parts=row.parts,
        version=row.version,
        document=row.document,
    )
    return replace(row, attempt=made)


def _served(nodes: Mapping[str, NodeState], node: str) -> NodeState | None:
    row = nodes.get(node)
    return row if row is not None and row.version is not None else None


def _serves(row: NodeState) -> tuple[object, ...]:
    return row.version, dict(row.wiring), None if row.artifact is None else row.artifact.digest
