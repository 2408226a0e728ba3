from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from retraining.decide.gates import judge, judge_in_pool
from retraining.decide.losses import ClusterLosses, add_up
from retraining.decide.slices import Slice, harm_note, judge_slices
from retraining.decide.verdicts import Pooled
from retraining.manifest.values import GateRules

from .test_gates import LOSS, Check, difference, evidence


def one(probability, clusters=10, value="a", **more):
    return Slice(
        column="country",
        value=value,
        rows=100,
        clusters=clusters,
        challenger=2.0,
        champion=1.0,
        probability=probability,
        **more,
    )


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_probabilities_are_adjusted_as_scipy_does(probabilities):
    found = judge_slices([one(p) for p in probabilities], 8)
    expected = scipy.stats.false_discovery_control(probabilities, method="bh")
    np.testing.assert_allclose([s.adjusted for s in found], expected, rtol=1e-12)
    assert [s.harmed for s in found] == [bool(s.adjusted <= 0.05) for s in found]


def test_slices_of_few_clusters_or_without_a_value_are_told_and_do_not_count():
    few, undefined, told = judge_slices([one(0.0, clusters=7), one(math.nan), one(0.04)], 8)
    assert (few.adjusted, few.harmed) == (None, False)
    assert (undefined.adjusted, undefined.harmed) == (None, False)
    # alone in the adjustment
    assert (told.adjusted, told.harmed) == (0.04, True)


def test_a_harmed_slice_takes_a_promotion_and_the_sentence_names_the_worst():
    slices = judge_slices(
        [
            one(0.001, value="NL", difference=0.5, lower=0.3, margin=0.1),
            one(0.002, value=None, difference=0.9, lower=0.7, margin=0.1),
            one(0.5, value="DE"),
        ],
        8,
    )
    found = judge(replace(evidence(diff=difference(upper=-1)), slices=slices), GateRules(), LOSS)
    assert found.word == "rejected"
    assert found.because == (
        "worse than the champion where country=(missing) (and 1 slice more): mean_squared_error differs by +0.9 "
        "in loss, 95% bound +0.7, and the margin is 0.1"
    )
    assert harm_note(judge_slices([one(0.5)], 8), "mean_squared_error") == ""
    # a changed recipe must not harm a slice either, and a first release has nobody to harm
    recipe = replace(evidence("recipe", difference(upper=-1)), slices=slices)
    assert judge(recipe, GateRules(), LOSS).word == "rejected"
    assert judge(replace(evidence("first"), slices=slices), GateRules(), LOSS).word == "promoted"


def losses(seed, champion=True, clusters=(1, 2, 5)):
    rng = np.random.default_rng(seed)
    draw = [tuple(rng.uniform(1, 9, len(clusters)).tolist()) for _ in "abc"]
    return ClusterLosses(
        cluster=clusters,
        rows=(3,) * len(clusters),
        weight=draw[0],
        challenger=draw[1],
        champion=draw[2] if champion else None,
    )


def test_sums_are_added_by_cluster_and_read_again():
    found = add_up([losses(0), losses(1, clusters=(2, 3))])
    assert found.cluster == (1, 2, 3, 5)
    assert found.rows == (3, 6, 3, 3)
    assert found.weight[1] == pytest.approx(losses(0).weight[1] + losses(1, clusters=(2, 3)).weight[0])
    assert add_up([losses(0, champion=False)]) == losses(0, champion=False)
    assert ClusterLosses.from_json(found.to_json()) == found


def test_a_pool_decides_for_its_nodes_but_for_their_own_faults():
    good = judge(evidence(diff=difference(upper=-1)), GateRules(), LOSS)
    bad = judge(evidence(diff=difference(upper=9)), GateRules(), LOSS)
    strange = Check(name="labels", value=5.0, limit=1.0, passed=False, note="five strange days")
    suspect = judge(evidence(checks=(strange,)), GateRules(), LOSS)
    pool = Pooled(model="m", nodes=40, verdict=good)
    found = judge_in_pool(bad, pool)
    assert (found.word, found.because) == ("promoted", f"with 40 nodes of m: {good.because}")
    assert found.to_json()["difference"] == bad.to_json()["difference"]
    assert found.to_json()["pooled"]["nodes"] == 40
    assert judge_in_pool(good, Pooled(model="m", nodes=2, verdict=bad)).word == "rejected"
    assert judge_in_pool(suspect, pool).because == "suspect data: five strange days"
