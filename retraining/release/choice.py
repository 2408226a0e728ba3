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
from typing import Generic, Protocol, TypeAlias, TypeVar

from retraining.release.consistent import largest_consistent_set

__all__ = ["Answer", "Check", "Choice", "Dialogue", "Question", "blamed", "choose", "new_above"]

Check: TypeAlias = tuple[str, frozenset[str]]
"""A node that keeps its version, and the new versions whose columns would reach it."""

Question: TypeAlias = Mapping[str, frozenset[str]]
"""Checks that are asked for at once: nodes that keep their version side by side, with what would reach each."""


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


A = TypeVar("A", bound=Answer)
T = TypeVar("T")
Dialogue: TypeAlias = Generator[Sequence[Question], Sequence[Mapping[str, A]], T]


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice(Generic[A]):
    """What is released: the new versions, and the checks that the nodes which keep theirs passed.

    `waiting` maps each winner that is left out to the nodes that it waits for, `failed` are the checks
    that failed on the way, in the order in which they were met.
    """

    new: frozenset[str] = frozenset()
    waiting: Mapping[str, frozenset[str]] = field(default_factory=dict)
    passed: Mapping[Check, A] = field(default_factory=dict)
    failed: Mapping[Check, A] = field(default_factory=dict)


def choose(
    winners: Set[str],
    learnt: Mapping[str, Mapping[str, frozenset[str]]],
    wiring: Mapping[str, Collection[str]],
    together: Mapping[str, str],
) -> Dialogue[A, Choice[A]]:
    """Finds the largest set of winners that can be released together; asks for checks and is sent their answers.

    `learnt` maps a winner to its upstreams, each with the new versions that its column came from: itself
    where it won, those above it where it keeps its version, none where its column is the released one.
    `wiring` maps every released node, in topological order, to the upstreams that its version reads.
    `together` has the pool of each node that is checked together with others.

    Where a check fails, the new versions that fail alone require the node that keeps its version, so they
    wait with everything that requires them; where each alone passes, the most harmful one waits. In the end
    everything is kept as it is. Where checks fail by single columns the result is the largest possible set.
    """
    requires = {name: set().union(*learnt.get(name, {}).values()) for name in winners}
    failed: dict[Check, A] = {}
    while True:
        new, waiting = largest_consistent_set(winners, requires)
        fed = new_above({name: ups for name, ups in wiring.items() if name not in new}, new)
        broken = [*_circles(new, learnt, wiring), *_strangers(new, learnt, fed)]
        for name, reader in broken:
            requires[name].add(reader)
        if broken:
            continue
        asked = {name: fed[name] for name in wiring if fed.get(name)}
        answers: Mapping[str, A] = (yield [asked])[0] if asked else {}
        lost = [name for name in asked if not answers[name].passed]
        if not lost:
            passed = {(name, above): answers[name] for name, above in asked.items()}
            return Choice(new=new, waiting=waiting, passed=passed, failed=failed)
        failed |= {(name, asked[name]): answers[name] for name in lost}
        for culprit, readers in (yield from blamed(asked, lost, together)).items():
            requires[culprit] |= readers


def blamed(
    asked: Question, lost: Sequence[str], together: Mapping[str, str]
) -> Dialogue[A, dict[str, frozenset[str]]]:
    """Which new versions have to stay out for the nodes that lost their checks, each with those nodes; at least one.

    Of those above a node it is who fails alone, else the most harmful one; of those above a pool the most harmful
    ones, as few as let it pass. What a unit before has above it is left for later: without what that one cannot
    bear this one may pass.
    """
    settled: set[str] = set()
    units: list[_Unit] = []
    for names, beside in _units(asked, lost, together):
        above = frozenset[str]().union(*(asked[name] for name in names))
        if settled.isdisjoint(above):
            units.append(_Unit(names=names, beside=beside, above=tuple(sorted(above))))
        settled |= above
    ones = [(unit, one) for unit in units if len(unit.above) > 1 for one in unit.above]
    answers = (yield [_alone(asked, unit, one) for unit, one in ones]) if ones else []
    alone = {one: answer for (_, one), answer in zip(ones, answers, strict=True)}
    found: dict[str, frozenset[str]] = {}
    for unit in units:
        out = unit.above
        if len(out) > 1:
            harm = {one: sum(answer.harm for answer in alone[one].values()) for one in out}
            # the first of equals, so that the choice is the same in every run
            worst = sorted(out, key=lambda one: -harm[one])
            if unit.beside:
                out = tuple(worst[: (yield from _fewest(asked, unit, worst))])
            else:
                failing = [one for one in out if not alone[one][unit.names[0]].passed]
                out = tuple(failing or worst[:1])
        found |= {one: frozenset(name for name in unit.names if one in asked[name]) for one in out}
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class _Unit:
    """A node that lost its check, or those of a pool (then `beside` are all of the pool), and what is above them."""

    names: Sequence[str]
    beside: Sequence[str]
    above: tuple[str, ...]


def _units(
    asked: Question, lost: Sequence[str], together: Mapping[str, str]
) -> Iterable[tuple[list[str], list[str]]]:
    """The nodes that lost, each by itself or with the others of its pool, and all nodes of the pool."""
    pools: dict[str, list[str]] = {}
    found: list[tuple[list[str], list[str]]] = []
    for name in lost:
        pool = together.get(name)
        if pool is None:
            found.append(([name], []))
        elif pool in pools:
            pools[pool].append(name)
        else:
            pools[pool] = [name]
            found.append((pools[pool], [other for other in asked if together.get(other) == pool]))
    return found


def _alone(asked: Question, unit: _Unit, one: str) -> Question:
    """What one new version alone would make of a unit."""
    return {name: frozenset({one}) for name in unit.beside or unit.names if one in asked[name]}


def _fewest(asked: Question, unit: _Unit, worst: Sequence[str]) -> Dialogue[A, int]:
    """How many of the new versions above a pool, the most harmful first, it cannot do with: found by halving."""
    low, high = 1, len(worst)  # without all of them nothing is new
    while low < high:
        middle = (low + high) // 2
        out = frozenset(worst[:middle])
        question = {name: asked[name] - out for name in unit.beside if asked[name] - out}
        (answers,) = yield [question]
        if all(answer.passed for answer in answers.values()):
            high = middle
        else:
            low = middle + 1
    return low


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
