"""What the returned model takes and answers, and what a trainer refuses."""

from __future__ import annotations

import logging
import pickle
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from retraining.compat import ModelTrainer
from retraining.errors import InputError, RetrainingError

from .files import number_rows

RNG = np.random.default_rng(7)
X = RNG.normal(size=(80, 3))
Y = (X[:, 0] + X[:, 1] > 0).astype(int)
FOREST = {"type": "RandomForest", "parameters": {"n_estimators": 15}}
LOGISTIC = {"type": "LogisticRegression"}
FRAME = pd.DataFrame({"a": X[:, 0], "b": X[:, 1], "city": np.where(X[:, 2] > 0, "Rome", "Oslo")})


def test_a_forest_is_scikit_learn_s_forest() -> None:
    model = ModelTrainer({**FOREST, "parameters": {"n_estimators": 15, "random_state": 3}}).train(X, Y)
    plain = RandomForestClassifier(n_estimators=15, random_state=3).fit(X, Y)
    np.testing.assert_array_equal(plain.predict_proba(X), model.predict_proba(X))
    np.testing.assert_array_equal(plain.predict(X), model.predict(X))


def test_a_logistic_regression_is_scikit_learn_s_on_scaled_features() -> None:
    model = ModelTrainer(LOGISTIC).train(X, Y)
    plain = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, Y)
    np.testing.assert_allclose(plain.predict_proba(X), model.predict_proba(X), rtol=1e-12)


@pytest.mark.parametrize("type_name", ["RandomForest", "XGBoost", "SVM", "MLPClassifier"])
def test_results_repeat(type_name: str) -> None:
    parameters = {"random_state": None, **({"max_iter": 20} if "MLP" in type_name else {})}
    first, second = (
        ModelTrainer({"type": type_name, "parameters": parameters}).train(X, Y).fitted.predict
        for _ in range(2)
    )
    from retraining.learn.features import Features

    features = Features(names=("x0", "x1", "x2"), values=X, categories={})
    np.testing.assert_array_equal(first(features), second(features))


@pytest.mark.parametrize(
    "rows",
    [
        X.tolist(),
        [tuple(row) for row in X],
        list(X),
        X,
        tuple(map(list, X)),
        pd.DataFrame(X),
        pd.DataFrame(X, columns=["p", "q", "r"]),
        pa.table({"p": X[:, 0], "q": X[:, 1], "r": X[:, 2]}),
        [{"p": p, "q": q, "r": r} for p, q, r in X],
    ],
    ids=["lists", "tuples", "list of arrays", "array", "tuple", "frame", "named frame", "arrow", "mappings"],
)
def test_rows_come_in_any_container(rows: Any) -> None:
    expected = ModelTrainer(FOREST).train(X, Y).predict(X)
    model = ModelTrainer(FOREST).train(rows, Y.tolist())
    np.testing.assert_array_equal(expected, model.predict(rows))
    np.testing.assert_array_equal(expected, model.predict(X.tolist()))


def test_named_features_are_matched_by_name_and_others_ignored() -> None:
    model = ModelTrainer(FOREST).train(FRAME, Y)
    shuffled = FRAME[["city", "b", "a"]].assign(label=Y)
    np.testing.assert_array_equal(model.predict(FRAME), model.predict(shuffled))
    np.testing.assert_array_equal(model.predict(FRAME), model.predict(shuffled.to_dict("records")))
    assert model.feature_names_in_.tolist() == ["a", "b", "city"]
    with pytest.raises(InputError, match="lack the feature\\(s\\) 'b'"):
        model.predict(FRAME[["a", "city"]])


@pytest.mark.parametrize("type_name", ["RandomForest", "XGBoost", "LogisticRegression", "SVM"])
def test_texts_and_missing_values_are_features_too(type_name: str) -> None:
    rows = [[float(row % 9), "red" if row % 2 else "blue", None] for row in range(60)]
    rows[5] = [None, None, None]
    labels = ["odd" if row % 2 else "even" for row in range(60)]
    model = ModelTrainer({"type": type_name}).train(rows, labels)
    assert model.predict([[3, "red", None], [3, "blue", float("nan")]]).tolist() == ["odd", "even"]
    assert model.predict([[3, "never seen", None]])[0] in {"odd", "even"}


def test_a_category_of_digits_takes_numbers() -> None:
    model = ModelTrainer(FOREST).train([["1"], ["x"]] * 20, ["one", "other"] * 20)
    assert [*model.predict([[1], [1.0], ["x"]][:2]).tolist(), "other"] == ["one", "one", "other"]


@pytest.mark.parametrize(
    "labels", [("no", "yes"), (0, 1), (5, 9), (False, True), (0.0, 1.0), (-(2**40), 2**40)], ids=str
)
@pytest.mark.parametrize("type_name", ["RandomForest", "XGBoost"])
def test_predictions_have_the_type_of_the_labels(type_name: str, labels: tuple[Any, Any]) -> None:
    rows = number_rows(labels=labels)
    given = [row["label"] for row in rows]
    model = ModelTrainer({"type": type_name}).train([row["features"] for row in rows], given)
    predicted = model.predict([row["features"] for row in rows]).tolist()
    assert given == predicted
    assert type(labels[0]) is type(predicted[0])
    assert list(labels) == model.classes_.tolist()


def test_numpy_and_pandas_labels_are_labels() -> None:
    for labels in (Y, pd.Series(Y), tuple(Y), Y.astype(np.uint8)):
        assert set(ModelTrainer(FOREST).train(X, labels).classes_.tolist()) == {0, 1}
    categorical = pd.Series(np.where(Y, "b", "a")).astype("category")
    assert ModelTrainer(FOREST).train(X, categorical).classes_.tolist() == ["a", "b"]


def test_a_regressor_predicts_numbers() -> None:
    target = 3 * X[:, 0] + 1
    model = ModelTrainer({"type": "Ridge", "parameters": {"alpha": 1e-9}}).train(X, target)
    np.testing.assert_allclose(target, model.predict(X), atol=1e-6)
    assert model.score(X, target) == pytest.approx(1.0)
    assert not hasattr(model, "classes_")
    assert not hasattr(model, "predict_proba")


def test_probabilities_exist_where_the_estimator_has_them() -> None:
    assert not hasattr(ModelTrainer({"type": "SVM"}).train(X, Y), "predict_proba")
    np.testing.assert_allclose(1.0, ModelTrainer(FOREST).train(X, Y).predict_proba(X).sum(axis=1))


def test_no_rows_give_no_predictions() -> None:
    model = ModelTrainer(FOREST).train(X, np.where(Y, "b", "a"))
    assert model.predict([]).tolist() == []
    assert model.predict_proba([]).shape == (0, 2)


def test_class_weights_are_given_by_the_user_s_labels() -> None:
    for labels, weights in (
        (Y, {0: 1, 1: 50}),
        (np.where(Y, "b", "a"), {"a": 1, "b": 50}),
        (Y == 1, {True: 50}),
    ):
        weighted = {"type": "LogisticRegression", "parameters": {"class_weight": weights}}
        plain = ModelTrainer(LOGISTIC).train(X, labels).predict_proba(X)[:, 1]
        assert ModelTrainer(weighted).train(X, labels).predict_proba(X)[:, 1].mean() > plain.mean()


def test_a_pickled_model_predicts_the_same() -> None:
    model = ModelTrainer(FOREST).train(FRAME, np.where(Y, "b", "a"))
    np.testing.assert_array_equal(model.predict(FRAME), pickle.loads(pickle.dumps(model)).predict(FRAME))


def test_a_label_that_looks_like_an_amount_is_said(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        ModelTrainer({"type": "KNeighborsClassifier"}).train(X, list(range(80)))
    assert "if they are amounts and no classes, use KNeighborsRegressor" in caplog.text


BAD_CONFIGURATIONS = [
    (None, "expected a mapping"),
    ("RandomForest", "expected a mapping"),
    ({}, "has no 'type'"),
    ({"type": "RandomForst"}, "did you mean 'RandomForest'"),
    ({"type": "svm"}, "did you mean 'SVM'"),
    ({"type": "GradientBoosting"}, "GradientBoostingClassifier"),
    ({"type": None}, "the model type None is not known"),
    ({"type": ["RandomForest"]}, "is not known"),
    ({"type": "os.system"}, "is not known"),
    ({"type": "RandomForest", "params": {}}, "did you mean 'parameters'?"),
    ({"type": "RandomForest", "parameters": [1]}, "expected a mapping of names to values"),
    ({"type": "RandomForest", "parameters": {"n_estimator": 3}}, "did you mean 'n_estimators'"),
    ({"type": "RandomForest", "parameters": {3: 3}}, "has no parameter 3"),
    ({"type": "XGBoost", "parameters": {"eta": 0.1}}, "call it 'learning_rate'"),
]


@pytest.mark.parametrize(("section", "message"), BAD_CONFIGURATIONS)
def test_a_bad_configuration_names_the_nearest_good_one(section: Any, message: str) -> None:
    with pytest.raises(InputError) as caught:
        ModelTrainer(section)
    assert message in str(caught.value)


BAD_TRAINING = [
    ("RandomForest", [], [], "there are no training rows"),
    ("RandomForest", [[]], [0], "there are no training rows"),
    ("RandomForest", [1, 2], [0, 1], "expected a list of rows"),
    ("RandomForest", "rows.csv", [0, 1], "expected a list of rows"),
    ("RandomForest", {"a": [1, 2]}, [0, 1], "expected a list of rows"),
    ("RandomForest", np.arange(3), [0, 1, 0], "1 dimension(s), expected 2"),
    ("RandomForest", [[1, 2], [3]], [0, 1], "row 2 has 1 feature(s), and row 1 has 2"),
    ("RandomForest", [{"a": 1}, {"b": 1}], [0, 1], "row 2 has the features b, and row 1 has a"),
    ("RandomForest", [[1], ["x"]], [0, 1], "row 1 holds a number and row 2 the text 'x'"),
    ("RandomForest", [[1], [[2]]], [0, 1], "feature 'x0': row 2 holds list [2]"),
    ("RandomForest", [[1.0], [float("inf")]], [0, 1], "row 2 holds inf"),
    ("RandomForest", [[1], [10**400]], [0, 1], "row 2 holds a number too large"),
    (
        "RandomForest",
        pd.DataFrame({"t": pd.to_datetime(["2024-01-01"] * 2)}),
        [0, 1],
        "row 1 holds Timestamp",
    ),
    ("RandomForest", [[1], [2]], [0], "2 row(s) of features and 1 label(s)"),
    ("RandomForest", [[1], [2]], [0, None], "row 2 has no label"),
    ("RandomForest", [[1], [2]], [0, float("nan")], "row 2 has no label"),
    ("RandomForest", [[1], [2]], pd.Series([1, None], dtype="Int64"), "row 2 has no label"),
    ("RandomForest", [[1], [2]], [0, "1"], "row 1 has a number as label (0) and row 2 a text ('1')"),
    ("RandomForest", [[1], [2]], [True, 2], "truth value"),
    ("RandomForest", [[1], [2]], "ab", "the labels are a str"),
    ("RandomForest", [[1], [2]], pd.DataFrame({"label": [0, 1]}), "pass the column"),
    ("RandomForest", [[1], [2]], [0.5, 1.0], "to predict numbers use RandomForestRegressor"),
    ("XGBoost", [[1], [2]], [0.5, 1.0], "to predict numbers use XGBRegressor"),
    ("SVM", [[1], [2]], [0.5, 1.0], "to predict numbers use SVR"),
    ("LogisticRegression", [[1], [2]], [0.5, 1.0], "to predict numbers use Ridge"),
    ("GaussianNB", [[1], [2]], [0.5, 1.0], "to predict numbers use RandomForestRegressor"),
    ("Ridge", [[1], [2]], ["a", "b"], "Ridge predicts numbers"),
    ("RandomForest", [[1], [2]], [1, 1], "all 2 training rows have the class 1"),
]


@pytest.mark.parametrize(("type_name", "rows", "labels", "message"), BAD_TRAINING)
def test_bad_rows_and_labels_are_refused_with_their_place(
    type_name: str, rows: Any, labels: Any, message: str
) -> None:
    with pytest.raises(RetrainingError) as caught:
        ModelTrainer({"type": type_name}).train(rows, labels)
    assert message in str(caught.value)


def test_a_parameter_s_bad_value_is_the_estimator_s_own_message() -> None:
    with pytest.raises(RetrainingError, match="max_depth") as caught:
        ModelTrainer({"type": "RandomForest", "parameters": {"max_depth": -3}}).train(X, Y)
    assert "manifest" not in str(caught.value)


BAD_PREDICTIONS = [
    ([1, 2, 3], "expected a list of rows"),
    ([[1, 2]], "2 feature(s), the training data had 3"),
    ([[1, 2, "x"]], "row 1 holds the text 'x', in training it held numbers"),
    (np.zeros(3), "for one row, pass [row]"),
    ({"a": 1}, "expected a list of rows"),
    (None, "expected a list of rows"),
]


@pytest.mark.parametrize(("rows", "message"), BAD_PREDICTIONS)
def test_rows_that_the_model_cannot_read_are_refused(rows: Any, message: str) -> None:
    model = ModelTrainer({"type": "GaussianNB"}).train(X, Y)
    with pytest.raises(InputError) as caught:
        model.predict(rows)
    assert message in str(caught.value)
