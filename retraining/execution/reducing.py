"""The body of a measure task: a champion's column in, its measures by block as records of a pack out."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from retraining.decide.measures import Measure, MeasuredBlock
from retraining.decide.profiles import (
    Bins,
    NumberBins,
    Profile,
    WordBins,
    number_bins,
    word_bins,
)
from retraining.decide.worth import Worth
from retraining.execution.scoring import slice_margin
from retraining.execution.tasks import MeasureTask
from retraining.learn.metrics import Metric, load_metric, metric_info, row_losses, score
from retraining.learn.resampling import Sample
from retraining.learn.worsening import worsening
from retraining.manifest.permissions import NOTHING, Permissions
from retraining.manifest.values import Json
from retraining.store.packs import Blob, Record

__all__ = ["measure_records"]

Rows = NDArray[np.bool_]
Floats = NDArray[np.float64]


def measure_records(task: MeasureTask, permissions: Permissions = NOTHING) -> list[Record]:
    """A record for each block that is not in the store yet, for the bins where they are new, and for the worth.

    Metrics of the user's own are imported where `permissions` allow it.
    """
    metrics: dict[str, Metric] = {
        name: load_metric(task.own_metrics[name], permissions) if name in task.own_metrics else name
        for name in task.metrics
    }
    records: list[Record] = []
    bins = task.bins
    if bins is None:
        bins = _bins(task)
        records.append(_record(task, task.bins_key, {"bins": bins.to_json()}))
    sums = {name: _losses(task, metric) for name, metric in metrics.items() if _is_sum(metric)}
    for part, fingerprint in sorted(task.records.items()):
        if part in task.lost:
            records.append(_record(task, fingerprint, {"part": part, "lost": True}))
            continue
        block = _block(task, part, metrics, sums, bins)
        body = json.dumps(block.to_json(), sort_keys=True, separators=(",", ":")).encode()
        blobs: tuple[Blob, ...] = (Blob(role="measure", format="json", data=body),)
        if block.prediction is not None:
            blobs += (Blob(role="profile", format="profile", data=block.prediction.to_bytes()),)
        facts: dict[str, Json] = {
            "part": part,
            "lost": False,
            "rows": sum(one.rows for one in block.measures),
        }
        records.append(_record(task, fingerprint, facts, blobs))
    records.append(_record(task, task.worth, {"worth": _worth(task, metrics).to_json()}))
    return records


def _record(
    task: MeasureTask, fingerprint: str, metrics: Mapping[str, Json], blobs: tuple[Blob, ...] = ()
) -> Record:
    # the fit's name keeps it as long as the release whose model it is about
    parts: dict[str, Json] = {"node": task.node, "fit": task.fit}
    return Record(action="score", fingerprint=fingerprint, parts=parts, blobs=blobs, metrics=metrics)


def _is_sum(metric: Metric) -> bool:
    return metric_info(metric).made_of_sums


def _losses(task: MeasureTask, metric: Metric) -> Floats:
    """The weighted loss of each row that counts, 0 for the others."""
    rows = task.counted
    losses = row_losses(metric_info(metric).loss, task.target[rows], task.prediction[rows], task.classes)
    assert losses is not None
    found = np.zeros(len(rows))
    found[rows] = losses if task.weights is None else losses * task.weights[rows]
    return found


def _block(
    task: MeasureTask, part: int, metrics: Mapping[str, Metric], sums: Mapping[str, Floats], bins: Bins
) -> MeasuredBlock:
    at = np.flatnonzero(task.part == part)
    days, place = np.unique(task.day[at], return_inverse=True)

    def total(values: NDArray[np.generic]) -> list[float]:
        return [float(one) for one in np.bincount(place, weights=values, minlength=len(days))]

    counted = task.counted[at].astype(np.float64)
    weight = counted if task.weights is None else np.where(task.counted[at], task.weights[at], 0.0)
    rows, labelled, weights = np.bincount(place, minlength=len(days)), total(counted), total(weight)
    losses = {name: total(values[at]) for name, values in sums.items()}
    here = np.zeros(len(task.part), bool)
    here[at] = task.counted[at]
    return MeasuredBlock(
        part=part,
        mature=part in task.mature,
        measures=tuple(
            Measure(
                unit=int(day),
                rows=int(rows[number]),
                labelled=int(labelled[number]),
                weight=weights[number],
                losses={name: values[number] for name, values in losses.items()},
            )
            for number, day in enumerate(days.tolist())
        ),
        values={name: _score(task, metric, here) for name, metric in metrics.items() if not _is_sum(metric)},
        prediction=_profile(task, at, bins),
    )


def _worth(task: MeasureTask, metrics: Mapping[str, Metric]) -> Worth:
    since = task.counted & np.isin(task.part, task.since)
    judged = task.counted & np.isin(task.part, sorted(task.judged))
    found = None
    if task.compared is not None and since.any() and judged.any():
        found = worsening(
            metrics[task.compared],
            _sample(task, judged),
            _sample(task, since),
            task.classes,
            margin=slice_margin(task.margin),
            seed=task.seed,
        )
    return Worth(
        parts=task.since,
        rows=int(since.sum()),
        days=len(np.unique(task.day[since])),
        values={name: _score(task, metric, since) for name, metric in metrics.items()},
        gate={name: _score(task, metric, judged) for name, metric in metrics.items()} if judged.any() else {},
        gate_rows=int(judged.sum()),
        gate_days=len(np.unique(task.day[judged])),
        worsening=found,
    )


def _score(task: MeasureTask, metric: Metric, rows: Rows) -> float:
    weights = None if task.weights is None else task.weights[rows]
    return score(metric, task.target[rows], task.prediction[rows], task.classes, weights)


def _sample(task: MeasureTask, rows: Rows) -> Sample:
    days, cluster = np.unique(task.day[rows], return_inverse=True)
    return Sample(
        target=task.target[rows],
        prediction=task.prediction[rows],
        cluster=cluster.astype(np.int64),
        n_clusters=len(days),
        weights=np.ones(int(rows.sum())) if task.weights is None else task.weights[rows],
    )


# -- the prediction as one column ------------------------------------------------------------------------


def _handed(task: MeasureTask, at: NDArray[np.intp]) -> Floats:
    """The value that readers see of some rows: a number; of more than two classes the place of the likeliest."""
    prediction = task.prediction[at]
    if prediction.shape[1] <= 2:
        return np.asarray(prediction[:, -1])
    absent = np.isnan(prediction).any(axis=1)
    return np.where(absent, np.nan, np.where(np.isnan(prediction), 0.0, prediction).argmax(axis=1))


def _bins(task: MeasureTask) -> Bins:
    """The bins of the champion's predictions, from its reference; of the blocks since where it has none."""
    reference = np.isin(task.part, sorted(task.reference))
    at = np.flatnonzero(reference if reference.any() else np.ones(len(task.part), bool))
    values = _handed(task, at)
    if task.prediction.shape[1] <= 2:
        return number_bins(values)
    texts = [str(task.classes[int(value)]) for value in values[~np.isnan(values)]]
    return word_bins(Counter(texts))


def _profile(task: MeasureTask, at: NDArray[np.intp], bins: Bins) -> Profile:
    values, days = _handed(task, at), task.day[at]
    if isinstance(bins, NumberBins):
        return Profile.of_numbers(bins, values, days)
    assert isinstance(bins, WordBins)
    codes = np.where(np.isnan(values), -1, values).astype(np.int64)
    return Profile.of_words(bins, codes, [str(name) for name in task.classes], days)
