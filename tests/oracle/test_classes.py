"""Which class is positive, in which order classes stand, and classes that a fit or all rows lack."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score, log_loss
from sklearn.model_selection import PredefinedSplit, cross_val_predict
from xgboost import XGBClassifier

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


KINDS = {
    "truth": lambda f: f["x0"] + f["x1"] > 0.2,
    "whole": lambda f: np.array([7, -2, 40])[np.digitize(f["x0"], [-0.5, 0.5])],
    "text": lambda f: np.array(["10", "9", "B"])[np.digitize(f["x0"], [-0.5, 0.5])],
}


@pytest.mark.parametrize("estimator", ["LogisticRegression", "XGBClassifier", "RandomForestClassifier"])
@pytest.mark.parametrize("kind", list(KINDS))
def test_a_class_of_one_fold_alone_has_no_probability_there_and_all_others_are_scikit_learns(
    bench, kind, estimator
):
    frame, _ = table(200)
    frame["y"] = KINDS[kind](frame)
    frame["fold"] = np.arange(len(frame)) % 4
    rare = sorted(set(frame["y"]))[1] if kind != "truth" else None
    if rare is not None:
        frame.loc[(frame["y"] == rare) & (frame["fold"] != 2), "y"] = sorted(set(frame["y"]))[0]
    sizes = "" if estimator == "LogisticRegression" else "n_estimators: 6, max_depth: 3, "
    column = {"text": "category", "whole": "int", "truth": "bool"}[kind]
    bench.write(
        f"""
validation: {{scheme: predefined, column: fold}}
datasets: {{d: {{path: d.parquet, key: [id], types: {{y: {column}}}}}}}
models:
  m:
    {{dataset: d, target: y, features: [x0, x1, x2], preprocess: none, gate: {{refit_shift: 100}},
     estimator: {{type: {estimator}, parameters: {{{sizes}random_state: 3}}}}}}
""",
        d=frame,
    )
    outcome = bench.run()
    assert outcome.outcomes["m"][0] == "promoted", outcome.outcomes
    rows = frame.sort_values("id", ignore_index=True)
    classes = sorted(set(rows["y"]))
    version = bench.version("m")
    assert version.document["data"]["classes"] == [c.item() if hasattr(c, "item") else c for c in classes]
    cls = {"L": LogisticRegression, "X": XGBClassifier, "R": RandomForestClassifier}[estimator[0]]
    more = {} if estimator == "LogisticRegression" else {"n_estimators": 6, "max_depth": 3}
    for fold in range(4):
        train, test = rows[rows["fold"] != fold], rows[rows["fold"] == fold]
        present = sorted(set(train["y"]))
        assert (len(present) < len(classes)) == (fold == 2 and rare is not None)
        codes = train["y"].map({value: code for code, value in enumerate(present)}).astype(int)
        model = cls(random_state=3, **more).fit(np.ascontiguousarray(train[["x0", "x1", "x2"]]), codes)
        expected = np.zeros((len(test), len(classes)))
        expected[:, [classes.index(value) for value in present]] = model.predict_proba(
            np.ascontiguousarray(test[["x0", "x1", "x2"]])
        )
        np.testing.assert_allclose(version.column(f"-{fold}")[fold], expected, rtol=0, atol=1e-12)
