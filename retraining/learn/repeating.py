"""Whether an estimator of the user's own gives the same model for the same rows."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from retraining.learn.estimators import EstimatorSpec
from retraining.learn.failures import FitError
from retraining.learn.features import Features
from retraining.learn.fitting import fit
from retraining.manifest.permissions import Permissions

__all__ = ["check_repeats"]

_ROWS = 200


def check_repeats(
    spec: EstimatorSpec, features: Features, target: NDArray[Any], seed: int, permissions: Permissions
) -> None:
    """Raises FitError where two fits on the same few rows predict differently.

    A fit that those rows are too few for decides nothing.
    """
    rows = _some_rows(target)
    sample, labels = features.take(rows), target[rows]
    try:
        first, second = (
            fit(spec, sample, labels, seed=seed, permissions=permissions).predict(sample) for _ in range(2)
        )
    except FitError:
        return
    if not np.array_equal(first, second, equal_nan=True):
        raise FitError(
            f"{spec.type} is not deterministic: two fits on the same {len(rows)} rows predict differently",
            "let everything random in it depend on a parameter `random_state`, which follows from the "
            "manifest's seed",
        )


def _some_rows(target: NDArray[Any]) -> NDArray[np.intp]:
    """Rows spread over all, and one of each label where labels are few, in order."""
    spread = np.linspace(0, len(target) - 1, min(_ROWS, len(target))).astype(np.intp)
    labels, first = np.unique(target, return_index=True)
    return np.unique(np.concatenate([spread, first])) if len(labels) <= _ROWS else np.unique(spread)
