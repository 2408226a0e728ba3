"""A champion that does badly on what came after it makes its node due, once for each mature block."""

import datetime as dt
import os
import re

import pytest

from retraining.operations.plan import plan
from retraining.operations.run import RunOptions, Watcher, run
from retraining.operations.session import Quiet, Request, open_plan
from tests.oracle.test_measures import FRAME, moment, rows, scores
from tests.oracle.workbench import Bench

MODEL = """
models:
  a:
    dataset: d
    target: {column: y, known_after: 1h}
    features: [x1]
    estimator: {type: Ridge}
    RULE
    MORE
"""


def bench(folder, rule, more="", frame=None):
    text = FRAME + MODEL.replace("RULE", f"retrain_when: {rule}").replace("MORE", more)
    return Bench(folder).write(text, d=rows() if frame is None else frame)


def decision(one, day):
    return plan(one.folder / "m.yaml", store=str(one.folder / "store"), as_of=moment(day))["a"]


def reasons(one, day):
    """What the run of a day decided, and how it came out."""
    told = {}
    outcome = run(
        one.folder / "m.yaml",
        store=str(one.folder / "store"),
        as_of=moment(day),
        options=RunOptions(backend="serial"),
        watcher=Watcher(planned=lambda session: told.update(plan=session.plan, notes=session.notes)),
    )
    return [reason.text for reason in told["plan"]["a"].reasons], outcome


def test_a_champion_that_got_worse_is_refitted_and_a_good_one_is_not(tmp_path):
    one = bench(tmp_path, "{performance: {worse_than_gate: true}}")
    reasons(one, 56)
    # day 56 to 63 is as it was before, the sign of x1 changes on day 63
    assert reasons(one, 63)[0] == []
    texts, outcome = reasons(one, 70)
    assert len(texts) == 1
    assert re.fullmatch(
        r"mean_squared_error of the champion is 1\.\d+ on 14 days since 2024-02-26, 0\.\d+ when it was judged: "
        r"worse by more than the margin of 0\.\d+",
        texts[0],
    )
    assert outcome.fits_made > 0
    document = one.version("a", attempt=True).document
    assert document["decision"]["reasons"][0]["evidence"]["clusters"] == [14, 14]


def test_a_rejected_challenger_is_not_tried_again_until_a_block_is_mature(tmp_path):
    # nothing can be released: the holdout itself breaks this limit
    more = "gate: {limits: {mean_squared_error: {max: 0.5}}}"
    one = bench(tmp_path, "{performance: {max: 0.4}}", more, rows(days=98))
    reasons(one, 56)
    texts, outcome = reasons(one, 70)
    assert outcome.outcomes["a"][0] == "rejected", outcome.outcomes
    assert "above 0.4" in texts[0]
    for day in (70, 71, 76):
        texts, outcome = reasons(one, day)
        assert (texts, outcome.fits_made) == ([], 0)
    assert "above 0.4" in reasons(one, 77)[0][0]


def test_plan_says_what_is_not_measured_and_a_run_leaves_nothing_to_say(tmp_path):
    one = bench(tmp_path, "{performance: {max: 100}}")
    os.utime(tmp_path / "d.parquet", (1e9, 1e9))
    reasons(one, 56)
    request = Request(manifest=tmp_path / "m.yaml", store=str(tmp_path / "store"), as_of=moment(70))

    def notes():
        return open_plan(request, dt.datetime.now(dt.UTC), create_store=False).notes

    told = "2 blocks of 1 champion not measured yet: `retrain run` measures before it decides"
    assert notes() == (told,)
    assert notes() == (told,)
    _, outcome = reasons(one, 70)
    assert outcome.outcomes["a"][0] == "kept"
    assert outcome.run == ""
    assert notes() == ()
    # and is remembered, since nothing is left to be measured
    assert isinstance(open_plan(request, dt.datetime.now(dt.UTC), create_store=False), Quiet)


def test_only_selected_champions_are_measured(tmp_path):
    one = bench(tmp_path, "{performance: {max: 100}}", "tags: [x]")
    reasons(one, 56)
    one.run(moment(70), exclude=("tag:x",))
    assert scores(one) == {}
    one.run(moment(70), select=("tag:x",))
    assert len(scores(one)) == 6


def test_a_champion_of_another_recipe_is_measured_by_its_own(tmp_path):
    one = bench(tmp_path, "{any: [{performance: {max: 100}}]}")
    reasons(one, 56)
    text = (tmp_path / "m.yaml").read_text()
    (tmp_path / "m.yaml").write_text(text.replace("features: [x1]", "features: [x2]"))
    before = one.version("a").document["version"]
    reasons(one, 70)
    assert one.version("a").document["version"] == before
    worth = [record.metrics["worth"] for record in scores(one).values() if "worth" in record.metrics]
    assert worth[0]["rows"] == 14 * 8
    # the manifest's model could not tell y from x2: the champion's x1 does, until the sign changes
    assert worth[0]["gate"]["mean_squared_error"] < 0.2


@pytest.mark.parametrize("rule", ["{performance: {max: 0.4}}", "{performance: {metric: r2, min: 0.5}}"])
def test_by_folds_rows_that_came_since_count(tmp_path, rule):
    frame = rows().drop(columns=["t", "known"])
    text = "datasets: {d: {path: d.parquet, key: [id]}}" + MODEL.replace(", known_after: 1h", "")
    text = text.replace("RULE", f"retrain_when: {rule}").replace("MORE", "")
    one = Bench(tmp_path).write(text, d=frame[frame.day < 63])
    one.run()
    one.write(text, d=frame[frame.day < 64])
    assert one.run().outcomes["a"][0] == "kept"
    one.write(text, d=frame)
    told = {}
    one.run(watcher=Watcher(planned=lambda session: told.update(plan=session.plan)))
    (reason,) = told["plan"]["a"].reasons
    assert "rows" in reason.text
    assert one.run().fits_made == 0
