"""Scores of predictions, losses of rows, and the predictions of a dummy.

Names, direction and needs come from the catalogue; values are in scikit-learn's natural sign. Invariant: for
a metric that is a mean over rows, `score` is the mean of `row_losses` (accuracy: 1 minus it).

Everywhere in this room: targets have shape (n_rows,), float64 values or int64 positions in `classes`;
predictions have shape (n_rows, n_outputs), 1 value or a probability for each class; of two classes the
last is the positive one.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from retraining.learn.failures import FitError
from retraining.learn.own import own_callable
from retraining.manifest.catalog import METRICS, MetricInfo
from retraining.manifest.permissions import Permissions

__all__ = [
    "Metric",
    "OwnScore",
    "dummy_prediction",
    "load_metric",
    "metric_info",
    "outputs",
    "row_losses",
    "score",
]

_Losses = Callable[[NDArray[Any], NDArray[np.float64]], NDArray[np.float64]]
# Metrics that are no mean over rows: the function of sklearn.metrics and its arguments.
_SKLEARN: Mapping[str, tuple[str, Mapping[str, Any]]] = MappingProxyType(
    {
        "median_absolute_error": ("median_absolute_error", {}),
        "r2": ("r2_score", {}),
        "explained_variance": ("explained_variance_score", {}),
        "max_error": ("max_error", {}),
        "balanced_accuracy": ("balanced_accuracy_score", {}),
        "f1": ("f1_score", {}),
        "f1_macro": ("f1_score", {"average": "macro"}),
        "precision": ("precision_score", {}),
        "recall": ("recall_score", {}),
        "matthews_corrcoef": ("matthews_corrcoef", {}),
        "roc_auc": ("roc_auc_score", {}),
        "roc_auc_ovr": ("roc_auc_score", {"multi_class": "ovr"}),
        "average_precision": ("average_precision_score", {}),
    }
)
_MEDIAN_IS_BEST = frozenset(
    {"mean_absolute_error", "median_absolute_error", "mean_absolute_percentage_error", "max_error"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnScore:
    """A metric of the user's own: what the manifest says of it, and its function."""

    info: MetricInfo
    function: Callable[..., Any]


Metric: TypeAlias = str | OwnScore
"""A metric of the catalogue by its name, or one of the user's own."""


def load_metric(info: MetricInfo, permissions: Permissions) -> OwnScore:
    """A metric of the user's own, imported; FitError where it is not allowed or cannot be."""
    return OwnScore(info=info, function=own_callable(info.name, permissions))


def metric_info(metric: Metric) -> MetricInfo:
    """What is known of a metric; ValueError for a name that is not in the catalogue."""
    if isinstance(metric, OwnScore):
        return metric.info
    if metric not in METRICS:
        raise ValueError(f"unknown metric {metric!r}, expected one of {sorted(METRICS)}")
    return METRICS[metric]


def score(
    metric: Metric,
    target: NDArray[Any],
    prediction: NDArray[np.float64],
    classes: Sequence[Any] = (),
    weights: NDArray[np.float64] | None = None,
) -> float:
    """The metric on these rows in natural sign; NaN where it is undefined.

    It is undefined without rows, with predictions that are not finite or outside the metric's domain, and
    where the rows lack a class that the metric needs. `max_error` ignores weights. A metric of the user's own
    gets labels as the data has them; FitError where it fails.
    """
    info = metric_info(metric)
    if len(target) == 0 or not np.isfinite(prediction).all():
        return float("nan")
    if metric == "root_mean_squared_error":
        return float(np.sqrt(score("mean_squared_error", target, prediction, classes, weights)))
    if isinstance(metric, OwnScore):
        return _own_score(metric, target, prediction, classes, weights)
    losses = row_losses(metric, target, prediction, classes)
    if losses is None:
        return _sklearn_score(info, target, outputs(info, prediction), weights)
    # the mean of hits, not one minus the mean of misses: equal to scikit-learn's to the last bit
    return float(np.average(1.0 - losses if info.greater_is_better else losses, weights=weights))


def row_losses(
    metric: Metric, target: NDArray[Any], prediction: NDArray[np.float64], classes: Sequence[Any] = ()
) -> NDArray[np.float64] | None:
    """The loss of each row, lower is better, shape (n_rows,); None where the metric is no mean over rows.

    NaN where the metric is undefined for a row. `accuracy` loses 1 for a wrong class.
    """
    info = metric_info(metric)
    if not info.mean_over_rows or isinstance(metric, OwnScore):
        return None
    if classes and prediction.shape[1] != len(classes):
        raise ValueError(f"{prediction.shape[1]} columns of probabilities for {len(classes)} classes")
    losses = _LOSSES[metric]
    with np.errstate(all="ignore"):
        return losses(target, prediction[:, 0] if info.needs == "value" else prediction)


def dummy_prediction(
    metric: Metric,
    task: Literal["regression", "classification"],
    train_target: NDArray[Any],
    n_rows: int,
    classes: Sequence[Any] = (),
    weights: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """What a model without features would predict, shape (n_rows, n_outputs).

    The mean of the training labels; their median where the metric is of absolute errors; for classes their
    shares. `weights` count the labels. NaN without training labels of any weight.
    """
    if len(train_target) == 0 or (weights is not None and not weights.any()):
        row = np.full(len(classes) if task == "classification" else 1, np.nan)
    elif task == "classification":
        counts = np.bincount(train_target.astype(np.int64), weights=weights, minlength=len(classes))
        row = counts / (len(train_target) if weights is None else weights.sum())
    elif metric not in _MEDIAN_IS_BEST:
        row = np.array([np.average(train_target, weights=weights)])
    else:
        row = np.array([np.median(train_target) if weights is None else _median(train_target, weights)])
    return np.tile(row, (n_rows, 1))


def _median(values: NDArray[Any], weights: NDArray[np.float64]) -> float:
    """The value at half of the weight; between two where it falls exactly between them."""
    order = np.argsort(values[weights > 0], kind="stable")
    ordered, cumulative = values[weights > 0][order], np.cumsum(weights[weights > 0][order])
    half = cumulative[-1] / 2
    low = int(np.searchsorted(cumulative, half, side="left"))
    high = min(int(np.searchsorted(cumulative, half, side="right")), len(ordered) - 1)
    return float((ordered[low] + ordered[high]) / 2)


def outputs(info: MetricInfo, prediction: NDArray[np.float64]) -> NDArray[Any]:
    """The part of a prediction that the metric reads.

    Values or positive probabilities have shape (n_rows,), predicted class positions too (the first of equal
    probabilities); probabilities of more than two classes (n_rows, n_classes).
    """
    if info.needs == "value":
        return prediction[:, 0]
    if info.needs == "labels":
        return np.asarray(prediction.argmax(axis=1))
    return prediction[:, 1] if prediction.shape[1] == 2 else prediction


def _own_score(
    metric: OwnScore,
    target: NDArray[Any],
    prediction: NDArray[np.float64],
    classes: Sequence[Any],
    weights: NDArray[np.float64] | None,
) -> float:
    """What the user's function gives: (labels, predictions), and the rows' weights where they have any."""
    output = outputs(metric.info, prediction)
    if metric.info.task == "classification":
        names = np.array(list(classes))
        target = names[target.astype(np.int64)]
        output = names[output] if metric.info.needs == "labels" else output
    arguments = {} if weights is None else {"sample_weight": weights}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return float(metric.function(target, output, **arguments))
        except Exception as error:
            text = " ".join(str(error).split())[:300]
            raise FitError(f"the metric {metric.info.name} failed: {type(error).__name__}: {text}") from error


def _sklearn_score(
    info: MetricInfo, target: NDArray[Any], output: NDArray[Any], weights: NDArray[np.float64] | None
) -> float:
    from sklearn import metrics

    name, arguments = _SKLEARN[info.name]
    if info.name != "max_error":
        arguments = {**arguments, "sample_weight": weights}
    if output.ndim == 2 and info.name == "roc_auc_ovr":
        arguments = {**arguments, "labels": np.arange(output.shape[1])}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a metric is undefined is said by the NaN or by its value
        try:
            return float(getattr(metrics, name)(target, output, **arguments))
        except ValueError:
            return float("nan")


def _squared(target: NDArray[Any], value: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray((target - value) ** 2)


def _absolute(target: NDArray[Any], value: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.abs(target - value)


def _percentage(target: NDArray[Any], value: NDArray[np.float64]) -> NDArray[np.float64]:
    smallest = np.finfo(
        np.float64
    ).eps  # scikit-learn's, so that a label of 0 gives a huge loss, not infinity
    return np.asarray(np.abs(target - value) / np.maximum(np.abs(target), smallest))


def _squared_log(target: NDArray[Any], value: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray((np.log1p(target) - np.log1p(value)) ** 2)


def _poisson(target: NDArray[Any], value: NDArray[np.float64]) -> NDArray[np.float64]:
    logs = np.where(target > 0, target * np.log(target / value), 0.0)
    return np.where((value > 0) & (target >= 0), 2 * (logs - target + value), np.nan)


def _log(target: NDArray[Any], probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    eps = np.finfo(np.float64).eps
    chosen = probabilities[np.arange(len(target)), target]
    return np.asarray(-np.log(np.clip(chosen, eps, 1 - eps)))


def _brier(target: NDArray[Any], probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """Half the sum for two classes and the whole for more, as scikit-learn scales it."""
    if probabilities.shape[1] == 2:
        return np.asarray((probabilities[:, 1] - target) ** 2)
    misses = probabilities.copy()
    misses[np.arange(len(target)), target] -= 1.0
    return np.asarray((misses**2).sum(axis=1))


def _wrong(target: NDArray[Any], probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    wrong = (probabilities.argmax(axis=1) != target).astype(np.float64)
    return np.where(np.isfinite(probabilities).all(axis=1), wrong, np.nan)


_LOSSES: Mapping[str, _Losses] = MappingProxyType(
    {
        "mean_squared_error": _squared,
        "mean_absolute_error": _absolute,
        "mean_absolute_percentage_error": _percentage,
        "mean_squared_log_error": _squared_log,
        "mean_poisson_deviance": _poisson,
        "log_loss": _log,
        "brier_score_loss": _brier,
        "accuracy": _wrong,
    }
)
