"""Weights, windows and chosen training rows against scikit-learn, in every fit, score and comparison."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.dummy import DummyRegressor
from sklearn.ensemble import (
    RandomForestClassifier,
    RandomForestRegressor,
    StackingClassifier,
    StackingRegressor,
)
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import log_loss, mean_absolute_error, mean_squared_error
from sklearn.model_selection import PredefinedSplit, cross_val_predict

from retraining.data.moments import MATURE_QUANTILE

from .trips import MANIFEST, block_of, naive, trips
from .workbench import folds_by_key, numbers

AS_OF = "2024-05-20T12:00:00Z"
X = ["x0", "x1"]
FOREST = "{type: %s, parameters: {n_estimators: 8, max_depth: 4, random_state: 3}}"
SIZES = {"n_estimators": 8, "max_depth": 4, "random_state": 3}
FOLDS = """
datasets: {{d: {{path: d.parquet, key: [id]}}}}
defaults: {{gate: {{refit_shift: 100}}, weight: w}}
models:
  base: {{dataset: d, target: {target}, features: [x0, x1], estimator: {base}, metrics: [{metric}]}}
  top:
    {{dataset: d, target: {target}, features: [x0, x1], estimator: {top}, metrics: [{metric}], inputs: {{base: {{}}}}}}
"""


def table(n=240, seed=0):
    """Rows by key with weights that matter: none, some, and heavy ones on rows of another rule."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(rng.normal(size=(n, 2)), columns=X)
    frame.insert(0, "id", np.sort(rng.permutation(n * 7)[:n]))
    frame["w"] = rng.choice([0.0, 0.5, 1.0, 4.0], n)
    heavy = frame["w"] == 4.0
    signal = np.where(heavy, -frame["x0"], frame["x0"]) + 0.3 * frame["x1"]
    frame["y"] = signal + rng.normal(size=n) * 0.3
    frame["three"] = np.array(["b", "c", "a"])[np.digitize(signal, [-0.5, 0.6])]
    return frame


def linear(kind):
    return {"Ridge": Ridge(), "LogisticRegression": LogisticRegression()}[kind]


CASES = [
    ("y", "mean_squared_error", "RandomForestRegressor", RandomForestRegressor, "Ridge", StackingRegressor),
    (
        "three", "log_loss", "RandomForestClassifier", RandomForestClassifier, "LogisticRegression",
        StackingClassifier,
    ),
]  # fmt: skip


@pytest.mark.parametrize(("target", "metric", "base", "forest", "top", "stacking"), CASES, ids=["y", "three"])
def test_weighted_folds_equal_the_stack_of_scikit_learn(bench, target, metric, base, forest, top, stacking):
    frame = table()
    # `preprocess: none` keeps the scaler, which scikit-learn's stack would not pass weights to, out of it
    final = f"{{type: {top}}}, preprocess: none"
    text = FOLDS.format(target=target, base=FOREST % base, top=final, metric=metric)
    bench.write(text, d=frame.sample(frac=1, random_state=1))
    assert bench.run().exit_code == 0
    folds = folds_by_key(frame["id"].to_numpy(), 5)
    split = PredefinedSplit(folds)
    x, labels, w = np.ascontiguousarray(frame[X].to_numpy()), frame[target].to_numpy(), frame["w"].to_numpy()
    method = "predict" if target == "y" else "predict_proba"
    leaf = cross_val_predict(forest(**SIZES), x, labels, cv=split, method=method, params={"sample_weight": w})
    leaf = leaf.reshape(len(x), -1)
    found = np.full(leaf.shape, np.nan)
    for fold in range(5):
        found[folds == fold] = bench.version("base").column(f"-{fold}")[fold]
    assert np.array_equal(found, leaf)
    stack = stacking([("base", forest(**SIZES))], linear(top), cv=split, passthrough=True)
    stack.fit(x, labels, sample_weight=w)
    names = ["base"] if target == "y" else ["base.a", "base.b", "base.c"]
    shipped = bench.version("top").model("-").predict(numbers(np.hstack([leaf, x]), names + X))
    own = stack.final_estimator_
    assert np.allclose(shipped, getattr(own, method)(np.hstack([leaf, x])).reshape(shipped.shape), rtol=1e-9)
    score = mean_squared_error if target == "y" else log_loss
    counted = w > 0
    expected = score(labels[counted], np.squeeze(leaf)[counted], sample_weight=w[counted])
    verdict = bench.version("base").verdict
    assert verdict["challenger"][metric] == pytest.approx(expected, rel=1e-9)
    assert verdict["holdout"]["rows"] == counted.sum()
    # the weights matter: without them the number is another
    assert abs(expected - score(labels, np.squeeze(leaf))) > 0.01 * abs(expected)


WEIGHTED = MANIFEST.replace(
    "    features: [x1]\n",
    "    features: [x1]\n    weight: {column: w, half_life: 30d}\n    window: 45d\n    train_where: seen\n"
    "    metrics: [mean_absolute_error]\n",
)


def weighted_trips():
    hours, frame = trips()
    rng = np.random.default_rng(5)
    frame["w"] = rng.choice([0.2, 1.0, 3.0], len(frame))
    frame["seen"] = rng.random(len(frame)) > 0.2
    frame.loc[~frame["seen"], "delay"] = 1e6  # whoever learns from such a row, or judges by it, is found out
    return hours, frame


def test_weight_half_life_window_and_train_where_equal_the_naive_loop(bench):
    hours, frame = weighted_trips()
    bench.write(WEIGHTED, hours=hours, trips=frame)
    outcome = bench.run(AS_OF)
    assert outcome.outcomes["base"][0] == "promoted", outcome.outcomes
    version = bench.version("base")
    cut = version.document["cut_block"]
    rows = frame[frame["t"] <= AS_OF].sort_values("id", ignore_index=True)
    handed = handed_down(bench, hours, rows)
    x = np.column_stack([handed, rows["x1"]])
    more = {
        "trained": rows["seen"].to_numpy(),
        "weight": rows["w"].to_numpy(),
        "half_life": pd.Timedelta("30D"),
        "window": pd.Timedelta("45D"),
    }
    forest = lambda: RandomForestRegressor(n_estimators=5, max_depth=4, random_state=1)  # noqa: E731
    every = np.ones(len(rows), bool)
    expected, _ = naive(rows, "t", rows["landed"], "delay", x, every, forest, cut, **more)
    found = np.full(len(rows), np.nan)
    block = block_of(rows["t"])
    for b in sorted(set(block)):
        if f"<{min(b, cut)}" in version.fits:
            found[block == b] = version.column(f"<{min(b, cut)}")[b][:, 0]
    # rows that are never trained on are predicted all the same
    assert np.array_equal(found, expected, equal_nan=True)
    assert not np.isnan(found[block == block.max()]).any()
    check_scores(version, rows, block, found)


def handed_down(bench, hours, rows):
    """What each trip reads of the weather model, by pandas."""
    visible = hours[hours["at"] <= AS_OF].sort_values(["place", "at"], ignore_index=True)
    version, block = bench.version("weather"), block_of(visible["at"])
    column = np.full(len(visible), np.nan)
    for b in sorted(set(block)):
        fit = f"<{min(b, version.document['cut_block'])}"
        if fit in version.fits:
            column[block == b] = version.column(fit)[b][:, 0]
    by_key = pd.Series(column, index=pd.MultiIndex.from_frame(visible[["place", "at"]]))
    return by_key.reindex(list(zip(rows["place"], rows["day"], strict=True))).to_numpy()


def check_scores(version, rows, block, found):
    """The verdict's metric and dummy are of the judged rows alone, with their weights."""
    known = (rows["landed"] <= pd.Timestamp(AS_OF)) & rows["seen"] & rows["delay"].notna()
    assert MATURE_QUANTILE == 0.98
    holdout = version.document["data"]["holdout"]
    judged = known.to_numpy() & np.isin(block, holdout)
    weights = rows["w"][judged]
    expected = mean_absolute_error(rows["delay"][judged], found[judged], sample_weight=weights)
    assert version.verdict["challenger"]["mean_absolute_error"] == pytest.approx(expected, rel=1e-9)
    assert version.verdict["holdout"]["rows"] == judged.sum()


def test_the_dummy_learns_what_a_weighted_fit_would(bench):
    frame = table()
    text = FOLDS.format(target="y", base="{type: Ridge}", top="{type: Ridge}", metric="mean_absolute_error")
    bench.write(text, d=frame)
    bench.run()
    counted = frame["w"] > 0
    dummy = DummyRegressor(strategy="median").fit(frame[X], frame["y"], sample_weight=frame["w"])
    guess = dummy.predict(frame.loc[counted, X])
    expected = mean_absolute_error(frame.loc[counted, "y"], guess, sample_weight=frame.loc[counted, "w"])
    assert bench.version("base").verdict["dummy"]["mean_absolute_error"] == pytest.approx(expected, rel=1e-9)


def test_a_changed_weight_or_choice_changes_the_fits_that_learn_from_the_row_and_no_others(bench):
    hours, frame = weighted_trips()
    text = WEIGHTED.replace("    window: 45d\n", "")
    bench.write(text, hours=hours, trips=frame)
    bench.run(AS_OF)
    before = bench.version("base").fits
    learnt = frame["seen"] & frame["delay"].notna() & (frame["landed"] < "2024-04-20T00:00:00Z")
    late = frame[learnt].sort_values("landed").index[-1]
    first_fit = 1 + int(block_of(frame.loc[[late], "landed"] + pd.Timedelta("1D"))[0])
    for column, value in (("w", 2.5), ("seen", False)):
        other = frame.copy()
        other.loc[late, column] = value
        bench.write(text, hours=hours, trips=other)
        bench.run(AS_OF, store=f"store-{column}")
        after = bench.version("base", f"store-{column}").fits
        assert after.keys() == before.keys()
        changed = {int(name[1:]) for name in before if after[name] != before[name]}
        assert changed == {int(name[1:]) for name in before if int(name[1:]) >= first_fit}
        assert len(changed) < len(before)


def test_a_row_that_left_the_window_changes_no_fit(bench):
    hours, frame = weighted_trips()
    bench.write(WEIGHTED, hours=hours, trips=frame)
    bench.run(AS_OF)
    before = bench.version("base").fits
    oldest = frame["t"] < frame["t"].min() + pd.Timedelta("10D")
    frame.loc[oldest, "delay"] += 5.0
    bench.write(WEIGHTED, hours=hours, trips=frame)
    bench.run(AS_OF, store="other")
    after = bench.version("base", "other").fits
    cut = bench.version("base").document["cut_block"]
    changed = {name for name in before if before[name] != after[name]}
    assert changed
    # 45 days are less than four blocks
    assert all(int(name[1:]) <= int(block_of(frame.loc[oldest, "t"]).max()) + 4 for name in changed)
    assert before[f"<{cut}"] == after[f"<{cut}"]
