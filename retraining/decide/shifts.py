"""How far what a column held on some days is from what it held on others: two sizes, and one probability."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from retraining.decide.permutations import DRAWS, Permuted, permute
from retraining.decide.profiles import NumberBins, Profile

__all__ = ["LossDays", "Shift", "effect", "loss_shift", "psi", "shift", "wasserstein"]

Counts: TypeAlias = NDArray[np.int64]
Floats: TypeAlias = NDArray[np.float64]

#: Rows that a bin should have on the smaller side; bins with fewer are joined, down to four.
_ROWS_A_BIN = 10
_LEAST_BINS = 4
_RARE = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """How far a window is from its reference.

    `size` is the population stability index of a column, or the relative change of a loss; `distance` the
    least Wasserstein distance in standard deviations of the reference (None for texts and losses). `before` and
    `now` are the means. `rows` are those of the reference and of the window.
    """

    size: float
    distance: float | None
    before: float
    now: float
    rows: tuple[int, int]
    permuted: Permuted

    def of_roots(self) -> Shift:
        """The shift of a loss of squares, told in the units of its root."""
        before, now = math.sqrt(max(self.before, 0.0)), math.sqrt(max(self.now, 0.0))
        size = now / before - 1.0 if before > 0 else self.size
        return replace(self, size=size, before=before, now=now)


def psi(reference: Floats, window: Floats) -> Floats:
    """The population stability index of counts, `(..., n_bins)`, with half a row more in each bin (Jeffreys).

    Without the half row an empty bin makes it infinite, or as large as somebody's epsilon is small.
    """
    bins = reference.shape[-1]
    p = (reference + 0.5) / (reference.sum(axis=-1, keepdims=True) + 0.5 * bins)
    q = (window + 0.5) / (window.sum(axis=-1, keepdims=True) + 0.5 * bins)
    return np.asarray(((q - p) * np.log(q / p)).sum(axis=-1), np.float64)


def wasserstein(reference: Profile, window: Profile) -> float:
    """The least that the Wasserstein distance of two profiles of numbers can be, in the first's standard deviations.

    Between two edges the distribution functions are known at the ends alone: what lies between them for certain counts.
    So values that move by a hair, as between two fits of one tree, are near though they change their bin. It is never
    less than the difference of the means, which is exact and knows what lies beyond the edges. NaN without numbers.
    """
    assert isinstance(reference.bins, NumberBins)
    (before, spread), (now, _) = reference.mean_and_spread(), window.mean_and_spread()
    if math.isnan(before) or math.isnan(now):
        return math.nan
    edges = np.asarray(reference.bins.edges)
    p, q = _shares(reference), _shares(window)
    apart = np.maximum(np.maximum(p[:-1] - q[1:], q[:-1] - p[1:]), 0.0)
    with np.errstate(over="ignore", invalid="ignore"):
        area = float(np.sum(np.where(apart > 0, apart * np.diff(edges), 0.0)))
    distance = max(area, abs(now - before))
    if distance == 0:
        return 0.0
    return distance / spread if spread > 0 else math.inf


def shift(reference: Profile, window: Profile, seed: int, draws: int = DRAWS) -> Shift:
    """How far the days of a window are from those of its reference; both have a day at least, and the same bins."""
    counts = _day_counts(reference, window)
    total = counts.sum(axis=0)

    def index(chosen: NDArray[np.bool_]) -> Floats:
        inside = chosen.astype(np.float64) @ counts
        return psi(total - inside, inside)

    permuted = permute(index, len(counts), len(window.days), seed, draws)
    numbers = isinstance(reference.bins, NumberBins)
    return Shift(
        size=permuted.value,
        distance=wasserstein(reference, window) if numbers else None,
        before=reference.mean_and_spread()[0],
        now=window.mean_and_spread()[0],
        rows=(int(reference.counts.sum()), int(window.counts.sum())),
        permuted=permuted,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class LossDays:
    """A model's losses on some days: each day's labelled rows, their weight, and their weighted losses."""

    days: tuple[int, ...]
    rows: tuple[int, ...]
    weight: tuple[float, ...]
    loss: tuple[float, ...]

    def on(self, days: Iterable[int]) -> LossDays:
        """Those of its days that are among `days`."""
        wanted = set(days)
        chosen = [place for place, day in enumerate(self.days) if day in wanted]
        return LossDays(
            days=tuple(self.days[place] for place in chosen),
            rows=tuple(self.rows[place] for place in chosen),
            weight=tuple(self.weight[place] for place in chosen),
            loss=tuple(self.loss[place] for place in chosen),
        )


def loss_shift(reference: LossDays, window: LossDays, seed: int, draws: int = DRAWS) -> Shift:
    """How much larger the mean loss on the days of a window is; a smaller one is no drift (its p-value is large)."""
    weight = np.array([*reference.weight, *window.weight])
    loss = np.array([*reference.loss, *window.loss])

    def worse(chosen: NDArray[np.bool_]) -> Floats:
        inside = chosen.astype(np.float64)
        with np.errstate(divide="ignore", invalid="ignore"):
            now = (inside @ loss) / (inside @ weight)
            return np.asarray(now - ((1 - inside) @ loss) / ((1 - inside) @ weight))

    permuted = permute(worse, len(weight), len(window.days), seed, draws)
    return Shift(
        size=effect(reference, window),
        distance=None,
        before=_mean(reference),
        now=_mean(window),
        rows=(sum(reference.rows), sum(window.rows)),
        permuted=permuted,
    )


def effect(reference: Profile | LossDays, window: Profile | LossDays) -> float:
    """The size of a shift alone: the index of two profiles, or the relative change of a loss; NaN without rows."""
    if isinstance(reference, LossDays) and isinstance(window, LossDays):
        before = _mean(reference)
        grown = _mean(window) - before
        return grown / before if before > 0 else math.copysign(math.inf, grown) if grown else 0.0
    assert isinstance(reference, Profile)
    assert isinstance(window, Profile)
    if not reference.counts.any() or not window.counts.any():
        return math.nan
    counts, first = _day_counts(reference, window), len(reference.days)
    return float(psi(counts[:first].sum(axis=0), counts[first:].sum(axis=0)))


def _day_counts(reference: Profile, window: Profile) -> Floats:
    """The counts of the days of both, `(n_days, n_bins)`, in bins that have rows enough."""
    days = np.concatenate([reference.counts, window.counts])
    least = min(len(reference.days), len(window.days)) / len(days)
    return _joined(days, least, ordered=isinstance(reference.bins, NumberBins)).astype(np.float64)


def _mean(days: LossDays) -> float:
    weight = math.fsum(days.weight)
    return math.fsum(days.loss) / weight if weight > 0 else math.nan


def _shares(profile: Profile) -> Floats:
    """The share of the numbers that is at most each edge, `(n_edges,)`."""
    counts = profile.counts[:, :-1].sum(axis=0)
    return np.asarray(np.cumsum(counts)[:-1] / counts.sum(), np.float64)


def _joined(counts: Counts, least: float, *, ordered: bool) -> Counts:
    """The counts of each day in bins that have rows enough on the smaller side, which has a share `least` of the days.

    It depends on all days together, so that a window's bins are those of every other window.
    """
    total = counts.sum(axis=0)
    groups = _neighbours(total[:-1], least) if ordered else _frequent(total[:-1], least)
    groups = [group for group in [*groups, [len(total) - 1]] if total[group].sum()]
    return np.stack([counts[:, group].sum(axis=1) for group in groups], axis=1)


def _neighbours(total: Counts, least: float) -> list[list[int]]:
    expected = total * least
    # what comes to enough but for the rounding of sums is enough
    enough = max(1.0, min(_ROWS_A_BIN, expected.sum() / _LEAST_BINS)) * (1 - 1e-9)
    groups: list[list[int]] = [[]]
    filled = 0.0
    for place, rows in enumerate(expected.tolist()):
        if filled >= enough:
            groups.append([])
            filled = 0.0
        groups[-1].append(place)
        filled += rows
    if len(groups) > 1 and filled < enough / 2:
        last = groups.pop()
        groups[-1] += last
    return groups


def _frequent(total: Counts, least: float) -> list[list[int]]:
    rare = [place for place, rows in enumerate(total.tolist()) if rows * least < _RARE]
    others = [[place] for place, rows in enumerate(total.tolist()) if rows * least >= _RARE]
    return [*others, rare]
