"""What becomes of nodes that left the manifest or the data, and which of them can be forgotten. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from retraining.release.values import Attempt, NodeState

__all__ = ["prunable", "withdrawn"]

_OPEN = ("pending", "waiting")


def withdrawn(nodes: Mapping[str, NodeState], planned: Collection[str]) -> dict[str, Attempt]:
    """What becomes of challengers that could still be released, where their nodes left the manifest or the data.

    Nobody can approve them, and nobody waits for them any more. A node that comes back is tried anew.
    """
    return {
        name: replace(
            state.attempt,
            outcome="cancelled",
            because="its node left the manifest or the data before it was released",
            fingerprint="",
            parts=state.parts or state.attempt.parts,
            artifact=None,
            since="",
            waits_for=(),
        )
        for name, state in nodes.items()
        if state.attempt is not None and state.attempt.outcome in _OPEN and name not in planned
    }


def prunable(
    nodes: Mapping[str, NodeState], planned: Collection[str]
) -> tuple[frozenset[str], dict[str, str]]:
    """The nodes to forget of those that are not planned any more, and why each other one has to stay.

    A pinned node stays, since a person said so, and with it whatever it reads; so does what a planned node's
    champion still reads, until a challenger that does not read it is released.
    """
    gone = {name for name in nodes if name not in planned}
    stays = {name: "it is pinned" for name in sorted(gone) if nodes[name].pin is not None}
    waiting = [name for name in nodes if name not in gone or name in stays]
    while waiting:
        name = waiting.pop()
        if nodes[name].version is None:
            continue
        for upstream in nodes[name].wiring:
            if upstream in gone and upstream not in stays:
                stays[upstream] = f"{name} reads it"
                waiting.append(upstream)
    return frozenset(gone - stays.keys()), dict(sorted(stays.items()))
