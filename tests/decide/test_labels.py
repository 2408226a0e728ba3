from __future__ import annotations

import numpy as np
import pytest

from retraining.decide.labels import label_check

DAYS, ROWS = 120, 40


def world(seed=0, *, season=0.0, trend=0.0, storm=False, level=15.0, spread=12.0):
    """Skewed labels (delays) of many days, days differing among themselves; and those of fourteen days more."""
    rng = np.random.default_rng(seed)
    days = np.repeat(np.arange(DAYS + 14), ROWS)
    mood = rng.gamma(8.0, 1 / 8, DAYS + 14)
    values = level + spread * mood[days] * rng.exponential(1.0, len(days))
    values += season * np.sin(2 * np.pi * days / 365) + trend * days
    if storm:
        values[days == DAYS + 6] *= 8
    old = days < DAYS
    return values[old], days[old], values[~old], days[~old]


def passed(old, old_days, new, new_days, classes=0):
    found = label_check(old, old_days, new, new_days, classes)
    assert found is not None
    return found.passed


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("factor", [60, 1 / 60])
def test_five_days_in_the_wrong_unit_are_found(seed, factor):
    old, old_days, new, new_days = world(seed)
    new = np.where(new_days >= DAYS + 9, new * factor, new)
    assert not passed(old, old_days, new, new_days)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    "change",
    [{}, {"season": 10.0}, {"trend": 0.1}, {"storm": True}, {"level": 0.0}],
    ids=["calm", "season", "trend", "storm", "zero"],
)
def test_seasons_trends_and_one_storm_are_not(seed, change):
    assert passed(*world(seed, **change))


def test_few_days_say_nothing():
    old, old_days, new, new_days = world()
    few = old_days < 13
    assert label_check(old[few], old_days[few], new, new_days, 0) is None
    assert label_check(old, old_days, new[:3], new_days[:3], 0) is None
    assert label_check(old, old_days, new[:0], new_days[:0], 0) is None
    assert label_check(old[:0], old_days[:0], new, new_days, 0) is None


def test_flipped_classes_are_found_and_a_two_day_storm_is_not():
    rng = np.random.default_rng(0)
    days = np.repeat(np.arange(DAYS + 14), ROWS)
    labels = (rng.random(len(days)) < 0.2).astype(float)
    old = days < DAYS
    flipped = np.where(days >= DAYS, 1 - labels, labels)
    assert passed(labels[old], days[old], labels[~old], days[~old], 2)
    assert not passed(labels[old], days[old], flipped[~old], days[~old], 2)
    storm = np.where((days == DAYS + 3) | (days == DAYS + 4), 1.0, labels)
    assert passed(labels[old], days[old], storm[~old], days[~old], 2)


def test_the_order_of_the_rows_does_not_matter():
    old, old_days, new, new_days = world()
    mixed = np.random.default_rng(1).permutation(len(old))
    one, other = (
        label_check(old, old_days, new, new_days, 0),
        label_check(old[mixed], old_days[mixed], new, new_days, 0),
    )
    assert (one.value, one.passed) == (other.value, other.passed)
