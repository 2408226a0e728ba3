"""Which class is positive, in which order classes stand, and classes that a fit or all rows lack."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import f1_score, log_loss
from sklearn.model_selection import PredefinedSplit, cross_val_predict

from retraining.errors import DataError
from retraining.prediction.releases import open_store

from .test_folds import SIZES, matrix, table
from .workbench import folds_by_key, numbers

FOREST = "{type: RandomForestClassifier, parameters: {n_estimators: 8, max_depth: 4, random_state: 3}}"
TEXT = """
datasets: {d: {path: d.parquet, key: [id]}}
defaults: {gate: {refit_shift: 100}}
models:
  base: {dataset: d, target: %s, features: [x0, x1, x2], estimator: %s, metrics: [log_loss, %s]}
  top: {dataset: d, target: y, features: [], estimator: Ridge, inputs: {base: {}}}
"""


def run(bench, target, metric, frame):
    bench.write(TEXT % (target, FOREST, metric), d=frame)
    assert bench.run().exit_code == 0


def out_of_fold(bench, rows):
    version, folds = bench.version("base"), folds_by_key(rows["id"].to_numpy(), 5)
    found = np.full((len(rows), len(version.document["data"]["classes"])), np.nan)
    for fold in range(5):
        found[folds == fold] = version.column(f"-{fold}")[fold]
    return found


@pytest.mark.parametrize("positive", ["no", "yes"])
def test_the_positive_class_is_what_is_handed_down_and_judged(bench, positive):
    frame, rows = table()
    run(bench, f"{{column: binary, positive: {positive}}}", "f1", frame)
    version = bench.version("base")
    assert version.document["data"]["classes"][-1] == positive
    split = PredefinedSplit(folds_by_key(rows["id"].to_numpy(), 5))
    labels = (rows["binary"] == positive).to_numpy().astype(int)
    expected = cross_val_predict(
        RandomForestClassifier(**SIZES), matrix(rows), labels, cv=split, method="predict_proba"
    )
    assert np.array_equal(out_of_fold(bench, rows), expected)
    assert version.verdict["challenger"]["f1"] == pytest.approx(f1_score(labels, expected.argmax(axis=1)))
    answer = open_store(str(bench.folder / "store")).current().predict("base", frame)
    assert answer.classes[-1] == positive
    shipped = version.model("-")
    own = shipped.predict(numbers(frame[["x0", "x1", "x2"]].to_numpy(), ["x0", "x1", "x2"]))
    assert np.array_equal(answer.table["probability"].to_numpy(), own[:, 1])


def test_written_classes_set_the_order_of_columns_and_one_without_rows_gets_no_probability(bench):
    frame, rows = table()
    run(bench, "{column: codes, classes: [5, 7, -1, 2]}", "accuracy", frame)
    assert bench.version("base").document["data"]["classes"] == [5, 7, -1, 2]
    assert bench.version("top").model("-").names == ("base.5", "base.7", "base.-1", "base.2")
    found = out_of_fold(bench, rows)
    assert not found[:, 1].any()
    position = rows["codes"].map({5: 0, 7: 1, -1: 2, 2: 3}).to_numpy()
    expected = log_loss(position, found, labels=[0, 1, 2, 3])
    assert bench.version("base").verdict["challenger"]["log_loss"] == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("{column: three, classes: [a, b]}", "the label 'c'"),
        ("{column: three, positive: a}", "must be one of two"),
        ("{column: binary, positive: maybe}", "must be one of two"),
        ("{column: codes, classes: [5, two]}", "the class 'two' cannot be a label"),
    ],
)
def test_labels_and_classes_that_do_not_fit_are_refused_with_the_label(bench, target, words):
    frame, _ = table()
    bench.write(TEXT % (target, FOREST, "accuracy"), d=frame)
    with pytest.raises(DataError, match=words):
        bench.run()


def test_another_positive_class_is_another_definition_judged_against_the_champion_class_by_class(bench):
    frame, _ = table()
    run(bench, "{column: binary, positive: yes}", "f1", frame)
    loss = bench.version("base").verdict["challenger"]["log_loss"]
    run(bench, "{column: binary, positive: no}", "f1", frame)
    document = bench.version("base", attempt=True).document
    assert {reason["kind"] for reason in document["decision"]["reasons"]} == {"definition"}
    # the champion knows the classes in the other order, and is as good as it was
    assert document["verdict"]["champion"]["log_loss"] == pytest.approx(loss, rel=1e-9)
