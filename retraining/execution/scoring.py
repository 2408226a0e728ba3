"""The body of a score task: honest predictions in, the numbers of a gate out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from retraining.decide.labels import label_check
from retraining.execution.tasks import ScoreTask
from retraining.learn.comparison import compare
from retraining.learn.metrics import Metric, dummy_prediction, load_metric, metric_info, row_losses, score
from retraining.manifest.permissions import NOTHING, Permissions
from retraining.manifest.values import Json

__all__ = ["score_task"]

Floats = NDArray[np.float64]


def score_task(task: ScoreTask, permissions: Permissions = NOTHING) -> dict[str, Json]:
    """Metrics, the paired comparison, the dummy's score, the comparisons without each input, the label check.

    Metrics of the user's own are imported where `permissions` allow it.
    """
    metrics: dict[str, Metric] = {
        name: load_metric(task.own_metrics[name], permissions) if name in task.own_metrics else name
        for name in task.metrics
    }
    main = metrics[task.metrics[0]]

    def of(prediction: Floats) -> dict[str, Json]:
        return {
            name: score(metric, task.target, prediction, task.classes, task.weights)
            for name, metric in metrics.items()
        }

    answer: dict[str, Json] = {"challenger": of(task.challenger), "champion": None, "difference": None}
    answer["not_finite"] = int((~np.isfinite(task.challenger)).any(axis=1).sum())
    answer["dummy"] = {
        name: score(metric, task.target, _dummy(task, metric), task.classes, task.weights)
        for name, metric in metrics.items()
    }
    if task.champion is not None:
        answer["champion"] = of(task.champion)
        compared = _compared(task, main, task.champion)
        answer["difference"] = {**compared, "by_cluster": _by_day(task, main, task.champion)}
    without: dict[str, Json] = {}
    for name, prediction in task.without.items():
        other = prediction
        if other is None:  # nothing is left without this input: a constant guess stands for it
            other = _dummy(task, main)
        without[name] = _compared(task, main, other)
    answer["without"] = without
    answer["labels"] = _labels(task)
    return answer


def _dummy(task: ScoreTask, metric: Metric) -> Floats:
    return dummy_prediction(metric, task.task, task.train, len(task.target), task.classes, task.train_weights)


def _compared(task: ScoreTask, metric: Metric, other: Floats) -> dict[str, Json]:
    found = compare(
        metric,
        task.target,
        task.challenger,
        other,
        task.clusters,
        task.classes,
        task.weights,
        seed=task.seed,
    )
    return {
        "metric": found.metric,
        "with": found.challenger,
        "without": found.champion,
        "value": found.difference,
        "lower": found.lower,
        "upper": found.upper,
        "rows": found.rows,
        "clusters": found.clusters,
        "draws": found.draws,
        "seed": task.seed,
    }


def _by_day(task: ScoreTask, metric: Metric, champion: Floats) -> Json:
    """The sums of each day that the difference is made of; None for groups and for other metrics."""
    info = metric_info(metric)
    if task.train_days is None or not info.made_of_sums:
        return None
    loss = info.loss
    days, position = np.unique(task.clusters, return_inverse=True)
    weights = np.ones(len(task.target)) if task.weights is None else task.weights

    def sums(values: Floats) -> list[Json]:
        return [float(total) for total in np.bincount(position, weights=values, minlength=len(days))]

    losses = {
        name: row_losses(loss, task.target, prediction, task.classes)
        for name, prediction in (("challenger", task.challenger), ("champion", champion))
    }
    return {
        "day": [int(day) for day in days],
        "rows": [int(count) for count in np.bincount(position, minlength=len(days))],
        "weight": sums(weights),
        **{name: sums(weights * found) for name, found in losses.items() if found is not None},
    }


def _labels(task: ScoreTask) -> Json:
    if task.train_days is None or task.fresh_days is None:
        return None
    found = label_check(
        task.train.astype(np.float64),
        task.train_days,
        task.fresh.astype(np.float64),
        task.fresh_days,
        len(task.classes),
    )
    return None if found is None else found.to_json()
