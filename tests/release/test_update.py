from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retraining.release.update import (
    Conflict,
    Mismatch,
    Requirement,
    Update,
    apply,
    check,
    logical_digest,
    mismatches,
    requirements,
)
from retraining.release.values import Attempt, BlobPointer, NodeState, Parts, Pin

NAMES = ["a", "b", "c", "d", "e"]
PARTS = Parts(recipe="r", data="d", upstream={"x": "1", "y": "2"}, environment="e")
POINTER = BlobPointer(
    pack="packs/r/1-1", role="model", format="f", digest="sha256:1", offset=0, stored=1, raw=1, codec="none"
)

PIN = Pin(who="ann@host", time="2026-11-26T00:00:00Z", because="audited")

names = st.sampled_from(NAMES)
pins = st.none() | st.builds(Pin, who=st.just("ann"), time=st.just("t"), because=st.sampled_from(["x", "y"]))
attempts = st.builds(
    Attempt,
    fingerprint=st.sampled_from("fgh"),
    outcome=st.sampled_from(["promoted", "rejected"]),
    because=st.just("so"),
    run=st.just("r"),
    time=st.just("t"),
    parts=st.just(PARTS),
    version=st.sampled_from(["v1", "v2"]),
)


cursors = st.dictionaries(st.sampled_from(["schedule", "feedback"]), st.integers(0, 3), max_size=2)


def rows_of(node: str) -> st.SearchStrategy[NodeState]:
    return st.builds(
        NodeState,
        node=st.just(node),
        version=st.sampled_from([None, "v1", "v2", "v3"]),
        attempt=st.none() | attempts,
        orphaned=st.booleans(),
        pin=pins,
        wiring=st.dictionaries(names, st.sampled_from(["v1", "v2"]), max_size=2),
        cursors=cursors,
    )


tables = st.fixed_dictionaries({}, optional={name: rows_of(name) for name in NAMES})
updates = st.builds(
    Update,
    set=tables,
    attempts=st.dictionaries(names, attempts, max_size=3),
    orphaned=st.frozensets(names, max_size=2),
    returned=st.frozensets(names, max_size=2),
    pins=st.dictionaries(names, pins, max_size=2),
    cursors=st.dictionaries(names, cursors, max_size=2),
)
edges = st.lists(st.tuples(names, names), max_size=6)
quick = settings(derandomize=True, max_examples=150, deadline=None)


@quick
@given(tables, updates)
def test_apply_changes_what_the_update_names_and_nothing_else(before, update):
    copy = dict(before)
    after = apply(before, update)
    assert before == copy
    assert list(after) == sorted(after)
    named = update.set.keys() | update.attempts.keys() | update.orphaned | update.returned
    named |= update.pins.keys() | update.cursors.keys()
    for node in NAMES:
        if node not in named:
            assert after.get(node) == before.get(node)
    for node, row in update.set.items():
        assert after[node].version == row.version
        changed = {"attempt": None, "orphaned": False, "pin": None, "cursors": {}}
        assert replace(after[node], **changed) == replace(row, **changed)
        if node not in update.pins and node in before:
            assert after[node].pin == before[node].pin
    for node, pin in update.pins.items():
        assert after[node].pin == pin
    for node, attempt in update.attempts.items():
        assert after[node].attempt == attempt
        if node not in update.set:
            assert after[node].version == (before[node].version if node in before else None)


@quick
@given(tables, updates)
def test_apply_twice_is_apply_once(before, update):
    assert apply(apply(before, update), update) == apply(before, update)


@quick
@given(tables, updates, edges)
def test_requirements_hold_where_they_were_computed_and_cover_the_neighbours(before, update, pairs):
    needed = requirements(update, before, pairs)
    assert check(before, needed) == ()
    nodes = [required.node for required in needed]
    assert nodes == sorted(set(nodes))
    assert update.set.keys() | update.pins.keys() <= set(nodes)
    for upstream, downstream in pairs:
        if upstream in update.set or downstream in update.set:
            assert {upstream, downstream} <= set(nodes)


@quick
@given(tables, updates, updates, edges)
def test_updates_that_do_not_conflict_give_one_table_in_either_order(before, one, two, pairs):
    def quiet(update: Update) -> Update:
        return Update(set=update.set)

    one, two = quiet(one), quiet(two)
    needed = requirements(two, before, pairs)
    after_one = apply(before, one)
    conflicts = check(after_one, needed)
    overlap = {node for node in one.set if node in {required.node for required in needed}}
    moved = {
        node
        for node in overlap
        if one.set[node].version != (before[node].version if node in before else None)
    }
    assert {conflict.node for conflict in conflicts} == moved
    if not overlap:
        assert apply(after_one, two) == apply(apply(before, two), one)


def test_a_conflict_names_what_was_expected_what_was_found_and_who_did_it():
    nodes = {"a": NodeState(node="a", version="v2", run="r9")}
    needed = [
        Requirement(node="a", version="v1"),
        Requirement(node="b", version="v1"),
        Requirement(node="c", version=None),
    ]
    assert check(nodes, needed) == (
        Conflict(node="a", expected="v1", found="v2", run="r9"),
        Conflict(node="b", expected="v1", found=None, run=""),
    )


def test_a_run_cannot_replace_a_node_that_was_pinned_meanwhile_and_an_attempt_on_it_can_land():
    before = {"a": NodeState(node="a", version="v1")}
    update = Update(set={"a": NodeState(node="a", version="v2")})
    needed = requirements(update, before, ())
    pinned = apply(before, Update(pins={"a": PIN}))
    (conflict,) = check(pinned, needed)
    assert (conflict.expected, conflict.found, conflict.pin) == ("v1", "v1", PIN)
    assert check(pinned, requirements(Update(), before, ())) == ()


def test_a_pin_keeps_the_champion_that_was_seen_and_no_other():
    before = {"a": NodeState(node="a", version="v1")}
    needed = requirements(Update(pins={"a": PIN}), before, ())
    after = apply(before, Update(set={"a": NodeState(node="a", version="v2")}))
    (conflict,) = check(after, needed)
    assert (conflict.expected, conflict.found) == ("v1", "v2")
    lost = check(before, requirements(Update(pins={"a": None}), {"a": replace(before["a"], pin=PIN)}, ()))
    assert [one.unpinned for one in lost] == [True]


def test_a_wiring_that_the_graph_has_forgotten_is_required_too():
    before = {
        "up": NodeState(node="up", version="v1"),
        "down": NodeState(node="down", version="v1", wiring={"up": "v1"}),
    }
    update = Update(set={"up": NodeState(node="up", version="v2")})
    assert requirements(update, before, []) == (
        Requirement(node="down", version="v1"),
        Requirement(node="up", version="v1", pinned=False),
    )


def test_a_node_beside_another_upstream_version_is_a_mismatch():
    nodes = {
        "up": NodeState(node="up", version="v2"),
        "good": NodeState(node="good", version="v1", wiring={"up": "v2"}),
        "old": NodeState(node="old", version="v1", wiring={"up": "v1", "gone": "v1"}),
        "orphan": NodeState(node="orphan", version="v1", wiring={"up": "v1"}, orphaned=True),
        "never": NodeState(node="never", wiring={"up": "v1"}),
    }
    assert mismatches(nodes) == (
        Mismatch(node="old", upstream="gone", trained_with="v1", found=None),
        Mismatch(node="old", upstream="up", trained_with="v1", found="v2"),
    )


def test_an_orphan_returns():
    before = {"a": NodeState(node="a", version="v1", orphaned=True)}
    assert not apply(before, Update(returned=frozenset({"a", "unknown"})))["a"].orphaned
    assert "unknown" not in apply(before, Update(orphaned=frozenset({"unknown"})))


@pytest.mark.parametrize("update", [Update(), Update(set={}), Update(orphaned=frozenset())])
def test_an_update_that_names_nothing_is_empty(update):
    assert update.empty
    assert apply({}, update) == {}


FULL = NodeState(
    node="a",
    version="v1",
    parts=PARTS,
    cut="2013",
    wiring={"u": "v1", "w": "v1"},
    document=POINTER,
    artifact=POINTER,
    attempt=Attempt(
        fingerprint="f",
        outcome="promoted",
        because="so",
        run="r",
        time="t",
        parts=PARTS,
        version="v1",
        sequence=3,
    ),
    seconds=1.0,
    peak_bytes=2,
    fits=3,
    time="t",
    run="r",
)


@pytest.mark.parametrize(
    "change",
    [
        {"seconds": 9.0},
        {"peak_bytes": 9},
        {"fits": 9},
        {"time": "u"},
        {"run": "s"},
        {"document": None},
        {"artifact": replace(POINTER, pack="packs/s/2-1", offset=7, stored=9, codec="zstd")},
        {
            "attempt": replace(
                FULL.attempt, because="other words", run="s", time="u", sequence=9, document=POINTER
            )
        },
        {"wiring": {"w": "v1", "u": "v1"}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_equal_releases_differ_in_place_cost_time_and_run(change):
    assert logical_digest({"a": replace(FULL, **change)}) == logical_digest({"a": FULL})


@pytest.mark.parametrize(
    "change",
    [
        {"version": "v2"},
        {"parts": replace(PARTS, upstream={"x": "1", "y": "3"})},
        {"parts": None},
        {"cut": None},
        {"wiring": {"u": "v2", "w": "v1"}},
        {"artifact": replace(POINTER, digest="sha256:2")},
        {"attempt": None},
        {"attempt": replace(FULL.attempt, outcome="rejected")},
        {"orphaned": True},
    ],
    ids=lambda change: f"{next(iter(change))}",
)
def test_releases_that_mean_something_else_are_not_equal(change):
    assert logical_digest({"a": replace(FULL, **change)}) != logical_digest({"a": FULL})


def test_the_logical_digest_does_not_see_the_order_of_the_table():
    rows = {"a": FULL, "b": replace(FULL, node="b")}
    assert logical_digest(rows) == logical_digest(dict(reversed(rows.items())))
    assert logical_digest(rows) != logical_digest({"a": FULL})
