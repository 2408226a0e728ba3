"""The fold lattice deeper down: stacks without passthrough, three classes, three edges; and the noise canary."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.ensemble import (
    RandomForestClassifier,
    RandomForestRegressor,
    StackingClassifier,
    StackingRegressor,
)
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import log_loss, mean_squared_error
from sklearn.model_selection import PredefinedSplit, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from retraining.decide.fits import Before, Folds
from retraining.execution.candidates import Candidate

from .test_folds import FOREST, SIZES, FoldColumn, Without, matrix, models, table
from .workbench import folds_by_key, numbers


def ridge():
    return make_pipeline(StandardScaler(), Ridge())


def logistic():
    return make_pipeline(StandardScaler(), LogisticRegression())


def nested(levels, kind, width):
    """Stacks inside stacks; the fold is column 0 of the table and, below `width` outputs, of what is passed on."""
    built = make_pipeline(Without(0), clone(levels[0]))
    for level in levels[1:]:
        final = make_pipeline(Without(width), clone(level))
        built = kind([("up", built)], final_estimator=final, cv=FoldColumn(), passthrough=True)
    return built


def honest(version, folds, width):
    """What each fold's own fit predicts, by key."""
    found = np.full((len(folds), width), np.nan)
    for fold in np.unique(folds):
        found[folds == fold] = version.column(f"-{fold}")[fold]
    return found


def test_three_edges_score_as_stacks_nested_three_deep(bench):
    frame, rows = table(n=160)
    metric, forest = "[mean_squared_error]", FOREST % "RandomForestRegressor"
    text = models(
        a=("y", "{type: Ridge}", None, metric),
        b=("y", forest, "{a: {}}", metric),
        c=("y", "{type: Ridge}", "{b: {}}", metric),
        d=("y", forest, "{c: {}}", metric),
    )
    bench.write(text, d=frame)
    assert bench.run().exit_code == 0
    folds = folds_by_key(rows["id"].to_numpy(), 5)
    levels = [ridge(), RandomForestRegressor(**SIZES), ridge(), RandomForestRegressor(**SIZES)]
    x = np.column_stack([folds, matrix(rows)])
    expected = cross_val_predict(nested(levels, StackingRegressor, 1), x, rows["y"], cv=FoldColumn())
    version = bench.version("d")
    assert np.array_equal(honest(version, folds, 1)[:, 0], expected)
    loss = mean_squared_error(rows["y"], expected)
    assert version.verdict["challenger"]["mean_squared_error"] == pytest.approx(loss, rel=1e-12)
    assert {node: len(bench.version(node).fits) for node in "abcd"} == {"a": 31, "b": 26, "c": 16, "d": 6}


def test_three_classes_score_as_nested_stacks_through_two_edges(bench):
    frame, rows = table()
    metric, forest = "[log_loss]", FOREST % "RandomForestClassifier"
    text = models(
        a=("three", forest, None, metric),
        b=("three", "{type: LogisticRegression}", "{a: {}}", metric),
        c=("three", forest, "{b: {}}", metric),
    )
    bench.write("validation: {scheme: folds, folds: 4}\n" + text, d=frame)
    assert bench.run().exit_code == 0
    folds = folds_by_key(rows["id"].to_numpy(), 4)
    x = np.column_stack([folds, matrix(rows)])
    levels = [RandomForestClassifier(**SIZES), logistic(), RandomForestClassifier(**SIZES)]
    for node, depth in (("b", 2), ("c", 3)):
        stack = nested(levels[:depth], StackingClassifier, 3)
        expected = cross_val_predict(stack, x, rows["three"], cv=FoldColumn(), method="predict_proba")
        version = bench.version(node)
        assert np.array_equal(honest(version, folds, 3), expected), node
        loss = log_loss(rows["three"], expected)
        assert version.verdict["challenger"]["log_loss"] == pytest.approx(loss, rel=1e-12)


PLAIN = [
    ("y", "[mean_squared_error]", FOREST % "RandomForestRegressor", "{type: Ridge}"),
    ("binary", "[log_loss]", FOREST % "RandomForestClassifier", "{type: LogisticRegression}"),
    ("three", "[log_loss]", FOREST % "RandomForestClassifier", "{type: LogisticRegression}"),
]


@pytest.mark.parametrize(("target", "metric", "base", "final"), PLAIN, ids=[case[0] for case in PLAIN])
def test_two_upstreams_without_own_features_ship_the_stack_without_passthrough(
    bench, target, metric, base, final
):
    frame, rows = table()
    text = models(p=(target, base, None, metric), q=(target, final, None, metric))
    text += f"\n  top: {{dataset: d, target: {target}, inputs: {{p: {{}}, q: {{}}}}, estimator: {final},"
    text += f" metrics: {metric}}}"
    bench.write(text, d=frame)
    assert bench.run().exit_code == 0
    regression = target == "y"
    kind = StackingRegressor if regression else StackingClassifier
    tree = (RandomForestRegressor if regression else RandomForestClassifier)(**SIZES)
    plain = ridge() if regression else logistic()
    split = PredefinedSplit(folds_by_key(rows["id"].to_numpy(), 5))
    stack = kind([("p", tree), ("q", clone(plain))], final_estimator=plain, cv=split)
    stack.fit(matrix(rows), rows[target])
    fresh = matrix(table(n=60, seed=9)[1])
    handed = [bench.version(node).model("-").predict(numbers(fresh, ["x0", "x1", "x2"])) for node in "pq"]
    handed = [one[:, 1:] if one.shape[1] == 2 else one for one in handed]
    shipped = bench.version("top").model("-")
    found = shipped.predict(numbers(np.hstack(handed), list(shipped.names)))
    expected = stack.predict(fresh)[:, None] if regression else stack.predict_proba(fresh)
    assert np.array_equal(found, expected)


TREE = "{type: DecisionTreeClassifier, parameters: {random_state: 0}}"
GROVE = "{type: RandomForestClassifier, parameters: {n_estimators: 20, random_state: 0}}"
NOISE = """
datasets: {{d: {{path: d.parquet, key: [id]{time}}}}}
{scheme}
defaults: {{metrics: [log_loss, roc_auc], gate: {{refit_shift: 100}}}}
models:
  a: {{dataset: d, target: {target}, features: [{features}], estimator: {tree}}}
  b: {{dataset: d, target: {target}, features: [place], estimator: {grove}, inputs: {{a: {{}}}}}}
  c: {{dataset: d, target: {target}, features: [place], estimator: {grove}, inputs: {{b: {{}}}}}}
"""


def noise(n, levels, seed):
    """Random labels, and a category of many values: what remembers labels looks clever where they leak."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"id": np.arange(n)})
    frame["place"] = [f"p{value}" for value in rng.permutation(np.arange(n) % levels)]
    frame["x"] = rng.normal(size=n)
    frame["label"] = rng.integers(0, 2, n)
    return frame


def scores(bench, nodes, store):
    return {node: bench.version(node, store, attempt=True).verdict["challenger"]["roc_auc"] for node in nodes}


def test_random_labels_score_a_half_through_two_edges_where_the_usual_shortcut_reports_more(
    bench, monkeypatch
):
    text = NOISE.format(time="", scheme="", target="label", features="place", tree=TREE, grove=GROVE)
    bench.write(text, d=noise(2000, 200, 2))
    bench.run(store="honest")
    assert all(abs(score - 0.5) < 0.03 for score in scores(bench, "abc", "honest").values())
    # the diagnostic "aligned": a fold is scored with upstream columns whose fits saw its labels
    monkeypatch.setattr(
        Candidate,
        "column_fits",
        lambda self, _: {Folds(frozenset({fold})): [fold] for fold in self.data.rows},
    )
    bench.run(store="aligned")
    assert all(score > 0.58 for score in scores(bench, "bc", "aligned").values())


def test_random_labels_score_a_half_through_two_edges_in_time_where_fits_that_saw_them_report_more(
    bench, monkeypatch
):
    frame = noise(4000, 100, 3)
    rng = np.random.default_rng(4)
    frame["t"] = pd.Timestamp("2024-01-08", tz="UTC") + pd.to_timedelta(
        rng.integers(0, 168 * 24 * 60, len(frame)), "min"
    )
    scheme = "validation: {scheme: time, blocks: 2w, holdout: 6, min_train: {rows: 100, blocks: 1}}"
    target = "{column: label, known_after: 1d}"
    text = NOISE.format(
        time=", time: t", scheme=scheme, target=target, features="x, place", tree=TREE, grove=GROVE
    )
    bench.write(text, d=frame)
    bench.run("2024-06-24", store="honest")
    assert all(abs(score - 0.5) < 0.03 for score in scores(bench, "abc", "honest").values())
    # the diagnostic: columns by the fit that ships, which saw the labels of all blocks but the newest
    monkeypatch.setattr(Candidate, "column_fits", lambda self, _: {Before(self.cut): sorted(self.data.rows)})
    bench.run("2024-06-24", store="in-sample")
    assert all(score > 0.58 for score in scores(bench, "bc", "in-sample").values())
