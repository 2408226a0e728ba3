"""Answers keep the caller's order and types whatever keys are called and classes are, and name what was missing."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from retraining.errors import DataError
from retraining.operations.run import RunOptions, run
from retraining.prediction.predictor import Release
from retraining.prediction.releases import open_store

MANIFEST = """\
manifest: 1
name: odd
store: ./store
validation: {scheme: folds, folds: 4}
defaults: {gate: {refit_shift: 20}}
datasets:
  d: {path: d.csv, key: [node, release], types: {node: string}}
models:
  stars:
    {dataset: d, target: stars, features: [x], estimator: {type: LinearSVC}, metrics: [balanced_accuracy],
     gate: {margin: {absolute: 0.1}, refit_shift: 20}}
  graded: {dataset: d, target: stars, features: [x], estimator: {type: LogisticRegression}}
  flag: {dataset: d, target: flag, features: [x, kind], estimator: {type: DecisionTreeClassifier}}
  part:
    dataset: d
    partition_by: [kind]
    partitions: {only: [a, b], min_rows: 20}
    target: y
    features: [x]
    estimator: {type: Ridge}
  lenient:
    dataset: d
    target: y
    features: [x]
    inputs: {part: {missing: nan, coverage: 10%}}
    estimator: {type: HistGradientBoostingRegressor, parameters: {max_iter: 5}}
  fussy:
    dataset: d
    partition_by: [side]
    partitions: {only: [left], min_rows: 20}
    target: y
    features: [x]
    inputs: {part: {missing: refuse}}
    estimator: {type: Ridge}
"""


def rows(n: int = 200, seed: int = 0) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    frame = pd.DataFrame({"node": [f"{i:03d}" for i in random.permutation(n)], "release": 1})
    frame["x"] = random.normal(size=n)
    frame["kind"] = random.choice(["a", "b", "c"], n)
    frame["stars"] = np.digitize(frame["x"], [-0.5, 0.5]) + 3
    frame["y"] = frame["x"] * 2 + random.normal(size=n)
    frame["side"] = np.where(frame["kind"] == "c", "right", "left")
    frame["flag"] = frame["x"] > 0
    return frame


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Release:
    folder = tmp_path_factory.mktemp("odd")
    rows().to_csv(folder / "d.csv", index=False)
    (folder / "odd.yaml").write_text(MANIFEST)
    outcome = run(folder / "odd.yaml", options=RunOptions(backend="serial"))
    assert set(outcome.counts) == {"promoted"}, outcome.outcomes
    return open_store(str(folder / "store")).current()


def test_key_columns_keep_their_names(odd: Release) -> None:
    fresh = rows(20, seed=1)
    table = odd.predict("graded", fresh).table
    assert table.column_names == [
        "node",
        "release",
        "prediction",
        "probability.3",
        "probability.4",
        "probability.5",
        "node_",
        "release_",
    ]
    assert table["node"].to_pylist() == fresh["node"].tolist()
    assert set(table["node_"].to_pylist()) == {"graded"}


def test_classes_come_back_as_they_were_written(odd: Release) -> None:
    fresh = rows(20, seed=1)
    stars = odd.predict("stars", fresh)
    assert stars.table.schema.field("prediction").type == pa.int64()
    assert "probability.3" not in stars.table.column_names  # LinearSVC has none
    assert (stars.to_pandas()["prediction"] == fresh["stars"]).mean() > 0.8
    flag = odd.predict("flag", fresh)
    assert flag.table.schema.field("prediction").type == pa.bool_()
    assert flag.table["prediction"].to_pylist() == [p > 0.5 for p in flag.table["probability"].to_pylist()]


def test_an_unseen_category_is_predicted(odd: Release) -> None:
    assert odd.predict("flag", rows(5).assign(kind="new")).predicted == 5


def test_a_row_without_an_upstream_node_follows_the_policy(odd: Release) -> None:
    fresh = rows(30, seed=2)
    others = int((fresh["kind"] == "c").sum())
    lenient = odd.predict("lenient", fresh)
    assert (lenient.predicted, lenient.unusable, lenient.missing) == (30, 0, {"part": others})
    assert f"predicted without an upstream column: part in {others}" in lenient.summary()


def test_missing_refuse_refuses(odd: Release) -> None:
    fresh = rows(30, seed=2).query("side == 'left'").reset_index(drop=True)
    assert odd.predict("fussy", fresh).predicted == len(fresh)
    fresh.loc[4, "kind"] = "c"
    with pytest.raises(DataError, match=r"part is missing in 1 of .* `missing: refuse` allows none"):
        odd.predict("fussy", fresh)


def test_tables_of_every_library_give_the_same(odd: Release) -> None:
    fresh = rows(25, seed=3)
    expected = odd.predict("graded", fresh).table
    arrow = pa.Table.from_pandas(fresh, preserve_index=False)
    assert odd.predict("graded", arrow).table.equals(expected)
    assert odd.predict("graded", {"d": arrow.to_batches()[0]}).table.equals(expected)
    indexed = fresh.set_index(["node", "release"])
    assert odd.predict("graded", indexed).table.equals(expected)
    scattered = fresh.set_index(np.arange(25) * 3)
    assert odd.predict("graded", scattered).table.equals(expected)
    coded = fresh.astype({"node": "category", "x": "float32"}).astype({"x": "float64"})
    assert odd.predict("graded", coded).table["node"].to_pylist() == fresh["node"].tolist()


def test_numbers_written_as_text_are_read_as_numbers(odd: Release) -> None:
    fresh = rows(25, seed=3)
    text = fresh.assign(x=fresh["x"].map(repr))
    assert odd.predict("graded", text).table.equals(odd.predict("graded", fresh).table)
