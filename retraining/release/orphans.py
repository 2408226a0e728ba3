"""Which nodes that left the manifest or the data can be forgotten: those that nothing served still reads. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from retraining.release.values import NodeState

__all__ = ["prunable"]


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
