"""In the fold scheme a released graph serves what scikit-learn's stacking estimators predict on new rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import StackingClassifier, StackingRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.model_selection import PredefinedSplit
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from retraining.data.reading import read_table
from retraining.data.rows import folds_of
from retraining.manifest.values import Dataset, FoldScheme
from retraining.operations.run import RunOptions, run
from retraining.prediction.answer import Prediction
from retraining.prediction.releases import open_store

FEATURES = ["x0", "x1", "x2", "x3"]
SEED = 11

MANIFEST = """\
manifest: 1
name: stack
store: ./store
seed: {seed}
validation: {{scheme: folds, folds: 4}}
defaults: {{preprocess: none, gate: {{refit_shift: 20}}}}
datasets:
  rows: {{path: rows.csv, key: [id]}}
models:
  linear:
    dataset: rows
    target: y
    features: [x0, x1, x2, x3]
    estimator: {{type: {linear}}}
  tree:
    dataset: rows
    target: y
    features: [x0, x1, x2, x3]
    estimator: {{type: {tree}, parameters: {{max_depth: 3, random_state: 5}}}}
  final:
    dataset: rows
    target: y
    features: [{passed}]
    inputs: {{linear: {{}}, tree: {{}}}}
    estimator: {{type: {final}}}
"""


def rows(n: int, classes: int, seed: int) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    frame = pd.DataFrame(random.normal(size=(n, 4)), columns=FEATURES)
    frame.insert(0, "id", [f"r{seed}-{number:04d}" for number in range(n)])
    score = frame["x0"] - frame["x1"] * frame["x2"] + random.normal(size=n) * 0.3
    names = np.array(["low", "mid", "top"][-classes:]) if classes else None
    cut = np.linspace(-0.7, 0.7, classes - 1) if classes > 1 else []
    frame["y"] = score if names is None else names[np.searchsorted(cut, score)]
    return frame


def served(folder: Path, classes: int, passed: str) -> tuple[pd.DataFrame, pd.DataFrame, Prediction]:
    """The training rows in key order, new rows, and the release's predictions of them."""
    train, fresh = rows(240, classes, 1), rows(50, classes, 2).drop(columns="y")
    train.to_csv(folder / "rows.csv", index=False, float_format="%.17g")
    kinds = {"linear": "LogisticRegression", "tree": "DecisionTreeClassifier", "final": "LogisticRegression"}
    if not classes:
        kinds = {"linear": "LinearRegression", "tree": "DecisionTreeRegressor", "final": "Ridge"}
    path = folder / "stack.yaml"
    path.write_text(MANIFEST.format(seed=SEED, passed=passed, **kinds))
    outcome = run(path, options=RunOptions(backend="serial"))
    assert outcome.counts == {"promoted": 3}, outcome.outcomes
    release = open_store(str(folder / "store")).current()
    return train, fresh, release.predict("final", fresh)


def folds(folder: Path) -> PredefinedSplit:
    dataset = Dataset(name="rows", path="rows.csv", key=("id",))
    table = read_table(dataset, [folder / "rows.csv"], ["id"], "UTC")
    return PredefinedSplit(folds_of(table, dataset, FoldScheme(folds=4), SEED))


def stacked(kind: Any, folder: Path, bases: list[tuple[str, Any]], final: Any, passed: str) -> Any:
    return kind(bases, final_estimator=final, cv=folds(folder), passthrough=bool(passed))


@pytest.mark.parametrize("passed", ["", "x0, x1, x2, x3"])
def test_regression_equals_a_stacking_regressor(tmp_path: Path, passed: str) -> None:
    train, fresh, found = served(tmp_path, 0, passed)
    bases = [("a", LinearRegression()), ("b", DecisionTreeRegressor(max_depth=3, random_state=5))]
    oracle = stacked(StackingRegressor, tmp_path, bases, Ridge(), passed)
    oracle.fit(train[FEATURES].to_numpy(), train["y"])
    expected = oracle.predict(fresh[FEATURES].to_numpy())
    np.testing.assert_allclose(found.outputs[:, 0], expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("classes", [2, 3])
def test_classification_equals_a_stacking_classifier(tmp_path: Path, classes: int) -> None:
    train, fresh, found = served(tmp_path, classes, "x0, x1, x2, x3")
    bases = [("a", LogisticRegression()), ("b", DecisionTreeClassifier(max_depth=3, random_state=5))]
    oracle = stacked(StackingClassifier, tmp_path, bases, LogisticRegression(), "all")
    oracle.fit(train[FEATURES].to_numpy(), train["y"])
    new = fresh[FEATURES].to_numpy()
    np.testing.assert_allclose(found.outputs, oracle.predict_proba(new), rtol=0, atol=1e-9)
    assert found.table["prediction"].to_pylist() == oracle.predict(new).tolist()
    assert found.classes == tuple(oracle.classes_)
    names = ["probability"] if classes == 2 else [f"probability.{name}" for name in oracle.classes_]
    assert found.table.column_names == ["id", "prediction", *names, "node", "release"]
    assert found.table["id"].to_pylist() == fresh["id"].tolist()
