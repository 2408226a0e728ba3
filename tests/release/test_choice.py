"""The released set against brute force over all subsets, on random graphs of up to 12 nodes."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import combinations

import pytest

from retraining.release.choice import Check, Choice, Question, choose, new_above


@dataclass(frozen=True, kw_only=True)
class Score:
    passed: bool
    harm: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Run:
    """What became of a graph in one run: who won, from what it learnt, who was released, who bears whom.

    Nodes of one pool are checked together.
    """

    winners: frozenset[str]
    learnt: Mapping[str, Mapping[str, frozenset[str]]]
    wiring: Mapping[str, tuple[str, ...]]
    bad: Mapping[str, frozenset[str]]
    pools: Mapping[str, str] = field(default_factory=dict)

    def score(self, check: Check) -> Score:
        node, above = check
        lost = above & self.bad.get(node, frozenset())
        return Score(passed=not lost, harm=float(len(lost) if node in self.pools else len(above)))

    def ask(self, question: Question) -> dict[str, Score]:
        """Each node's score; those of a pool pass together."""
        return together(self.pools, {name: self.score((name, above)) for name, above in question.items()}, 0)


def together(pools: Mapping[str, str], own: Mapping[str, Score], most: float) -> dict[str, Score]:
    """The scores, where those of a pool pass if their harm is no more than `most`."""
    harm: dict[str, float] = {}
    for name, score in own.items():
        harm[pools.get(name, "")] = harm.get(pools.get(name, ""), 0) + score.harm
    return {
        name: replace(score, passed=harm[pools[name]] <= most) if name in pools else score
        for name, score in own.items()
    }


def play(run: Run, ask=None) -> tuple[Choice, list[Check]]:
    """The choice with all checks that it asked for."""
    ask = ask or run.ask
    dialogue = choose(run.winners, run.learnt, run.wiring, run.pools)
    asked: list[Check] = []
    answers = None
    while True:
        try:
            questions = dialogue.send(answers)
        except StopIteration as end:
            return end.value, asked
        asked += [check for question in questions for check in question.items()]
        answers = [ask(question) for question in questions]


def by_check(score):
    """Answers that tell of each node for itself."""
    return lambda question: {name: score((name, above)) for name, above in question.items()}


def random_run(chosen: random.Random, most: int, pooled: float) -> Run:
    """A run as `execution.engine` makes it: upstreams first, each reader learns from what they hand down."""
    names = [f"n{i:02}" for i in range(chosen.randint(1, most))]
    density, winning, fragile = (chosen.choice(part) for part in ([0.2, 0.4], [0.4, 0.7, 0.95], [0.1, 0.4]))
    reads = {name: [up for up in names[:i] if chosen.random() < density] for i, name in enumerate(names)}
    released = {name for name in names if chosen.random() < 0.85}
    wiring = {name: tuple(up for up in reads[name] if up in released) for name in names if name in released}
    winners: set[str] = set()
    learnt: dict[str, dict[str, frozenset[str]]] = {}
    needs: dict[str, frozenset[str]] = {}
    out: dict[str, frozenset[str]] = {}
    bad: dict[str, frozenset[str]] = {}
    pools = {name: chosen.choice("pq") for name in names if chosen.random() < pooled}
    for name in names:
        out[name] = frozenset().union(*(out[up] for up in reads[name]))
        bad[name] = frozenset(up for up in names if chosen.random() < fragile)
        wins = chosen.random() < winning
        while True:
            usable = frozenset(up for up in winners if up not in out[name] and not needs[up] & out[name])
            above = reached(name, wiring, usable)
            if wins or not above & bad[name]:
                break
            # what a node that keeps its version cannot bear will not be released: its readers need not learn from it
            out[name] |= above & bad[name]
        if wins:
            winners.add(name)
            fed = {up: frozenset({up}) if up in usable else reached(up, wiring, usable) for up in reads[name]}
            learnt[name] = {up: one for up, one in fed.items() if up in usable or up in released}
            needs[name] = frozenset().union(*(one for one in learnt[name].values()))
            needs[name] |= frozenset().union(*(needs[one] for one in needs[name]))
    return Run(winners=frozenset(winners), learnt=learnt, wiring=wiring, bad=bad, pools=pools)


def reached(name: str, wiring: Mapping[str, tuple[str, ...]], new: frozenset[str]) -> frozenset[str]:
    """By plain recursion the new versions above a node that keeps its own."""
    found: set[str] = set()
    for up in wiring.get(name, ()):
        found |= {up} if up in new else reached(up, wiring, new)
    return frozenset(found)


def consistent(run: Run, new: frozenset[str]) -> bool:
    """Whether a release of exactly these new versions serves every node what it learnt from or was checked with."""
    for name in new:
        for up, above in run.learnt[name].items():
            if (
                above if up in new or up not in run.wiring else reached(up, run.wiring, new)
            ) != above or not above <= new:
                return False
    kept = [name for name in run.wiring if name not in new]
    question = {name: above for name in kept if (above := reached(name, run.wiring, new))}
    return all(score.passed for score in run.ask(question).values())


def brute_force(run: Run) -> frozenset[str]:
    """The largest consistent subset of the winners; it must be the only one of its size."""
    for size in range(len(run.winners), -1, -1):
        found = [
            frozenset(some)
            for some in combinations(sorted(run.winners), size)
            if consistent(run, frozenset(some))
        ]
        if found:
            assert len(found) == 1
            return found[0]
    raise AssertionError("to keep everything is consistent")


@pytest.mark.parametrize("pooled", [0, 0.6])
@pytest.mark.parametrize("seed", range(20))
def test_the_set_is_the_largest_consistent_one_of_all_subsets(seed, pooled):
    chosen = random.Random(seed)
    for _ in range(150):
        run = random_run(chosen, 12 if seed < 6 else 8, pooled)
        choice, asked = play(run)
        assert choice.new == brute_force(run)
        assert choice.new | choice.waiting.keys() == run.winners
        assert not choice.new & choice.waiting.keys()
        assert all(choice.waiting.values())
        # what it ends with was asked for as it is, and passed
        above = new_above({n: u for n, u in run.wiring.items() if n not in choice.new}, choice.new)
        assert dict(choice.passed.keys()) == above
        assert set(choice.passed) <= set(asked)
        assert all(score.passed for score in choice.passed.values())


@pytest.mark.parametrize("seed", range(5))
def test_columns_that_harm_only_together_end_in_a_consistent_set_all_the_same(seed):
    chosen = random.Random(seed)
    for _ in range(200):
        run = random_run(chosen, 9, 0)
        harmless = {(n, frozenset({w})): chosen.random() for n in run.wiring for w in run.winners}

        def score(check: Check, alone=harmless) -> Score:
            return Score(passed=len(check[1]) < 3, harm=alone.get(check, 1.0))

        choice, _ = play(run, by_check(score))
        for name in run.wiring.keys() - choice.new:
            assert len(reached(name, run.wiring, choice.new)) < 3
        for name in choice.new:
            assert frozenset().union(*run.learnt[name].values()) <= choice.new


def one_reader(bad=frozenset(), winners=frozenset({"a", "b"})) -> Run:
    return Run(
        winners=winners,
        learnt={name: {} for name in winners},
        wiring={"a": (), "b": (), "reader": ("a", "b")},
        bad={"reader": frozenset(bad)},
    )


def test_a_reader_is_checked_with_all_new_columns_at_once():
    choice, asked = play(one_reader())
    assert choice.new == {"a", "b"}
    assert asked == [("reader", frozenset({"a", "b"}))]


def test_only_the_upstream_that_harms_waits():
    choice, asked = play(one_reader(bad={"b"}))
    assert choice.new == {"a"}
    assert choice.waiting == {"b": {"reader"}}
    # the pair that is released is checked as it is
    assert asked[-1] == ("reader", frozenset({"a"}))
    assert [*choice.failed] == [("reader", frozenset({"a", "b"}))]


def test_of_two_that_harm_only_together_the_more_harmful_waits():
    harms = {frozenset({"a"}): 1.0, frozenset({"b"}): 2.0, frozenset({"a", "b"}): 9.0}
    choice, _ = play(
        one_reader(), by_check(lambda check: Score(passed=len(check[1]) == 1, harm=harms[check[1]]))
    )
    assert choice.new == {"a"}


@pytest.mark.parametrize("seed", range(5))
def test_above_nodes_that_are_checked_together_as_few_wait_as_any_choice_allows(seed):
    chosen = random.Random(seed)
    for _ in range(60):
        count, most = chosen.randint(1, 7), chosen.random()
        harms = {f"u{i}": chosen.gauss(0.2, 1) for i in range(count)}
        pools = {f"r{i}": "r" for i in range(count)}
        run = Run(
            winners=frozenset(harms),
            learnt={name: {} for name in harms},
            wiring=dict.fromkeys(harms, ()) | {f"r{i}": (f"u{i}",) for i in range(count)},
            bad={},
            pools=pools,
        )

        def ask(question: Question, harms=harms, pools=pools, most=most) -> dict[str, Score]:
            own = {n: Score(passed=False, harm=sum(harms[u] for u in above)) for n, above in question.items()}
            return together(pools, own, most)

        choice, _ = play(run, ask)
        bearable = [
            size
            for size in range(count + 1)
            for some in combinations(harms.values(), size)
            if sum(some) <= most or not size
        ]
        assert len(choice.new) == max(bearable)
        assert sum(harms[name] for name in choice.new) <= most or not choice.new


def test_a_pool_whose_check_is_lost_by_one_node_goes_on_without_what_feeds_it():
    run = Run(
        winners=frozenset({"a", "b"}),
        learnt={"a": {}, "b": {}},
        wiring={"a": (), "b": (), "m[1]": ("a",), "m[2]": ("b",)},
        bad={"m[2]": frozenset({"b"})},
        pools={"m[1]": "m", "m[2]": "m"},
    )
    choice, _ = play(run)
    assert choice.new == {"a"}
    # the pool was checked as a whole, and it is the pool that b waits for
    assert choice.failed.keys() == {("m[1]", frozenset({"a"})), ("m[2]", frozenset({"b"}))}
    assert choice.waiting == {"b": {"m[2]"}}


def test_a_reader_of_a_winner_that_waits_is_checked_with_the_upstream_that_is_released():
    # up won, middle learnt from it and won, but its own reader bears it not: middle keeps its version
    run = Run(
        winners=frozenset({"up", "middle"}),
        learnt={"up": {}, "middle": {"up": frozenset({"up"})}},
        wiring={"up": (), "middle": ("up",), "leaf": ("middle",)},
        bad={"leaf": frozenset({"middle"})},
    )
    choice, asked = play(run)
    assert choice.new == {"up"}
    assert choice.waiting == {"middle": {"leaf"}}
    assert [*choice.passed] == [("middle", frozenset({"up"})), ("leaf", frozenset({"up"}))]
    assert asked[-2:] == [*choice.passed]


def test_an_edge_that_was_turned_round_never_makes_a_circle():
    # released: b reads a; now a reads b, and b keeps its version
    run = Run(
        winners=frozenset({"a"}), learnt={"a": {"b": frozenset()}}, wiring={"a": (), "b": ("a",)}, bad={}
    )
    choice, _ = play(run)
    assert choice.new == frozenset()
    assert choice.waiting == {"a": {"b"}}


def test_who_learnt_from_a_column_without_a_new_version_is_not_served_with_it():
    # released: kept reads far, an edge that the manifest no longer has; leaf learnt from kept as it was
    run = Run(
        winners=frozenset({"far", "leaf"}),
        learnt={"far": {}, "leaf": {"kept": frozenset()}},
        wiring={"far": (), "kept": ("far",), "leaf": ("kept",)},
        bad={},
    )
    choice, _ = play(run)
    assert choice.new == {"leaf"}
    assert choice.waiting == {"far": {"kept"}}


def test_nothing_won():
    assert play(Run(winners=frozenset(), learnt={}, wiring={"a": (), "b": ("a",)}, bad={}))[0] == Choice()
