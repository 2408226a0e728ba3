"""Which winners are released, where readers that keep their version must bear the new columns.

`choose` is a dialogue without I/O: it asks for the checks that its choice hangs on, and whoever can
score predictions answers. What it ends with holds everything that it requires, and every node that
keeps its version passed the check of exactly the columns that it will be served with.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Generator, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from typing import Protocol, TypeAlias

from retraining.release.consistent import largest_consistent_set

__all__ = ["Answer", "Check", "Choice", "choose", "new_above"]

Check: TypeAlias = tuple[str, frozenset[str]]
"""A node that keeps its version, and the new versions whose columns would reach it."""


class Answer(Protocol):
    """What became of a check; `harm` is how much worse the node's loss may be (infinite: not measured)."""

    @property
    def passed(self) -> bool:
        """Whether the node may be served with the new columns."""
        ...

    @property
    def harm(self) -> float:
        """The upper bound of the difference in loss."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What is released: the new versions, and the checks that the nodes which keep theirs passed.

    `waiting` maps each winner that is left out to the nodes that it waits for, `failed` are the checks
    that failed on the way, in the order in which they were met.
    """

    new: frozenset[str] = frozenset()
    waiting: Mapping[str, frozenset[str]] = field(default_factory=dict)
    passed: tuple[Check, ...] = ()
    failed: tuple[Check, ...] = ()


def choose(
    winners: Set[str],
    learnt: Mapping[str, Mapping[str, frozenset[str]]],
    wiring: Mapping[str, Collection[str]],
) -> Generator[Sequence[Check], Mapping[Check, Answer], Choice]:
    """Finds the largest set of winners that can be released together; asks for checks and is sent their answers.

    `learnt` maps a winner to its upstreams, each with the new versions that its column came from: itself
    where it won, those above it where it keeps its version, none where its column is the released one.
    `wiring` maps every released node, in topological order, to the upstreams that its version reads.

    Where a check fails, the new versions that fail alone require the node that keeps its version, so they
    wait with everything that requires them; where each alone passes, the most harmful one waits. In the end
    everything is kept as it is. Where checks fail by single columns the result is the largest possible set.
    """
    requires = {name: set().union(*learnt.get(name, {}).values()) for name in winners}
    failed: dict[Check, None] = {}
    while True:
        new, waiting = largest_consistent_set(winners, requires)
        fed = new_above({name: ups for name, ups in wiring.items() if name not in new}, new)
        broken = [*_circles(new, learnt, wiring), *_strangers(new, learnt, fed)]
        for name, reader in broken:
            requires[name].add(reader)
        if broken:
            continue
        asked = [(name, fed[name]) for name in wiring if fed.get(name)]
        answers = (yield asked) if asked else {}
        lost = [check for check in asked if not answers[check].passed]
        if not lost:
            return Choice(new=new, waiting=waiting, passed=tuple(asked), failed=tuple(failed))
        failed |= dict.fromkeys(lost)
        settled: set[str] = set()
        first = [(name, above) for name, above in lost if _disjoint(settled, above)]
        alone = {check: _alone(check) for check in first}
        singles = [one for ones in alone.values() if len(ones) > 1 for one in ones.values()]
        answers = (yield singles) if singles else {}
        for (name, _), ones in alone.items():
            for culprit in _culprits(ones, answers):
                requires[culprit].add(name)


def _disjoint(settled: set[str], above: frozenset[str]) -> bool:
    """True for what nobody before had above it: what is dropped for a node above may put the others right."""
    found = settled.isdisjoint(above)
    settled |= above
    return found


def new_above(wiring: Mapping[str, Collection[str]], new: Iterable[str]) -> dict[str, frozenset[str]]:
    """For each node of `wiring` the members of `new` whose columns reach it, directly or through other nodes of it.

    Nodes that nothing new reaches are left out.
    """
    readers: dict[str, list[str]] = {}
    for name, upstreams in wiring.items():
        for upstream in upstreams:
            readers.setdefault(upstream, []).append(name)
    found: dict[str, set[str]] = {}
    for one in sorted(new):
        queue, seen = deque([one]), {one}
        while queue:
            for reader in readers.get(queue.popleft(), ()):
                if reader not in seen:
                    seen.add(reader)
                    found.setdefault(reader, set()).add(one)
                    queue.append(reader)
    return {name: frozenset(above) for name, above in found.items()}


def _alone(check: Check) -> dict[str, Check]:
    """For each new version of a check the check of it alone, by name."""
    name, above = check
    return {one: (name, frozenset({one})) for one in sorted(above)}


def _culprits(alone: Mapping[str, Check], answers: Mapping[Check, Answer]) -> list[str]:
    """The new versions that a node cannot bear: those that fail alone, else the most harmful one."""
    if len(alone) == 1:
        return [*alone]
    failing = [one for one, check in alone.items() if not answers[check].passed]
    # the first of equals, so that the choice is the same in every run
    return failing or [max(alone, key=lambda one: answers[alone[one]].harm)]


def _strangers(
    new: Set[str], learnt: Mapping[str, Mapping[str, frozenset[str]]], fed: Mapping[str, frozenset[str]]
) -> list[tuple[str, str]]:
    """New versions that reach a node whose reader learnt from its column without them, with that node."""
    return [
        (one, upstream)
        for name in sorted(new)
        for upstream, above in sorted(learnt.get(name, {}).items())
        if upstream not in new
        for one in sorted(fed.get(upstream, frozenset()) - above)
    ]


def _circles(
    new: Set[str], learnt: Mapping[str, Mapping[str, frozenset[str]]], wiring: Mapping[str, Collection[str]]
) -> list[tuple[str, str]]:
    """New versions in a circle of nodes that would read each other, with the nodes that keep their version in it.

    It arises where the manifest turned an edge round and one end keeps its version.
    """
    order: TopologicalSorter[str] = TopologicalSorter()
    for name, upstreams in wiring.items():
        if name not in new:
            order.add(name, *upstreams)
    for name in new:
        order.add(name, *learnt.get(name, {}))
    try:
        order.prepare()
    except CycleError as error:
        circle = set(error.args[1])
        return [(one, other) for one in sorted(circle & new) for other in sorted(circle - new)]
    return []
