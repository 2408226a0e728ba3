from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics
from sklearn.dummy import DummyClassifier, DummyRegressor

from retraining.learn.metrics import dummy_prediction, row_losses, score
from retraining.manifest.catalog import METRICS

REGRESSION = {
    "mean_squared_error": metrics.mean_squared_error,
    "root_mean_squared_error": metrics.root_mean_squared_error,
    "mean_absolute_error": metrics.mean_absolute_error,
    "median_absolute_error": metrics.median_absolute_error,
    "r2": metrics.r2_score,
    "explained_variance": metrics.explained_variance_score,
    "mean_squared_log_error": metrics.mean_squared_log_error,
    "mean_poisson_deviance": metrics.mean_poisson_deviance,
    "mean_absolute_percentage_error": metrics.mean_absolute_percentage_error,
}
BY_LABEL = {
    "accuracy": metrics.accuracy_score,
    "balanced_accuracy": metrics.balanced_accuracy_score,
    "f1": metrics.f1_score,
    "f1_macro": lambda t, p, **more: metrics.f1_score(t, p, average="macro", **more),
    "precision": metrics.precision_score,
    "recall": metrics.recall_score,
    "matthews_corrcoef": metrics.matthews_corrcoef,
}
BY_PROBABILITY = {
    "log_loss": metrics.log_loss,
    "brier_score_loss": metrics.brier_score_loss,
    "roc_auc": metrics.roc_auc_score,
    "roc_auc_ovr": lambda t, p, **more: metrics.roc_auc_score(t, p, multi_class="ovr", **more),
    "average_precision": metrics.average_precision_score,
}
WEIGHTS = np.random.default_rng(4).uniform(0.2, 3, 300)


def counts_and_values(seed=0):
    rng = np.random.default_rng(seed)
    target = rng.poisson(2.0, 300).astype(np.float64)
    return target, np.round(np.abs(target + rng.normal(size=300)) + 0.05, 2)[:, None]


def classes_and_probabilities(n_classes, seed=0):
    rng = np.random.default_rng(seed)
    target = rng.integers(0, n_classes, 300)
    raw = np.round(rng.random((300, n_classes)) + 1.2 * np.eye(n_classes)[target], 1) + 0.1
    return target, raw / raw.sum(axis=1, keepdims=True)


def test_every_metric_of_the_catalogue_has_an_oracle_here():
    assert {*REGRESSION, *BY_LABEL, *BY_PROBABILITY, "max_error"} == set(METRICS)


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["plain", "weighted"])
@pytest.mark.parametrize("metric", REGRESSION)
def test_regression_metrics_equal_scikit_learns(metric, weights):
    target, prediction = counts_and_values()
    expected = REGRESSION[metric](target, prediction[:, 0], sample_weight=weights)
    assert score(metric, target, prediction, (), weights) == pytest.approx(expected, rel=1e-12)


def test_max_error_equals_scikit_learns():
    target, prediction = counts_and_values()
    assert score("max_error", target, prediction) == metrics.max_error(target, prediction[:, 0])


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["plain", "weighted"])
@pytest.mark.parametrize(
    ("metric", "n_classes"),
    [
        (name, n)
        for name in [*BY_LABEL, *BY_PROBABILITY]
        for n in (2, 3)
        if n == 2 or not METRICS[name].binary_only
    ],
)
def test_classification_metrics_equal_scikit_learns_with_the_last_class_positive(metric, n_classes, weights):
    target, probabilities = classes_and_probabilities(n_classes)
    if metric in BY_LABEL:
        expected = BY_LABEL[metric](target, probabilities.argmax(axis=1), sample_weight=weights)
    else:
        output = probabilities[:, 1] if n_classes == 2 else probabilities
        expected = BY_PROBABILITY[metric](target, output, sample_weight=weights)
    names = ("a", "b", "c")[:n_classes]
    assert score(metric, target, probabilities, names, weights) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("metric", [name for name, info in METRICS.items() if info.mean_over_rows])
def test_the_mean_of_row_losses_is_the_score_or_one_minus_it(metric):
    if METRICS[metric].task == "regression":
        target, prediction = counts_and_values()
    else:
        target, prediction = classes_and_probabilities(3)
    losses = row_losses(metric, target, prediction)
    expected = score(metric, target, prediction)
    assert losses.shape == (300,)
    assert losses.mean() == pytest.approx(1 - expected if metric == "accuracy" else expected, rel=1e-12)


def test_metrics_that_are_no_mean_over_rows_have_no_row_losses():
    target, prediction = counts_and_values()
    assert row_losses("r2", target, prediction) is None


def test_a_certain_and_wrong_probability_has_a_large_and_finite_loss():
    losses = row_losses("log_loss", np.array([0, 1]), np.array([[0.0, 1.0], [0.0, 1.0]]))
    assert losses[0] == pytest.approx(36.04, abs=0.01)
    assert losses[1] == pytest.approx(0, abs=1e-15)


@pytest.mark.parametrize(
    ("metric", "target", "prediction"),
    [
        ("mean_squared_error", [], np.zeros((0, 1))),
        ("mean_squared_error", [1.0], [[np.nan]]),
        ("r2", [1.0, 2.0], [[np.inf], [1.0]]),
        ("mean_squared_log_error", [1.0], [[-2.0]]),
        ("mean_poisson_deviance", [1.0], [[0.0]]),
        ("roc_auc", [1, 1], [[0.4, 0.6], [0.2, 0.8]]),
        ("accuracy", [1], [[np.nan, 0.1]]),
    ],
)
def test_an_undefined_metric_is_nan_and_no_error(metric, target, prediction):
    assert np.isnan(score(metric, np.array(target), np.array(prediction, dtype=np.float64)))


def test_a_metric_that_is_not_in_the_catalogue_is_the_callers_mistake():
    with pytest.raises(ValueError, match="unknown metric 'neg_log_loss'"):
        score("neg_log_loss", np.array([0]), np.array([[1.0, 0.0]]))
    with pytest.raises(ValueError, match="2 columns of probabilities for 3 classes"):
        score("log_loss", np.array([0]), np.array([[1.0, 0.0]]), ("a", "b", "c"))


@pytest.mark.parametrize(
    ("metric", "strategy"),
    [("mean_squared_error", "mean"), ("r2", "mean"), ("mean_absolute_error", "median")],
)
def test_the_dummy_of_values_is_scikit_learns(metric, strategy):
    train = np.array([1.0, 2.0, 6.0, 100.0])
    own = DummyRegressor(strategy=strategy).fit(np.zeros((4, 1)), train).predict(np.zeros((3, 1)))
    np.testing.assert_allclose(dummy_prediction(metric, "regression", train, 3), own.reshape(3, 1))


def test_the_dummy_of_classes_gives_their_shares_also_to_one_that_never_occurs():
    train = np.array([2, 0, 2, 2])
    own = DummyClassifier(strategy="prior").fit(np.zeros((4, 1)), train).predict_proba(np.zeros((2, 1)))
    found = dummy_prediction("log_loss", "classification", train, 2, ("a", "b", "c", "d"))
    np.testing.assert_array_equal(found[:, [0, 2]], own)
    np.testing.assert_array_equal(found[:, [1, 3]], 0)


def test_a_dummy_without_training_labels_predicts_nothing():
    assert np.isnan(dummy_prediction("r2", "regression", np.array([]), 2)).all()
    none = np.array([], dtype=np.int64)
    assert np.isnan(dummy_prediction("log_loss", "classification", none, 2, ("a", "b"))).all()
