"""Whether a metric became worse: two samples of other rows, by clusters."""

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics

from retraining.learn.metrics import OwnScore
from retraining.learn.resampling import Sample
from retraining.learn.worsening import worsening
from retraining.manifest.own import own_metric
from retraining.manifest.values import OwnMetric


def sample(values, days, weights=None):
    """Rows whose squared errors are `values`."""
    values = np.asarray(values, float)
    return Sample(
        target=np.sqrt(values),
        prediction=np.zeros((len(values), 1)),
        cluster=np.asarray(days, np.int64),
        n_clusters=len(set(days)),
        weights=np.ones(len(values)) if weights is None else np.asarray(weights, float),
    )


def of(before, after, margin=0.0, **more):
    return worsening("mean_squared_error", before, after, margin=lambda _: margin, seed=1, **more)


def test_with_one_row_a_day_the_bound_is_welchs_or_the_wider_bootstrap():
    rng = np.random.default_rng(0)
    first, second = rng.gamma(4, size=12), 0.8 + rng.gamma(4, size=9)
    found = of(sample(first, range(12)), sample(second, range(9)), draws=4000)
    assert found.before == pytest.approx(first.mean())
    assert found.difference == pytest.approx(second.mean() - first.mean())
    welch = stats.ttest_ind(second, first, equal_var=False, alternative="greater")
    # the degrees of freedom are rounded down, and the wider of two intervals counts
    assert found.probability >= welch.pvalue - 1e-9
    assert found.probability == pytest.approx(welch.pvalue, abs=0.02)
    assert found.clusters == (12, 9)


def test_rows_of_one_day_are_no_evidence_of_their_own():
    rng = np.random.default_rng(1)
    days = rng.gamma(4, size=10), 1.0 + rng.gamma(4, size=10)
    alone = of(*(sample(one, range(10)) for one in days), draws=4000)
    many = of(*(sample(np.repeat(one, 50), np.repeat(range(10), 50)) for one in days), draws=4000)
    assert many.probability == pytest.approx(alone.probability)
    assert many.lower == pytest.approx(alone.lower)


def test_a_margin_is_subtracted_and_a_score_is_worse_the_lower():
    rng = np.random.default_rng(2)
    before, after = (sample(rng.gamma(4, size=20), range(20)) for _ in range(2))
    plain, generous = of(before, after), of(before, after, margin=5.0)
    assert generous.probability > 0.99
    assert generous.margin == 5.0
    assert plain.lower == generous.lower
    target = rng.integers(0, 2, 400)
    good = np.clip(target * 0.6 + 0.2 + rng.normal(0, 0.2, 400), 0.01, 0.99)
    bad = rng.random(400)

    def scored(p):
        return Sample(
            target=target,
            prediction=np.column_stack([1 - p, p]),
            cluster=np.arange(400) // 20,
            n_clusters=20,
            weights=np.ones(400),
        )

    found = worsening("roc_auc", scored(good), scored(bad), (0, 1), margin=lambda _: 0.01, seed=0)
    assert found.after == pytest.approx(metrics.roc_auc_score(target, bad))
    assert found.difference == pytest.approx(found.before - found.after)
    assert found.probability < 0.001
    other = worsening("median_absolute_error", before, after, margin=lambda _: 0.0, seed=0)
    assert 0 < other.probability < 1


def test_an_own_metric_need_not_take_weights_where_rows_have_none():
    info = own_metric(OwnMetric(type="m:cost", better="lower", needs="value"))
    cost = OwnScore(info=info, function=lambda target, value: float(np.mean(np.abs(target - value))))
    rng = np.random.default_rng(3)
    before, after = (sample(rng.gamma(4, size=20), range(20)) for _ in range(2))
    found = worsening(cost, before, after, margin=lambda _: 0.0, seed=0)
    assert found.before == pytest.approx(np.mean(np.abs(before.target)))
    assert 0 < found.probability < 1


def test_one_day_says_nothing():
    found = of(sample([1.0, 2.0], [0, 0]), sample([3.0, 4.0], [0, 1]))
    assert np.isnan(found.probability)
    assert found.draws == 0


@pytest.mark.parametrize(("before", "after"), [(8, 8), (14, 42)])
def test_it_cries_wolf_no_more_often_than_it_says(before, after):
    rng = np.random.default_rng(before)
    runs, alarms = 300, {0.05: 0, 0.025: 0}
    for run in range(runs):
        found = worsening(
            "mean_squared_error",
            sample(rng.gamma(2, size=before), range(before)),
            sample(rng.gamma(2, size=after), range(after)),
            margin=lambda _: 0.0,
            seed=run,
            draws=400,
        )
        for level in alarms:
            alarms[level] += found.probability <= level
    for level, count in alarms.items():
        assert count <= stats.binom.ppf(0.999, runs, level)
