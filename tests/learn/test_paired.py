"""Differences of losses on the same days: the value is the plain one, and the bounds are no narrower than Student's."""

import numpy as np
import pytest
from scipy import stats

from retraining.learn.paired import paired_difference


def test_the_difference_is_that_of_the_weighted_means_and_of_roots_where_asked():
    rng = np.random.default_rng(0)
    first, second, weight = rng.uniform(1, 9, 30), rng.uniform(1, 9, 30), rng.uniform(1, 5, 30)
    for root in (False, True):
        value, lower, upper = paired_difference(first, second, weight, root=root, seed=1)
        means = [one.sum() / weight.sum() for one in (first, second)]
        plain = np.sqrt(means[0]) - np.sqrt(means[1]) if root else means[0] - means[1]
        assert value == pytest.approx(plain)
        assert lower < value < upper


def test_bounds_are_paired_by_day_and_at_least_as_wide_as_those_of_student():
    rng = np.random.default_rng(2)
    shared = rng.normal(100, 30, 40)  # what both lose on a bad day
    first, second = shared + rng.normal(1, 1, 40), shared
    value, lower, upper = paired_difference(first, second, np.ones(40), root=False, seed=3)
    half = stats.t.ppf(0.95, 39) * stats.sem(first - second)
    assert lower <= value - half + 1e-9
    assert upper >= value + half - 1e-9
    assert 0 < lower < upper < 2


def test_the_same_losses_differ_by_nothing():
    assert paired_difference([1.0, 2.0], [1.0, 2.0], [1.0, 1.0], root=False, seed=0) == (0.0, 0.0, 0.0)
