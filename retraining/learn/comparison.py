"""Challenger against champion on the same rows, and how far two samples of one number differ.

Rows of one day or one customer are not independent, so the uncertainty of a difference is that of drawing
whole clusters (docs/design.md: by rows the variance came out 8 to 24 times too small).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retraining.learn.intervals import Resampled, resample
from retraining.learn.metrics import Metric, metric_info, score
from retraining.learn.resampling import Sample, is_smooth, reads_rows, statistic

__all__ = ["Comparison", "compare", "compare_sums", "psi"]

# More clusters are drawn in random bundles: the bound's own error is then 1 / sqrt(2 x 512) = 3 %.
_MAX_CLUSTERS = 512
_RESAMPLES_OF_ROWS = 400
# The part of the range over which a value is spread before the values in a bin are counted.
_SMOOTHING = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two predictions of the same rows.

    `challenger` and `champion` are scores in natural sign. `difference` is of losses: positive means that the
    challenger is worse. `lower` and `upper` are its one-sided 95 % bounds, NaN where they are undefined, from
    `draws` resamples. `beyond` is the p-value of "worse by at most the threshold" (None: it was not asked for).
    """

    metric: str
    challenger: float
    champion: float
    difference: float
    lower: float
    upper: float
    rows: int
    clusters: int
    draws: int
    beyond: float | None = None


def compare(
    metric: Metric,
    target: NDArray[Any],
    challenger: NDArray[np.float64],
    champion: NDArray[np.float64],
    clusters: NDArray[np.int64],
    classes: Sequence[Any] = (),
    weights: NDArray[np.float64] | None = None,
    *,
    resamples: int = 2000,
    seed: int = 0,
    threshold: Callable[[float], float] | None = None,
    bundles: int = _MAX_CLUSTERS,
) -> Comparison:
    """The difference of two predictions with bounds from drawing whole clusters (`learn.intervals`).

    `clusters` labels each row, shape (n_rows,). Both predictions are scored on the same draws: `resamples`
    of them, at most 400 for the median and for average precision, where a draw reads every row. `threshold`
    makes of the champion's score the difference that `beyond` is about. More clusters than `bundles` are drawn
    in so many random bundles.
    """
    labels, cluster = np.unique(clusters, return_inverse=True)
    scores = [score(metric, target, prediction, classes, weights) for prediction in (challenger, champion)]
    sign = -1.0 if metric_info(metric).greater_is_better else 1.0
    found = None
    if np.isfinite(scores).all():
        row_weights = np.ones(len(target)) if weights is None else weights
        found = _resampled(
            metric,
            target,
            (challenger, champion),
            cluster,
            len(labels),
            row_weights,
            resamples,
            seed,
            classes,
            bundles,
        )
    lower, upper = (float("nan"), float("nan")) if found is None else found.bounds()
    return Comparison(
        metric=metric_info(metric).name,
        challenger=scores[0],
        champion=scores[1],
        difference=sign * (scores[0] - scores[1]),
        lower=lower,
        upper=upper,
        rows=len(target),
        clusters=len(labels),
        draws=0 if found is None else found.draws,
        beyond=None if found is None or threshold is None else found.beyond(threshold(scores[1])),
    )


def _resampled(
    metric: Metric,
    target: NDArray[Any],
    predictions: tuple[NDArray[np.float64], NDArray[np.float64]],
    cluster: NDArray[np.int64],
    n_clusters: int,
    weights: NDArray[np.float64],
    resamples: int,
    seed: int,
    classes: Sequence[Any],
    bundles: int,
) -> Resampled:
    rng = np.random.default_rng(seed)
    cluster, n_clusters = _bundled(cluster, n_clusters, bundles, rng)
    first, second = (
        statistic(
            metric,
            Sample(target=target, prediction=one, cluster=cluster, n_clusters=n_clusters, weights=weights),
            classes,
        )
        for one in predictions
    )
    sign = -1.0 if metric_info(metric).greater_is_better else 1.0
    draws = min(resamples, _RESAMPLES_OF_ROWS) if reads_rows(metric) else resamples
    return resample(
        lambda times: sign * (first(times) - second(times)), n_clusters, draws, rng, smooth=is_smooth(metric)
    )


def compare_sums(
    metric: Metric,
    weight: NDArray[np.float64],
    challenger: NDArray[np.float64],
    champion: NDArray[np.float64],
    *,
    rows: int,
    resamples: int = 2000,
    seed: int = 0,
    threshold: Callable[[float], float] | None = None,
) -> Comparison:
    """As `compare`, from the sums of each cluster: its weight and both models' weighted losses, (n_clusters,).

    The metric must be made of sums (`MetricInfo.made_of_sums`). For one node's rows and sums it is equal to `compare`.
    """
    info = metric_info(metric)

    def of(sums: NDArray[np.float64], times: NDArray[np.float64]) -> NDArray[np.float64]:
        means = (times @ sums) / (times @ weight)
        return np.sqrt(means) if info.name == "root_mean_squared_error" else means

    once = np.ones((1, len(weight)))
    losses = [float(of(sums, once)[0]) for sums in (challenger, champion)]
    scores = [1.0 - loss for loss in losses] if info.greater_is_better else losses
    found = None
    if np.isfinite(losses).all():
        rng = np.random.default_rng(seed)
        found = resample(
            lambda times: of(challenger, times) - of(champion, times), len(weight), resamples, rng
        )
    lower, upper = (float("nan"), float("nan")) if found is None else found.bounds()
    return Comparison(
        metric=info.name,
        challenger=scores[0],
        champion=scores[1],
        difference=losses[0] - losses[1],
        lower=lower,
        upper=upper,
        rows=rows,
        clusters=len(weight),
        draws=0 if found is None else found.draws,
        beyond=None if found is None or threshold is None else found.beyond(threshold(scores[1])),
    )


def psi(expected: NDArray[np.float64], actual: NDArray[np.float64], bins: int = 10) -> float:
    """The population stability index of `actual` against `expected`, both finite; NaN where one is empty.

    Bins end at quantiles of `expected`. Each value is spread evenly over a tenth of its 5 % to 95 % range:
    models that predict few values would else be told apart by an edge between 55.0 and 55.1. Each count gets
    1/2 more, so that an empty bin is finite (docs/design.md).
    """
    if expected.size == 0 or actual.size == 0:
        return float("nan")
    low, *edges, high = np.quantile(expected, [0.05, *np.linspace(0, 1, bins + 1)[1:-1], 0.95])
    spread = high - low or np.ptp(expected) or abs(high)
    width = _SMOOTHING * spread if spread > 0 else np.finfo(float).tiny
    ends = np.unique(edges)
    counts = np.stack([_smooth_counts(values, ends, width) for values in (expected, actual)]) + 0.5
    shares = counts / counts.sum(axis=1, keepdims=True)
    return float(np.sum((shares[1] - shares[0]) * np.log(shares[1] / shares[0])))


def _smooth_counts(
    values: NDArray[np.float64], edges: NDArray[np.float64], width: float
) -> NDArray[np.float64]:
    below = [np.clip((edge - values) / width + 0.5, 0.0, 1.0).sum() for edge in edges]
    return np.diff([0.0, *below, float(len(values))])


def _bundled(
    cluster: NDArray[np.int64], n_clusters: int, bundles: int, rng: np.random.Generator
) -> tuple[NDArray[np.int64], int]:
    if n_clusters <= bundles:
        return cluster, n_clusters
    bundle = rng.permutation(n_clusters) % bundles
    return bundle[cluster], bundles
