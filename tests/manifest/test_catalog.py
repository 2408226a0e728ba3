"""The catalogue says what the installed libraries say, and its cache can do no harm."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import warnings

import numpy as np
import pytest

from retraining.manifest import installed
from retraining.manifest.allowed import is_allowed, told
from retraining.manifest.catalog import (
    DEFAULT_METRIC,
    METRIC_HINTS,
    METRICS,
    SHORT_NAMES,
    canonical_metric,
    estimators,
    gives_probabilities,
)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path


def small(info):
    """Parameters that make a fit cheap."""
    wanted = {"n_estimators": 3, "max_iter": 20, "alphas": 5, "n_jobs": 1}
    if info.name == "OrthogonalMatchingPursuitCV":
        wanted.pop("max_iter")  # there it is a number of features
    if info.name.startswith("HistGradient"):
        wanted["max_iter"] = 3
    if not info.name.endswith("CV") or info.name.startswith("Ridge"):
        wanted.pop("alphas")
    return {name: value for name, value in wanted.items() if name in info.parameters}


def test_every_estimator_fits_one_target_and_predicts_as_told(catalog):
    rng = np.random.default_rng(0)
    X = rng.uniform(0.1, 1, (40, 12))
    targets = {"regression": X[:, 0] + rng.uniform(0.1, 0.2, 40), "classification": np.arange(40) % 2}
    wrong = []
    for info in catalog.values():
        factory = getattr(importlib.import_module(info.module), info.name)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            rows = np.round(X * 3) if info.name == "CategoricalNB" else X
            model = factory(**small(info)).fit(rows, targets[info.task])
            predicted = model.predict(rows)
        if predicted.shape != (40,) or hasattr(model, "predict_proba") != info.probabilities:
            wrong.append(info.name)
        if set(info.parameters) != set(model.get_params(deep=False)):
            wrong.append(f"{info.name}: parameters")
    assert wrong == []


def test_who_takes_missing_values_takes_them(catalog):
    X = np.array([[np.nan, 1.0], [2.0, 3.0]] * 10)
    for info in catalog.values():
        if info.accepts_nan:
            factory = getattr(importlib.import_module(info.module), info.name)
            assert factory(**small(info)).fit(X, np.arange(20) % 2).predict(X).shape == (20,)


def test_known_families(catalog):
    assert len(catalog) > 60
    assert list(catalog) == sorted(catalog)
    assert catalog["Ridge"].needs_scaling
    assert catalog["SVC"].needs_scaling
    assert not catalog["RandomForestRegressor"].needs_scaling
    assert catalog["XGBRegressor"].accepts_nan
    assert catalog["HistGradientBoostingClassifier"].accepts_nan
    assert not catalog["LinearRegression"].accepts_nan
    assert catalog["Ridge"].module == "sklearn.linear_model"
    assert catalog["RandomForestRegressor"].defaults["n_estimators"] == 100
    for wrapper in ("StackingRegressor", "MultiTaskLasso", "IsotonicRegression", "CCA", "VotingClassifier"):
        assert wrapper not in catalog


def test_values_of_parameters_are_allowed_where_scikit_learn_allows_them(catalog):
    from sklearn.utils._param_validation import make_constraint

    values = [-1, 0, 0.5, 1, 1.0, 2, 10**6, True, None, "auto", "sqrt", "many", [1, 2]]
    known = 0
    for info in catalog.values():
        if info.module == "xgboost":
            continue
        declared = getattr(importlib.import_module(info.module), info.name)._parameter_constraints
        for name, allowed in info.allowed.items():
            constraints = [make_constraint(one) for one in declared[name]]
            known += 1
            for value in values:
                by_library = any(one.is_satisfied_by(value) for one in constraints)
                assert is_allowed(value, allowed) == by_library, (info.name, name, value, told(allowed))
        assert all(
            is_allowed(value, info.allowed[name])
            for name, value in info.defaults.items()
            if name in info.allowed
        )
    assert known > 600


def test_short_names_lead_to_estimators(catalog):
    assert {name: catalog[target].task for name, target in SHORT_NAMES.items()} == {
        "LogisticRegression": "classification",
        "RandomForest": "classification",
        "SVM": "classification",
        "XGBoost": "classification",
    }


def test_probabilities_can_hang_on_a_parameter(catalog):
    assert not gives_probabilities(catalog["SVC"], {})
    assert gives_probabilities(catalog["SVC"], {"probability": True})
    assert gives_probabilities(catalog["SGDClassifier"], {"loss": "modified_huber"})
    assert not gives_probabilities(catalog["SGDClassifier"], {})
    assert gives_probabilities(catalog["LogisticRegression"], {"C": 3})


def test_metrics_are_named_and_directed_as_scikit_learn_does():
    from sklearn.metrics import get_scorer, get_scorer_names

    names = set(get_scorer_names())
    for info in METRICS.values():
        if info.name == "brier_score_loss":
            continue  # the function's name; the scorer is neg_brier_score
        assert (info.name if info.greater_is_better else f"neg_{info.name}") in names
        scorer = get_scorer(info.name if info.greater_is_better else f"neg_{info.name}")
        needs_probabilities = info.needs == "probabilities"
        assert ("predict_proba" in str(scorer)) == needs_probabilities or info.name == "average_precision"


def test_the_table_of_metrics_is_closed():
    assert canonical_metric("neg_log_loss") == "log_loss"
    assert {METRICS[name].task for name in DEFAULT_METRIC.values()} == {"regression", "classification"}
    assert set(METRIC_HINTS.values()) <= set(METRICS)
    assert {name for name, info in METRICS.items() if info.mean_over_rows} == {
        "mean_squared_error",
        "mean_absolute_error",
        "mean_squared_log_error",
        "mean_poisson_deviance",
        "mean_absolute_percentage_error",
        "log_loss",
        "brier_score_loss",
        "accuracy",
    }


def test_the_second_answer_comes_from_the_cache(folder):
    first = estimators()
    file = installed.cache_file()
    assert file.is_relative_to(folder)
    assert [entry.name for entry in file.parent.iterdir()] == [file.name]
    code = (
        "import sys, retraining.manifest.catalog as c; n = len(c.estimators()); "
        "heavy = {'sklearn', 'xgboost', 'pandas', 'scipy', 'numpy', 'ray'}; "
        "print(n, heavy & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split(maxsplit=1) == [str(len(first)), "set()\n"]


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[: len(data) // 2],
        lambda data: data.replace(b"Ridge", b"Rigde", 1),
        lambda data: b"[" * 100_000,
        lambda data: b"[]",
        lambda data: b'{"estimators": 3, "digest": "x"}',
        lambda data: b"\xff\xfe",
    ],
)
def test_a_damaged_cache_is_made_anew(damage, folder):
    expected = estimators()
    file = installed.cache_file()
    good = file.read_bytes()
    file.write_bytes(damage(good))
    assert dict(estimators()) == dict(expected)
    assert file.read_bytes() == good


def test_a_cache_that_cannot_be_written_is_no_error(folder):
    (folder / "retraining").write_text("a file where the folder would be")
    assert "Ridge" in estimators()


def test_a_cache_file_that_is_a_folder_is_no_error(folder):
    installed.cache_file().mkdir(parents=True)
    assert "Ridge" in estimators()
    assert [entry.name for entry in installed.cache_file().parent.iterdir()] == [installed.cache_file().name]


def test_a_relative_cache_folder_is_ignored(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert installed.cache_file().is_relative_to(tmp_path / ".cache")


def test_the_cache_holds_plain_json(folder):
    estimators()
    document = json.loads(installed.cache_file().read_text())
    assert set(document) == {"digest", "estimators"}
