"""Runs of models that wait for labels: due when enough came, acted on once, and looking writes nothing."""

from __future__ import annotations

import os

import numpy as np
import pandas as pd
import pytest

import retraining
from retraining import plan

FOLDS = """
datasets: {d: {path: d.parquet, key: [id]}}
validation: {scheme: folds, folds: 3}
models:
  a: {dataset: d, target: y, features: [x], estimator: {type: Ridge}, retrain_when: RULE}
  b: {dataset: d, target: w, features: [x], estimator: {type: Ridge}, retrain_when: {data: {rows: 5000}}}
"""
TIMED = """
datasets: {d: {path: d.parquet, key: [id], time: t}}
validation: {scheme: time, blocks: 1w, min_train: {rows: 20, blocks: 2}}
models:
  a: {dataset: d, target: {column: y, known_after: 1d}, features: [x], estimator: {type: Ridge}, retrain_when: RULE}
"""


def rows(n=200):
    rng = np.random.default_rng(0)
    x = rng.normal(size=n)
    frame = pd.DataFrame({"id": range(n), "x": x, "y": x + rng.normal(size=n), "w": -x})
    frame["t"] = pd.Timestamp("2024-01-01", tz="UTC") + pd.to_timedelta(np.arange(n) * 6, "h")
    frame.loc[frame["id"] % 10 == 3, "y"] = np.nan
    return frame


def written(bench, text, rule):
    bench.write(text.replace("RULE", rule), d=rows())
    os.utime(bench.folder / "d.parquet", (1.7e9, 1.7e9))  # old enough to be known again unread
    return bench


def add(bench, ids, value=1.0, **more):
    return given(bench, pd.DataFrame({"id": list(ids), "y": value}), **more)


def given(bench, frame, **more):
    return retraining.add_feedback(bench.folder / "m.yaml", frame, store=str(bench.folder / "store"), **more)


def planned(bench, as_of=None):
    return plan(bench.folder / "m.yaml", store=str(bench.folder / "store"), as_of=as_of)


def sequence(bench):
    return bench.store().read_head().sequence


def cursors(bench, node="a"):
    return bench.state(node).cursors


NEW = [n for n in range(200) if n % 10 == 3]


def test_labels_that_came_make_a_node_due_once(bench):
    written(bench, FOLDS, "{feedback: {rows: 15}}").run()
    assert cursors(bench) == {}
    add(bench, NEW[:10])
    before = sequence(bench)
    assert planned(bench)["a"].note.startswith("not due")
    assert bench.run().fits_made == 0
    assert (sequence(bench), cursors(bench)) == (before, {})
    add(bench, NEW[10:16])
    decision = planned(bench)["a"]
    assert [(one.kind, one.text) for one in decision.reasons] == [
        ("feedback", "16 labels came or changed, in 2 batches up to 2")
    ]
    assert decision.cursors == {"feedback": 2}
    outcome = bench.run()
    assert outcome.fits_made > 0
    # the other model's label has other rows, and its rule does not look
    assert (cursors(bench), cursors(bench, "b")) == ({"feedback": 2}, {})
    after = sequence(bench)
    assert planned(bench)["a"].action == "keep"
    assert bench.run().fits_made == 0
    assert sequence(bench) == after
    add(bench, NEW[16:20])
    assert bench.run().fits_made == 0


def test_corrections_are_a_share_of_the_labels_that_train(bench):
    written(bench, FOLDS, "{feedback: {corrected: 5%}}").run()
    labelled = [n for n in range(200) if n % 10 != 3]
    add(bench, [*labelled[:8], *NEW], 5.0)
    # 200 labels train now, and 8 of them replaced others
    assert planned(bench)["a"].reasons == ()
    retraining.add_feedback(
        bench.folder / "m.yaml",
        pd.DataFrame({"id": labelled[10:12], "op": "retract"}),
        store=str(bench.folder / "store"),
    )
    (reason,) = planned(bench)["a"].reasons
    assert reason.evidence["corrected"] == 10
    assert reason.evidence["trained"] == 198
    assert bench.run().fits_made > 0
    assert cursors(bench) == {"feedback": 2}
    assert bench.run().fits_made == 0


def test_a_node_that_gets_the_condition_later_begins_after_what_it_has_learnt_from(bench):
    written(bench, FOLDS, "{data: {rows: 1}}").run()
    add(bench, NEW[:10])
    assert bench.run().fits_made > 0
    written(bench, FOLDS, "{feedback: {rows: 5}}")
    assert planned(bench)["a"].reasons == ()
    add(bench, NEW[10:14])
    assert planned(bench)["a"].reasons == ()
    add(bench, NEW[14:15])
    assert [one.evidence["batches"] for one in planned(bench)["a"].reasons] == [[2, 3]]


@pytest.mark.parametrize("mode", ["each day", "next block"])
def test_in_time_a_label_counts_from_the_block_after_it_was_known(bench, mode):
    written(bench, TIMED, "{feedback: {rows: 3}}").run("2024-02-13T00:00:00Z")
    # known on a Wednesday, learnt from by the fit of the next Monday
    add(bench, NEW[:5], known_at="2024-02-14T12:00:00Z")
    for day in (
        ("2024-02-13T00:00:00Z", "2024-02-15T00:00:00Z", "2024-02-16T00:00:00Z") if mode == "each day" else ()
    ):
        decision = planned(bench, day)["a"]
        assert decision.reasons == ()
        waits = "5 late labels wait for a later block's fit" in decision.note
        assert waits == (day > "2024-02-14")
        before = sequence(bench)
        assert bench.run(day).fits_made == 0
        assert (sequence(bench), cursors(bench)) == (before, {})
    decision = planned(bench, "2024-02-19T06:00:00Z")["a"]
    assert [one.text for one in decision.reasons] == ["5 labels came or changed, in batch 1"]
    assert bench.run("2024-02-19T06:00:00Z").fits_made > 0
    assert cursors(bench) == {"feedback": 1}
    assert bench.run("2024-02-19T07:00:00Z").fits_made == 0


def test_a_plan_without_work_is_remembered_until_the_next_batch(bench):
    written(bench, FOLDS, "{feedback: {rows: 2}}").run()
    first = planned(bench)
    hint = bench.folder / "store/hints/plans/bench"
    left = hint.read_bytes()
    assert planned(bench)["a"] == first["a"]
    assert hint.read_bytes() == left
    add(bench, NEW[:2])
    assert planned(bench)["a"].reasons
    # labels that will be known in the year 2999 are there, and nothing is due for them before
    add(bench, NEW[2:9], known_at="2999-01-01")
    assert bench.run().fits_made > 0
    assert planned(bench)["a"].reasons == ()
    assert planned(bench, "2999-01-02")["a"].reasons[0].evidence["rows"] == 7
