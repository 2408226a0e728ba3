"""A small model of every estimator of the catalogue, and a program that fits and stores each of them."""

from __future__ import annotations

import hashlib
import sys

import numpy as np

from retraining.learn.features import Features
from retraining.learn.fitting import FittedModel, fit
from retraining.learn.persistence import dump
from retraining.learn.threads import one_thread
from retraining.manifest.catalog import EstimatorInfo, estimators

try:
    from .samples import amounts, labels, spec
except ImportError:  # run as a program by the test of determinism across processes
    from samples import amounts, labels, spec  # type: ignore[no-redef]

SMALL = {"n_estimators": 3, "max_iter": 20}
# What else a small table needs, or what needs fewer rounds than `max_iter` warns about.
PARAMETERS: dict[str, dict[str, object]] = {
    "CalibratedClassifierCV": {"cv": 2},
    "OrthogonalMatchingPursuitCV": {"max_iter": 3},
    "QuadraticDiscriminantAnalysis": {"reg_param": 0.1},
    "TheilSenRegressor": {"max_subpopulation": 20},
}


def table() -> Features:
    """Numbers of 0 or more, since some of naive Bayes refuse others, in steps."""
    values = np.random.default_rng(5).integers(0, 6, (60, 8)).astype(np.float64)
    return Features(names=tuple("abcdefgh"), values=values, categories={})


def small(info: EstimatorInfo) -> dict[str, object]:
    chosen = {name: value for name, value in SMALL.items() if name in info.parameters}
    return {**chosen, **PARAMETERS.get(info.name, {})}


def fitted(info: EstimatorInfo) -> FittedModel:
    rows = table()
    classes = ("x", "y", "z") if info.task == "classification" else ()
    target = labels(rows, 3) if classes else np.abs(amounts(rows)) + 0.5
    one = spec(info.module, info.name, small(info), classes=classes, accepts_nan=info.accepts_nan)

    return fit(one, rows, target, seed=7)


def main() -> None:
    with one_thread():
        for name, info in estimators().items():
            sys.stdout.write(f"{name} {hashlib.sha256(dump(fitted(info))).hexdigest()}\n")


if __name__ == "__main__":
    main()
