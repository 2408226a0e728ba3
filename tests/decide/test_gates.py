from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest

from retraining.decide.evidence import Check, Difference, GateEvidence
from retraining.decide.gates import judge
from retraining.decide.verdicts import insufficient, with_checks
from retraining.manifest.values import GateRules, Limit, Margin

LOSS = {"mean_squared_error": False, "accuracy": True}


def difference(value=0.0, lower=-0.1, upper=0.1, clusters=20, champion=10.0):
    return Difference(
        metric="mean_squared_error",
        value=value,
        lower=lower,
        upper=upper,
        champion_loss=champion,
        rows=100,
        clusters=clusters,
    )


def evidence(kind="refresh", diff=None, challenger=9.0, dummy=12.0, checks=(), **more):
    return GateEvidence(
        kind=kind,
        metrics=("mean_squared_error",),
        challenger={"mean_squared_error": challenger, **more},
        champion=None if kind == "first" else {"mean_squared_error": 10.0},
        dummy={"mean_squared_error": dummy},
        difference=difference() if diff is None and kind != "first" else diff,
        holdout={"rows": 100, "clusters": 20},
        checks=checks,
    )


def word(*arguments, rules=None, **more):
    return judge(evidence(*arguments, **more), rules or GateRules(), LOSS).word


@pytest.mark.parametrize(
    ("upper", "margin", "expected"),
    [
        (0.19, Margin(), "promoted"),
        (0.2, Margin(), "rejected"),
        (0.21, Margin(), "rejected"),
        (-1.0, Margin(), "promoted"),
        (0.4, Margin(value=0.5, absolute=True), "promoted"),
        (0.6, Margin(value=0.5, absolute=True), "rejected"),
        (0.0, Margin(value=0.0), "rejected"),
        (math.nan, Margin(), "insufficient"),
        (math.inf, Margin(), "rejected"),
    ],
)
def test_a_refresh_must_not_be_worse_by_more_than_the_margin(upper, margin, expected):
    assert word("refresh", difference(upper=upper), rules=GateRules(margin=margin)) == expected


@pytest.mark.parametrize(
    ("upper", "expected"),
    [(-0.01, "promoted"), (0.0, "rejected"), (0.1, "rejected"), (math.nan, "insufficient")],
)
def test_a_changed_recipe_must_be_better(upper, expected):
    assert (
        word("recipe", difference(upper=upper), rules=GateRules(margin=Margin(value=5.0, absolute=True)))
        == expected
    )


def test_too_few_days_are_insufficient_and_not_a_rejection():
    assert word("refresh", difference(clusters=7, upper=9.0)) == "insufficient"
    assert word("refresh", difference(clusters=7, upper=-9.0)) == "insufficient"
    assert word("refresh", difference(clusters=7), rules=GateRules(min_clusters=7)) == "promoted"
    assert insufficient("because").word == "insufficient"


def test_too_little_to_compare_ships_by_its_limits_where_the_gate_says_so():
    limits = (Limit(metric="mean_squared_error", max=9.5),)
    rules = GateRules(limits=limits, on_insufficient="ship_if_limits")
    few = difference(clusters=7, upper=9.0)
    assert word("refresh", few, rules=rules) == "promoted"
    assert word("refresh", few, rules=replace(rules, on_insufficient="keep")) == "insufficient"
    assert word("refresh", few, challenger=9.6, rules=rules) == "rejected"
    assert word("refresh", difference(upper=9.0), rules=rules) == "rejected"


def test_a_first_release_is_decided_by_limits_and_sanity():
    assert word("first") == "promoted"
    assert word("first", rules=GateRules(limits=(Limit(metric="mean_squared_error", max=8.0),))) == "rejected"
    assert word("first", challenger=math.nan) == "rejected"
    assert word("first", challenger=math.nan, dummy=math.nan) == "insufficient"
    assert word("first", challenger=math.inf) == "rejected"


def test_the_same_gate_fit_is_left_to_the_checks():
    assert word("same recipe", difference(upper=9.0, clusters=1)) == "promoted"


@pytest.mark.parametrize(
    ("limit", "passes"),
    [
        (Limit(metric="mean_squared_error", max=9.0), True),
        (Limit(metric="mean_squared_error", max=8.99), False),
        (Limit(metric="accuracy", min=0.8), True),
        (Limit(metric="accuracy", min=0.81), False),
        (Limit(metric="accuracy", min=0.1, max=0.7), False),
    ],
)
def test_a_missed_limit_rejects_whatever_the_comparison_says(limit, passes):
    found = judge(evidence(diff=difference(upper=-5.0), accuracy=0.8), GateRules(limits=(limit,)), LOSS)
    assert found.word == ("promoted" if passes else "rejected")
    assert passes or "limit missed" in found.because
    assert len(found.limits) >= 1


def measured(deciding=9.0, other=0.8, guess=0.5, not_finite=0):
    """Evidence with a second metric, `accuracy`, of the challenger and of a constant guess."""
    found = evidence(challenger=deciding, accuracy=other)
    dummy = {"mean_squared_error": guess if math.isnan(deciding) else 12.0, "accuracy": guess}
    return replace(found, metrics=("mean_squared_error", "accuracy"), dummy=dummy, not_finite=not_finite)


LIMITED = GateRules(limits=(Limit(metric="accuracy", min=0.1),))


def test_a_metric_that_the_holdout_cannot_measure_is_noted_or_insufficient_by_its_role():
    other = judge(measured(other=math.nan, guess=math.nan), GateRules(), LOSS)
    assert other.word == "promoted"
    assert other.notes == (
        "accuracy has no value on the holdout: its rows lack what the metric needs (of one class, or too few)",
    )
    assert judge(measured(other=math.nan, guess=math.nan), LIMITED, LOSS).word == "insufficient"
    assert judge(measured(deciding=math.nan, guess=math.nan), GateRules(), LOSS).word == "insufficient"


def test_a_metric_that_only_the_challenger_has_no_value_of_rejects_where_it_counts():
    assert judge(measured(other=math.nan), GateRules(), LOSS).word == "promoted"
    assert judge(measured(other=math.nan), LIMITED, LOSS).word == "rejected"
    found = judge(measured(deciding=math.nan), GateRules(), LOSS)
    assert (found.word, "outside its domain" in found.because) == ("rejected", True)


def test_labels_that_are_too_large_are_told_from_rows_that_lack_a_class():
    found = judge(evidence(challenger=math.inf, dummy=math.inf, diff=difference()), GateRules(), LOSS)
    assert (found.word, "too large to be squared" in found.because) == ("insufficient", True)


def test_a_missed_limit_rejects_though_another_cannot_be_measured():
    rules = replace(LIMITED, limits=(*LIMITED.limits, Limit(metric="mean_squared_error", max=1.0)))
    assert judge(measured(other=math.nan, guess=math.nan), rules, LOSS).word == "rejected"


def test_predictions_that_are_not_finite_reject_whatever_the_metrics_say():
    found = judge(measured(not_finite=3), GateRules(), LOSS)
    assert (found.word, found.because) == (
        "rejected",
        "3 predictions of the challenger on the holdout are not finite",
    )


def test_suspect_labels_reject_before_anything_else():
    check = Check(name="labels", value=5.0, limit=1.0, passed=False, note="five strange days")
    found = judge(evidence(diff=difference(upper=-5.0), checks=(check,)), GateRules(), LOSS)
    assert (found.word, found.because) == ("rejected", "suspect data: five strange days")
    shown = Check(name="labels", value=5.0, limit=1.0, passed=False, note="so", blocking=False)
    assert judge(evidence(checks=(shown,)), GateRules(), LOSS).word == "promoted"


def test_a_dummy_that_is_as_good_warns_and_does_not_reject():
    found = judge(evidence(challenger=12.0), GateRules(), LOSS)
    assert found.word == "promoted"
    assert "no better than a constant guess" in found.notes[0]
    assert judge(evidence(challenger=11.9), GateRules(), LOSS).notes == ()


def test_checks_of_the_shipped_fit_take_a_promotion_back_and_never_give_one():
    bad = Check(name="shift", value=0.9, limit=0.25, passed=False, note="predictions shift")
    warned = Check(
        name="shift", value=0.9, limit=0.25, passed=False, note="predictions shift", blocking=False
    )
    won = judge(evidence(), GateRules(), LOSS)
    lost = judge(evidence(diff=difference(upper=9.0)), GateRules(), LOSS)
    assert with_checks(won, (bad,)).word == "rejected"
    assert with_checks(won, (warned,)).word == "promoted"
    assert with_checks(lost, ()).word == "rejected"
    assert with_checks(won, (warned, bad)).checks == (warned, bad)


def test_a_verdict_records_every_number_as_plain_json():
    rules = GateRules(limits=(Limit(metric="mean_squared_error", max=20.0),))
    found = judge(evidence(diff=difference(upper=math.nan), challenger=math.nan), rules, LOSS)
    document = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert document["challenger"] == {"mean_squared_error": None}
    assert document["difference"]["margin"] == pytest.approx(0.2)
    assert document["limits"][0]["limit"] == 20.0


def test_dummy_reject_turns_the_warning_into_a_rejection_and_nothing_else():
    rules = GateRules(dummy="reject")
    verdict = judge(evidence("first", challenger=12.0, dummy=12.0), rules, LOSS)
    assert (verdict.word, verdict.because) == ("rejected", verdict.notes[0])
    assert word("first", challenger=11.9, dummy=12.0, rules=rules) == "promoted"
