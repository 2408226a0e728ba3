"""Whether a metric is worse on some rows than it was on earlier ones: two samples, each drawn by whole clusters.

The rows are different ones, so nothing is paired: each sample is resampled within itself. The interval is that of
`learn.intervals` (jackknife with Student's t, and bootstrap-t) with the errors of both samples added, and with the
degrees of freedom of Welch (1947), since one sample may have few clusters or much more noise.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from retraining.decide.worth import Worsening
from retraining.learn.intervals import Resampled
from retraining.learn.metrics import Metric, metric_info, score
from retraining.learn.resampling import Sample, Statistic, is_smooth, reads_rows, statistic

__all__ = ["worsening"]

Floats: TypeAlias = NDArray[np.float64]

_DRAWS = 4_000
_DRAWS_OF_ROWS = 1_000


def worsening(
    metric: Metric,
    before: Sample,
    after: Sample,
    classes: Sequence[Any] = (),
    *,
    margin: Callable[[float], float],
    seed: int,
    draws: int | None = None,
) -> Worsening:
    """How much worse a metric is on the rows of `after` than on those of `before`; each needs a row of some weight.

    `margin` makes of the value before the difference that is tolerated. `draws` None: as many as the metric allows.
    """
    sign = -1.0 if metric_info(metric).greater_is_better else 1.0
    first, second = (_score(metric, one, classes) for one in (before, after))
    allowed = margin(first)
    found = None
    if math.isfinite(first) and math.isfinite(second) and math.isfinite(allowed):
        found = _drawn(metric, before, after, classes, sign, seed, draws)
    return Worsening(
        metric=metric_info(metric).name,
        before=first,
        after=second,
        difference=sign * (second - first),
        margin=allowed,
        lower=math.nan if found is None else found.bounds()[0],
        probability=math.nan if found is None else found.beyond(allowed),
        clusters=(before.n_clusters, after.n_clusters),
        draws=0 if found is None else found.draws,
    )


def _score(metric: Metric, sample: Sample, classes: Sequence[Any]) -> float:
    # a metric of the user's own need not take weights where rows have none
    weights = sample.weights if (sample.weights != 1.0).any() else None
    return score(metric, sample.target, sample.prediction, classes, weights)


def _drawn(
    metric: Metric,
    before: Sample,
    after: Sample,
    classes: Sequence[Any],
    sign: float,
    seed: int,
    draws: int | None,
) -> Resampled | None:
    samples = (before, after)
    if min(one.n_clusters for one in samples) < 2:
        return None
    statistics = [statistic(metric, one, classes) for one in samples]
    once = [float(of(np.ones((1, one.n_clusters)))[0]) for of, one in zip(statistics, samples, strict=True)]
    value = sign * (once[1] - once[0])
    parts = [
        _pseudo(of, one.n_clusters, mean)
        for of, one, mean in zip(statistics, samples, once, strict=True)
        if is_smooth(metric)
    ]
    present = [part for part in parts if part is not None]
    # without pseudo-values each draw may read all rows again
    draws = draws or (_DRAWS if len(present) == 2 or not reads_rows(metric) else _DRAWS_OF_ROWS)
    rng = np.random.default_rng(seed)
    times = [
        rng.multinomial(one.n_clusters, np.full(one.n_clusters, 1 / one.n_clusters), size=draws).astype(
            np.float64
        )
        for one in samples
    ]
    if len(present) == 2:
        return _studentized(value, sign, present, times)
    drawn = sign * (statistics[1](times[1]) - statistics[0](times[0]))
    return Resampled(
        value=value,
        n_clusters=min(one.n_clusters for one in samples),
        draws=draws,
        drawn=np.sort(drawn[np.isfinite(drawn)]),
        error=None,
        ratios=None,
    )


def _pseudo(of: Statistic, n_clusters: int, value: float) -> Floats | None:
    """The jackknife's pseudo-values about their mean; None where leaving out a cluster leaves no value."""
    left_out = of(1.0 - np.eye(n_clusters))
    if not np.isfinite(left_out).all():
        return None
    pseudo = n_clusters * value - (n_clusters - 1) * left_out
    return np.asarray(pseudo - pseudo.mean())


def _studentized(value: float, sign: float, parts: Sequence[Floats], times: Sequence[Floats]) -> Resampled:
    errors = [float(np.mean(part**2)) / (len(part) - 1) for part in parts]  # of the mean, squared
    total = sum(errors)
    means, variances = np.zeros(len(times[0])), np.zeros(len(times[0]))
    for part, drawn, way in zip(parts, times, (-sign, sign), strict=True):
        mean = drawn @ part / len(part)
        means += way * mean
        variances += np.maximum(drawn @ part**2 / len(part) - mean**2, 0.0) / (len(part) - 1)
    error = math.sqrt(total)
    ratios = np.divide(means, np.sqrt(variances), out=np.zeros_like(means), where=variances > 0)
    freedom = 1.0
    if total > 0:
        freedom = total**2 / sum(one**2 / (len(part) - 1) for one, part in zip(errors, parts, strict=True))
    return Resampled(
        value=value,
        n_clusters=max(math.floor(freedom), 1) + 1,
        draws=len(means),
        drawn=np.sort(value + means),
        error=error,
        ratios=np.sort(ratios),
    )
