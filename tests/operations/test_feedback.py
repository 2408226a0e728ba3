"""Runs of models that wait for labels: due when enough came, acted on once, and looking writes nothing."""

from __future__ import annotations

import datetime as dt
import os

import numpy as np
import pandas as pd
import pytest

import retraining
from retraining import plan
from retraining.errors import IntegrityError
from retraining.operations.feedback import show_feedback
from retraining.operations.session import Request, open_session
from retraining.operations.status import releases
from retraining.operations.stored import open_stored
from retraining.store.feedback import batch_key

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


def test_in_time_a_correction_takes_a_label_away_at_once_and_its_own_label_is_learnt_by_a_later_block(bench):
    written(bench, TIMED, "{feedback: {corrected: 1%}}").run("2024-02-13T00:00:00Z")
    add(bench, [0, 1, 2, 4], value=9.0, known_at="2024-02-14T12:00:00Z")
    for day, acts, cursor in (
        ("2024-02-15T00:00:00Z", True, {}),  # fitted without the four rows
        ("2024-02-16T00:00:00Z", False, {}),
        ("2024-02-19T06:00:00Z", True, {"feedback": 1}),  # fitted with what replaced them
        ("2024-02-20T06:00:00Z", False, {"feedback": 1}),
    ):
        assert (planned(bench, day)["a"].action == "retrain") == acts, day
        bench.run(day)
        assert cursors(bench) == cursor, day


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


def test_labels_that_came_after_all_rows_ended_are_told(bench):
    written(bench, TIMED, "{data: {blocks: 1}}").run()
    add(bench, NEW[:5])
    assert bench.run().fits_made == 0
    (note,) = [one for one in session(bench).notes if "late label" in one]
    assert note.startswith("5 late labels of a were known only after 2024-02-26, where its rows end")
    # while rows still come this is as it should be
    assert not [one for one in session(bench, "2024-02-19T12:00:00Z").notes if "late label" in one]


def session(bench, as_of=None):
    request = Request(manifest=bench.folder / "m.yaml", store=str(bench.folder / "store"), as_of=as_of)
    return open_session(request, dt.datetime.now(dt.UTC), create_store=False)


def test_a_release_says_what_it_saw_and_a_damaged_batch_stops_whoever_needs_it(bench, tmp_path):
    written(bench, FOLDS, "{feedback: {rows: 2}}").run()
    add(bench, NEW[:2])
    bench.run()
    add(bench, NEW[2:3])
    found, _ = releases(open_stored(str(bench.folder / "store"), None), 5)
    assert [one.feedback_through for one in found] == [1, 0]
    path = bench.folder / "store" / batch_key(1)
    body = path.read_bytes()
    path.write_bytes(body[:100] + bytes([body[100] ^ 1]) + body[101:])
    for look in (planned, bench.__class__.run, session):
        with pytest.raises(IntegrityError, match=r"0001\.parquet: its bytes are not what its digest says"):
            look(bench)
    assert bench.store().read_head().release == 2


def test_days_and_zones_of_a_key_are_those_of_the_dataset(bench):
    frame = pd.DataFrame(
        {"place": list("abab"), "day": pd.to_datetime(["2024-03-01"] * 2 + ["2024-03-02"] * 2)}
    )
    frame["day"] = frame["day"].dt.tz_localize("Europe/Berlin")
    bench.write(
        "timezone: Europe/Berlin\ndatasets: {d: {path: d.parquet, key: [place, day]}}\n"
        "models:\n  a: {dataset: d, target: y, features: [x], estimator: Ridge}\n",
        d=frame.assign(x=1.0, y=[1.0, 2.0, None, 4.0]),
    )
    late = bench.folder / "late.csv"
    late.write_text("place,day,y\na,2024-03-02,3\nb,2024-03-01T00:00:00+01:00,5\nb,2024-03-03,6\n")
    done = retraining.add_feedback(bench.folder / "m.yaml", late, store=str(bench.folder / "store"))
    assert (done.came, done.corrected, done.unknown) == (2, 1, 1)
    stored = open_stored(str(bench.folder / "store"), bench.folder / "m.yaml")
    for day in ("2024-03-01", "2024-03-01T00:00", "2024-02-29T23:00:00Z"):
        (line,) = show_feedback(stored, "d", {"place": "b", "day": day})
        assert (line.labels, line.was) == ({"y": "5"}, {"y": "2"})


@pytest.mark.slow
def test_on_ray_late_labels_make_the_release_that_they_make_here(bench):
    written(bench, TIMED, "{data: {blocks: 1}}")
    for store in ("store", "other"):
        add_to = {"store": str(bench.folder / store), "known_at": "2024-02-01"}
        frame = pd.DataFrame({"id": [*NEW, 50], "y": 1.5})
        retraining.add_feedback(bench.folder / "m.yaml", frame, **add_to)
    here = bench.run("2024-02-19T00:00:00Z")
    there = bench.run("2024-02-19T00:00:00Z", store="other", backend="ray")
    assert here.fits_made > 0
    assert here.after.logical() == there.after.logical()
