"""How sure a difference in loss is between two columns on the same rows, by drawing whole days again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from retraining.learn.intervals import resample

__all__ = ["paired_difference"]

Floats: TypeAlias = NDArray[np.float64]

_DRAWS = 4_000


def paired_difference(
    first: Sequence[float], second: Sequence[float], weights: Sequence[float], *, root: bool, seed: int
) -> tuple[float, float, float]:
    """The mean loss of the first less that of the second, and its one-sided 95 % bounds (NaN where undefined).

    Each sequence has one number a day: the sums of both losses, and the weight of the rows, above 0. With `root`
    it is the difference of the roots of the means. Bounds are those of `learn.intervals`.
    """
    losses, weight = np.array([first, second], np.float64), np.array(weights, np.float64)

    def difference(times: Floats) -> Floats:
        means = times @ losses.T / (times @ weight)[:, None]
        values = np.sqrt(means) if root else means
        return np.asarray(values[:, 0] - values[:, 1])

    if np.array_equal(losses[0], losses[1]):
        return 0.0, 0.0, 0.0
    found = resample(difference, len(weight), _DRAWS, np.random.default_rng(seed))
    lower, upper = found.bounds()
    return found.value, lower, upper
