"""The body of a score task: honest predictions in, the numbers of a gate out."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from retraining.decide.labels import label_check
from retraining.decide.losses import ClusterLosses
from retraining.execution.tasks import ScoreTask
from retraining.learn.comparison import compare
from retraining.learn.metrics import Metric, dummy_prediction, load_metric, metric_info, row_losses, score
from retraining.manifest.permissions import NOTHING, Permissions
from retraining.manifest.values import Json, Margin

__all__ = ["SLICE_DRAWS", "score_task", "slice_margin"]

Floats = NDArray[np.float64]

#: More draws than for the whole holdout: the smallest probability is 1 / (draws + 1), and many slices share 5 %.
SLICE_DRAWS = 4000
#: A slice's clusters are drawn in at most so many bundles.
SLICE_BUNDLES = 128
#: The groups of the fold scheme are added up over nodes in so many bundles.
BUNDLES = 512


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
    losses = _losses(task, main)
    if task.champion is not None:
        answer["champion"] = of(task.champion)
        answer["difference"] = _compared(task, main, task.champion)
    answer["losses"] = None if losses is None else losses.to_json()
    answer["slices"] = [_slice(task, main, *one) for one in _slices(task)]
    without: dict[str, Json] = {}
    for name, prediction in task.without.items():
        other = prediction
        if other is None:  # nothing is left without this input: a constant guess stands for it
            other = _dummy(task, main)
        there = np.asarray(
            ~np.isnan(other).any(axis=1)
        )  # a fit without the input may lack rows that count in the gate
        if there.any():
            without[name] = _compared(task, main, other, there)
    answer["without"] = without
    answer["labels"] = _labels(task)
    return answer


def _dummy(task: ScoreTask, metric: Metric) -> Floats:
    return dummy_prediction(metric, task.task, task.train, len(task.target), task.classes, task.train_weights)


def _compared(
    task: ScoreTask, metric: Metric, other: Floats, chosen: NDArray[np.bool_] | None = None
) -> dict[str, Json]:
    rows = np.ones(len(task.target), bool) if chosen is None else chosen
    found = compare(
        metric,
        task.target[rows],
        task.challenger[rows],
        other[rows],
        task.clusters[rows],
        task.classes,
        None if task.weights is None else task.weights[rows],
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


def _slices(task: ScoreTask) -> Iterator[tuple[str, str | None, NDArray[np.bool_]]]:
    """Each slice that has rows: its column, its value, its rows."""
    for column in task.slices:
        for code in np.unique(column.codes).tolist():
            yield column.name, (None if code < 0 else column.texts[code]), column.codes == code


def _slice(task: ScoreTask, metric: Metric, column: str, value: str | None, rows: NDArray[np.bool_]) -> Json:
    """The numbers of one slice, compared like the whole holdout."""
    target, challenger, clusters = task.target[rows], task.challenger[rows], task.clusters[rows]
    weights = None if task.weights is None else task.weights[rows]
    doc: dict[str, Json] = {
        "column": column,
        "value": value,
        "rows": int(rows.sum()),
        "clusters": len(np.unique(clusters)),
        "challenger": score(metric, target, challenger, task.classes, weights),
    }
    losses = _losses(task, metric, rows) if task.add_up else None
    doc["losses"] = None if losses is None else losses.to_json()
    if task.champion is None:
        return doc
    margin = slice_margin(task.margin)
    found = compare(
        metric,
        target,
        challenger,
        task.champion[rows],
        clusters,
        task.classes,
        weights,
        resamples=SLICE_DRAWS,
        seed=task.seed,
        threshold=margin,
        bundles=SLICE_BUNDLES,
    )
    return doc | {
        "champion": found.champion,
        "difference": found.difference,
        "lower": found.lower,
        "upper": found.upper,
        "margin": margin(found.champion),
        "probability": math.nan if found.beyond is None else found.beyond,
    }


def slice_margin(margin: Margin) -> Callable[[float], float]:
    """How much worse a slice may be, by its champion's score."""
    return lambda champion: margin.value if margin.absolute else margin.value * abs(champion)


def _losses(task: ScoreTask, metric: Metric, chosen: NDArray[np.bool_] | None = None) -> ClusterLosses | None:
    """The sums that the metric is made of, by day or by bundle of groups; None where nobody reads them."""
    info = metric_info(metric)
    by_day = task.train_days is not None
    if not info.made_of_sums or not (by_day or task.add_up):
        return None
    rows = np.ones(len(task.target), bool) if chosen is None else chosen
    # a group has one number in every node, so that nodes can be added up
    cluster = (
        task.clusters if by_day else (task.clusters.view(np.uint64) % np.uint64(BUNDLES)).astype(np.int64)
    )
    numbers, position = np.unique(cluster[rows], return_inverse=True)
    weights = np.ones(int(rows.sum())) if task.weights is None else task.weights[rows]

    def sums(values: Floats) -> tuple[float, ...]:
        return tuple(np.bincount(position, weights=values, minlength=len(numbers)).tolist())

    def weighted(prediction: Floats) -> tuple[float, ...]:
        losses = row_losses(info.loss, task.target[rows], prediction[rows], task.classes)
        assert losses is not None
        return sums(weights * losses)

    return ClusterLosses(
        cluster=tuple(numbers.tolist()),
        rows=tuple(np.bincount(position, minlength=len(numbers)).tolist()),
        weight=sums(weights),
        challenger=weighted(task.challenger),
        champion=None if task.champion is None else weighted(task.champion),
    )


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
