"""Has the data changed? Two numbers, two samples, or two tables.

Invariant: two numbers are compared exactly as in the document, by their absolute difference. Samples are
compared by the population stability index (PSI) over bins of the previous sample, and count as drifted
only where it exceeds both the threshold and what chance alone gives samples of these sizes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Real
from statistics import NormalDist
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from retraining.compat.distributions import Distribution, Numbers, Samples, read_distribution
from retraining.compat.table import Column
from retraining.decide.shifts import psi
from retraining.errors import InputError

__all__ = ["ColumnDrift", "DriftMonitor"]

_BINS = 10
_ROWS_A_BIN = 10
_TOP_CATEGORIES = 20
_MIN_EXPECTED = 2
# How often a comparison without any drift may report one, over all columns of a table together
# (nominal; measured: 0.5 to 3 % for one column, 2 to 4 % for 60).
_FALSE_ALARMS = 0.01

_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnDrift:
    """How much one column changed.

    `value` is the PSI, or the absolute difference where two numbers were compared; `limit` is what it has
    to exceed: the threshold, or the PSI that samples of these sizes reach by chance, where that is larger.
    """

    column: str
    statistic: Literal["psi", "difference"]
    value: float
    limit: float
    current_rows: int
    previous_rows: int

    @property
    def drifted(self) -> bool:
        """Whether the value exceeds its limit."""
        return self.value > self.limit

    def __str__(self) -> str:
        verdict = "drifted" if self.drifted else "no drift"
        rows = f", {self.current_rows} rows against {self.previous_rows}" if self.statistic == "psi" else ""
        return f"{self.column}: {verdict}, {self.statistic} {self.value:.4g} (limit {self.limit:.4g}{rows})"


class DriftMonitor:
    """Compares a current distribution with a previous one, by the index that `retrain drift` uses.

    The document's samples have no days, so rows are taken for independent: where they share a day's weather, compare
    the means of days, or ask `retrain drift`, which permutes whole days.
    """

    def __init__(self, threshold: float = 0.1) -> None:
        if isinstance(threshold, bool) or not isinstance(threshold, Real) or not threshold >= 0:
            raise InputError(f"the threshold is {threshold!r}, expected a number of at least 0")
        self.threshold: float = float(threshold)

    def detect_drift(self, current_distribution: Any, previous_distribution: Any) -> bool:
        """Whether any column changed by more than its limit; `measure` says which distributions it takes."""
        return any(column.drifted for column in self.measure(current_distribution, previous_distribution))

    def explain(self, current_distribution: Any, previous_distribution: Any) -> str:
        """A line of text for each column, the most changed first."""
        return "\n".join(map(str, self.measure(current_distribution, previous_distribution)))

    def measure(self, current_distribution: Any, previous_distribution: Any) -> tuple[ColumnDrift, ...]:
        """How much each column changed, the most changed relative to its limit first.

        Takes two numbers; two mappings of names to numbers (means of columns, shares of categories); two
        samples (lists, arrays, series of numbers or texts; missing values count as a bin); or two tables
        (data frames, lists of rows, mappings of names to samples, loaded training data). Raises InputError
        for distributions of different kinds, different columns, and fewer than five values.
        """
        current = read_distribution(current_distribution, which="current")
        previous = read_distribution(previous_distribution, which="previous")
        if isinstance(current, Samples) and isinstance(previous, Samples) and current.kind == previous.kind:
            pairs = _pairs(current.columns, previous.columns)
            measured = [self._samples(*pair, false_alarms=_FALSE_ALARMS / len(pairs)) for pair in pairs]
        elif isinstance(current, Numbers) and isinstance(previous, Numbers) and current.kind == previous.kind:
            measured = [self._numbers(*pair) for pair in _pairs(current.values, previous.values)]
        else:
            raise _different(current, previous)
        return tuple(sorted(measured, key=_excess, reverse=True))

    def _numbers(self, name: str, current: float, previous: float) -> ColumnDrift:
        return ColumnDrift(
            column=name,
            statistic="difference",
            value=abs(current - previous),
            limit=self.threshold,
            current_rows=1,
            previous_rows=1,
        )

    def _samples(self, name: str, current: Column, previous: Column, *, false_alarms: float) -> ColumnDrift:
        now, before = _counts(name, current, previous)
        return ColumnDrift(
            column=name,
            statistic="psi",
            value=float(psi(before.astype(np.float64), now.astype(np.float64))),
            limit=max(self.threshold, _chance(now, before, false_alarms)),
            current_rows=len(current.values),
            previous_rows=len(previous.values),
        )


def _different(current: Distribution, previous: Distribution) -> InputError:
    return InputError(
        f"the current distribution is {current.kind}, the previous one {previous.kind}",
        "compare two numbers, two samples, or two tables",
    )


def _pairs(current: Mapping[str, _Value], previous: Mapping[str, _Value]) -> list[tuple[str, _Value, _Value]]:
    only_now = [name for name in current if name not in previous]
    only_before = [name for name in previous if name not in current]
    if only_now or only_before:
        found = [f"{name!r} is only in the current one" for name in only_now[:3]]
        found += [f"{name!r} is only in the previous one" for name in only_before[:3]]
        raise InputError(
            f"the distributions have different columns: {', '.join(found)}",
            "give both the same columns",
        )
    return [(name, current[name], previous[name]) for name in current]


def _excess(column: ColumnDrift) -> float:
    if column.limit:
        return column.value / column.limit
    return math.inf if column.value else 0.0


def _counts(name: str, current: Column, previous: Column) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows in each bin, now and before, shape (n_bins,), without the bins that are empty in both.

    The last bin is of missing values.
    """
    if {current.kind, previous.kind} == {"number", "category"}:
        kinds = {"number": "numbers", "category": "texts"}
        raise InputError(
            f"column {name!r} holds {kinds[current.kind]} now and held {kinds[previous.kind]} before",
            "compare columns of the same kind",
        )
    if "category" in {current.kind, previous.kind}:
        now, before = _category_bins(current, previous)
    else:
        now, before = _number_bins(current, previous)
    size = 1 + int(max(now.max(), before.max()))
    counts = np.bincount(now, minlength=size), np.bincount(before, minlength=size)
    filled = (counts[0] + counts[1]) > 0
    return counts[0][filled], counts[1][filled]


def _number_bins(current: Column, previous: Column) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Bins between quantiles of the previous values, one below them all, one above, one of the missing."""
    present = previous.values[~np.isnan(previous.values)]
    edges = np.empty(0)
    if present.size:
        rows = min(present.size, int(np.count_nonzero(~np.isnan(current.values))))
        bins = max(1, min(_BINS, rows // _ROWS_A_BIN))
        inner = np.quantile(present, np.arange(1, bins) / bins, method="inverted_cdf")
        edges = np.unique([np.nextafter(present.min(), -np.inf), *inner, present.max()])

    def bins_of(values: NDArray[np.float64]) -> NDArray[np.int64]:
        return np.where(np.isnan(values), len(edges) + 1, np.searchsorted(edges, values))

    return bins_of(current.values), bins_of(previous.values)


def _category_bins(current: Column, previous: Column) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """A bin for each frequent text of both samples together, one for all others, one of the missing.

    Taking the frequent ones from the previous sample alone would make chance look like drift: what is
    rare there by chance is more frequent now (measured with 59 categories: 80 % false alarms, not 1 %).
    """
    texts = sorted({*current.texts, *previous.texts})
    position = {text: index for index, text in enumerate(texts)}

    def positions_of(column: Column) -> NDArray[np.int64]:
        table = np.array([*(position[text] for text in column.texts), len(texts)], dtype=np.int64)
        return table[np.where(np.isnan(column.values), len(column.texts), column.values).astype(np.int64)]

    now, before = positions_of(current), positions_of(previous)
    frequency = np.bincount(np.concatenate([now, before]), minlength=len(texts) + 1)[:-1]
    smaller = min(len(now), len(before)) / (len(now) + len(before))
    frequent = [
        index
        for index in np.argsort(-frequency, kind="stable")
        if frequency[index] * smaller >= _MIN_EXPECTED
    ][:_TOP_CATEGORIES]
    bins = np.full(len(texts) + 1, len(frequent), dtype=np.int64)
    bins[frequent] = np.arange(len(frequent))
    bins[-1] = len(frequent) + 1
    return bins[now], bins[before]


def _chance(now: NDArray[np.int64], before: NDArray[np.int64], false_alarms: float) -> float:
    """The index that two samples of one distribution exceed with this probability.

    It is distributed as (1/n + 1/m) times chi-squared with one degree of freedom less than bins
    (arXiv:2307.11878); the quantile is Wilson and Hilferty's, within 1 % of the exact one.
    """
    degrees = len(now) - 1
    if degrees == 0:
        return 0.0
    spread = 2 / (9 * degrees)
    quantile = degrees * (1 - spread + NormalDist().inv_cdf(1 - false_alarms) * math.sqrt(spread)) ** 3
    return float((1 / now.sum() + 1 / before.sum()) * quantile)
