"""What the settings of a gate do in whole runs by time: shipped checks, suspect labels, one look at each holdout."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from retraining.execution.shipping import reload_check
from retraining.learn.comparison import psi
from retraining.prediction.releases import open_store
from retraining.store.packs import Blob, Record, build_pack
from retraining.store.results import ResultIndex

START = pd.Timestamp("2024-01-08", tz="UTC")  # a Monday on which a block of two weeks begins
TEXT = """
datasets: {d: {path: d.parquet, key: [id], time: at}}
validation: {scheme: time, blocks: 2w, min_train: {rows: 20, blocks: 2}}
models:
  m:
    dataset: d
    target: {column: y, known_after: %s}
    features: [x]
    estimator: {type: %s}
    gate: {%s}
"""


def daily(days=100, rows=40, seed=0):
    """Rows of every day: y is 2 x, an effect of the day, and noise; `w` is a weight."""
    rng = np.random.default_rng(seed)
    day = np.repeat(np.arange(days), rows)
    frame = pd.DataFrame({"id": np.arange(len(day)), "day": day})
    frame["at"] = START + pd.to_timedelta(day * 24 * 60 + rng.integers(0, 1440, len(day)), "min")
    frame["x"] = rng.normal(size=len(day))
    frame["y"] = 2 * frame["x"] + 0.3 * rng.normal(size=days)[day] + rng.normal(size=len(day))
    frame["w"] = rng.uniform(0.5, 2, len(day))
    return frame


def write(bench, frame, delay="0d", estimator="Ridge", gate="", more=""):
    text = TEXT % (delay, estimator, gate) + "".join(f"    {line}\n" for line in more.split("; ") if line)
    bench.write(text, d=frame.drop(columns="day"))
    return bench


def on(day):
    return (START + pd.Timedelta(days=day)).isoformat()


def result(bench, day):
    """The outcome of a run on a day, and its sentence."""
    return bench.run(as_of=on(day)).outcomes["m"]


def test_predictions_may_shift_between_the_judged_fit_and_the_shipped_one_by_refit_shift_at_most(bench):
    frame = daily()
    # the holdout's labels move the shipped fit, so the newest rows are predicted otherwise
    frame.loc[(frame["day"] >= 70) & (frame["day"] < 84), "y"] -= 2 * frame["x"]
    shifting = "margin: 90%, refit_shift: "
    word, because = write(bench, frame, gate=shifting + "0.001").run(as_of=on(97.9)).outcomes["m"]
    assert (word, "`refit_shift` allows 0.001" in because) == ("rejected", True)
    check = next(c for c in bench.version("m", attempt=True).verdict["checks"] if c["name"] == "shift")
    assert check["blocking"]
    assert check["limit"] == 0.001
    assert "on rows that neither fit learnt from" in check["note"]
    assert (
        write(bench, frame, gate=shifting + "50").run(as_of=on(97.9), store="b").outcomes["m"][0]
        == "promoted"
    )


def test_a_shift_on_rows_that_the_shipped_fit_learnt_from_is_only_told(bench):
    frame = daily(84)
    frame.loc[frame["day"] >= 70, "y"] -= 2 * frame["x"]
    assert write(bench, frame, gate="refit_shift: 0").run(as_of=on(84)).outcomes["m"][0] == "promoted"
    check = next(c for c in bench.version("m").verdict["checks"] if c["name"] == "shift")
    assert (check["passed"], check["blocking"]) == (True, False)
    assert check["value"] > 0


def test_by_folds_every_fold_is_compared_with_the_fit_that_left_out_the_next(bench):
    frame = daily(15)
    text = "datasets: {d: {path: d.parquet, key: [id]}}\nmodels: {m: {dataset: d, target: y, features: [x]"
    bench.write(text + ", estimator: Ridge}}", d=frame[["id", "x", "y"]])
    assert bench.run().outcomes["m"][0] == "promoted"
    version = bench.version("m")
    gate = np.concatenate([version.column(f"-{(fold + 1) % 5}")[fold] for fold in range(5)])
    shipped = np.concatenate([version.column("-")[fold] for fold in range(5)])
    check = next(c for c in version.verdict["checks"] if c["name"] == "shift")
    assert check["value"] == pytest.approx(psi(gate[:, 0], shipped[:, 0]))
    assert check["blocking"]
    assert f"{len(frame)} rows" in check["note"]


@pytest.mark.slow
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("released", [False, True])
@pytest.mark.parametrize(
    ("delay", "as_of", "bad"),
    [("0d", 84, 79), ("7d", 92, 78), ("7d", 90, 71)],
    ids=["judged and learnt from", "judged alone", "learnt from after the holdout"],
)
def test_labels_of_five_days_in_another_unit_never_ship(bench, delay, as_of, bad, released, weighted):
    """In a holdout that the shipped fit learns from, in one that it does not, and in rows after the holdout."""
    frame = daily()
    more = "weight: w" if weighted else ""
    if released:
        assert write(bench, frame, delay, more=more).run(as_of=on(as_of - 28)).outcomes["m"][0] == "promoted"
    before = bench.state("m").version if released else None
    frame.loc[frame["day"].between(bad, bad + 4), "y"] *= 60
    word, because = result(write(bench, frame, delay, more=more), as_of)
    assert (word, because.startswith("suspect data: ")) == ("rejected", True)
    assert bench.state("m").version == before
    check = next(c for c in bench.version("m", attempt=True).verdict["checks"] if c["name"] == "labels")
    assert (check["value"], check["limit"]) == (5, 1)
    # the same days, right again, ship
    frame.loc[frame["day"].between(bad, bad + 4), "y"] /= 60
    forced = write(bench, frame, delay, more=more).run(as_of=on(as_of), force=("m",))
    assert forced.outcomes["m"][0] == "promoted"


@pytest.mark.parametrize("where", ["holdout", "after"])
def test_predictions_that_are_no_numbers_never_ship(bench, where):
    frame = daily()
    frame["y"] = frame["y"].clip(0).round()
    frame.loc[frame["day"] == (75 if where == "holdout" else 90), "x"] = 1e6
    gate = "margin: {absolute: 1e300}, refit_shift: 1000"
    word, because = result(write(bench, frame, estimator="PoissonRegressor", gate=gate), 95)
    assert (word, "not finite" in because) == ("rejected", True)


def test_too_few_days_keep_the_champion_and_a_looser_gate_does_not_look_again(bench):
    frame = daily()
    assert result(write(bench, frame), 56)[0] == "promoted"
    champion = bench.state("m").version
    word, because = result(write(bench, frame, gate="min_clusters: 15"), 84)
    assert (word, because) == ("insufficient", "the holdout has 14 days, and min_clusters asks for 15")
    assert bench.state("m").version == champion
    word, because = result(write(bench, frame, gate="min_clusters: 2, margin: 90%"), 84)
    assert (word, bench.state("m").version) == ("kept", champion)
    # the next block is another holdout
    assert result(bench, 98)[0] == "promoted"
    assert bench.state("m").version != champion


def test_the_same_gate_fit_is_the_same_recipe_and_only_the_shipped_fit_is_checked(bench):
    frame = daily()
    assert result(write(bench, frame, "3d", gate="margin: 0%"), 73.5)[0] == "promoted"
    assert result(bench, 84.5) == (
        "promoted",
        "same recipe and same gate fit as the champion; the checks decide",
    )
    verdict = bench.version("m").verdict
    assert (verdict["comparison"], verdict["difference"]["value"]) == ("same recipe", 0)
    assert {check["name"] for check in verdict["checks"]} >= {"labels", "reload", "finite", "shift"}


def test_a_verdict_can_be_computed_again_from_its_document(bench):
    frame = daily()
    write(bench, frame, gate="margin: 3%, limits: {mean_squared_error: {max: 50}}").run(as_of=on(56))
    assert result(bench, 84)[0] == "promoted"
    verdict = bench.version("m").verdict
    difference, days = verdict["difference"], verdict["difference"]["by_cluster"]
    losses = {who: np.sum(days[who]) / np.sum(days["weight"]) for who in ("challenger", "champion")}
    assert losses["challenger"] == pytest.approx(verdict["challenger"]["mean_squared_error"])
    assert losses["champion"] == pytest.approx(difference["champion_loss"])
    assert losses["challenger"] - losses["champion"] == pytest.approx(difference["value"])
    assert difference["margin"] == pytest.approx(0.03 * difference["champion_loss"])
    assert days["day"] == [(START + pd.Timedelta(days=d)).date().isoformat() for d in range(70, 84)]
    assert (difference["level"], difference["draws"]) == (0.95, 2000)
    times = np.random.default_rng(difference["seed"]).multinomial(14, np.full(14, 1 / 14), size=2000)
    challenger, champion, weight = (np.array(days[name]) for name in ("challenger", "champion", "weight"))
    sums = challenger - champion
    drawn = (times @ sums) / (times @ weight)
    # the bounds are wider than the plain percentiles of the very same draws
    assert difference["lower"] < np.quantile(drawn, 0.05) < np.quantile(drawn, 0.95) < difference["upper"]
    assert verdict["rules"]["limits"] == {"mean_squared_error": {"max": 50, "min": None}}
    assert (verdict["rules"]["margin"], verdict["rules"]["min_clusters"]) == (0.03, 8)


def classes(frame, first=0):
    """A label of two classes of which the rarer is not seen before day `first`."""
    rare = (frame["x"] > 1.2) & (frame["day"] >= first)
    return frame.assign(y=np.where(rare, "late", "ok"))


def test_a_second_metric_without_a_value_is_noted_and_a_limit_on_it_is_insufficient(bench):
    frame = daily(84)
    frame = classes(frame)
    frame.loc[frame["day"] >= 70, "y"] = "ok"
    more = "metrics: [log_loss, roc_auc]"
    write(bench, frame, estimator="LogisticRegression", more=more)
    assert result(bench, 84)[0] == "promoted"
    verdict = bench.version("m").verdict
    assert verdict["challenger"]["roc_auc"] is None
    assert "roc_auc has no value on the holdout" in verdict["notes"][-1]
    write(bench, frame, estimator="LogisticRegression", gate="limits: {roc_auc: {min: 0.5}}", more=more)
    found = bench.run(as_of=on(84), store="limited").outcomes["m"]
    assert (found[0], "roc_auc has no value" in found[1]) == ("insufficient", True)
    write(
        bench,
        frame,
        estimator="LogisticRegression",
        gate="margin: {absolute: 0.01}",
        more="metrics: [roc_auc]",
    )
    assert bench.run(as_of=on(84), store="deciding").outcomes["m"][0] == "insufficient"


def test_before_a_second_class_there_is_no_fit_or_one_that_predicts_the_first(bench):
    frame = classes(daily(84), first=50)
    reader = """
  r: {dataset: d, target: {column: x, known_after: 0d}, inputs: {m: {coverage: 10%}}, estimator: Ridge}
"""
    for policy in ("fail", "prior"):
        write(bench, frame, estimator="LogisticRegression", more=f"degenerate: {policy}")
        text = (bench.folder / "m.yaml").read_text().removeprefix("manifest: 1\nname: bench\n") + reader
        bench.write(text)
        assert bench.run(as_of=on(84), store=policy).outcomes["m"][0] == "promoted"
    fits = {policy: bench.version("m", policy).document["fits"] for policy in ("fail", "prior")}
    early = {name for name, fit in fits["prior"].items() if fit.get("degenerate") == "prior"}
    assert len(early) == 2  # before the blocks of day 28 and of day 42
    assert fits["prior"].keys() - fits["fail"].keys() == early
    for name in early:
        for values in bench.version("m", "prior").column(name).values():
            np.testing.assert_array_equal(values, np.tile([0.0, 1.0], (len(values), 1)))


def test_a_gate_fit_of_one_class_is_insufficient_and_with_prior_it_is_judged_and_said(bench):
    frame = classes(daily(84), first=72)
    found = result(write(bench, frame, estimator="LogisticRegression"), 84)
    assert (found[0], "have one class" in found[1]) == ("insufficient", True)
    write(bench, frame, estimator="LogisticRegression", more="degenerate: prior", gate="refit_shift: 100")
    assert bench.run(as_of=on(84), store="prior").outcomes["m"][0] == "promoted"
    notes = bench.version("m", "prior").verdict["notes"]
    assert "the fit before 2024-03-18 learnt from rows of one class and predicts it" in notes


def test_a_stored_model_that_predicts_otherwise_never_ships():
    """The check reads what the worker found when it loaded the model again; no estimator here is so broken."""
    results = ResultIndex()
    blobs: list[Blob] = []
    for equal, passed in ((True, True), (False, False)):
        metrics = {"reload_equal": equal}
        record = Record(action="fit", fingerprint=str(equal), parts={}, blobs=blobs, metrics=metrics)
        results.add(build_pack("packs/r/p", [record])[1])
        check = reload_check(results, str(equal))
        assert (check.passed, check.blocking) == (passed, True)
    assert not reload_check(results, "unknown").passed
    assert reload_check(results, "unknown", recorded=True).passed


def test_a_model_of_one_class_so_far_can_be_released_and_predicts_it(bench):
    frame = daily(84).assign(y="ok")
    write(bench, frame, estimator="XGBClassifier", more="degenerate: prior", gate="refit_shift: 100")
    text = (bench.folder / "m.yaml").read_text()
    declared = text.replace("column: y,", "column: y, classes: [late, ok],")
    (bench.folder / "m.yaml").write_text(declared)
    assert bench.run(as_of=on(84)).outcomes["m"][0] == "promoted"
    notes = bench.version("m").verdict["notes"]
    # of the judged fit, and of the shipped one
    assert sum("learnt from rows of one class" in note for note in notes) == 2
    release = open_store(str(bench.folder / "store")).current()
    rows = frame.head(5).drop(columns=["y", "day"])
    found = release.predict("m", {"d": rows})
    np.testing.assert_array_equal(found.outputs, np.tile([0.0, 1.0], (5, 1)))
    assert found.table["prediction"].to_pylist() == ["ok"] * 5
    np.testing.assert_array_equal(release.export("m").predict({"d": rows}), ["ok"] * 5)
