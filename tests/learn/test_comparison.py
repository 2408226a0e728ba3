from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from retraining.learn.comparison import compare, compare_sums, psi
from retraining.learn.metrics import row_losses, score
from retraining.learn.resampling import Sample, statistic
from retraining.manifest.catalog import METRICS

from .test_metrics import classes_and_probabilities, counts_and_values

CLUSTERS = np.random.default_rng(8).integers(0, 12, 300)
KINDS = [(name, 0) for name, info in METRICS.items() if info.task == "regression"]
KINDS += [(name, 2) for name, info in METRICS.items() if info.task == "classification"]
KINDS += [
    (name, 3) for name, info in METRICS.items() if info.task == "classification" and not info.binary_only
]


def judged(n_classes, seed=0):
    return classes_and_probabilities(n_classes, seed) if n_classes else counts_and_values(seed)


@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
@pytest.mark.parametrize(("metric", "n_classes"), KINDS)
def test_a_resample_scores_as_its_rows_written_out_would(metric, n_classes, weighted):
    target, prediction = judged(n_classes)
    rng = np.random.default_rng(3)
    weights = rng.uniform(0.2, 3, 300) if weighted else np.ones(300)
    sample = Sample(target=target, prediction=prediction, cluster=CLUSTERS, n_clusters=12, weights=weights)
    draws = np.concatenate([np.ones((1, 12), dtype=np.int64), rng.multinomial(12, np.full(12, 1 / 12), 6)])
    found = statistic(metric, sample)(draws.astype(np.float64))
    for drawn, value in zip(draws, found, strict=True):
        rows = np.concatenate([np.tile(np.flatnonzero(c == CLUSTERS), drawn[c]) for c in range(12)])
        given_weights = weights[rows] if weighted else None
        expected = score(metric, target[rows], prediction[rows], (), given_weights)
        assert value == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_the_bounds_of_a_mean_are_those_of_a_loop_over_drawn_clusters():
    target, challenger = judged(0)
    champion = challenger + np.random.default_rng(1).normal(size=(300, 1)) * 0.3
    found = compare("mean_absolute_error", target, challenger, champion, CLUSTERS, seed=5)
    loss = np.abs(target - challenger[:, 0]) - np.abs(target - champion[:, 0])
    parts = [loss[cluster == CLUSTERS] for cluster in range(12)]
    without = [np.concatenate(parts[:c] + parts[c + 1 :]).mean() for c in range(12)]
    pseudo = np.array([12 * loss.mean() - 11 * one for one in without])
    error = pseudo.std(ddof=1) / np.sqrt(12)
    ratios = []
    for drawn in np.random.default_rng(5).multinomial(12, np.full(12, 1 / 12), size=2000):
        values = np.repeat(pseudo, drawn)
        ratios.append((values.mean() - pseudo.mean()) / (values.std(ddof=1) / np.sqrt(12)))
    low, high = np.quantile(ratios, [0.05, 0.95])
    student = scipy.stats.t.ppf(0.95, 11)
    expected = [loss.mean() - max(student, high) * error, loss.mean() + max(student, -low) * error]
    np.testing.assert_allclose([found.lower, found.upper], expected, rtol=1e-9)
    assert found.difference == pytest.approx(loss.mean())
    assert (found.rows, found.clusters, found.draws) == (300, 12, 2000)


@pytest.mark.parametrize(("metric", "n_classes"), KINDS)
def test_a_worse_challenger_has_a_positive_difference_in_every_metric(metric, n_classes):
    target, champion = judged(n_classes)
    rng = np.random.default_rng(2)
    challenger = (
        champion[rng.permutation(300)] if n_classes else champion + np.abs(rng.normal(size=(300, 1))) * 3 + 4
    )
    found = compare(metric, target, challenger, champion, CLUSTERS, resamples=200)
    assert found.lower > 0
    assert found.difference == pytest.approx(abs(found.challenger - found.champion))
    back = compare(metric, target, champion, challenger, CLUSTERS, resamples=200)
    assert (back.lower, back.upper) == (-found.upper, -found.lower) or np.allclose(
        [back.lower, back.upper], [-found.upper, -found.lower]
    )


def test_equal_predictions_do_not_differ_at_all():
    target, prediction = judged(2)
    for metric in ("log_loss", "roc_auc", "f1"):
        found = compare(metric, target, prediction, prediction, CLUSTERS, resamples=50)
        assert (found.difference, found.lower, found.upper) == (0, 0, 0)


def test_the_bounds_depend_on_the_seed_alone():
    target, prediction = judged(2)
    other = prediction[:, ::-1]
    one, again, another = (
        compare("log_loss", target, prediction, other, CLUSTERS, seed=seed) for seed in (1, 1, 2)
    )
    assert one == again
    assert (one.lower, one.upper) != (another.lower, another.upper)


def test_the_names_of_clusters_do_not_matter():
    target, prediction = judged(2)
    other = np.round(prediction[:, ::-1], 1)
    named = np.random.default_rng(0).permutation(10**6)[:12][CLUSTERS]
    ordered = np.unique(named, return_inverse=True)[1]
    assert compare("roc_auc", target, prediction, other, named) == compare(
        "roc_auc", target, prediction, other, ordered
    )


def test_bounds_cover_the_truth_where_rows_of_a_cluster_hang_together_and_would_not_by_rows():
    rng = np.random.default_rng(6)
    by_cluster = by_row = 0
    cluster = np.repeat(np.arange(30), 20)
    for trial in range(150):
        shift = rng.normal(size=30)[cluster] + rng.normal(size=600)
        target, champion = np.zeros(600), np.full((600, 1), 50.0)
        arguments = ("mean_absolute_error", target, champion + shift[:, None], champion)
        by_cluster += compare(*arguments, cluster, resamples=200, seed=trial).upper >= 0
        by_row += compare(*arguments, np.arange(600), resamples=200, seed=trial).upper >= 0
    assert 0.92 <= by_cluster / 150 <= 0.99
    assert by_row / 150 < 0.80


def test_very_many_clusters_are_drawn_in_bundles_with_about_the_same_bounds():
    rng = np.random.default_rng(3)
    shift = rng.normal(size=5000)
    champion = np.full((5000, 1), 50.0)
    arguments = ("mean_absolute_error", np.zeros(5000), champion + shift[:, None], champion)
    found = compare(*arguments, np.arange(5000))
    half = 1.645 * shift.std() / np.sqrt(5000)
    assert found.clusters == 5000
    np.testing.assert_allclose(
        [found.lower, found.upper], [shift.mean() - half, shift.mean() + half], atol=0.006
    )


def test_without_a_score_or_with_a_class_in_one_cluster_alone_there_are_no_bounds():
    target, prediction = judged(2)
    broken = prediction.copy()
    broken[0] = np.nan
    found = compare("log_loss", target, broken, prediction, CLUSTERS)
    assert np.isnan([found.challenger, found.difference, found.lower, found.upper]).all()
    assert found.champion > 0
    rare = (CLUSTERS == 3).astype(np.int64)
    found = compare("roc_auc", rare, prediction, prediction[:, ::-1], CLUSTERS)
    assert np.isfinite(found.difference)
    assert np.isnan([found.lower, found.upper]).all()
    none = compare("r2", np.zeros(0), np.zeros((0, 1)), np.zeros((0, 1)), np.zeros(0, dtype=np.int64))
    assert (none.rows, none.clusters) == (0, 0)
    assert np.isnan(none.upper)


def test_psi_is_the_formula_on_counts_of_quantile_bins_of_spread_values():
    rng = np.random.default_rng(0)
    expected, actual = rng.normal(size=400), rng.normal(size=300) * 1.5 + 0.5
    low, *edges, high = np.quantile(expected, [0.05, *np.linspace(0.1, 0.9, 9), 0.95])
    spread = (np.arange(2_000) + 0.5) / 2_000 - 0.5
    counts = [
        np.histogram(np.add.outer(values, spread * (high - low) / 10), [-np.inf, *edges, np.inf])[0] / 2_000
        + 0.5
        for values in (expected, actual)
    ]
    before, after = (count / count.sum() for count in counts)
    assert psi(expected, actual) == pytest.approx(np.sum((after - before) * np.log(after / before)), rel=1e-3)


@settings(derandomize=True, max_examples=60, deadline=None)
@given(st.lists(st.floats(-1e6, 1e6) | st.sampled_from([0.0, 1.0]), min_size=1, max_size=60))
def test_psi_of_a_sample_with_itself_is_zero_in_any_order(values):
    array = np.array(values)
    assert psi(array, array[::-1]) == pytest.approx(0, abs=1e-9)


def test_psi_sees_a_constant_move_and_is_nothing_without_rows():
    assert psi(np.full(500, 5.0), np.full(500, 7.0)) > 3
    assert psi(np.full(500, 5.0), np.full(500, 5.001)) < 0.01
    assert psi(np.full(500, 0.0), np.full(500, 0.0)) == 0
    assert np.isnan(psi(np.array([]), np.full(9, 1.0)))


def test_psi_of_few_different_values_is_not_decided_by_the_edge_of_a_bin():
    values = np.random.default_rng(0).choice([2.0, 55.0, 149.0, 172.3, 377.0], 3_000)
    moved = np.random.default_rng(1).normal(scale=0.2, size=3_000)
    assert psi(values, values + moved) < 0.01
    assert psi(values, values + 60) > 1


@pytest.mark.parametrize("metric", ["mean_squared_error", "root_mean_squared_error", "accuracy", "log_loss"])
def test_sums_of_clusters_are_compared_like_their_rows(metric):
    n_classes = 3 if METRICS[metric].task == "classification" else 0
    target, challenger = judged(n_classes)
    champion = judged(n_classes, seed=1)[1]
    weights = np.random.default_rng(3).uniform(0.2, 3, 300)
    own = compare(
        metric, target, challenger, champion, CLUSTERS, (), weights, seed=4, threshold=lambda _: 0.1
    )
    sums = [np.bincount(CLUSTERS, weights)] + [
        np.bincount(CLUSTERS, weights * row_losses(METRICS[metric].loss, target, prediction))
        for prediction in (challenger, champion)
    ]
    added = compare_sums(metric, *sums, rows=300, seed=4, threshold=lambda _: 0.1)
    for field in ("challenger", "champion", "difference", "lower", "upper", "beyond"):
        assert getattr(added, field) == pytest.approx(getattr(own, field), rel=1e-9), field
    assert (added.rows, added.clusters, added.draws) == (own.rows, own.clusters, own.draws)
