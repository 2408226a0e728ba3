"""Fits whose rows have one class or one value: an error that says so, or a model that predicts it."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.dummy import DummyClassifier

from retraining.learn.fitting import FitError, fit
from retraining.learn.persistence import dump, load

from .samples import mixed, numbers, spec

CLASSIFIERS = [
    ("sklearn.linear_model", "LogisticRegression"),
    ("sklearn.ensemble", "HistGradientBoostingClassifier"),
    ("xgboost", "XGBClassifier"),
    ("sklearn.svm", "LinearSVC"),
]


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("classes", [("no", "yes", "zebra"), (1, 2, 7), (False, True)])
@pytest.mark.parametrize(("module", "name"), CLASSIFIERS)
def test_rows_of_one_class_make_its_prior_or_an_error_that_names_it(module, name, classes, weighted):
    features = mixed()
    target = np.ones(len(features), np.int64)
    weights = np.linspace(0.5, 2, len(features)) if weighted else None
    if weighted and name == "LinearSVC":
        weights = None
    wanted = spec(module, name, classes=classes)
    with pytest.raises(FitError, match=f"degenerate: all .* rows have the class {classes[1]!r}"):
        fit(wanted, features, target, weights=weights, seed=0)
    model = fit(wanted, features, target, weights=weights, seed=0, degenerate="prior")
    oracle = DummyClassifier(strategy="prior").fit(np.zeros((len(features), 1)), target, weights)
    found = model.predict(features)
    assert model.is_prior
    np.testing.assert_array_equal(found[:, 1], oracle.predict_proba(np.zeros((len(features), 1)))[:, 0])
    np.testing.assert_array_equal(found.sum(axis=1), 1)
    assert found.shape == (len(features), len(classes))
    data = dump(model)
    np.testing.assert_array_equal(load(data).predict(features), found)
    assert dump(fit(wanted, features, target, weights=weights, seed=0, degenerate="prior")) == data


def test_a_value_that_the_estimator_cannot_learn_is_predicted_or_named():
    features = numbers()
    nothing = np.zeros(len(features))
    poisson = spec("sklearn.linear_model", "GammaRegressor")
    with pytest.raises(FitError, match="all with the target 0"):
        fit(poisson, features, nothing, seed=0)
    model = fit(poisson, features, nothing, seed=0, degenerate="prior")
    assert model.is_prior
    np.testing.assert_array_equal(model.predict(features), np.zeros((len(features), 1)))


def test_whoever_can_learn_is_no_prior_and_whatever_else_fails_still_fails():
    features = numbers()
    ridge = spec("sklearn.linear_model", "Ridge")
    assert not fit(ridge, features, np.full(len(features), 3.0), seed=0, degenerate="prior").is_prior
    gamma = spec("sklearn.linear_model", "GammaRegressor")
    with pytest.raises(FitError):
        fit(gamma, features, np.linspace(-1, 1, len(features)), seed=0, degenerate="prior")
    none = spec("sklearn.linear_model", "LogisticRegression", {"C": -1.0}, classes=("a", "b"))
    with pytest.raises(FitError):
        fit(none, features, np.arange(len(features)) % 2, seed=0, degenerate="prior")
