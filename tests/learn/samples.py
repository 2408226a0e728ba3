"""Small tables and specs for the tests of this room."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retraining.learn.estimators import EstimatorSpec
from retraining.learn.features import Features

LINEAR = ("sklearn.linear_model", "sklearn.svm", "sklearn.neighbors", "sklearn.neural_network")


def spec(
    module: str,
    name: str,
    parameters: Mapping[str, Any] | None = None,
    *,
    classes: tuple[Any, ...] = (),
    preprocess: Any = "auto",
    accepts_nan: bool | None = None,
) -> EstimatorSpec:
    takes_nan = module in ("xgboost", "sklearn.tree") or name.startswith(
        ("Random", "ExtraT", "Hist", "Bagging")
    )
    return EstimatorSpec(
        type=name,
        module=module,
        parameters=parameters or {},
        preprocess=preprocess,
        task="classification" if classes else "regression",
        classes=classes,
        accepts_nan=takes_nan if accepts_nan is None else accepts_nan,
        needs_scaling=module in LINEAR,
    )


def numbers(n_rows: int = 240, n_columns: int = 4, seed: int = 0) -> Features:
    values = np.random.default_rng(seed).normal(size=(n_rows, n_columns))
    return Features(names=tuple(f"x{i}" for i in range(n_columns)), values=values, categories={})


def mixed(n_rows: int = 240, seed: int = 0) -> Features:
    """Two numbers, one with gaps, and two categories, one with gaps and an unsorted, redundant dictionary."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(n_rows, 4))
    values[rng.random(n_rows) < 0.1, 1] = np.nan
    values[:, 2] = rng.integers(0, 3, n_rows)
    values[:, 3] = rng.integers(0, 4, n_rows)
    values[rng.random(n_rows) < 0.1, 3] = np.nan
    categories = {2: ("UA", "B6", "unused", "AA"), 3: ("rain", "sun", "fog", "rain")}
    values[values[:, 2] == 2, 2] = 3
    return Features(names=("a", "b", "carrier", "sky"), values=values, categories=categories)


def amounts(features: Features, seed: int = 1) -> NDArray[np.float64]:
    values = np.nan_to_num(features.values)
    noise = np.random.default_rng(seed).normal(size=len(values))
    return 3 * values[:, 0] - values[:, 1] + values[:, 2] + 0.3 * noise


def labels(features: Features, n_classes: int, seed: int = 1) -> NDArray[np.int64]:
    edges = np.quantile(amounts(features, seed), np.linspace(0, 1, n_classes + 1)[1:-1])
    return np.digitize(amounts(features, seed), edges)
