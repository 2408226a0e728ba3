"""Cursors only move forward, and in whatever order runs commit them."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from retraining.release.update import Update, apply, logical_digest
from retraining.release.values import NodeState, joined

#: What the table below meant before there were cursors.
UNCHANGED = "sha256:702a2c0061f37a8338628f8ae43ed147e9f41e43941c87fb6f11389bd8e0be49"

quick = settings(derandomize=True, max_examples=200, deadline=None)
cursors = st.dictionaries(st.sampled_from(["a", "b", "c"]), st.integers(-5, 5), max_size=3)


@quick
@given(cursors, cursors, cursors)
def test_the_join_is_commutative_associative_and_idempotent(one, two, three):
    assert joined(one, two) == joined(two, one)
    assert joined(joined(one, two), three) == joined(one, joined(two, three))
    assert joined(one, one) == dict(sorted(one.items()))
    assert joined(one, {}) == dict(sorted(one.items()))


@quick
@given(st.lists(cursors, max_size=4), st.randoms(use_true_random=False))
def test_updates_of_cursors_come_to_the_same_in_every_order(moves, random):
    table = {"node": NodeState(node="node", version="v")}

    def after(order):
        rows = table
        for move in order:
            rows = apply(rows, Update(cursors={"node": move}))
        return rows

    assert after(moves) == after(random.sample(moves, len(moves)))
    assert after([*moves, *moves]) == after(moves)


def test_a_new_version_keeps_the_cursors_and_moves_none_back():
    table = {"node": NodeState(node="node", version="v1", cursors={"schedule": 5, "feedback": 2})}
    row = NodeState(node="node", version="v2")
    found = apply(table, Update(set={"node": row}, cursors={"node": {"schedule": 3, "feedback": 4}}))
    assert found["node"].cursors == {"schedule": 5, "feedback": 4}


def test_a_node_that_was_forgotten_meanwhile_is_not_made_again_by_a_cursor():
    assert apply({}, Update(cursors={"node": {"schedule": 3}})) == {}


def test_cursors_are_part_of_what_a_table_means_only_where_there_are_any():
    without = {"node": NodeState(node="node", version="v")}
    some = apply(without, Update(cursors={"node": {"schedule": 3}}))
    assert logical_digest(apply(without, Update(cursors={"node": {}}))) == logical_digest(without)
    assert logical_digest(some) != logical_digest(without)
    assert logical_digest(without) == UNCHANGED
    assert not Update(cursors={"node": {"schedule": 3}}).empty
