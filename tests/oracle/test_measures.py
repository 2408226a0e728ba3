"""A champion's measures are what a plain loop over days says, with its stored models and scikit-learn's metrics."""

import datetime as dt
import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics

from retraining.decide.measures import days_of, mean_of
from retraining.errors import InterruptedRunError
from retraining.operations.measured import read_measured
from retraining.operations.run import Watcher
from retraining.operations.session import Request, open_session
from tests.oracle.workbench import Bench, folds_by_key, numbers, records

FIRST = pd.Timestamp("2024-01-01", tz="UTC")  # a Monday: blocks of a week begin with it
DAYS, A_DAY = 84, 8


def moment(day, hour=6):
    return (FIRST + pd.Timedelta(days=day, hours=hour)).isoformat()


def rows(days=DAYS, seed=0):
    """Rows by time: from day 63 on x1 says the opposite of what it said; `z` reads what `a` predicts."""
    rng = np.random.default_rng(seed)
    n = days * A_DAY
    x = rng.normal(size=(n, 2))
    frame = pd.DataFrame({"id": np.arange(n), "x1": x[:, 0], "x2": x[:, 1]})
    frame["t"] = FIRST + pd.to_timedelta(np.arange(n) * (24 * 60 // A_DAY), "min")
    frame["day"] = np.arange(n) // A_DAY
    sign = np.where(frame.day < 63, 1.0, -0.5)
    frame["y"] = sign * x[:, 0] + 0.3 * rng.normal(size=n)
    frame["z"] = frame.y + x[:, 1] + 0.3 * rng.normal(size=n)
    frame["late"] = (frame.y + 0.5 * rng.normal(size=n) > 0).astype(int)
    frame["w"] = rng.integers(0, 3, n).astype(float)
    frame["known"] = frame.t + pd.Timedelta(hours=1)
    return frame


VALIDATION = "validation: {scheme: time, blocks: 1w, holdout: 2, min_train: {rows: 30, blocks: 2}}\n"
FRAME = "datasets: {d: {path: d.parquet, key: [id], time: t}}\n" + VALIDATION
RULE = "retrain_when: {performance: {metric: r2, min: -1000}}"  # never: the same champions are measured
CHAIN = f"""{FRAME}
models:
  a:
    dataset: d
    target: {{column: y, known_after: 1h}}
    features: [x1]
    estimator: {{type: Ridge}}
    retrain_when: definition
  b:
    dataset: d
    target: {{column: z, known_after: 1h}}
    features: [x2]
    inputs: {{a: {{}}}}
    estimator: {{type: Ridge}}
    metrics: [root_mean_squared_error, r2]
    gate: {{margin: {{absolute: 10}}}}
    {RULE}
"""


def measured(bench, node, as_of):
    """All that the store has of a champion, and what it is worth."""
    request = Request(manifest=bench.folder / "m.yaml", store=str(bench.folder / "store"), as_of=as_of)
    session = open_session(request, dt.datetime.now(dt.UTC), create_store=False)
    found = session.known.measures[node]
    return read_measured(session.store, node, found), found


def scores(bench):
    """The records of measures in the store, by fingerprint."""
    return {record.fingerprint: record for record in records(bench.store()) if record.action == "score"}


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    """A chain that is released on day 56, and looked at again on days 70 and 84."""
    bench = Bench(tmp_path_factory.mktemp("chain")).write(CHAIN, d=rows())
    bench.run(moment(56))
    return bench


def test_each_day_has_the_losses_of_the_released_model(chain):
    chain.run(moment(70))
    found, known = measured(chain, "b", moment(70))
    frame = rows()
    a, b = chain.version("a"), chain.version("b")
    assert b.document["cut_block"] * 7 == (FIRST.date() - dt.date(1970, 1, 5)).days + 56
    cut = f"<{b.document['cut_block']}"
    assert [block.part - b.document["cut_block"] for block in found.since] == [0, 1]
    for one in days_of(found.since):
        day = one.unit - (FIRST.date() - dt.date(1970, 1, 1)).days
        here = frame[frame.day == day]
        # nothing newer than the cut is in either model
        column = a.model(f"<{a.document['cut_block']}").predict(numbers(here[["x1"]].to_numpy(), ["x1"]))
        x = np.column_stack([column, here.x2])
        predicted = b.model(cut).predict(numbers(x, ["a", "x2"]))[:, 0]
        assert one.rows == one.labelled == one.weight == A_DAY
        squared = metrics.mean_squared_error(here.z, predicted)
        assert one.losses["root_mean_squared_error"] == pytest.approx(squared * A_DAY, rel=1e-12)
    assert found.pending == 0
    assert not known.due


def test_what_it_is_worth_is_the_metric_over_all_rows_since_and_the_gates_is_the_verdicts(chain):
    chain.run(moment(70))
    found, known = measured(chain, "b", moment(70))
    frame, worth = rows(), known.worth
    a, b = chain.version("a"), chain.version("b")
    since = frame[(frame.day >= 56) & (frame.day < 70)]
    column = a.model(f"<{a.document['cut_block']}").predict(numbers(since[["x1"]].to_numpy(), ["x1"]))
    x = np.column_stack([column, since.x2])
    predicted = b.model(f"<{b.document['cut_block']}").predict(numbers(x, ["a", "x2"]))[:, 0]
    assert worth.values["r2"] == pytest.approx(metrics.r2_score(since.z, predicted), rel=1e-12)
    root = metrics.root_mean_squared_error(since.z, predicted)
    assert worth.values["root_mean_squared_error"] == pytest.approx(root, rel=1e-12)
    assert mean_of("root_mean_squared_error", days_of(found.since)) == pytest.approx(root, rel=1e-12)
    # what the gate said of the gate fit, bit for bit
    assert worth.gate == b.verdict["challenger"]
    assert mean_of("root_mean_squared_error", days_of(found.gate)) == pytest.approx(
        b.verdict["challenger"]["root_mean_squared_error"], rel=1e-12
    )
    assert (worth.rows, worth.days, worth.gate_days) == (14 * A_DAY, 14, 14)


def test_predictions_are_counted_by_day_in_bins_of_the_reference(chain):
    chain.run(moment(70))
    found, _ = measured(chain, "b", moment(70))
    bins = {repr(block.prediction.bins) for block in (*found.reference, *found.since)}
    assert len(bins) == 1
    for block in found.since:
        assert block.prediction.days == tuple(one.unit for one in block.measures)
        assert block.prediction.rows.tolist() == [A_DAY] * 7
    edges = found.since[0].prediction.bins.edges
    piece = np.concatenate([chain.version("b").column(fit)[block] for fit, block in reference(chain)])
    assert set(edges) <= set(piece[:, 0].tolist())


def reference(bench):
    document = bench.version("b").document
    blocks = document["data"]["holdout"]
    return [(f"<{blocks[0]}", block) for block in blocks]


def test_nothing_is_trained_for_it_and_nothing_is_measured_twice(chain):
    outcome = chain.run(moment(70))
    before = scores(chain)
    assert outcome.fits_made == 0
    again = chain.run(moment(70))
    assert again.outcomes["b"] == ("kept", again.outcomes["b"][1])
    assert scores(chain) == before
    chain.run(moment(77))
    new = [record for name, record in scores(chain).items() if name not in before]
    parts = [record.metrics["part"] for record in new if "part" in record.metrics]
    assert len(parts) == 1
    assert sum("worth" in record.metrics for record in new) == 1


CLASSES = f"""{FRAME}
models:
  c:
    dataset: d
    target: {{column: late, known_at: known}}
    features: [x1]
    weight: w
    estimator: {{type: LogisticRegression}}
    metrics: [brier_score_loss]
    retrain_when: {{performance: {{metric: roc_auc, min: 0.7}}}}
"""


def test_labels_that_come_late_measure_exactly_their_block_again(tmp_path):
    frame = rows()
    # five labels of day 58 come on day 80
    slow = frame.index[frame.day == 58][:5]
    frame.loc[slow, "known"] = FIRST + pd.Timedelta(days=80)
    bench = Bench(tmp_path).write(CLASSES, d=frame)
    bench.run(moment(56))
    # it is never due, so that the same champion is measured all the time
    text = (tmp_path / "m.yaml").read_text().replace("min: 0.7", "min: 0.0")
    (tmp_path / "m.yaml").write_text(text)
    bench.run(moment(77))
    before, known = measured(bench, "c", moment(77))
    names = scores(bench)
    assert expected(bench, frame, 77) == pytest.approx(known.worth.values, rel=1e-12)
    bench.run(moment(84))
    after, known = measured(bench, "c", moment(84))
    new = [
        one.metrics["part"]
        for name, one in scores(bench).items()
        if name not in names and "part" in one.metrics
    ]
    cut = bench.version("c").document["cut_block"]
    # the block of day 58, and the one that is new
    assert sorted(new) == [cut, cut + 3]
    labelled = [sum(one.labelled for one in found.since[0].measures) for found in (before, after)]
    assert labelled[1] - labelled[0] == np.count_nonzero(frame.loc[slow, "w"])
    assert expected(bench, frame, 84) == pytest.approx(known.worth.values, rel=1e-12)


def expected(bench, frame, day):
    """scikit-learn's metrics over all rows since the cut whose labels are known on a day, by weight."""
    version = bench.version("c")
    known = frame.known <= FIRST + pd.Timedelta(days=day, hours=6)
    here = frame[(frame.day >= 56) & (frame.day < day) & known & (frame.w > 0)]
    model = version.model(f"<{version.document['cut_block']}")
    p = model.predict(numbers(here[["x1"]].to_numpy(), ["x1"]))[:, 1]
    return {
        "brier_score_loss": metrics.brier_score_loss(here.late, p, sample_weight=here.w),
        "roc_auc": metrics.roc_auc_score(here.late, p, sample_weight=here.w),
    }


def test_by_folds_every_row_is_measured_by_the_fit_that_left_its_fold_out(tmp_path):
    frame = rows(days=30).drop(columns=["t", "known"])
    text = """
datasets: {d: {path: d.parquet, key: [id]}}
models:
  a:
    dataset: d
    target: y
    features: [x1]
    estimator: {type: Ridge}
    metrics: [mean_squared_error, mean_absolute_error]
    retrain_when: {performance: {metric: r2, min: -10}}
"""
    bench = Bench(tmp_path).write(text, d=frame[frame.day < 20])
    bench.run()
    bench.write(text, d=frame)
    assert bench.run().fits_made == 0
    found, known = measured(bench, "a", None)
    version = bench.version("a")
    assert [block.part for block in found.since] == [0, 1, 2, 3, 4]
    predicted = np.full(len(frame), math.nan)
    folds = folds_by_key(frame.id.to_numpy(), 5)
    for fold in range(5):
        at = folds == fold
        model = version.model(f"-{fold}")
        predicted[at] = model.predict(numbers(frame.loc[at, ["x1"]].to_numpy(), ["x1"]))[:, 0]
    assert known.worth.rows == len(frame)
    assert known.worth.values == pytest.approx(
        {
            "mean_squared_error": metrics.mean_squared_error(frame.y, predicted),
            "mean_absolute_error": metrics.mean_absolute_error(frame.y, predicted),
            "r2": metrics.r2_score(frame.y, predicted),
        },
        rel=1e-12,
    )


@pytest.mark.parametrize("backend", ["serial", pytest.param("ray", marks=pytest.mark.slow)])
def test_every_backend_measures_the_same_bytes(backend, tmp_path, chain):
    chain.run(moment(70))
    bench = Bench(tmp_path).write(CHAIN, d=rows())
    bench.run(moment(56), backend=backend)
    bench.run(moment(70), backend=backend)
    mine, theirs = scores(bench), scores(chain)
    assert mine.keys() <= theirs.keys()
    told = {
        name: (json.dumps(one.metrics, sort_keys=True), [blob.digest for blob in one.blobs])
        for name, one in mine.items()
    }
    assert told == {
        name: (json.dumps(theirs[name].metrics, sort_keys=True), [blob.digest for blob in theirs[name].blobs])
        for name in mine
    }


def test_a_measuring_that_was_stopped_goes_on_with_what_is_missing(tmp_path):
    bench = Bench(tmp_path).write(CHAIN, d=rows())
    bench.run(moment(56))
    calls = iter(range(100))
    with pytest.raises(InterruptedRunError, match="measured"):
        bench.run(moment(70), watcher=Watcher(stop_asked=lambda: next(calls) > 1))
    assert not [*Path(tmp_path, "store", "runs").glob("*/alive")]
    bench.run(moment(70))
    assert not measured(bench, "b", moment(70))[1].due
