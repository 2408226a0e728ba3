"""Champions that are hard to measure: rewired, gated, with late rows, new classes, odd targets, damaged records."""

import datetime as dt
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics

from retraining.operations.feedback import add_feedback
from retraining.operations.gc import clean
from retraining.operations.session import Request, open_session
from retraining.operations.stored import open_stored
from retraining.store.garbage import Keep
from tests.oracle.test_measures import FRAME, measured, moment, rows, scores
from tests.oracle.workbench import Bench, numbers

pytestmark = pytest.mark.slow

NEVER = "retrain_when: {performance: {metric: r2, min: -1000}}"


def write(folder, models, frame=None, head=FRAME):
    return Bench(folder).write(f"{head}\nmodels:\n{models}", d=rows() if frame is None else frame)


def model(name, target="y", features="[x1]", more="", rule=NEVER, estimator="Ridge"):
    return f"""
  {name}:
    dataset: d
    target: {{column: {target}, known_after: 1h}}
    features: {features}
    estimator: {{type: {estimator}}}
    {rule}
    {more}
"""


def session_of(bench, as_of):
    request = Request(manifest=bench.folder / "m.yaml", store=str(bench.folder / "store"), as_of=as_of)
    return open_session(request, dt.datetime.now(dt.UTC), create_store=False)


def test_a_gated_champion_is_measured_after_the_blocks_that_judged_it(tmp_path):
    bench = write(tmp_path, model("a", more="ship: gated"))
    bench.run(moment(56))
    bench.run(moment(70))
    found, known = measured(bench, "a", moment(70))
    cut = bench.version("a").document["cut_block"]
    assert [block.part - cut for block in found.gate] == [0, 1]
    assert [block.part - cut for block in found.since] == [2, 3]
    assert known.worth.gate == bench.version("a").verdict["challenger"] | {"r2": known.worth.gate["r2"]}
    frame = rows()
    here = frame[(frame.day >= 56) & (frame.day < 70)]
    predicted = bench.version("a").model(f"<{cut}").predict(numbers(here[["x1"]].to_numpy(), ["x1"]))
    assert known.worth.values["mean_squared_error"] == pytest.approx(
        metrics.mean_squared_error(here.y, predicted[:, 0]), rel=1e-12
    )


def test_late_rows_of_an_upstream_measure_the_reader_from_their_block_on(tmp_path):
    frame = rows()
    frame["seen"] = frame.t
    late = frame.index[frame.day == 64][2]
    frame.loc[late, "seen"] = pd.Timestamp(moment(78))
    head = FRAME.replace("time: t", "time: t, ingested: seen")
    above = model("a", rule="retrain_when: definition")
    bench = write(tmp_path, above + model("b", "z", "[x2]", "inputs: {a: {}}"), frame, head)
    bench.run(moment(56))
    bench.run(moment(77))
    before, _ = measured(bench, "b", moment(77))
    names = scores(bench)
    bench.run(moment(84))
    after, known = measured(bench, "b", moment(84))
    new = [
        one.metrics["part"]
        for name, one in scores(bench).items()
        if name not in names and "part" in one.metrics
    ]
    cut = bench.version("b").document["cut_block"]
    # the block of day 64, those after it (an older row may feed them by other edges), and the new one
    assert sorted(new) == [cut + 1, cut + 2, cut + 3]
    assert [sum(one.rows for one in block.measures) for block in before.since] == [56, 55, 56]
    assert [sum(one.rows for one in block.measures) for block in after.since] == [56, 56, 56, 56]
    assert known.worth.rows == 4 * 56


def test_a_class_that_came_after_the_champion_counts_as_a_miss(tmp_path):
    frame = rows()
    frame["kind"] = np.where(frame.y > 0, "up", "down")
    new = (frame.day >= 63) & (frame.id % 4 == 0)
    frame.loc[new, "kind"] = "sideways"
    rule = "retrain_when: {performance: {metric: accuracy, min: 0}}"
    bench = write(tmp_path, model("a", "kind", rule=rule, estimator="LogisticRegression"), frame)
    bench.run(moment(56))
    bench.run(moment(70))
    _, known = measured(bench, "a", moment(70))
    since = frame[(frame.day >= 56) & (frame.day < 70)]
    version = bench.version("a")
    assert version.document["data"]["classes"] == ["down", "up"]
    p = version.model(f"<{version.document['cut_block']}").predict(numbers(since[["x1"]].to_numpy(), ["x1"]))
    guessed = np.array(["down", "up"])[p.argmax(axis=1)]
    assert known.worth.values["accuracy"] == pytest.approx(metrics.accuracy_score(since.kind, guessed))
    assert known.worth.rows == len(since)
    assert known.worth.values["log_loss"] > known.worth.gate["log_loss"]


def test_a_champion_that_is_fed_with_another_column_is_measured_as_it_is_served(tmp_path):
    frame = rows()
    frame["y"] = frame.x1 + 0.1 * np.random.default_rng(1).normal(size=len(frame))
    upper = model("a", rule="retrain_when: {data: {blocks: 1}}")
    lower = model(
        "b", "z", "[x2]", "inputs: {a: {on_upstream_change: rescore}}\n    gate: {margin: {absolute: 100}}"
    )
    bench = write(tmp_path, upper + lower, frame)
    bench.run(moment(56))
    bench.run(moment(63))
    assert bench.state("b").column is not None
    bench.run(moment(70))  # measures, and then hands down another column again
    assert measured(bench, "b", moment(70))[1].due
    bench.run(moment(71))
    found, known = measured(bench, "b", moment(71))
    assert found.column == bench.state("b").hands_down
    assert len(found.since) == 2
    assert known.worth.rows == 2 * 56


def test_what_cannot_be_measured_is_said_and_stops_nothing(tmp_path):
    frame = rows()
    bench = write(tmp_path, model("a"), frame)
    bench.run(moment(56))
    text = (tmp_path / "m.yaml").read_text()
    (tmp_path / "m.yaml").write_text(text.replace("column: y,", "column: z,"))
    notes = session_of(bench, moment(70)).notes
    assert notes == ("a could not be measured: it predicts another target than the model does now",)
    assert bench.run(moment(70)).outcomes["a"][0] == "kept"
    (tmp_path / "m.yaml").write_text(text.replace("features: [x1]", "features: [x2]"))
    bench.write(
        text.partition("name: bench\n")[2].replace("features: [x1]", "features: [x2]"),
        d=frame.drop(columns="x1"),
    )
    assert session_of(bench, moment(70)).notes == (
        "a could not be measured: columns that it reads have left the data",
    )
    assert bench.run(moment(70)).outcomes["a"][0] == "kept"


def test_gc_keeps_measures_and_a_damaged_one_is_only_missing(tmp_path):
    bench = write(tmp_path, model("a"))
    bench.run(moment(56))
    bench.run(moment(70))
    before = scores(bench)
    stored = open_stored(str(tmp_path / "store"), None)
    keep = Keep(releases=1, age=dt.timedelta(0), grace=dt.timedelta(0))
    for _ in range(2):  # condemned, then deleted
        clean(stored, keep, act=True, who="test")
    assert scores(bench) == before
    pack = next(one.blob("measure").pack for one in before.values() if one.blob("measure"))
    path = tmp_path / "store" / pack
    path.chmod(0o644)
    data = bytearray(path.read_bytes())
    data[:40] = bytes(40)
    path.write_bytes(bytes(data))
    found, known = measured(bench, "a", moment(70))
    assert found.lost
    assert known.worth is not None


def test_a_plan_that_reads_measures_loads_nothing_heavy(tmp_path):
    bench = write(tmp_path, model("a"))
    bench.run(moment(56))
    bench.run(moment(70))
    code = (
        "import sys\n"
        "from retraining.cli.entry import run_command\n"
        f"code = run_command(['plan', 'm.yaml', '--store', 'store', '--as-of', {moment(70)!r}, '--force', 'a'])\n"
        "heavy = {'ray', 'sklearn', 'pandas', 'scipy', 'xgboost'} & set(sys.modules)\n"
        "sys.exit(f'loaded {heavy}' if heavy else code)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr


def test_a_label_that_feedback_corrects_measures_its_block_again(tmp_path):
    frame = rows()
    bench = write(tmp_path, model("a"), frame)
    bench.run(moment(56))
    bench.run(moment(70))
    names, worth = scores(bench), measured(bench, "a", moment(70))[1].worth
    row = frame[frame.day == 65].iloc[0]
    late = pd.DataFrame({"id": [row.id], "y": [row.y + 100.0]})
    add_feedback(tmp_path / "m.yaml", late, store=str(tmp_path / "store"), known_at=moment(70, hour=8))
    bench.run(moment(71))
    new = [
        one.metrics["part"]
        for name, one in scores(bench).items()
        if name not in names and "part" in one.metrics
    ]
    assert new == [bench.version("a").document["cut_block"] + 1]
    again = measured(bench, "a", moment(71))[1].worth
    predicted = (
        bench.version("a").model(f"<{new[0] - 1}").predict(numbers(np.array([[row.x1]]), ["x1"]))[0, 0]
    )
    change = ((row.y + 100.0 - predicted) ** 2 - (row.y - predicted) ** 2) / (2 * 56)
    gained = again.values["mean_squared_error"] - worth.values["mean_squared_error"]
    assert gained == pytest.approx(change, rel=1e-9)
