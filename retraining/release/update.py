"""A change of the node table as a value: what is set, what it requires, whether it still fits.

A commit is `check` and `apply` on the newest head, so two runs that touch different parts of the
graph both land, and neither can overwrite what it has not seen.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

from retraining.manifest.values import Json
from retraining.release.values import Attempt, NodeState, Pin, joined

__all__ = [
    "Conflict",
    "Mismatch",
    "Requirement",
    "Update",
    "apply",
    "check",
    "logical_digest",
    "mismatches",
    "requirements",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """What one run changes.

    `set` holds the new row of each promoted node, `attempts` what became of each node that was
    tried, `orphaned` the nodes that left the manifest or the data, `returned` orphans that came back,
    `pins` the pin that a node gets, or None where it loses it, `removed` the nodes that are forgotten.
    `cursors` are moved forward, never back, of nodes that have a row.
    """

    set: Mapping[str, NodeState] = field(default_factory=dict)
    attempts: Mapping[str, Attempt] = field(default_factory=dict)
    orphaned: frozenset[str] = frozenset()
    returned: frozenset[str] = frozenset()
    pins: Mapping[str, Pin | None] = field(default_factory=dict)
    removed: frozenset[str] = frozenset()
    cursors: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    @property
    def serves_otherwise(self) -> bool:
        """Whether what is served is not the same after it, so that it makes a release."""
        return bool(self.set or self.removed)

    @property
    def empty(self) -> bool:
        """Whether there is nothing to commit."""
        changes = (
            self.set,
            self.attempts,
            self.orphaned,
            self.returned,
            self.pins,
            self.removed,
            self.cursors,
        )
        return not any(changes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """A node must hand down this column for the update to make sense; None: it has no version at all.

    The column of a version has the version's name, unless it was released with other upstream columns.
    `pinned` says whether it must be pinned; None where that does not matter.
    """

    node: str
    version: str | None
    pinned: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """A requirement that the head does not meet; `run` is the run that made the version found.

    `pin` is the pin that should not be there; `unpinned` is true where one is missing.
    """

    node: str
    expected: str | None
    found: str | None
    run: str
    pin: Pin | None = None
    unpinned: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Mismatch:
    """A node whose champion is released with another column of an upstream than the table holds."""

    node: str
    upstream: str
    trained_with: str
    found: str | None


def requirements(
    update: Update, before: Mapping[str, NodeState], edges: Iterable[tuple[str, str]]
) -> tuple[Requirement, ...]:
    """What must still hold when the update is committed, sorted by node.

    It is the version, in `before`, of each node in `update.set` and of its direct neighbours, and of
    each node whose pin changes; and whether the changed nodes themselves are pinned.
    `edges` are the graph's (upstream, downstream) pairs; edges that only a recorded wiring knows
    (the manifest has changed since) count too.
    """
    changed = update.set.keys() | update.removed
    nodes = set(changed)
    wired = ((up, row.node) for rows in (before, update.set) for row in rows.values() for up in row.wiring)
    for pairs in (edges, wired):
        for upstream, downstream in pairs:
            if upstream in changed or downstream in changed:
                nodes.update((upstream, downstream))
    touched = changed | update.pins.keys()
    return tuple(
        Requirement(
            node=node,
            version=_version(before, node),
            pinned=_pin(before, node) is not None if node in touched else None,
        )
        for node in sorted(nodes | update.pins.keys())
    )


def check(nodes: Mapping[str, NodeState], requires: Collection[Requirement]) -> tuple[Conflict, ...]:
    """The requirements that `nodes` does not meet, in the order given; empty when all hold."""
    return tuple(conflict for required in requires if (conflict := _conflict(nodes, required)) is not None)


def apply(nodes: Mapping[str, NodeState], update: Update) -> dict[str, NodeState]:
    """The node table after the update, sorted by node; rows that it does not name are as they were.

    A row in `set` keeps the pin and the cursors of the row it replaces, and its attempt unless it brings its own
    or takes the champion away (no version); an attempt on a node without a row makes a row without a version.
    """
    rows = dict(nodes)
    for node, row in update.set.items():
        old = rows.get(node)
        kept = None if old is None or row.version is None else old.attempt
        attempt = row.attempt or kept
        cursors = row.cursors if old is None else joined(old.cursors, row.cursors)
        rows[node] = replace(row, attempt=attempt, pin=None if old is None else old.pin, cursors=cursors)
    for node, tried in update.attempts.items():
        rows[node] = replace(rows.get(node) or NodeState(node=node), attempt=tried)
    for node, pin in update.pins.items():
        rows[node] = replace(rows.get(node) or NodeState(node=node), pin=pin)
    for node in update.cursors.keys() & rows.keys():
        rows[node] = replace(rows[node], cursors=joined(rows[node].cursors, update.cursors[node]))
    for names, orphaned in ((update.orphaned, True), (update.returned, False)):
        for node in names & rows.keys():
            rows[node] = replace(rows[node], orphaned=orphaned)
    return {node: row for node, row in sorted(rows.items()) if node not in update.removed}


def mismatches(nodes: Mapping[str, NodeState]) -> tuple[Mismatch, ...]:
    """The released nodes that stand beside an upstream column they were neither trained nor checked with.

    Orphans are left out: they are no longer planned, so nothing could ever make them fit again.
    """
    return tuple(
        Mismatch(node=row.node, upstream=upstream, trained_with=version, found=_version(nodes, upstream))
        for row in nodes.values()
        if row.version is not None and not row.orphaned
        for upstream, version in sorted(row.wiring.items())
        if _version(nodes, upstream) != version
    )


def logical_digest(nodes: Mapping[str, NodeState]) -> str:
    """The digest of what the rows mean, without location, cost, time and run.

    Two releases are equal when their logical digests are, whoever made them, in which order, and
    wherever their bytes lie.
    """
    total = hashlib.sha256()
    for _, row in sorted(nodes.items()):
        line = json.dumps(_logical(row), sort_keys=True, ensure_ascii=True, separators=(",", ":"))
        total.update(line.encode() + b"\n")
    return f"sha256:{total.hexdigest()}"


def _version(nodes: Mapping[str, NodeState], node: str) -> str | None:
    row = nodes.get(node)
    return None if row is None else row.hands_down


def _pin(nodes: Mapping[str, NodeState], node: str) -> Pin | None:
    row = nodes.get(node)
    return None if row is None else row.pin


def _conflict(nodes: Mapping[str, NodeState], required: Requirement) -> Conflict | None:
    version, pin = _version(nodes, required.node), _pin(nodes, required.node)
    wrong_pin = required.pinned is not None and required.pinned != (pin is not None)
    if version == required.version and not wrong_pin:
        return None
    return Conflict(
        node=required.node,
        expected=required.version,
        found=version,
        run=nodes[required.node].run if required.node in nodes else "",
        pin=pin if wrong_pin else None,
        unpinned=wrong_pin and pin is None,
    )


def _logical(row: NodeState) -> list[Json]:
    attempt: list[Json] | None = None
    if row.attempt is not None:
        tried = row.attempt
        attempt = [tried.fingerprint, tried.outcome, tried.parts.to_json(), tried.version]
    logical: list[Json] = [
        row.node,
        row.version,
        None if row.parts is None else row.parts.to_json(),
        row.cut,
        dict(row.wiring),
        None if row.artifact is None else [row.artifact.format, row.artifact.digest],
        attempt,
        row.orphaned,
    ]
    # only where there is one, so that the digests of stores written before there were any stay the same
    if row.checked:
        logical.append({"checked": list(row.checked)})
    if row.cursors:
        logical.append({"cursors": dict(row.cursors)})
    return logical if row.pin is None else [*logical, {"pinned": row.pin.because}]
