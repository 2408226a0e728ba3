"""The gate's promise, simulated: 95 % bounds let at most 5 % of bad challengers through."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

from retraining.decide.evidence import Difference, GateEvidence
from retraining.decide.gates import judge
from retraining.decide.slices import Slice, judge_slices
from retraining.learn.comparison import compare
from retraining.learn.intervals import resample
from retraining.manifest.values import GateRules, Margin

TRIALS = 400
#: At a true rate of 5 % fewer than one in a thousand simulations of 400 gates counts more.
MOST = scipy.stats.binom.ppf(0.999, TRIALS, 0.05) / TRIALS


def simulated(rng, days, worse):
    """A label with a day effect, and two models: the challenger's mean loss is `worse` times the champion's 1.34."""
    day = np.repeat(np.arange(days), rng.integers(10, 40, days))
    label = 0.7 * rng.normal(size=days)[day] + 10 + rng.normal(size=len(day))

    def guess(noise):
        return (10 + 0.5 * rng.normal(size=len(day)) + noise * rng.normal(size=days)[day])[:, None]

    # mean squared errors: 0.49 + 1 + 0.25 + noise**2
    champion_loss = 0.49 + 1 + 0.25 + 0.09
    return day, label, guess(np.sqrt(champion_loss * worse - 1.74)), guess(0.3)


def accepted(kind, days, worse, margin=0.1):
    """The share of gates that promote, of a refresh or of a changed recipe."""
    rules = GateRules(margin=Margin(value=margin))
    promoted = 0
    for trial in range(TRIALS):
        day, label, challenger, champion = simulated(np.random.default_rng([trial, days]), days, worse)
        found = compare("mean_squared_error", label, challenger, champion, day, seed=trial, resamples=600)
        evidence = GateEvidence(
            kind=kind,
            metrics=("mean_squared_error",),
            challenger={"mean_squared_error": found.challenger},
            champion={"mean_squared_error": found.champion},
            dummy={"mean_squared_error": 1e9},
            difference=Difference(
                metric="mean_squared_error",
                value=found.difference,
                lower=found.lower,
                upper=found.upper,
                champion_loss=1.83,  # the true one: the margin is what the manifest promises
                rows=found.rows,
                clusters=found.clusters,
            ),
            holdout={"blocks": 1},
        )
        promoted += judge(evidence, rules, {"mean_squared_error": False}).word == "promoted"
    return promoted / TRIALS


@pytest.mark.parametrize("days", [8, 14, 30])
def test_a_refresh_that_is_worse_by_the_margin_passes_in_one_of_twenty_gates_at_most(days):
    assert accepted("refresh", days, worse=1.1) <= MOST


@pytest.mark.parametrize("days", [8, 14, 30])
def test_a_changed_recipe_that_is_no_better_passes_in_one_of_twenty_gates_at_most(days):
    assert accepted("recipe", days, worse=1.0) <= MOST


def test_a_gate_that_has_days_enough_lets_good_challengers_through():
    assert accepted("refresh", 30, worse=1.0, margin=0.3) >= 0.9
    assert accepted("recipe", 30, worse=0.96) > MOST


@pytest.mark.slow
def test_an_area_under_the_curve_that_is_no_larger_passes_in_one_of_twenty_gates_at_most():
    wrong = 0
    for trial in range(TRIALS // 2):
        rng = np.random.default_rng(trial)
        day = np.repeat(np.arange(14), 20)
        signal = 0.7 * rng.normal(size=14)[day] + rng.normal(size=len(day))
        label = (signal + rng.normal(size=len(day)) > 0.8).astype(np.int64)
        pair = [
            1 / (1 + np.exp(-signal - 0.7 * rng.normal(size=len(day)) - 0.5 * rng.normal(size=14)[day]))
            for _ in "ab"
        ]
        first, second = (np.stack([1 - one, one], axis=1) for one in pair)
        wrong += compare("roc_auc", label, first, second, day, seed=trial, resamples=600).upper < 0
    assert wrong <= scipy.stats.binom.ppf(0.999, TRIALS // 2, 0.05)


def of_values(values, **more):
    """The mean of one value for each cluster, drawn again."""
    values = np.asarray(values, np.float64)
    return resample(
        lambda times: (times @ values) / times.sum(axis=1),
        len(values),
        more.pop("draws", 1000),
        np.random.default_rng(1),
        **more,
    )


def test_the_bounds_are_at_least_as_wide_as_students_and_follow_skewness():
    values = np.random.default_rng(0).normal(size=12)
    half = scipy.stats.t.ppf(0.95, 11) * values.std(ddof=1) / np.sqrt(12)
    lower, upper = of_values(values).bounds()
    assert lower <= values.mean() - half + 1e-12
    assert upper >= values.mean() + half - 1e-12
    skewed = np.random.default_rng(0).exponential(size=12)
    lower, upper = of_values(skewed).bounds()
    assert upper - skewed.mean() > 1.2 * (skewed.mean() - lower)


@pytest.mark.parametrize("smooth", [True, False])
@pytest.mark.parametrize("threshold", [-0.5, 0.0, 0.3, 0.9])
def test_a_probability_is_small_exactly_where_the_lower_bound_is_beyond_the_threshold(smooth, threshold):
    for seed in range(30):
        rng = np.random.default_rng(seed)
        found = of_values(rng.normal(rng.uniform(0, 1.5), 1, 10), draws=4000, smooth=smooth)
        lower, probability = found.bounds()[0], found.beyond(threshold)
        if abs(probability - 0.05) > 0.002:
            assert (lower > threshold) == (probability < 0.05)


def test_nothing_is_said_of_one_cluster_and_no_doubt_is_left_where_nothing_varies():
    assert np.isnan([*of_values([1.0]).bounds(), of_values([1.0]).beyond(0.0)]).all()
    constant = of_values([0.5] * 9)
    assert constant.bounds() == (0.5, 0.5)
    assert constant.beyond(0.5) == 1.0
    assert constant.beyond(0.4) < 0.01


@pytest.mark.slow
def test_slices_that_are_worse_by_the_margin_are_called_harmed_in_one_of_twenty_gates_at_most():
    wrong = found = 0
    for trial in range(TRIALS // 2):
        rng = np.random.default_rng([trial, 5])
        day = np.repeat(np.arange(14), 60)
        part = np.tile(np.arange(5), len(day) // 5)
        loss = 1 + 0.4 * rng.normal(size=(14, 5))[day, part] + 0.6 * rng.normal(size=len(day))
        slices = {}
        for harm in (0.0, 1.5):  # of all slices at the margin, and of one beyond it
            worse = loss + 0.1 + harm * (part == 0)
            slices[harm] = judge_slices(
                [_slice(day[part == one], worse[part == one], trial) for one in range(5)], min_clusters=8
            )
        wrong += any(one.harmed for one in slices[0.0])
        found += slices[1.5][0].harmed
    assert wrong <= scipy.stats.binom.ppf(0.999, TRIALS // 2, 0.05)
    assert found >= 0.95 * TRIALS // 2


def _slice(day, worse, seed):
    """A slice whose champion loses 1 in the mean of all days, and whose challenger may lose 0.1 more."""
    zeros, champion = np.zeros(len(day)), np.full((len(day), 1), 50.0)
    numbers = compare(
        "mean_absolute_error",
        zeros,
        champion + (worse - 1)[:, None],
        champion,
        day,
        seed=seed,
        resamples=1000,
        threshold=lambda _: 0.1,
    )
    return Slice(
        column="c",
        value="v",
        rows=len(day),
        clusters=numbers.clusters,
        challenger=numbers.challenger,
        probability=numbers.beyond,
    )
