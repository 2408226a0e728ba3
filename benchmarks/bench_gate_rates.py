"""How often the gate lets a challenger through that it should not, and how often one that it should.

Two models predict the same simulated rows, which hang together by day. A gate asks whether the upper bound of the
difference in loss is below a limit (a refresh: the margin, a changed recipe: 0). Where the true difference is that very
limit, every acceptance is a false one, and 95 % bounds promise at most 5 %. The methods see the same draws.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, stdtrit

from retraining.learn.intervals import LEVEL, Resampled, resample
from retraining.learn.resampling import Sample, statistic

Floats = NDArray[np.float64]
Make = Callable[[np.random.Generator, int], tuple[Floats, NDArray[np.int64], Floats]]

ROWS_A_DAY = 40


def day_of_rows(rng: np.random.Generator, days: int) -> NDArray[np.int64]:
    """The day of each row; days have between about 15 and 110 rows."""
    sizes = np.maximum(np.round(rng.lognormal(math.log(ROWS_A_DAY), 0.4, days)), 1).astype(np.int64)
    return np.repeat(np.arange(days), sizes)


def squared_errors(rng: np.random.Generator, days: int) -> tuple[Floats, NDArray[np.int64], Floats]:
    """Two equally good models of a label with a day effect: errors squared, so each loss is skewed."""
    day = day_of_rows(rng, days)
    label = 0.7 * rng.normal(size=days)[day] + rng.normal(size=len(day))
    errors = [label - 0.5 * rng.normal(size=len(day)) - 0.3 * rng.normal(size=days)[day] for _ in range(2)]
    return errors[0] ** 2 - errors[1] ** 2, day, errors[1] ** 2


def of_day_effects(draw: Callable[[np.random.Generator, int], Floats]) -> Make:
    """Differences of loss with an effect of the day (mean 0) and noise of the row."""

    def make(rng: np.random.Generator, days: int) -> tuple[Floats, NDArray[np.int64], Floats]:
        day = day_of_rows(rng, days)
        return draw(rng, days)[day] + rng.normal(size=len(day)), day, np.ones(len(day))

    return make


CASES: dict[str, Make] = {
    "squared errors": squared_errors,
    "normal days": of_day_effects(lambda rng, n: rng.normal(size=n)),
    "heavy tails (t, 3 df)": of_day_effects(lambda rng, n: rng.standard_t(3, size=n)),
    "bad days, skewed (exponential)": of_day_effects(lambda rng, n: rng.exponential(size=n) - 1),
    "good days, skewed (exponential)": of_day_effects(lambda rng, n: 1 - rng.exponential(size=n)),
    "a few terrible days (lognormal)": of_day_effects(lambda rng, n: rng.lognormal(size=n) - math.exp(0.5)),
}


def upper_bounds(found: Resampled) -> dict[str, float]:
    """The upper bound by each method; the last is what the gate uses."""
    n = found.n_clusters
    assert found.error is not None
    assert found.ratios is not None
    student = float(stdtrit(n - 1, LEVEL))
    share = float(ndtr(student * math.sqrt(n / (n - 1))))
    return {
        "percentile": float(np.quantile(found.drawn, LEVEL)),
        "expanded": float(np.quantile(found.drawn, share)),
        "jackknife t": found.value + student * found.error,
        "bootstrap-t": found.value - float(np.quantile(found.ratios, 1 - LEVEL)) * found.error,
        "the wider": found.bounds()[1],
    }


def differences(losses: Floats, day: NDArray[np.int64], days: int) -> Callable[[Floats], Floats]:
    """The mean difference as a function of the days' draws."""
    sums, rows = np.bincount(day, losses, days), np.bincount(day, minlength=days)
    return lambda times: (times @ sums) / (times @ rows)


def accepted(make: Make, days: int, trials: int, draws: int, shift: float) -> dict[str, float]:
    """The share of trials in which the upper bound is below `shift`, in standard deviations of the day's mean."""
    counts: dict[str, int] = {}
    for trial in range(trials):
        rng = np.random.default_rng([trial, days])
        losses, day, _ = make(rng, days)
        found = resample(differences(losses, day, days), days, draws, rng)
        for name, upper in upper_bounds(found).items():
            counts[name] = counts.get(name, 0) + (upper < shift)
    return {name: count / trials for name, count in counts.items()}


def accepted_auc(days: int, trials: int, draws: int) -> dict[str, float]:
    """The same for a recipe change that ROC AUC decides: two equally good scores of a label with a day effect."""
    counts: dict[str, int] = {}
    for trial in range(trials):
        rng = np.random.default_rng([trial, days, 7])
        day = day_of_rows(rng, days)
        signal = 0.7 * rng.normal(size=days)[day] + rng.normal(size=len(day))
        label = (signal + rng.normal(size=len(day)) > 0.8).astype(np.int64)
        stats = []
        for _ in range(2):
            score = 1 / (
                1 + np.exp(-signal - 0.7 * rng.normal(size=len(day)) - 0.5 * rng.normal(size=days)[day])
            )
            sample = Sample(
                target=label,
                prediction=np.stack([1 - score, score], axis=1),
                cluster=day,
                n_clusters=days,
                weights=np.ones(len(day)),
            )
            stats.append(statistic("roc_auc", sample))
        found = resample(lambda times, pair=tuple(stats): pair[1](times) - pair[0](times), days, draws, rng)  # type: ignore[misc]
        if not found.defined or found.error is None:
            continue
        for name, upper in upper_bounds(found).items():
            counts[name] = counts.get(name, 0) + (upper < 0)
    return {name: count / trials for name, count in counts.items()}


def table(rows: Iterator[tuple[str, int, dict[str, float]]]) -> None:
    """Prints rows of rates in percent, the first with the names of the methods."""
    for number, (name, days, rates) in enumerate(rows):
        if number == 0:
            print("| case | days | " + " | ".join(rates) + " |")
            print("| --- |" + " ---: |" * (len(rates) + 1))
        print(
            f"| {name} | {days} | " + " | ".join(f"{100 * rate:.1f}" for rate in rates.values()) + " |",
            flush=True,
        )


def main() -> None:
    """Prints the tables of false acceptances and of power."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=2000)
    parser.add_argument("--draws", type=int, default=2000)
    parser.add_argument("--days", type=int, nargs="+", default=[8, 14, 30, 60])
    asked = parser.parse_args()
    print(f"False acceptances in percent, {asked.trials} trials, 5 promised\n")
    table(
        (name, days, accepted(make, days, asked.trials, asked.draws, 0.0))
        for name, make in CASES.items()
        for days in asked.days
    )
    table(("roc_auc", days, accepted_auc(days, asked.trials, asked.draws)) for days in asked.days)
    print("\nAcceptances of a challenger that is better by half a day's standard deviation, in percent\n")
    table(
        (name, days, accepted(CASES[name], days, asked.trials, asked.draws, 0.5))
        for name in ("normal days", "squared errors")
        for days in asked.days
    )


if __name__ == "__main__":
    main()
