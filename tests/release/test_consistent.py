from __future__ import annotations

import random
from itertools import combinations, pairwise

import pytest

from retraining.release.consistent import largest_consistent_set


def brute_force(winners: set[str], requires: dict[str, set[str]]) -> frozenset[str]:
    """The largest of all subsets of the winners that hold what they require; it must be the only one."""
    for size in range(len(winners), -1, -1):
        found = [
            frozenset(chosen)
            for chosen in combinations(sorted(winners), size)
            if all(requires.get(node, set()) <= set(chosen) for node in chosen)
        ]
        if found:
            assert len(found) == 1
            return found[0]
    raise AssertionError("the empty set is consistent")


def roots_of(node: str, winners: set[str], requires: dict[str, set[str]]) -> frozenset[str]:
    """The nodes outside the winners that a node reaches through winners, by plain search."""
    reached, todo = set(), [node]
    while todo:
        current = todo.pop()
        for other in requires.get(current, set()):
            if other not in reached:
                reached.add(other)
                if other in winners:
                    todo.append(other)
    return frozenset(reached - winners)


@pytest.mark.parametrize("seed", range(20))
def test_it_equals_brute_force_on_random_graphs(seed):
    chosen = random.Random(seed)
    for _ in range(150):
        nodes = [chr(97 + i) for i in range(chosen.randint(1, 12 if seed < 4 else 8))]
        winners = {node for node in nodes if chosen.random() < chosen.choice([0.5, 0.8, 1.0])}
        density = chosen.choice([0.05, 0.15, 0.4])
        requires = {node: {other for other in nodes if chosen.random() < density} for node in nodes}
        kept, waiting = largest_consistent_set(winners, requires)
        assert kept == brute_force(winners, requires)
        assert kept | waiting.keys() == winners
        assert not kept & waiting.keys()
        assert waiting == {node: roots_of(node, winners, requires) for node in winners - kept}
        assert all(waiting.values())


def test_a_chain_waits_for_the_one_that_lost():
    requires = {"b": {"a"}, "c": {"b"}, "d": {"c"}, "x": set()}
    assert largest_consistent_set({"b", "c", "d", "x"}, requires) == (
        frozenset({"x"}),
        {"b": frozenset({"a"}), "c": frozenset({"a"}), "d": frozenset({"a"})},
    )


def test_an_upstream_waits_for_a_downstream_that_did_not_win():
    assert largest_consistent_set({"up", "other"}, {"up": {"down"}, "other": {"up"}}) == (
        frozenset(),
        {"up": frozenset({"down"}), "other": frozenset({"down"})},
    )


def test_winners_that_require_each_other_go_together():
    assert largest_consistent_set({"up", "down"}, {"up": {"down"}, "down": {"up"}}) == ({"up", "down"}, {})


def test_nothing_wins():
    assert largest_consistent_set(set(), {"a": {"b"}}) == (frozenset(), {})


def test_a_long_chain_is_no_recursion():
    nodes = [f"n{i}" for i in range(20_000)]
    requires = {downstream: [upstream] for upstream, downstream in pairwise(nodes)}
    assert largest_consistent_set(set(nodes), requires) == (frozenset(nodes), {})
    kept, waiting = largest_consistent_set(set(nodes[1:]), requires)
    assert not kept
    assert set(waiting.values()) == {frozenset({"n0"})}
