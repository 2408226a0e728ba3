"""Tests over days: equal to brute force, honest about chance where days are clusters, and able to see a shift."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from retraining.decide.discoveries import adjusted
from retraining.decide.permutations import permute, windows
from retraining.decide.profiles import NumberBins, Profile, WordBins, number_bins
from retraining.decide.shifts import LossDays, effect, loss_shift, psi, shift, wasserstein


def profile(values, days, bins=None):
    values = np.asarray(values, float)
    return Profile.of_numbers(bins or number_bins(values), values, np.asarray(days, np.int64))


def split(values, days, first):
    """The profiles of the days before `first` and from it on, with the bins of the former."""
    values, days = np.asarray(values, float), np.asarray(days)
    bins = number_bins(values[days < first])
    return tuple(profile(values[at], days[at], bins) for at in (days < first, days >= first))


def loss_days(means, weight=10.0, start=0):
    days = tuple(range(start, start + len(means)))
    return LossDays(
        days=days,
        rows=(10,) * len(days),
        weight=(weight,) * len(days),
        loss=tuple(weight * mean for mean in means),
    )


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40))
def test_probabilities_are_adjusted_as_scipy_does(probabilities):
    expected = scipy.stats.false_discovery_control(probabilities, method="bh")
    np.testing.assert_allclose(adjusted(probabilities), expected, rtol=1e-12)


def test_nothing_is_adjusted_where_nothing_was_looked_at():
    assert adjusted([]) == ()


@given(st.lists(st.integers(0, 50), min_size=2, max_size=8), st.data())
def test_psi_is_the_symmetric_relative_entropy_of_counts_with_half_a_row_more(reference, data):
    window = data.draw(st.lists(st.integers(0, 50), min_size=len(reference), max_size=len(reference)))
    p, q = np.array(reference) + 0.5, np.array(window) + 0.5
    expected = scipy.stats.entropy(p, q) + scipy.stats.entropy(q, p)  # it norms both
    assert psi(np.array(reference, float), np.array(window, float)) == pytest.approx(expected, abs=1e-12)


def test_psi_of_two_samples_of_one_distribution_is_distributed_as_its_theory_says():
    # (1/n + 1/m) chi-squared with bins - 1 degrees of freedom (arXiv:2307.11878): the 99 % quantile
    rng = np.random.default_rng(3)
    counts = rng.multinomial(10_000, [0.1] * 10, size=(2, 4000)).astype(float)
    expected = (2 / 10_000) * scipy.stats.chi2(9).ppf(0.99)
    assert np.quantile(psi(counts[0], counts[1]), 0.99) == pytest.approx(expected, rel=0.1)


def test_the_distance_is_at_most_that_of_scipy_and_nearly_as_large():
    rng = np.random.default_rng(4)
    before, now = rng.normal(size=20_000), rng.normal(0.4, 1.3, size=20_000)
    reference = profile(before, np.zeros(20_000))
    window = profile(now, np.ones(20_000), reference.bins)
    expected = scipy.stats.wasserstein_distance(before, now) / before.std()
    assert 0.9 * expected <= wasserstein(reference, window) <= expected


@pytest.mark.parametrize("factor", [0.7, 1.4])
def test_the_distance_sees_another_spread_about_the_same_mean(factor):
    rng = np.random.default_rng(15)
    before = rng.normal(size=20_000)
    now = rng.normal(size=20_000) * factor
    reference = profile(before, np.zeros(20_000))
    expected = scipy.stats.wasserstein_distance(before, now) / before.std()
    assert 0.1 < wasserstein(reference, profile(now, np.ones(20_000), reference.bins)) <= expected


def test_the_distance_knows_how_far_beyond_the_edges_values_are():
    reference = profile(np.full(50, 2.0), np.zeros(50))
    assert wasserstein(reference, profile([7.0] * 5, [1] * 5, reference.bins)) == math.inf
    spread = profile(np.arange(100.0), np.zeros(100))
    far = profile([1e4] * 5, [1] * 5, spread.bins)
    assert wasserstein(spread, far) == pytest.approx((1e4 - 49.5) / np.arange(100.0).std())


def test_values_that_move_by_a_hair_are_not_far_though_every_bin_has_changed():
    rng = np.random.default_rng(5)
    leaves = rng.choice([10.0, 20.0, 30.0], size=3000)
    before = leaves + rng.choice([-0.01, 0.0, 0.01], size=3000)  # the fits of some blocks
    reference = profile(before, np.arange(3000) % 30)
    window = profile(leaves + 0.02, 30 + np.arange(3000) % 30, reference.bins)
    found = shift(reference, window, seed=0)
    assert found.size > 0.2
    assert found.permuted.probability < 0.05
    assert found.distance < 0.1


@settings(derandomize=True, max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 80).map(lambda eighths: eighths / 8), min_size=3, max_size=7), st.data())
def test_few_days_are_permuted_in_every_way(means, data):
    window = data.draw(st.integers(1, len(means) - 1))
    found = loss_shift(loss_days(means[:-window]), loss_days(means[-window:], start=50), seed=1)
    differences = [
        np.mean([means[i] for i in chosen])
        - np.mean([means[i] for i in range(len(means)) if i not in chosen])
        for chosen in itertools.combinations(range(len(means)), window)
    ]
    own = differences[-1]  # the last combination is of the last days
    expected = np.mean([one >= own - 1e-9 for one in differences])
    assert found.permuted.exact
    assert found.permuted.windows == math.comb(len(means), window)
    assert found.permuted.probability == pytest.approx(expected, abs=1e-12)


def joined_by_hand(counts, share):
    enough = max(1, min(10, counts.sum() * share / 4)) * (1 - 1e-9)
    groups, filled = [[]], 0.0
    for place, rows in enumerate(counts.sum(axis=0) * share):
        if filled >= enough:
            groups, filled = [*groups, []], 0.0
        groups[-1].append(place)
        filled += rows
    if len(groups) > 1 and filled < enough / 2:
        groups[-2:] = [groups[-2] + groups[-1]]
    return np.stack([counts[:, group].sum(axis=1) for group in groups], axis=1)


@given(
    st.integers(2, 6).flatmap(
        lambda n: st.lists(st.lists(st.integers(0, 9), min_size=n, max_size=n), min_size=2, max_size=6)
    ),
    st.data(),
)
def test_bins_of_few_rows_are_joined_with_their_neighbours_and_every_row_counts_once(days, data):
    # values on their own edges: the bin of a value is its place
    n, first = len(days[0]), data.draw(st.integers(1, len(days) - 1))
    bins = NumberBins(edges=tuple(float(edge) for edge in range(n - 1)))
    values = [float(place) for day in days for place, rows in enumerate(day) for _ in range(rows)]
    when = [day for day, counts in enumerate(days) for _ in range(sum(counts))]
    parts = [
        [(v, d) for v, d in zip(values, when, strict=True) if (d < first) == side] for side in (True, False)
    ]
    assume(all(parts))
    reference, window = (profile(*zip(*part, strict=True), bins) for part in parts)
    counts = np.concatenate([reference.counts, window.counts])[:, :-1]
    share = min(len(reference.days), len(window.days)) / len(counts)
    joined = joined_by_hand(counts, share)
    before, now = joined[: len(reference.days)].sum(axis=0) * 1.0, joined[len(reference.days) :].sum(axis=0)
    assert effect(reference, window) == pytest.approx(psi(before, now))


def test_psi_is_permuted_by_whole_days_as_a_loop_would():
    rng = np.random.default_rng(6)
    days = np.repeat(np.arange(7), 20)
    values = rng.normal(size=140) + np.repeat(rng.normal(size=7), 20)
    reference, window = split(values, days, first=5)
    found = shift(reference, window, seed=0)
    joined = joined_by_hand(np.concatenate([reference.counts, window.counts])[:, :-1], 2 / 7)
    every = [
        psi(
            joined[[i for i in range(7) if i not in chosen]].sum(axis=0) * 1.0,
            joined[list(chosen)].sum(axis=0),
        )
        for chosen in itertools.combinations(range(7), 2)
    ]
    assert found.size == pytest.approx(every[-1])
    assert found.permuted.probability == pytest.approx(np.mean(np.array(every) >= every[-1] - 1e-12))


def test_many_days_are_permuted_at_random_and_always_the_same_way():
    first, exact = windows(40, 14, seed=7)
    again, _ = windows(40, 14, seed=7)
    assert (first.shape, exact) == ((1000, 40), False)
    assert (first.sum(axis=1) == 14).all()
    assert first[0].tolist() == [False] * 26 + [True] * 14
    assert np.array_equal(first, again)
    assert not np.array_equal(first, windows(40, 14, seed=8)[0])


def test_the_smallest_probability_is_one_of_all_windows():
    found = permute(lambda chosen: chosen[:, -14:].sum(axis=1).astype(float), 40, 14, seed=0)
    assert found.probability == 1 / 1000
    assert found.usual < found.value


def test_a_window_without_a_value_shows_nothing():
    found = loss_shift(loss_days([1.0] * 9), loss_days([0.0] * 4, weight=0.0, start=9), seed=0)
    assert found.permuted.probability == 1.0


def test_a_smaller_loss_is_no_drift():
    rng = np.random.default_rng(8)
    found = loss_shift(loss_days(rng.normal(5, 0.1, 40)), loss_days(rng.normal(4, 0.1, 14), start=40), seed=0)
    assert found.size == pytest.approx(-0.2, abs=0.02)
    assert found.permuted.probability > 0.99


def test_loss_changes_relative_to_what_it_was():
    found = loss_shift(loss_days([2.0] * 10), loss_days([3.0] * 3, weight=1.0, start=10), seed=0)
    assert (found.size, found.before, found.now) == (0.5, 2.0, 3.0)
    assert found.permuted.probability == pytest.approx(1 / math.comb(13, 3))


def clustered(rng, days, rows=60, spread=1.0):
    """Values that share much within a day, as a day's flights share its weather."""
    day = np.repeat(np.arange(days), rows)
    return np.repeat(rng.normal(0, spread, days), rows) + rng.normal(size=days * rows), day


def test_unchanged_clustered_days_alarm_as_often_as_promised_and_by_rows_mostly():
    rng = np.random.default_rng(9)
    by_day, by_row, losses = [], [], []
    for trial in range(500):
        values, day = clustered(rng, 42)
        reference, window = split(values, day, first=28)
        by_day.append(shift(reference, window, seed=trial, draws=99).permuted.probability <= 0.05)
        table = np.stack([reference.counts.sum(axis=0), window.counts.sum(axis=0)])
        table = table[:, table.sum(axis=0) > 0]
        by_row.append(scipy.stats.chi2_contingency(table).pvalue <= 0.05)
        means = (values**2).reshape(42, -1).mean(axis=1)
        found = loss_shift(loss_days(means[:28]), loss_days(means[28:], start=28), seed=trial, draws=99)
        losses.append(found.permuted.probability <= 0.05)
    assert 0.03 <= np.mean(by_day) <= 0.07
    assert 0.03 <= np.mean(losses) <= 0.07
    assert np.mean(by_row) > 0.5


def test_a_planted_shift_is_seen():
    rng = np.random.default_rng(10)
    seen = []
    for trial in range(50):
        values, day = clustered(rng, 42, spread=0.5)
        reference, window = split(values + np.where(day >= 28, 0.8, 0.0), day, first=28)
        found = shift(reference, window, seed=trial)
        seen.append(found.permuted.probability <= 0.05 and found.size >= 0.2 and found.distance >= 0.1)
    assert np.mean(seen) > 0.9


def test_a_planted_change_of_the_loss_is_seen():
    rng = np.random.default_rng(11)
    seen = []
    for trial in range(100):
        days = np.concatenate([rng.gamma(20, 0.05, 40), rng.gamma(20, 0.065, 14)])
        found = loss_shift(loss_days(days[:40]), loss_days(days[40:], start=40), seed=trial)
        seen.append(found.permuted.probability <= 0.05 and found.size > 0.02)
    assert np.mean(seen) > 0.9


def test_new_words_are_a_shift():
    bins = WordBins(words=("a", "b"))
    texts = ("a", "b", "new")
    rng = np.random.default_rng(12)
    reference = Profile.of_words(bins, rng.integers(0, 2, 600), texts, np.arange(600) % 30)
    same = Profile.of_words(bins, rng.integers(0, 2, 200), texts, 30 + np.arange(200) % 10)
    other = Profile.of_words(bins, rng.integers(0, 3, 200), texts, 30 + np.arange(200) % 10)
    assert shift(reference, same, seed=0).permuted.probability > 0.05
    found = shift(reference, other, seed=0)
    assert (found.size > 0.2, found.permuted.probability, found.distance) == (True, 0.001, None)


def test_values_that_go_missing_are_a_shift():
    rng = np.random.default_rng(13)
    values = rng.normal(size=900)
    values[(np.arange(900) >= 600) & (rng.random(900) < 0.3)] = np.nan
    reference, window = split(values, np.arange(900) // 20, first=30)
    found = shift(reference, window, seed=0)
    assert found.permuted.probability <= 0.05
    assert found.size > 0.2


def test_one_row_a_day_is_enough_to_compare():
    rng = np.random.default_rng(14)
    values = np.concatenate([rng.normal(size=60), rng.normal(3, 1, size=14)])
    reference, window = split(values, np.arange(74), first=60)
    assert shift(reference, window, seed=0).permuted.probability <= 0.002
    calm = split(rng.normal(size=74), np.arange(74), first=60)
    assert shift(*calm, seed=0).permuted.probability > 0.05


def test_a_column_of_missing_values_alone_has_not_changed():
    reference = Profile.of_numbers(NumberBins(edges=()), np.full(20, np.nan), np.arange(20))
    window = Profile.of_numbers(NumberBins(edges=()), np.full(8, np.nan), 20 + np.arange(8))
    found = shift(reference, window, seed=0)
    assert (found.size, found.permuted.probability) == (0.0, 1.0)
    assert math.isnan(found.distance)
