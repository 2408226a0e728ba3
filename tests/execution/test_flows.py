from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retraining.execution.flows import Flows


def summing(graph, opened):
    """Flows in which a node's value is 1 + the sum of its needs; names that are no node are fed."""

    def open_flow(key):
        opened.append(key)
        if key not in graph:
            return None

        def flow():
            values = yield tuple(graph[key])
            return 1 + sum(values)

        return flow()

    return open_flow


def test_a_diamond_computes_its_shared_need_once():
    opened = []
    flows = Flows(summing({"d": ["b", "c"], "b": ["a"], "c": ["a"], "a": []}, opened))
    flows.demand("d")
    assert flows["d"] == 5
    assert sorted(opened) == ["a", "b", "c", "d"]
    assert flows.unfinished() == []


@pytest.mark.parametrize("fed_at_the_end", [True, False])
def test_a_chain_of_five_thousand_needs_no_recursion(fed_at_the_end):
    graph = {n: [n + 1] for n in range(5_000)}
    if not fed_at_the_end:
        graph[5_000] = []
    flows = Flows(summing(graph, []))
    flows.demand(0)
    if fed_at_the_end:
        assert 0 not in flows
        assert len(flows.unfinished()) == 5_000
        flows.feed(5_000, 1)
    assert flows[0] == 5_001


def test_a_flow_that_demands_the_same_key_twice_gets_its_value_twice():
    flows = Flows(summing({"a": ["x", "x", "y"]}, []))
    flows.demand("a")
    flows.feed("x", 3)
    assert "a" not in flows
    flows.feed("y", 1)
    assert flows["a"] == 8


def test_a_value_that_comes_before_it_is_asked_for_is_kept():
    flows = Flows(summing({"a": ["x"]}, []))
    flows.feed("x", 3)
    flows.demand("a")
    assert flows["a"] == 4


def test_a_flow_may_need_several_times_and_only_then_ends():
    def open_flow(key):
        if key != "a":
            return None

        def flow():
            (x,) = yield ("x",)
            (y,) = yield (f"y{x}",)
            (again,) = yield ("x",)
            return [x, y, again]

        return flow()

    flows = Flows(open_flow)
    flows.demand("a")
    flows.feed("x", 1)
    flows.feed("y1", 2)
    assert flows["a"] == [1, 2, 1]


@settings(max_examples=60, derandomize=True, deadline=None)
@given(st.integers(1, 25), st.randoms(use_true_random=False))
def test_values_do_not_depend_on_the_order_of_answers(n, random):
    graph = {i: random.sample(range(i), random.randint(0, min(i, 3))) for i in range(n)}
    leaves = {i: [f"task {i}", *needs] for i, needs in graph.items()}
    expected = {}
    for i in range(n):
        expected[i] = 1 + i * 10 + sum(expected[need] for need in graph[i])
    flows = Flows(summing(leaves, []))
    for i in random.sample(range(n), n):
        flows.demand(i)
    for i in random.sample(range(n), n):
        flows.feed(f"task {i}", i * 10)
    assert {i: flows[i] for i in range(n)} == expected
