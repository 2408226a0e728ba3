from __future__ import annotations

import datetime as dt
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retraining.decide.calendar import NEVER, Calendar
from retraining.decide.changes import NOTHING_CHANGED
from retraining.decide.fits import Before, Cell, Folds, column_fit, contexts, lattice_fits, parse_left_out
from retraining.decide.plan import SERVED_NOTE
from retraining.decide.signals import Signals
from retraining.decide.snapshots import SAMPLE
from retraining.decide.triggers import evaluate_rule
from retraining.graph.graph import Edge
from retraining.manifest.values import (
    AgeCondition,
    DataCondition,
    DefinitionCondition,
    FoldScheme,
    Input,
    Rule,
    UpstreamCondition,
)

from .samples import SCHEME, World, data, ordered_graph, recipe

SETTINGS = settings(max_examples=50, derandomize=True, deadline=None)
CHAIN = [("a", "b"), ("b", "c")]


def words(plan):
    return {d.node: (d.action, d.conditional, [reason.kind for reason in d.reasons]) for d in plan.decisions}


def test_everything_is_new_before_the_first_release():
    plan = World(CHAIN).plan()
    assert {d.node: d.action for d in plan.decisions} == dict.fromkeys("abc", "retrain")
    assert all(d.reasons[0].kind == "new" for d in plan.decisions)


def test_nothing_is_left_to_do_right_after_a_release():
    plan = World(CHAIN).release_all().plan()
    assert words(plan) == dict.fromkeys("abc", ("keep", False, []))
    assert plan.fits == (0, 0)


@SETTINGS
@given(st.permutations("abcdef"), st.randoms(use_true_random=False), st.sampled_from(["a", "b", "d", None]))
def test_a_plan_does_not_depend_on_the_order_of_the_manifest(order, random, changed):
    edges = [("a", "b"), ("a", "c"), ("b", "d"), ("c", "d"), ("d", "e")]
    shuffled = random.sample(edges, len(edges))

    def decided(names, some):
        world = World(some, order=list(names)).release_all()
        if changed:
            world.recipes[changed] = replace(world.recipes[changed], parameters={"alpha": 2.0})
        return {d.node: d.to_json() for d in world.plan().decisions}

    assert decided(order, shuffled) == decided("abcdef", edges)


def test_a_changed_parameter_gives_the_reason_definition_with_the_field_and_readers_wait_for_the_column():
    world = World(CHAIN).release_all()
    world.recipes["a"] = replace(world.recipes["a"], parameters={"alpha": 2.0})
    plan = world.plan()
    assert words(plan) == {
        "a": ("retrain", False, ["definition"]),
        "b": ("retrain", True, ["upstream"]),
        "c": ("retrain", True, ["upstream"]),
    }
    assert plan["a"].reasons[0].evidence == {"fields": ["parameters"]}
    assert (plan["a"].direct, plan["b"].direct) == (True, False)
    assert plan["b"].fits[0] == 0
    assert plan["b"].fits[1] > 0


@pytest.mark.parametrize(
    ("field", "value", "name"),
    [
        ("features", ("x", "z"), "features"),
        ("seed", 7, "seed"),
        ("timezone", "Europe/Berlin", "timezone"),
        ("version", "2", "version"),
        ("preprocess", "none", "preprocess"),
        ("scheme", replace(SCHEME, min_rows=11), "validation"),
        ("ship", "gated", "ship"),
    ],
)
def test_each_part_of_the_definition_is_named(field, value, name):
    world = World([("a", "b")]).release_all()
    world.recipes["b"] = replace(world.recipes["b"], **{field: value})
    assert [
        reason.evidence.get("fields") for reason in world.plan()["b"].reasons if reason.kind == "definition"
    ] == [[name]]


def test_catalogue_facts_are_no_part_of_a_definition():
    one = recipe("a")
    assert one.digest() == replace(one, needs_scaling=False, accepts_nan=True, probabilities=True).digest()


def test_a_new_block_is_a_reason_with_its_rows_and_costs_the_fits_of_its_edges():
    world = World([("a", "b")]).release_all()
    world.data = {name: data(name, blocks=9) for name in "ab"}
    plan = world.plan()
    assert words(plan)["a"] == ("retrain", False, ["data"])
    assert plan["a"].reasons[0].evidence == {"blocks": 1, "rows": 20, "share": 20 / 160}
    # M(a, <109): the gate fit M(a, <108) was shipped before
    assert plan["a"].fits == (1, 1)


def test_a_model_that_ships_its_gate_fit_is_due_with_every_block_and_costs_one_fit():
    world = World([("a", "b")])
    world.recipes = {name: replace(one, ship="gated") for name, one in world.recipes.items()}
    # a node that nobody reads has one fit, M(b, <107); a's column has those before 102 to 107
    assert [decision.fits for decision in world.plan().decisions] == [(6, 6), (1, 1)]
    world.release_all()
    for blocks in (9, 10):
        world.data = {name: data(name, blocks=blocks) for name in "ab"}
        plan = world.plan()
        assert words(plan)["a"] == ("retrain", False, ["data"])
        assert plan["a"].reasons[0].evidence == {"blocks": 1, "rows": 20, "share": 20 / (20 * (blocks - 2))}
        assert plan["a"].fits == (1, 1)
        world.release_all()


def test_a_rejected_challenger_is_not_retried_until_something_changes():
    world = World([("a", "b")]).release_all()
    world.data = {name: data(name, blocks=9) for name in "ab"}
    for name in "ab":
        world.release(name, outcome="rejected")
    plan = world.plan()
    assert {d.node: d.action for d in plan.decisions} == {"a": "keep", "b": "keep"}
    assert "rejected" in plan["a"].note
    world.data["a"] = data("a", blocks=10)
    assert world.plan()["a"].action == "retrain"
    world.recipes["b"] = replace(world.recipes["b"], parameters={})
    assert world.plan()["b"].reasons[0].kind == "definition"


def test_a_failed_attempt_is_tried_again():
    world = World([("a", "b")]).release_all()
    world.release("a", outcome="failed")
    plan = world.plan()
    assert words(plan)["a"] == ("retrain", False, ["failed before"])
    assert plan["b"].conditional


def test_a_challenger_that_was_rejected_on_the_first_run_is_not_tried_again_either():
    world = World([("a", "b")])
    world.release("a", outcome="rejected")
    plan = world.plan()
    assert plan["a"].action == "keep"
    assert plan["b"].action == "blocked"
    assert "a" in plan["b"].note


def test_another_version_of_an_upstream_is_news_once():
    world = World(CHAIN).release_all()
    world.states["a"] = replace(world.states["a"], version="other")
    plan = world.plan()
    assert words(plan)["b"] == ("retrain", True, ["upstream"])
    assert plan["b"].reasons[0].evidence == {"upstreams": ["a"]}
    world.release("b")
    assert words(world.plan())["b"] == ("keep", False, [])


def test_other_libraries_are_work_but_no_reason():
    world = World(CHAIN).release_all()
    plan = world.plan(environment="newer")
    assert {d.action for d in plan.decisions} == {"keep"}
    assert "library versions" in plan["a"].note


def test_force_refits_what_it_names_and_unselected_nodes_keep_their_champion():
    world = World(CHAIN).release_all()
    plan = world.plan(forced={"b"})
    assert words(plan) == {
        "a": ("keep", False, []),
        "b": ("retrain", False, ["forced"]),
        "c": ("retrain", True, ["upstream"]),
    }
    world.data = {name: data(name, blocks=9) for name in "abc"}
    plan = world.plan(selected={"b"})
    assert {d.node: (d.action, d.note) for d in plan.decisions if d.node != "b"} == {
        "a": ("keep", "not selected"),
        "c": ("keep", "not selected, to be checked with new upstream columns"),
    }
    assert plan["b"].action == "retrain"


def test_a_node_whose_rows_find_no_row_of_an_input_is_blocked_before_anything_runs():
    world = World([("a", "b")])
    world.recipes["b"] = recipe("b", ["a", "far"])
    decision = world.plan()["b"]
    assert (decision.action, "no row finds a row of far" in decision.note) == ("blocked", True)
    # a champion stays what it was
    world.release_all()
    assert world.plan()["b"].action == "keep"


def test_without_a_usable_upstream_a_node_is_blocked_and_says_which():
    world = World(CHAIN)
    plan = world.plan(selected={"b", "c"})
    assert [(d.node, d.action) for d in plan.decisions] == [("a", "keep"), ("b", "blocked"), ("c", "blocked")]
    assert plan["b"].note == "no usable version of a (not selected, and never released)"


RULES = [
    (Rule(conditions=(DataCondition(blocks=2),)), 1, False),
    (Rule(conditions=(DataCondition(blocks=2),)), 2, True),
    (Rule(conditions=(DataCondition(rows=21),)), 1, False),
    (Rule(conditions=(DataCondition(rows=21),)), 2, True),
    (Rule(conditions=(DataCondition(share=0.2),)), 1, False),
    (Rule(conditions=(DataCondition(share=0.2),)), 2, True),
    (Rule(conditions=(DefinitionCondition(), DataCondition(blocks=1)), at_least=2), 1, False),
    (Rule(conditions=(UpstreamCondition(), DataCondition(blocks=1)), at_least=2), 1, True),
    (Rule(conditions=()), 3, False),
]


@pytest.mark.parametrize(("rule", "more", "due"), RULES)
def test_a_rule_says_when_a_node_is_due(rule, more, due):
    world = World([("a", "b")]).release_all()
    world.rules["b"] = rule
    world.data["b"] = data("b", blocks=8 + more)
    world.states["a"] = replace(world.states["a"], version="other")
    assert (world.plan()["b"].action == "retrain") == due


def test_a_champion_is_due_at_an_age_where_there_is_something_new_to_learn():
    old = Rule(conditions=(AgeCondition(age=dt.timedelta(days=60)),))
    changed = replace(NOTHING_CHANGED, environment=True)

    def due(age):
        return evaluate_rule(old, changed, Signals(as_of=0, age=age)).reasons

    assert due(dt.timedelta(days=59, hours=23)) == ()
    assert due(None) == ()
    (reason,) = due(dt.timedelta(days=60))
    assert (reason.kind, reason.evidence) == ("age", {"days": 60})


def test_a_rule_that_needs_two_conditions_counts_a_retraining_upstream_as_one():
    world = World([("a", "b")]).release_all()
    world.rules["b"] = Rule(conditions=(UpstreamCondition(), DataCondition(blocks=1)), at_least=2)
    world.data = {name: data(name, blocks=9) for name in "ab"}
    decision = world.plan()["b"]
    assert (decision.action, decision.conditional) == ("retrain", True)
    world.data["b"] = data("b")
    assert world.plan()["b"].action == "keep"


def test_changed_old_labels_are_data():
    world = World([("a", "b")]).release_all()
    cells = list(world.data["a"].cells)
    cells[2] = Cell(part=cells[2].part, known=cells[2].known, rows=20, digest="corrected")
    world.data["a"] = replace(world.data["a"], cells=tuple(cells))
    decision = world.plan()["a"]
    assert decision.reasons[0].evidence["blocks"] == 1
    # every fit that had learnt from the corrected labels: for the gate, for shipping, for the columns that b reads
    assert decision.fits[1] == len(range(103, 109))


def test_a_node_whose_data_went_back_to_what_is_served_is_kept():
    world = World([("a", "b")]).release_all()
    served = dict(world.data)
    world.data = {name: data(name, blocks=9) for name in "ab"}
    for name in "ab":
        world.release(name, outcome="rejected")
    world.data = served
    assert {d.node: (d.action, d.note) for d in world.plan().decisions} == dict.fromkeys(
        "ab", ("keep", SERVED_NOTE)
    )
    assert world.plan(forced=["a"])["a"].action == "retrain"


def test_a_gate_fit_without_a_kept_model_may_be_made_again():
    world = World([("a", "b")])
    world.data = {name: replace(data(name), holdout=(106, 107)) for name in "ab"}
    world.release_all()
    world.data = {name: replace(data(name, blocks=9), holdout=(107, 108)) for name in "ab"}
    assert world.plan()["a"].fits == (1, 2)


@pytest.mark.parametrize("n", [100, 5_000])
@pytest.mark.parametrize(
    ("edited", "added", "removed"),
    [(1.0, 0.0, 0.0), (0.5, 0.1, 0.0), (0.0, 0.2, 0.0), (0.0, 0.0, 0.3), (1.0, 0.02, 0.0)],
)
def test_by_folds_rows_that_are_new_or_changed_are_counted_by_a_sample_of_their_hashes(
    n, edited, added, removed
):
    rng = np.random.default_rng(0)
    before = rng.integers(0, 2**53, n)
    kept = before[int(removed * n) :].copy()
    kept[: int(edited * n)] = rng.integers(0, 2**53, int(edited * n))
    now = np.concatenate([kept, rng.integers(0, 2**53, int(added * n))])
    world = World([("a", "b")])
    # every row edited in place: the cells alone would tell of as many rows as there are cells
    world.data["a"] = by_folds(before, "x")
    world.rules["a"] = Rule(conditions=(DataCondition(share=0.01),))
    world.release("a")
    world.data["a"] = by_folds(now, "y")
    found = [reason.evidence["share"] for reason in world.plan()["a"].reasons]
    assert found == pytest.approx([edited + added + removed], abs=0.0 if n <= SAMPLE else 0.1)


def by_folds(hashes, digest):
    cell = Cell(part=0, known=0, rows=len(hashes), digest=digest)
    sample = tuple(int(one) for one in np.sort(hashes)[:SAMPLE])
    return replace(data("a"), cells=(cell,), next_block=None, holdout=(), sample=sample)


def test_other_features_are_no_other_data():
    world = World([("a", "b")]).release_all()
    world.recipes["a"] = replace(world.recipes["a"], features=("x", "z"))
    world.data["a"] = data("a", salt="other words")
    assert [reason.kind for reason in world.plan()["a"].reasons] == ["definition"]


def test_rows_that_arrive_inside_a_block_change_nothing():
    world = World([("a", "b")]).release_all()
    found = world.data["a"]
    later = Cell(part=108, known=NEVER, rows=5, digest="x")
    world.data["a"] = replace(
        found, cells=(*found.cells, later), rows={**found.rows, 108: 5}, features={**found.features, 108: "f"}
    )
    assert words(world.plan()) == dict.fromkeys("ab", ("keep", False, []))


@pytest.mark.parametrize(
    ("folds", "depth", "fits"), [(5, 0, 6), (5, 1, 16), (5, 2, 26), (5, 3, 31), (5, 4, 31), (2, 0, 3)]
)
def test_the_lattice_has_as_many_fits_as_the_design_says(folds, depth, fits):
    assert len(set(lattice_fits(folds, depth))) == fits


@pytest.mark.parametrize("depth", [0, 1, 2])
def test_the_fits_of_all_contexts_are_the_lattice(depth):
    asked = {column_fit(fold, None, context) for context in contexts(5, depth) for fold in range(5)}
    assert {*asked, Folds(frozenset())} == set(lattice_fits(5, depth))


@SETTINGS
@given(st.one_of(st.integers(-5, 3000).map(Before), st.frozensets(st.integers(0, 12), max_size=4).map(Folds)))
def test_a_fit_can_be_told_by_its_name(left_out):
    assert parse_left_out(str(left_out)) == left_out


def test_the_number_of_folds_is_planned_for_each_level():
    world = World(CHAIN)
    for name in "abc":
        found = data(name)
        folds = tuple(Cell(part=fold, known=0, rows=30, digest=f"{fold}") for fold in range(5))
        world.recipes[name] = replace(world.recipes[name], scheme=FoldScheme(folds=5))
        world.data[name] = replace(
            found, cells=folds, rows=dict.fromkeys(range(5), 30), next_block=None, holdout=()
        )
    plan = world.plan()
    assert [plan[name].fits[1] for name in "abc"] == [26, 16, 6]


def test_a_column_begins_with_its_earliest_node_and_one_that_may_be_missing_delays_nothing():
    world = World([("early", "reader"), ("late", "reader")])
    late = world.data["late"]
    rows = {part: count for part, count in late.rows.items() if part >= 103}
    world.data["late"] = replace(late, cells=late.cells[3:], rows=rows)

    def first(**columns):
        """The block of the reader's first prediction; `columns` are the policies of what it reads."""
        edges = [(up, up if up in columns else "both") for up in ("early", "late")]
        world.graph = ordered_graph(
            ["early", "late", "reader"],
            [Edge(upstream=up, downstream="reader", column=to) for up, to in edges],
        )
        inputs = tuple(Input(upstream=name, column=name, missing=policy) for name, policy in columns.items())
        world.recipes["reader"] = replace(recipe("reader"), inputs=inputs)
        day = world.plan()["reader"].first_predicted
        return next(block for block in range(100, 109) if Calendar("UTC", 14).date(block).isoformat() == day)

    # a fit needs two blocks: `early` predicts from 102 on, `late` from 105 on
    assert first(early="nan", late="nan") == 102
    assert first(early="drop", late="nan") == 104
    assert first(early="nan", late="drop") == 107
    assert first(both="drop") == 104
