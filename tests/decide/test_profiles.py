"""Profiles: counts between fixed edges, exact sums, and merging that knows no order."""

from __future__ import annotations

import math
from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retraining.decide.profiles import NumberBins, Profile, merge, number_bins, word_bins

NUMBERS = st.floats(allow_nan=True, allow_infinity=False, width=64)
ROWS = st.lists(st.tuples(NUMBERS, st.integers(15000, 15004)), min_size=1, max_size=40)


def profile_of(rows: list[tuple[float, int]], bins: NumberBins) -> Profile:
    return Profile.of_numbers(
        bins, np.array([value for value, _ in rows], float), np.array([day for _, day in rows], np.int64)
    )


@given(ROWS, st.lists(NUMBERS, max_size=50))
def test_counts_are_those_of_a_loop_over_the_rows(
    rows: list[tuple[float, int]], reference: list[float]
) -> None:
    bins = number_bins(np.array(reference, float))
    profile = profile_of(rows, bins)
    found: Counter[tuple[int, int]] = Counter()
    for value, day in rows:
        place = sum(edge < value for edge in bins.edges)
        found[(day, bins.count - 1 if math.isnan(value) else place)] += 1
    for number, day in enumerate(profile.days):
        assert profile.counts[number].tolist() == [found[(day, place)] for place in range(bins.count)]
    assert profile.days == tuple(sorted({day for _, day in rows}))


@given(ROWS)
def test_sums_are_exact(rows: list[tuple[float, int]]) -> None:
    profile = profile_of(rows, NumberBins(edges=()))
    for number, day in enumerate(profile.days):
        here = [value for value, on in rows if on == day and not math.isnan(value)]
        assert profile.totals[number] == sum(map(Fraction, here), Fraction(0))
        largest = np.finfo(float).max
        squares = [Fraction(min(value * value, largest)) for value in here]
        assert profile.squares[number] == sum(squares, Fraction(0))


@given(ROWS, st.lists(NUMBERS, max_size=30), st.randoms(use_true_random=False))
def test_any_split_and_any_order_of_merging_give_the_same_bytes(
    rows: list[tuple[float, int]], reference: list[float], random: object
) -> None:
    bins = number_bins(np.array(reference, float))
    whole = profile_of(rows, bins)
    pieces = [profile_of([row], bins) for row in rows]
    random.shuffle(pieces)  # type: ignore[attr-defined]
    half = len(pieces) // 2
    nested = merge([merge([Profile.empty(bins), *pieces[:half]]), *pieces[half:]])
    assert nested.to_bytes() == whole.to_bytes()


@given(ROWS, st.lists(NUMBERS, max_size=30))
def test_bytes_are_read_back_as_they_were(rows: list[tuple[float, int]], reference: list[float]) -> None:
    profile = profile_of(rows, number_bins(np.array(reference, float)))
    again = Profile.from_bytes(profile.to_bytes())
    assert again.to_bytes() == profile.to_bytes()
    assert (again.bins, again.days, again.totals) == (profile.bins, profile.days, profile.totals)


def test_a_day_of_a_numeric_column_takes_about_300_bytes() -> None:
    values = np.random.default_rng(0).normal(size=36_500)
    days = np.arange(36_500, dtype=np.int64) % 365
    profile = Profile.of_numbers(number_bins(values), values, days)
    assert len(profile.to_bytes()) / 365 < 400


def test_quantile_bins_hold_equally_many_of_the_reference() -> None:
    values = np.random.default_rng(1).normal(size=32_000)
    profile = Profile.of_numbers(number_bins(values), values, np.zeros(32_000, np.int64))
    assert profile.counts[0].tolist() == [1000] * 32 + [0]


def test_a_constant_column_tells_lower_and_higher_values_apart() -> None:
    bins = number_bins(np.full(10, 5.0))
    profile = Profile.of_numbers(bins, np.array([4.0, 5.0, 6.0, np.nan]), np.zeros(4, np.int64))
    assert profile.counts[0].tolist() == [1, 1, 1, 1]


def test_a_column_of_missing_values_has_bins_too() -> None:
    bins = number_bins(np.full(3, np.nan))
    profile = Profile.of_numbers(bins, np.array([np.nan, 1.0]), np.zeros(2, np.int64))
    assert profile.counts[0].tolist() == [1, 1]
    assert math.isnan(Profile.empty(bins).mean_and_spread()[0])


def test_mean_and_spread_are_those_of_numpy() -> None:
    values = np.random.default_rng(2).normal(1e6, 3.0, size=999)
    profile = Profile.of_numbers(number_bins(values), values, np.arange(999, dtype=np.int64) % 7)
    mean, spread = profile.mean_and_spread()
    assert mean == pytest.approx(values.mean(), rel=1e-14)
    assert spread == pytest.approx(values.std(), rel=1e-6)  # squares are rounded once


def test_rare_words_are_counted_together_and_missing_ones_apart() -> None:
    bins = word_bins({"a": 9, "b": 5, "c": 5, "d": 1}, most=4)
    texts = ("a", "b", "c", "d", "new")
    codes = np.array([0, 1, 2, 3, 4, -1, 0], np.int64)
    profile = Profile.of_words(bins, codes, texts, np.zeros(7, np.int64))
    assert bins.words == ("a", "b", "c")
    assert profile.counts[0].tolist() == [2, 1, 1, 2, 1]


def test_only_profiles_with_the_same_bins_are_added() -> None:
    with pytest.raises(ValueError, match="other bins"):
        merge([Profile.empty(NumberBins(edges=(1.0,))), Profile.empty(NumberBins(edges=(2.0,)))])


def test_some_days_of_a_profile() -> None:
    profile = profile_of([(1.0, 1), (2.0, 2), (3.0, 3)], NumberBins(edges=(2.0,)))
    chosen = profile.on([3, 1, 9])
    assert chosen.days == (1, 3)
    assert chosen.counts.tolist() == [[1, 0, 0], [0, 1, 0]]
    assert chosen.totals == (Fraction(1), Fraction(3))
