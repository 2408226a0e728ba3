from __future__ import annotations

import pickle

import numpy as np
import pytest
from sklearn.ensemble import (
    AdaBoostRegressor,
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import Lasso, LogisticRegression, Ridge
from sklearn.model_selection import KFold, cross_val_predict
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor
from xgboost import XGBClassifier, XGBRegressor

from retraining.learn.estimators import build_estimator
from retraining.learn.features import Features
from retraining.learn.fitting import FitError, fit

from .samples import LINEAR, amounts, labels, mixed, numbers, spec

FOLDS = KFold(3, shuffle=True, random_state=0)
SEED = 7
REGRESSORS = [
    Ridge(alpha=0.3),
    Lasso(alpha=0.01),
    KNeighborsRegressor(n_neighbors=3),
    DecisionTreeRegressor(random_state=SEED),
    RandomForestRegressor(n_estimators=5, random_state=SEED),
    GradientBoostingRegressor(n_estimators=5, subsample=0.5, random_state=SEED),
    HistGradientBoostingRegressor(max_iter=5, random_state=SEED),
    AdaBoostRegressor(n_estimators=4, random_state=SEED),
    XGBRegressor(n_estimators=6, subsample=0.5, n_jobs=1, random_state=SEED),
]
CLASSIFIERS = [
    LogisticRegression(C=0.5),
    GaussianNB(),
    DecisionTreeClassifier(max_depth=3, random_state=SEED),
    ExtraTreesClassifier(n_estimators=5, random_state=SEED),
    RandomForestClassifier(n_estimators=5, random_state=SEED),
    GradientBoostingClassifier(n_estimators=4, random_state=SEED),
    HistGradientBoostingClassifier(max_iter=4, random_state=SEED),
    XGBClassifier(n_estimators=4, n_jobs=1, random_state=SEED),
]


def spec_of(estimator, classes=()):
    """The spec whose estimator the given one is, without its seed and threads, which `fit` must set."""
    module = ".".join(type(estimator).__module__.split(".")[:2]).removesuffix(".sklearn")
    default = type(estimator)().get_params()
    written = {
        name: value
        for name, value in estimator.get_params().items()
        if name not in ("random_state", "n_jobs") and value is not default[name] and value == value
    }
    return spec(module, type(estimator).__name__, written, classes=classes)


def plain(estimator):
    """The estimator as a user of scikit-learn would write it."""
    scaled = type(estimator).__module__.startswith(LINEAR)
    return make_pipeline(StandardScaler(), estimator) if scaled else estimator


def out_of_fold(estimator, features, target, weights=None):
    """Predictions of each row by our fit on the folds that it is not in."""
    found = None
    for train, test in FOLDS.split(features.values):
        part = None if weights is None else weights[train]
        model = fit(estimator, features.take(train), target[train], weights=part, seed=SEED)
        values = model.predict(features.take(test))
        found = np.full((len(features), values.shape[1]), np.nan) if found is None else found
        found[test] = values
    return found


@pytest.mark.parametrize("estimator", REGRESSORS, ids=lambda one: type(one).__name__)
def test_regressors_equal_cross_val_predict_bit_for_bit(estimator):
    features = numbers()
    target = amounts(features)
    expected = cross_val_predict(plain(estimator), features.values, target, cv=FOLDS)
    found = out_of_fold(spec_of(estimator), features, target)
    np.testing.assert_array_equal(found[:, 0], expected.astype(np.float64))


@pytest.mark.parametrize("names", [("early", "late"), (0, 1), (False, True), ("a", "b", "c")], ids=str)
@pytest.mark.parametrize("estimator", CLASSIFIERS, ids=lambda one: type(one).__name__)
def test_classifiers_equal_cross_val_predict_bit_for_bit(estimator, names):
    features = numbers()
    target = labels(features, len(names))
    # XGBoost takes no texts of its own
    own_target = target if isinstance(estimator, XGBClassifier) else np.array(names)[target]
    expected = cross_val_predict(
        plain(estimator), features.values, own_target, cv=FOLDS, method="predict_proba"
    )
    found = out_of_fold(spec_of(estimator, names), features, target)
    np.testing.assert_array_equal(found, expected.astype(np.float64))


@pytest.mark.parametrize(
    "estimator", [DecisionTreeRegressor(random_state=SEED), XGBRegressor(n_estimators=4)]
)
def test_weights_reach_the_estimator(estimator):
    features = numbers()
    target, weights = amounts(features), np.random.default_rng(3).uniform(0.1, 3, len(features))
    own = build_estimator(spec_of(estimator), present=(), seed=SEED)
    expected = cross_val_predict(own, features.values, target, cv=FOLDS, params={"sample_weight": weights})
    found = out_of_fold(spec_of(estimator), features, target, weights)
    np.testing.assert_array_equal(found[:, 0], expected)


def test_missing_numbers_reach_xgboost_as_missing():
    features = numbers()
    features.values[::5, 0] = np.nan
    target = amounts(features)
    estimator = XGBRegressor(n_estimators=5, random_state=SEED, n_jobs=1)
    expected = cross_val_predict(estimator, features.values, target, cv=FOLDS)
    np.testing.assert_array_equal(out_of_fold(spec_of(estimator), features, target)[:, 0], expected)


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("sklearn.linear_model", "Ridge"),
        ("sklearn.svm", "SVR"),
        ("sklearn.neighbors", "KNeighborsRegressor"),
        ("sklearn.ensemble", "RandomForestRegressor"),
        ("sklearn.ensemble", "GradientBoostingRegressor"),
        ("sklearn.ensemble", "HistGradientBoostingRegressor"),
        ("xgboost", "XGBRegressor"),
    ],
)
def test_categories_and_gaps_are_learned_from_by_every_family(module, name):
    features = mixed()
    target = amounts(features)
    parameters = {"n_estimators": 20} if name[:3] in ("Ran", "Gra", "XGB") else {}
    found = out_of_fold(spec(module, name, parameters), features, target)[:, 0]
    assert np.mean((found - target) ** 2) < 0.5 * np.var(target)


def test_a_forest_whose_criterion_or_constraints_take_no_gaps_gets_none():
    features = mixed()
    target = amounts(features)
    for parameters in ({"criterion": "absolute_error"}, {"monotonic_cst": [1, 0, 0, 0]}):
        forest = spec("sklearn.ensemble", "RandomForestRegressor", {"n_estimators": 3, **parameters})
        assert np.isfinite(fit(forest, features, target, seed=0).predict(features)).all()


@pytest.mark.parametrize("name", ["XGBClassifier", "RandomForestClassifier", "LogisticRegression"])
def test_a_class_that_the_fit_lacks_gets_probability_zero(name):
    module = {"X": "xgboost", "R": "sklearn.ensemble", "L": "sklearn.linear_model"}[name[0]]
    features = numbers()
    target = labels(features, 2) * 2 + 1  # classes 1 and 3 of 4
    model = fit(spec(module, name, classes=("a", "b", "c", "d")), features, target, seed=0)
    found = model.predict(features)
    assert found.shape == (240, 4)
    assert (found[:, [0, 2]] == 0).all()
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-6)
    assert np.mean(found.argmax(axis=1) == target) > 0.8
    assert model.classes == ("a", "b", "c", "d")


def test_an_estimator_without_probabilities_gives_one_to_its_class():
    features = numbers()
    target = labels(features, 3)
    found = fit(spec("sklearn.svm", "SVC", classes=("x", "y", "z")), features, target, seed=0).predict(
        features
    )
    own = make_pipeline(StandardScaler(), SVC()).fit(features.values, target)
    np.testing.assert_array_equal(found, np.eye(3)[own.predict(features.values)])


def test_class_weights_are_by_class_and_survive_a_fit_without_one_of_them():
    features = numbers()
    target = labels(features, 2) + 1
    written = {"class_weight": {"a": 9.0, "b": 1.0, "c": 5.0}}
    model = fit(
        spec("sklearn.linear_model", "LogisticRegression", written, classes=("a", "b", "c")),
        features,
        target,
        seed=0,
    )
    own = make_pipeline(StandardScaler(), LogisticRegression(class_weight={1: 1.0, 2: 5.0}))
    own.fit(features.values, target)
    np.testing.assert_array_equal(model.predict(features)[:, 1:], own.predict_proba(features.values))
    with pytest.raises(FitError, match="class_weight names 'q'"):
        build_estimator(
            spec("sklearn.svm", "SVC", {"class_weight": {"q": 1}}, classes=("a", "b")), present=(0, 1), seed=0
        )


def test_seeds_and_threads_are_set_unless_written():
    forest = spec("sklearn.ensemble", "RandomForestRegressor", {"n_jobs": -1, "verbose": 2})
    built = build_estimator(forest, present=(), seed=2**40 + 5)
    assert (built.random_state, built.n_jobs, built.verbose) == (5, None, 0)  # scikit-learn: None is one
    written = spec("sklearn.ensemble", "RandomForestRegressor", {"random_state": 3})
    assert build_estimator(written, present=(), seed=5).random_state == 3
    boosted = build_estimator(spec("xgboost", "XGBRegressor", {"nthread": 8}), present=(), seed=5)
    assert (boosted.random_state, boosted.n_jobs, "nthread" in boosted.get_params()) == (5, 1, False)


def test_another_seed_gives_another_forest_and_the_same_seed_the_same():
    features = numbers()
    target = amounts(features)
    forest = spec("sklearn.ensemble", "RandomForestRegressor", {"n_estimators": 3})
    one, again, other = (fit(forest, features, target, seed=seed).predict(features) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert not np.array_equal(one, other)


def test_no_rows_predict_to_no_rows():
    features = numbers()
    model = fit(spec("sklearn.linear_model", "Ridge"), features, amounts(features), seed=0)
    assert model.predict(features.take(slice(0, 0))).shape == (0, 1)


def test_warnings_of_a_fit_are_its_notes():
    features = numbers()
    slow = spec("sklearn.neural_network", "MLPRegressor", {"max_iter": 1})
    model = fit(slow, features, amounts(features), seed=0)
    assert [note.split(":")[0] for note in model.notes] == ["ConvergenceWarning"]


@pytest.mark.parametrize(
    ("estimator", "target", "message"),
    [
        (spec("sklearn.linear_model", "Ridge"), np.zeros(0), "there are no rows"),
        (spec("sklearn.linear_model", "Ridge"), np.array([0.0, np.nan, np.inf]), "2 of 3 training labels"),
        (
            spec("sklearn.linear_model", "LogisticRegression", classes=("no", "yes")),
            np.array([1, 1, 1]),
            "degenerate: all 3 training rows have the class 'yes'",
        ),
        (
            spec("sklearn.neighbors", "KNeighborsRegressor", {"n_neighbors": 0}),
            np.ones(3),
            "KNeighborsRegressor failed on 3 rows x 2 columns: InvalidParameterError: The 'n_neighbors'",
        ),
        (spec("sklearn.linear_model", "Ridge", {"alfa": 1}), np.ones(3), "Ridge refuses its parameters"),
        (spec("xgboost", "XGBRegressor", {"max_depth": "deep"}), np.ones(3), "XGBRegressor failed"),
        (spec("sklearn.linear_model", "Rigde"), np.ones(3), "sklearn.linear_model.Rigde is no estimator"),
        (spec("sklearn.utils", "Bunch"), np.ones(3), "is no estimator that predicts"),
        (spec("sklearn.nothing", "Ridge"), np.ones(3), "sklearn.nothing.Ridge cannot be imported"),
        (spec("os", "system"), np.ones(3), "os.system is neither in scikit-learn nor in xgboost"),
    ],
)
def test_what_cannot_be_fitted_is_a_fit_error_that_says_why(estimator, target, message):
    features = numbers(len(target), 2)
    with pytest.raises(FitError, match=message.replace("(", r"\(")) as caught:
        fit(estimator, features, target, seed=0)
    assert "\n" not in caught.value.message
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (type(copy), copy.message, copy.next_step) == (
        FitError,
        caught.value.message,
        caught.value.next_step,
    )


def test_what_an_estimator_refuses_in_prediction_is_a_fit_error_too():
    features = numbers(2)
    model = fit(spec("sklearn.neighbors", "KNeighborsRegressor"), features, np.ones(2), seed=0)
    with pytest.raises(FitError, match="KNeighborsRegressor cannot predict: ValueError"):
        model.predict(features)
    infinite = Features(names=features.names, values=np.full((1, 4), np.inf), categories={})
    ridge = fit(spec("sklearn.linear_model", "Ridge"), features, np.ones(2), seed=0)
    with pytest.raises(FitError, match="infinity"):
        ridge.predict(infinite)


def test_weights_that_cannot_be_used_are_refused():
    features = numbers(6)
    for weights in (np.full(6, np.nan), np.zeros(6), np.full(6, -1.0)):
        with pytest.raises(FitError, match="weights must be"):
            fit(spec("sklearn.linear_model", "Ridge"), features, np.ones(6), weights=weights, seed=0)
    with pytest.raises(FitError, match="takes no weights"):
        fit(
            spec("sklearn.neighbors", "KNeighborsRegressor"), features, np.ones(6), weights=np.ones(6), seed=0
        )


def test_shapes_that_do_not_fit_together_are_the_callers_mistake():
    features = numbers(6)
    ridge = spec("sklearn.linear_model", "Ridge")
    with pytest.raises(ValueError, match="target of shape"):
        fit(ridge, features, np.ones(5), seed=0)
    with pytest.raises(ValueError, match="weights of shape"):
        fit(ridge, features, np.ones(6), weights=np.ones(5), seed=0)
    with pytest.raises(ValueError, match="outside the 2 classes"):
        fit(spec("sklearn.svm", "SVC", classes=("a", "b")), features, np.arange(6), seed=0)


@pytest.mark.parametrize(
    ("preprocess", "odd", "told"),
    [
        ("auto", np.inf, "infinite values in b"),
        ("none", np.inf, "infinite values in b"),
        ("none", np.nan, "missing values in b"),
    ],
)
def test_an_estimator_that_fails_on_a_value_names_its_column(preprocess, odd, told):
    values = np.arange(20.0).reshape(10, 2)
    values[3, 1] = odd
    features = Features(names=("a", "b"), values=values, categories={})
    with pytest.raises(FitError, match=rf"Ridge failed on 10 rows x 2 columns \({told}\): "):
        fit(
            spec("sklearn.linear_model", "Ridge", preprocess=preprocess), features, np.arange(10.0), seed=SEED
        )
