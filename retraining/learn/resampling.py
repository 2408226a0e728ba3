"""A metric as a function of how often each cluster of rows is drawn: the inner loop of the bootstrap.

Invariant: where every cluster is drawn once, a statistic equals `retraining.learn.metrics.score`. Rows are
read once; from then on a resample costs clusters, not rows (but for the median and average precision).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from retraining.learn.metrics import Metric, OwnScore, metric_info, outputs, row_losses, score
from retraining.learn.ranking import average_precision_statistic, roc_auc_statistic
from retraining.manifest.catalog import MetricInfo

__all__ = ["Sample", "Statistic", "is_smooth", "reads_rows", "statistic"]

Floats: TypeAlias = NDArray[np.float64]
Statistic: TypeAlias = Callable[[Floats], Floats]
"""From how often each cluster is drawn, (n_resamples, n_clusters), to the metric, (n_resamples,)."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sample:
    """Judged rows: `cluster` numbers them 0 to n_clusters - 1, `weights` are 1 where none were given."""

    target: NDArray[Any]
    prediction: Floats
    cluster: NDArray[np.int64]
    n_clusters: int
    weights: Floats

    def sums(self, values: Floats) -> Floats:
        """The weighted sum of a value of each row within each cluster, shape (n_clusters,)."""
        totals = np.bincount(self.cluster, weights=self.weights * values, minlength=self.n_clusters)
        return totals.astype(np.float64, copy=False)


def reads_rows(metric: Metric) -> bool:
    """Whether each resample of the metric reads all rows again, so that fewer are affordable."""
    return isinstance(metric, OwnScore) or metric in ("median_absolute_error", "average_precision")


def is_smooth(metric: Metric) -> bool:
    """Whether a small change of the clusters' weights changes the metric a little: what a jackknife needs."""
    return not isinstance(metric, OwnScore) and metric not in ("median_absolute_error", "max_error")


def statistic(metric: Metric, sample: Sample, classes: Sequence[Any] = ()) -> Statistic:
    """The metric on this sample as a function of the clusters' draws; NaN where they leave it undefined."""
    info = metric_info(metric)
    if isinstance(metric, OwnScore):
        return _of_rows(metric, sample, classes)
    output = outputs(info, sample.prediction)
    losses = row_losses(metric, sample.target, sample.prediction)
    if losses is not None:
        mean = _ratio(sample, losses)
        return (lambda draws: 1.0 - mean(draws)) if info.greater_is_better else mean
    if info.needs == "labels":
        return _from_counts(info, sample, output)
    if info.needs == "probabilities":
        make = average_precision_statistic if metric == "average_precision" else roc_auc_statistic
        return make(sample.target, output, sample.cluster, sample.n_clusters, sample.weights)
    return _of_errors(metric, sample, sample.target - output)


def _of_rows(metric: OwnScore, sample: Sample, classes: Sequence[Any]) -> Statistic:
    """A metric of the user's own: the drawn rows, each as often as its cluster was drawn, in their order."""
    weighted = bool((sample.weights != 1.0).any())

    def drawn_score(drawn: Floats) -> float:
        rows = np.repeat(np.arange(len(sample.target)), drawn[sample.cluster].astype(np.intp))
        weights = sample.weights[rows] if weighted else None
        return score(metric, sample.target[rows], sample.prediction[rows], classes, weights)

    return lambda draws: np.array([drawn_score(drawn) for drawn in draws])


def _of_errors(metric: str, sample: Sample, errors: Floats) -> Statistic:
    if metric == "root_mean_squared_error":
        mean = _ratio(sample, errors**2)
        return lambda draws: np.sqrt(mean(draws))
    if metric == "max_error":
        largest = np.full(sample.n_clusters, -np.inf)
        np.maximum.at(largest, sample.cluster, np.abs(errors))
        return lambda draws: np.where(draws > 0, largest, -np.inf).max(axis=1)
    if metric == "median_absolute_error":
        return _median(sample, np.abs(errors))
    return _explained(sample, errors, centred=metric == "explained_variance")


def _ratio(sample: Sample, values: Floats) -> Statistic:
    sums, weights = sample.sums(values), sample.sums(np.ones(len(values)))
    return lambda draws: (draws @ sums) / (draws @ weights)


def _explained(sample: Sample, errors: Floats, *, centred: bool) -> Statistic:
    """1 - SSE / SST, with errors about their mean where `centred`; as scikit-learn where a sum is 0."""
    # Sums of squares about a fixed centre, because about 0 they would cancel where labels are far from it.
    deviation = sample.target - np.average(sample.target, weights=sample.weights)
    shifted = errors - (np.average(errors, weights=sample.weights) if centred else 0.0)
    columns = [np.ones(len(errors)), deviation, deviation**2, shifted, shifted**2]
    sums = np.stack([sample.sums(column) for column in columns], axis=1)

    def explained(draws: Floats) -> Floats:
        weight, first, second, shift, squares = (draws @ sums).T
        total = second - first**2 / weight
        left = squares - shift**2 / weight if centred else squares
        with np.errstate(all="ignore"):
            share = 1.0 - left / total
        return np.where(total > 0, share, np.where(left > 0, 0.0, 1.0))

    return explained


def _median(sample: Sample, values: Floats) -> Statistic:
    order = np.argsort(values, kind="stable")
    ordered, cluster, weights = values[order], sample.cluster[order], sample.weights[order]

    def median(drawn: Floats) -> float:
        cumulative = np.cumsum(weights * drawn[cluster])
        half = cumulative[-1] / 2
        low = np.searchsorted(cumulative, half, side="left")
        high = np.searchsorted(
            cumulative, half, side="right"
        )  # the next drawn row where half falls between two
        return float((ordered[low] + ordered[min(high, len(ordered) - 1)]) / 2)

    return lambda draws: np.array([median(drawn) for drawn in draws])


def _from_counts(info: MetricInfo, sample: Sample, labels: NDArray[np.int64]) -> Statistic:
    """Metrics of predicted classes need, for each class, only how often it was right, predicted and true."""
    n_classes = sample.prediction.shape[1]

    def table(codes: NDArray[np.int64], values: Floats) -> Floats:
        cells = sample.cluster * n_classes + codes
        counts = np.bincount(cells, weights=sample.weights * values, minlength=sample.n_clusters * n_classes)
        return counts.astype(np.float64, copy=False).reshape(sample.n_clusters, n_classes)

    ones = np.ones(len(labels))
    hits = table(labels, (labels == sample.target).astype(np.float64))
    predicted, true = table(labels, ones), table(sample.target, ones)

    def counted(draws: Floats) -> Floats:
        with np.errstate(all="ignore"):
            return _count_metric(info.name, draws @ hits, draws @ predicted, draws @ true)

    return counted


def _count_metric(name: str, hits: Floats, predicted: Floats, true: Floats) -> Floats:
    """The metric from counts of shape (n_resamples, n_classes); 0 / 0 counts as scikit-learn counts it."""
    if name == "balanced_accuracy":
        recalls = np.where(true > 0, hits / true, 0.0)
        return np.asarray(recalls.sum(axis=1) / (true > 0).sum(axis=1))
    if name == "matthews_corrcoef":
        total, right = true.sum(axis=1), hits.sum(axis=1)
        covariance = right * total - (predicted * true).sum(axis=1)
        spread = (total**2 - (predicted**2).sum(axis=1)) * (total**2 - (true**2).sum(axis=1))
        return np.where(spread > 0, covariance / np.sqrt(spread), 0.0)
    if name == "precision":
        return np.where(predicted[:, 1] > 0, hits[:, 1] / predicted[:, 1], 0.0)
    if name == "recall":
        return np.where(true[:, 1] > 0, hits[:, 1] / true[:, 1], 0.0)
    met = predicted + true > 0
    f1 = np.where(met, 2 * hits / (predicted + true), 0.0)
    return f1[:, 1] if name == "f1" else np.asarray(f1.sum(axis=1) / met.sum(axis=1))
