"""The `feedback` condition: labels are counted once, from the moment on at which a fit may learn from them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retraining.decide.changes import NOTHING_CHANGED
from retraining.decide.feedback import consumed_batch
from retraining.decide.signals import Signals
from retraining.decide.snapshots import BatchCount, node_data_from_json
from retraining.decide.triggers import evaluate_rule, is_timed
from retraining.manifest.values import FeedbackCondition, Rule

from .samples import data

CURSOR = "feedback"


def batch(number, rows=0, corrected=0, waiting=0):
    return BatchCount(batch=number, rows=rows, corrected=corrected, waiting=waiting)


def said(signals, **condition):
    rule = Rule(conditions=(FeedbackCondition(**condition),))
    assert not is_timed(rule)
    return evaluate_rule(rule, NOTHING_CHANGED, signals)


SIGNALS = Signals(as_of=0, feedback=(batch(2, 30, 5), batch(3, 10, 10), batch(7, 20)), trained=200)


@pytest.mark.parametrize(
    ("cursor", "rows", "corrected"),
    [({}, 60, 15), ({CURSOR: 1}, 60, 15), ({CURSOR: 2}, 30, 10), ({CURSOR: 3}, 20, 0), ({CURSOR: 7}, 0, 0)],
)
def test_rows_and_corrections_are_those_of_batches_after_the_cursor(cursor, rows, corrected):
    signals = replace(SIGNALS, cursors=cursor)
    for least in (1, rows, rows + 1):
        assert bool(said(signals, rows=max(least, 1)).reasons) == (rows >= max(least, 1))
    for share in (0.001, corrected / 200, corrected / 200 + 0.001):
        assert bool(said(signals, corrected=max(share, 0.001)).reasons) == (
            corrected / 200 >= max(share, 0.001)
        )
    assert said(signals, rows=1).cursors == ({} if cursor == {CURSOR: 7} else {CURSOR: 7})


def test_a_reason_names_the_batches_and_the_numbers():
    (reason,) = said(replace(SIGNALS, cursors={CURSOR: 3}), rows=5).reasons
    assert (reason.kind, reason.text) == ("feedback", "20 labels came or changed, in batch 7")
    (reason,) = said(SIGNALS, corrected=0.05).reasons
    assert reason.text == "7.5% of the labels that train were corrected, 15 rows, in 3 batches up to 7"
    assert reason.evidence == {
        "batches": [2, 3, 7],
        "rows": 60,
        "corrected": 15,
        "trained": 200,
        "share": 0.075,
    }


def test_labels_that_wait_are_not_consumed_with_those_that_came_later():
    signals = Signals(as_of=0, feedback=(batch(1, 4), batch(2, 3, 0, 6), batch(3, 5)), trained=50)
    assert said(signals, rows=12).cursors == {CURSOR: 1}
    later = replace(signals, feedback=(batch(1, 4), batch(2, 9), batch(3, 5)), cursors={CURSOR: 1})
    assert said(later, rows=14).reasons
    assert said(later, rows=14).cursors == {CURSOR: 3}
    # only what waits is left: nothing is due, and nothing moves
    waits = replace(signals, feedback=(batch(1, 4), batch(2, 0, 0, 6)), cursors={CURSOR: 1})
    assert said(waits, rows=1) == said(replace(waits, feedback=(batch(1, 4),)), rows=1)


def test_without_a_cursor_a_node_begins_after_what_its_last_attempt_had_seen():
    assert not said(replace(SIGNALS, feedback_seen=7), rows=1).reasons
    assert said(replace(SIGNALS, feedback_seen=3), rows=20).reasons
    seen = replace(data("a"), feedback=(batch(1, 4), batch(4, 2), batch(6, 0, 0, 3), batch(8, 1)))
    assert consumed_batch(seen) == 4
    assert consumed_batch(None) == 0
    assert node_data_from_json(seen.to_json()) == seen
    assert "feedback" not in data("a").to_json()


COUNTS = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=6).map(
    lambda pairs: tuple(batch(n + 1, rows, min(rows, 2), waiting) for n, (rows, waiting) in enumerate(pairs))
)


@settings(max_examples=200, derandomize=True, deadline=None)
@given(COUNTS, st.integers(0, 6))
def test_a_cursor_never_moves_back_and_never_past_labels_that_wait(counts, cursor):
    signals = Signals(as_of=0, feedback=counts, trained=100, cursors={CURSOR: cursor})
    moved = said(signals, rows=1).cursors.get(CURSOR, cursor)
    assert moved >= cursor
    assert not [one for one in counts if one.waiting and cursor < one.batch <= moved]
    after = replace(signals, cursors={CURSOR: moved})
    if not any(one.waiting for one in counts):
        assert not said(after, rows=1).reasons
    assert said(after, rows=1).cursors == {}
