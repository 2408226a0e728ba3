"""When a champion's record since its cut makes its node due."""

import math

import pytest

from retraining.decide.changes import NOTHING_CHANGED
from retraining.decide.performance import Track, performance_reason, why_not_compared
from retraining.decide.signals import Signals
from retraining.decide.triggers import evaluate_rule
from retraining.decide.worth import Worsening, Worth
from retraining.manifest.values import PerformanceCondition, Rule

WORSE = PerformanceCondition(worse_than_gate=True)


def worsening(probability=0.001, clusters=(14, 14), **more):
    fields = {
        "metric": "log_loss",
        "before": 0.4,
        "after": 0.6,
        "difference": 0.2,
        "margin": 0.008,
        "lower": 0.1,
        "draws": 20_000,
    }
    return Worsening(probability=probability, clusters=clusters, **{**fields, **more})


def track(found=None, *, parts=(7,), through=100, **values):
    worth = Worth(
        parts=parts,
        rows=140,
        days=14,
        values={"log_loss": 0.6, "roc_auc": 0.7, **values},
        gate={"log_loss": 0.4, "roc_auc": 0.8},
        worsening=found,
    )
    return Track(deciding="log_loss", min_clusters=8, worth=worth, through=through, since="2024-02-26")


@pytest.mark.parametrize(
    ("condition", "fires"),
    [
        (PerformanceCondition(max=0.59), True),
        (PerformanceCondition(max=0.6), False),
        (PerformanceCondition(metric="roc_auc", min=0.71), True),
        (PerformanceCondition(metric="roc_auc", min=0.7), False),
    ],
)
def test_a_bound_is_crossed_or_it_is_not(condition, fires):
    reason = performance_reason(condition, track(), {})
    assert (reason is not None) == fires
    if reason is not None:
        assert "of the champion is" in reason.text
        assert "on 14 days since 2024-02-26" in reason.text
        assert "when it was judged" in reason.text


def test_a_metric_without_a_value_makes_nothing_due():
    assert performance_reason(PerformanceCondition(max=0.1), track(log_loss=math.nan), {}) is None
    assert (
        performance_reason(PerformanceCondition(max=0.1), Track(deciding="log_loss", min_clusters=8), {})
        is None
    )
    assert performance_reason(PerformanceCondition(max=0.1), None, {}) is None


def test_worse_than_the_gate_must_be_sure_beyond_the_margin():
    assert performance_reason(WORSE, track(worsening(lower=0.009)), {}) is not None
    assert performance_reason(WORSE, track(worsening(lower=0.008)), {}) is None
    assert performance_reason(WORSE, track(worsening(lower=-0.1)), {}) is None


def test_too_few_days_make_nothing_due_and_it_is_said():
    few = track(worsening(clusters=(14, 7)))
    assert performance_reason(WORSE, few, {}) is None
    assert why_not_compared(few) == "7 days since, and min_clusters asks for 8"
    before = track(worsening(clusters=(1, 14)))
    assert why_not_compared(before) == "1 day when it was judged, and min_clusters asks for 8"
    undefined = track(worsening(lower=math.nan))
    assert performance_reason(WORSE, undefined, {}) is None
    assert "no bounds" in why_not_compared(undefined)
    assert why_not_compared(track(worsening())) == ""


def test_what_was_consumed_makes_due_again_only_with_a_newer_block():
    rule = Rule(conditions=(PerformanceCondition(max=0.5),))

    def look(cursors, through=100):
        signals = Signals(as_of=0, cursors=cursors, track=track(through=through))
        return evaluate_rule(rule, NOTHING_CHANGED, signals)

    first = look({})
    assert first.reasons
    assert first.cursors == {"performance log_loss": 100}
    assert not look(first.cursors).reasons
    assert look(first.cursors, through=101).reasons


def test_documents_come_back_as_they_were():
    worth = track(worsening(lower=math.nan)).worth
    again = Worth.from_json(worth.to_json())
    assert math.isnan(again.worsening.lower)
    assert again.to_json() == worth.to_json()
