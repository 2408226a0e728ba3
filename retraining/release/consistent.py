"""Which winners can be released together: the largest set that holds everything it requires.

A node without what it requires would be served beside an upstream that it was never trained with,
so it waits; and so does every node that requires it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Mapping, Set

__all__ = ["largest_consistent_set"]


def largest_consistent_set(
    winners: Set[str], requires: Mapping[str, Collection[str]]
) -> tuple[frozenset[str], dict[str, frozenset[str]]]:
    """The largest part of `winners` that contains all it requires, and why each other winner waits.

    `requires[x]` are the nodes that must be in the set if x is. It is unique: the union of two
    consistent sets is consistent. The second value maps each winner that is left out to the root
    causes: the nodes that are no winners and that it requires, directly or through others.
    Takes time proportional to the winners and their requirements, times the number of causes met.
    """
    needed_by: dict[str, list[str]] = {}
    for node in sorted(winners):
        for other in requires.get(node, ()):
            needed_by.setdefault(other, []).append(node)
    causes: dict[str, set[str]] = {}
    for missing in sorted(needed_by.keys() - winners):
        queue = deque([missing])
        seen = {missing}
        while queue:
            for node in needed_by.get(queue.popleft(), ()):
                if node not in seen:
                    seen.add(node)
                    causes.setdefault(node, set()).add(missing)
                    queue.append(node)
    waiting = {node: frozenset(roots) for node, roots in sorted(causes.items())}
    return frozenset(winners - waiting.keys()), waiting
