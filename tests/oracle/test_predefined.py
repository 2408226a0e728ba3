"""Folds that a column gives, against scikit-learn's PredefinedSplit."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import Ridge
from sklearn.model_selection import PredefinedSplit, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from retraining.errors import DataError

from .test_folds import FOREST, SIZES, X, matrix, table
from .workbench import numbers

TEXT = """
datasets: {d: {path: d.parquet, key: [id]}}
validation: {scheme: predefined, column: part}
defaults: {gate: {refit_shift: 100}}
models:
  base: {dataset: d, target: y, features: [x0, x1, x2], estimator: %s}
  top: {dataset: d, target: y, features: [], estimator: Ridge, inputs: {base: {}}}
""" % (FOREST % "RandomForestRegressor")


def divided():
    frame, _ = table()
    # folds of different sizes, by name and in no order
    frame["part"] = np.array(["north", "east", "west"])[np.digitize(frame["x2"], [-0.8, 0.3])]
    return frame, frame.sort_values("id", ignore_index=True)


def test_predefined_folds_predict_and_stack_as_scikit_learn_does(bench):
    frame, rows = divided()
    bench.write(TEXT, d=frame)
    outcome = bench.run()
    assert outcome.exit_code == 0
    assert outcome.outcomes["top"][0] == "promoted", outcome.outcomes
    names = sorted(set(rows["part"]))
    folds = rows["part"].map(names.index).to_numpy()
    split = PredefinedSplit(folds)
    expected = cross_val_predict(RandomForestRegressor(**SIZES), matrix(rows), rows["y"], cv=split)
    base = bench.version("base")
    found = np.full(len(rows), np.nan)
    for fold in range(3):
        found[folds == fold] = base.column(f"-{fold}")[fold][:, 0]
    assert np.array_equal(found, expected)
    whole = RandomForestRegressor(**SIZES).fit(matrix(rows), rows["y"])
    assert np.array_equal(
        base.model("-").predict(numbers(matrix(rows), X))[:, 0], whole.predict(matrix(rows))
    )
    final = make_pipeline(StandardScaler(), Ridge()).fit(expected[:, None], rows["y"])
    shipped = bench.version("top").model("-").predict(numbers(expected[:, None], ["base"]))
    assert np.allclose(shipped[:, 0], final.predict(expected[:, None]), rtol=1e-10)


def test_a_second_run_finds_nothing_to_do_and_a_new_fold_is_another_definition(bench):
    frame, _ = divided()
    bench.write(TEXT, d=frame)
    bench.run()
    assert {word for word, _ in bench.run().outcomes.values()} == {"kept"}
    frame.loc[frame["x0"] > 1, "part"] = "south"
    bench.write(TEXT, d=frame)
    bench.run()
    document = bench.version("base", attempt=True).document
    assert "definition" in {reason["kind"] for reason in document["decision"]["reasons"]}
    assert document["recipe"]["definition"]["validation"]["values"] == ["east", "north", "south", "west"]


def test_rows_without_a_fold_and_chains_longer_than_the_folds_are_refused(bench):
    frame, _ = divided()
    bench.write(TEXT, d=frame.assign(part=frame["part"].where(frame["x0"] < 1)))
    with pytest.raises(DataError, match="the fold column part is missing in"):
        bench.run()
    bench.write(TEXT, d=frame.assign(part=np.where(frame["x0"] < 0, "a", "b")))
    with pytest.raises(DataError, match="top: 2 levels of models need at least 3 folds"):
        bench.run()
