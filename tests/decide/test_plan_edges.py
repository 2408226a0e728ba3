"""What a plan says below upstreams that may hand down another column: policies, pair checks, who waits."""

from __future__ import annotations

from dataclasses import replace

import pytest

from retraining.manifest.values import DefinitionCondition, Input, Rule

from .samples import World, data

CHAIN = [("a", "b"), ("b", "c")]
STAYS = Rule(conditions=(DefinitionCondition(),))
NOTE = "to be checked with new upstream columns"


def with_policy(world, node, upstream, policy):
    edge = Input(upstream=upstream, column=upstream, on_upstream_change=policy)
    world.recipes[node] = replace(world.recipes[node], inputs=(edge,))


def due(world, node="a"):
    world.data[node] = data(node, blocks=9)
    return world


def test_an_edge_policy_is_no_part_of_the_recipe():
    world = World(CHAIN)
    before = world.recipes["b"].digest()
    with_policy(world, "b", "a", "rescore")
    assert world.recipes["b"].digest() == before


@pytest.mark.parametrize(
    ("policy", "action", "conditional"),
    [("retrain", "retrain", True), ("rescore", "rescore", True), ("ignore", "keep", False)],
)
def test_the_policy_of_an_edge_decides_what_a_retraining_upstream_makes_of_a_reader(
    policy, action, conditional
):
    world = due(World(CHAIN).release_all())
    with_policy(world, "b", "a", policy)
    plan = world.plan()
    assert (plan["b"].action, plan["b"].conditional) == (action, conditional)
    # a champion that is checked may hand down another column: what reads it is told so
    assert (plan["c"].action, plan["c"].conditional) == ("retrain", True)
    assert [one.kind for one in plan["c"].reasons] == ["upstream"]


@pytest.mark.parametrize(("policy", "most"), [("retrain", True), ("rescore", True), ("ignore", False)])
def test_a_champion_that_a_failed_check_makes_due_counts_among_the_fits(policy, most):
    world = due(World(CHAIN, rule=STAYS).release_all())
    world.recipes["a"] = replace(world.recipes["a"], parameters={})
    with_policy(world, "b", "a", policy)
    plan = world.plan()
    least, largest = plan["b"].fits
    assert least == 0
    assert (largest > 0) == most


def test_a_new_version_behind_an_edge_that_does_not_retrain_is_no_news():
    for policy in ("rescore", "ignore"):
        world = World(CHAIN).release_all()
        with_policy(world, "b", "a", policy)
        world.states["a"] = replace(world.states["a"], version="other")
        assert world.plan()["b"].action == "keep"


def test_a_column_that_a_champion_was_only_checked_with_is_news_until_it_was_tried():
    world = World(CHAIN).release_all()
    world.states["a"] = replace(world.states["a"], version="other")
    wiring = {"a": "other"}
    world.states["b"] = replace(world.states["b"], wiring=wiring, checked=("a",), column="b on other")
    world.states["c"] = replace(world.states["c"], wiring={"b": "b on other"})
    world.baselines["c"] = replace(world.baselines["c"], wiring={"b": "b on other"})
    plan = world.plan()
    assert (plan["b"].action, plan["b"].conditional) == ("retrain", True)
    world.baselines["b"] = replace(world.baselines["b"], wiring=wiring)
    plan = world.plan()
    assert {one.node: one.action for one in plan.decisions} == {"a": "keep", "b": "keep", "c": "keep"}
    # another column under the same version is news to its reader
    world.states["b"] = replace(world.states["b"], column="b on a third")
    assert world.plan()["c"].action == "retrain"


def test_what_may_not_be_trained_is_checked_all_the_same():
    world = due(World(CHAIN).release_all())
    plan = world.plan(selected={"a"})
    assert [(plan[name].action, plan[name].fixed) for name in "bc"] == [("keep", True)] * 2
    assert all(NOTE in plan[name].note for name in "bc")
    assert NOTE not in World(CHAIN).release_all().plan()["b"].note


def waiting(world, held=(), **more):
    attempt = replace(
        world.states["a"].attempt, outcome="waiting", because="won, and waits for b", waits_for=("b",), **more
    )
    world.states["a"] = replace(world.states["a"], attempt=attempt)
    state = world.states.get("b")
    known = {"b": ("b" in held, state.hands_down if state is not None else None)}
    world.baselines["a"] = replace(world.baselines["a"], waits_for=known)
    return world


def test_a_waiting_challenger_is_tried_again_where_what_it_waits_for_changes():
    world = waiting(World(CHAIN).release_all())
    plan = world.plan()
    assert plan.idle
    assert "its challenger won, and waits for b" in plan["a"].note
    # its reader is due
    plan = due(world, "b").plan()
    assert plan["a"].resumes
    assert not plan.idle
    assert plan["b"].action == "retrain"
    # not where the node itself may not be released
    assert not world.plan(selected={"b"})["a"].resumes


def test_a_waiting_challenger_is_tried_again_where_its_reader_may_be_trained_by_now():
    world = waiting(World(CHAIN, rule=STAYS).release_all(), held={"b"})
    assert not world.plan(selected={"a", "c"})["a"].resumes
    plan = world.plan()
    assert plan["a"].resumes
    assert not plan.idle
    assert NOTE in plan["b"].note


def test_a_waiting_challenger_is_tried_again_where_its_reader_has_another_champion_or_left():
    world = waiting(World(CHAIN).release_all())
    world.states["b"] = replace(world.states["b"], version="other")
    assert world.plan()["a"].resumes
    world = waiting(World([("a", "c")]).release_all())
    assert world.plan()["a"].resumes


def test_a_waiting_challenger_of_another_recipe_or_whose_node_is_due_is_not_tried_again():
    world = waiting(World(CHAIN, rule=STAYS).release_all(), held={"b"})
    world.recipes["a"] = replace(world.recipes["a"], parameters={"alpha": 2.0})
    assert world.plan()["a"].action == "retrain"
    assert not world.plan()["a"].resumes
    world = due(waiting(World(CHAIN).release_all(), held={"b"}))
    assert world.plan()["a"].action == "retrain"
    assert not world.plan()["a"].resumes


def test_a_reader_that_has_tried_the_waiting_version_is_not_what_makes_it_try_again():
    world = waiting(World(CHAIN).release_all(), version="new")
    # b tried the waiting version and lost; the column of the champion is news to it
    world.baselines["b"] = replace(world.baselines["b"], wiring={"a": "new"})
    world.states["a"] = replace(world.states["a"], column="a on another")
    plan = world.plan()
    assert (plan["b"].action, plan["a"].resumes) == ("retrain", False)
    # with new rows of its own it may win on the waiting one
    assert due(world, "b").plan()["a"].resumes


def test_a_waiting_challenger_below_another_column_than_it_learnt_from_is_not_tried_again():
    world = World([("up", "a"), ("a", "b")], rule=STAYS).release_all()
    waiting(world, held={"b"})
    assert world.plan()["a"].resumes
    world.states["up"] = replace(world.states["up"], version="other")
    assert not world.plan()["a"].resumes
    # unless just that waits too, and is tried again as well
    attempt = replace(
        world.states["up"].attempt, outcome="waiting", because="so", waits_for=("b",), version="new"
    )
    world.states["up"] = replace(world.states["up"], attempt=attempt)
    world.baselines["up"] = replace(world.baselines["up"], waits_for={"b": (True, None)})
    world.baselines["a"] = replace(world.baselines["a"], wiring={"up": "new"})
    plan = world.plan()
    assert (plan["up"].resumes, plan["a"].resumes) == (True, True)
