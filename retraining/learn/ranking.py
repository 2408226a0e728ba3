"""Ranking metrics under resampled clusters: scores are sorted once, a resample only counts again.

The area under the ROC curve is the share of (positive, negative) pairs in the right order. Which pairs
those are does not depend on the resample: their weights, summed for each pair of clusters, make it a
quadratic form in the clusters' draws.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["average_precision_statistic", "roc_auc_statistic"]

Floats: TypeAlias = NDArray[np.float64]
Statistic: TypeAlias = Callable[[Floats], Floats]


def roc_auc_statistic(
    target: NDArray[Any],
    scores: Floats,
    cluster: NDArray[np.int64],
    n_clusters: int,
    weights: Floats,
) -> Statistic:
    """ROC AUC as a function of draws (n_resamples, n_clusters); NaN where a resample lacks a class.

    `scores` have shape (n_rows,) for two classes; else (n_rows, n_classes), and the result is the plain
    mean over each class against the rest. Costs clusters x positive rows once.
    """
    curves = [
        _pairs(positive, column, cluster, n_clusters, weights)
        for positive, column in _against_the_rest(target, scores)
    ]

    def area(draws: Floats) -> Floats:
        with np.errstate(invalid="ignore"):
            areas = [
                ((draws @ ordered) * draws).sum(axis=1) / ((draws @ positives) * (draws @ negatives))
                for ordered, positives, negatives in curves
            ]
        return np.asarray(np.mean(areas, axis=0))

    return area


def average_precision_statistic(
    target: NDArray[Any],
    scores: Floats,
    cluster: NDArray[np.int64],
    n_clusters: int,
    weights: Floats,
) -> Statistic:
    """Average precision as a function of draws; of several classes the plain mean, 0 for one that is absent.

    Each resample reads all rows, in an order found once. `n_clusters` is the width of the draws.
    """
    curves = [
        _precision_curve(positive, column, cluster, weights)
        for positive, column in _against_the_rest(target, scores)
    ]

    def precision(draws: Floats) -> Floats:
        if draws.shape[1] != n_clusters:
            raise ValueError(f"draws of {draws.shape[1]} clusters, expected {n_clusters}")
        return np.array([np.mean([curve(drawn) for curve in curves]) for drawn in draws])

    return precision


def _against_the_rest(target: NDArray[Any], scores: Floats) -> list[tuple[NDArray[np.bool_], Floats]]:
    if scores.ndim == 1:
        return [(target == 1, scores)]
    return [(target == code, scores[:, code]) for code in range(scores.shape[1])]


def _pairs(
    positive: NDArray[np.bool_],
    scores: Floats,
    cluster: NDArray[np.int64],
    n_clusters: int,
    weights: Floats,
) -> tuple[Floats, Floats, Floats]:
    """Weights of the pairs in the right order (n_clusters, n_clusters), of positives, and of negatives.

    Rows of the first are the positives' clusters; a tie counts one half.
    """
    order = np.argsort(scores, kind="stable")
    positive, scores, cluster, weights = positive[order], scores[order], cluster[order], weights[order]
    of_positive, weight = cluster[positive], weights[positive]
    ordered = np.empty((n_clusters, n_clusters))
    for number in range(n_clusters):
        rows = ~positive & (cluster == number)
        cumulative = np.concatenate([[0.0], np.cumsum(weights[rows])])
        below = cumulative[np.searchsorted(scores[rows], scores[positive], side="left")]
        reached = cumulative[np.searchsorted(scores[rows], scores[positive], side="right")]
        won = weight * (below + reached) / 2
        ordered[:, number] = np.bincount(of_positive, weights=won, minlength=n_clusters)
    sizes = np.zeros((2, n_clusters))
    np.add.at(sizes, (positive.astype(np.int64), cluster), weights)
    return ordered, sizes[1], sizes[0]


def _precision_curve(
    positive: NDArray[np.bool_], scores: Floats, cluster: NDArray[np.int64], weights: Floats
) -> Callable[[Floats], float]:
    order = np.argsort(-scores, kind="stable")
    ranked, cluster, weights = scores[order], cluster[order], weights[order]
    hit = positive[order].astype(np.float64)
    ends = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)  # equal scores are one threshold

    def average(drawn: Floats) -> float:
        weight = weights * drawn[cluster]
        selected, found = np.cumsum(weight)[ends], np.cumsum(weight * hit)[ends]
        if found[-1] == 0:
            return 0.0
        gained = np.diff(found, prepend=0.0)
        return float(np.sum(gained[gained > 0] * found[gained > 0] / selected[gained > 0]) / found[-1])

    return average
