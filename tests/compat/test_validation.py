"""Scores of any model on labelled rows, equal to scikit-learn's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn import metrics
from sklearn.linear_model import LinearRegression, LogisticRegression

from retraining.compat import ModelTrainer, validate_model
from retraining.errors import InputError

from .files import number_rows, write_json

RNG = np.random.default_rng(3)
X = RNG.normal(size=(150, 2))
NAMES = np.array(["apple", "pear", "plum"])
Y = NAMES[np.clip((X[:, 0] + RNG.normal(size=150)).round().astype(int) + 1, 0, 2)]
ROWS = [{"features": list(row), "label": str(label)} for row, label in zip(X, Y, strict=True)]
MODEL = ModelTrainer({"type": "LogisticRegression"}).train(X, Y)


def test_accuracy_is_scikit_learn_s() -> None:
    result = validate_model(MODEL, ROWS)
    expected = metrics.accuracy_score(Y, MODEL.predict(X))
    assert result == {"accuracy": pytest.approx(expected), "rows": 150, "threshold": None, "passed": True}
    assert pytest.approx(expected) == MODEL.score(X, Y)
    assert json.loads(json.dumps(result)) == result


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        ("f1_macro", metrics.f1_score(Y, MODEL.predict(X), average="macro")),
        ("balanced_accuracy", metrics.balanced_accuracy_score(Y, MODEL.predict(X))),
        ("log_loss", metrics.log_loss(Y, MODEL.predict_proba(X))),
        ("neg_log_loss", metrics.log_loss(Y, MODEL.predict_proba(X))),
        ("roc_auc_ovr", metrics.roc_auc_score(Y, MODEL.predict_proba(X), multi_class="ovr")),
    ],
)
def test_other_metrics_are_scikit_learn_s(metric: str, expected: float) -> None:
    assert expected == pytest.approx(validate_model(MODEL, ROWS, metric)[metric], rel=1e-12)


def test_plain_scikit_learn_models_are_validated_too() -> None:
    plain = LogisticRegression().fit(X, Y)
    assert validate_model(plain, ROWS)["accuracy"] == pytest.approx(plain.score(X, Y))
    target = 2 * X[:, 0]
    rows = [{"features": row, "label": value} for row, value in zip(X, target, strict=True)]
    assert pytest.approx(validate_model(LinearRegression().fit(X, target), rows, "r2")["r2"]) == 1.0


def test_a_file_of_rows_is_validated(tmp_path: Path) -> None:
    path = write_json(tmp_path / "rows.json", ROWS)
    assert validate_model(MODEL, ROWS) == validate_model(MODEL, path) == validate_model(MODEL, str(path))


def test_a_threshold_is_the_smallest_good_score_and_the_largest_good_loss() -> None:
    good = validate_model(MODEL, ROWS)["accuracy"]
    assert validate_model(MODEL, ROWS, threshold=good)
    assert not validate_model(MODEL, ROWS, threshold=good + 0.01)
    assert validate_model(MODEL, ROWS, "log_loss", threshold=10).passed
    assert not validate_model(MODEL, ROWS, "log_loss", threshold=0.01).passed


def test_a_label_that_the_model_does_not_know_counts_as_an_error() -> None:
    rows = [{**ROWS[0], "label": "cherry"}, {**ROWS[1], "label": str(MODEL.predict([X[1]])[0])}]
    assert validate_model(MODEL, rows)["accuracy"] == 0.5


REGRESSOR = ModelTrainer({"type": "Ridge"}).train(X, X[:, 0])
SVM = ModelTrainer({"type": "SVM"}).train(X, Y)
NUMBERS = number_rows()
BAD_VALIDATIONS: list[tuple[Any, Any, dict[str, Any], str]] = [
    (MODEL, [], {}, "there are no validation rows"),
    (MODEL, [[1, 2]], {}, "validation row 1 is [1, 2]"),
    (MODEL, [{"features": [1, 2]}], {}, "validation row 1"),
    (MODEL, {"features": [[1, 2]]}, {}, "the validation data are a dict"),
    (MODEL, 3, {}, "the validation data are a int"),
    (MODEL, ROWS, {"metric": "acuracy"}, "did you mean accuracy"),
    (MODEL, ROWS, {"metric": None}, "the metric None is not known"),
    (MODEL, ROWS, {"threshold": "high"}, "the threshold is 'high'"),
    (MODEL, ROWS, {"metric": "r2"}, "r2 compares numbers, found the label"),
    (MODEL, ROWS, {"metric": "f1"}, "f1 is for two classes"),
    (MODEL, [{"features": [1, 2], "label": 1}], {}, "labels of the rows are 1"),
    (MODEL, [{"features": [1, 2], "label": None}], {}, "row 1 has no label"),
    (MODEL, [{"features": [1], "label": "pear"}], {}, "1 feature(s), the training data had 2"),
    (SVM, ROWS, {"metric": "log_loss"}, "needs probabilities"),
    (REGRESSOR, [{"features": [1, 2], "label": 1}], {}, "use metric='mean_squared_error'"),
]


@pytest.mark.parametrize(("model", "rows", "options", "message"), BAD_VALIDATIONS)
def test_what_cannot_be_validated_is_refused(
    model: Any, rows: Any, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError) as caught:
        validate_model(model, rows, **options)
    assert message in str(caught.value)
