"""The condition drift: which findings make a node due, and how far its cursor has looked."""

from __future__ import annotations

import dataclasses

import pytest

from retraining.decide.changes import NOTHING_CHANGED
from retraining.decide.drifting import after_day, drift_cursor, drift_reasons, floor_of
from retraining.decide.signals import Signals
from retraining.decide.triggers import evaluate_rule
from retraining.manifest.values import DriftCondition, Rule

from .test_drift import finding

LOSS = DriftCondition(column="loss")


def test_the_largest_drift_is_the_reason_and_the_others_are_counted():
    found = [finding("inputs", "a", column="d.x"), finding("inputs", "a", column="d.y", drifted=False)]
    found.append(dataclasses.replace(found[0], column="d.z", effect=3.0))
    (reason,) = drift_reasons(DriftCondition(column="inputs"), {"inputs": found})
    assert reason.kind == "drift"
    assert reason.text.startswith("d.z: PSI 3.00")
    assert reason.text.endswith(", and 1 more")
    assert reason.evidence["columns"] == ["d.z", "d.x"]
    assert "strip" not in reason.evidence


@pytest.mark.parametrize(("column", "floor"), [("loss", 0.0), ("prediction", 0.2), ("inputs", 0.2)])
def test_a_floor_that_is_not_written_is_the_default(column, floor):
    assert floor_of(DriftCondition(column=column)) == floor
    assert floor_of(DriftCondition(column=column, psi=0.35)) == 0.35


def test_a_floor_of_the_condition_holds_back_what_is_smaller():
    found = {"prediction": [finding("prediction", "a")]}  # of an index of 1
    assert drift_reasons(DriftCondition(column="prediction", psi=1.0), found)
    assert not drift_reasons(DriftCondition(column="prediction", psi=1.01), found)
    assert not drift_reasons(LOSS, found)


def test_the_cursor_is_the_newest_day_looked_at_drift_or_not():
    calm = finding("loss", "a", drifted=False)
    cursor = drift_cursor(LOSS, {"loss": [calm]})
    assert cursor == {"drift loss": 113 * 86_400_000_000}
    assert after_day("loss", cursor) == 113
    assert after_day("prediction", cursor) is None
    assert drift_cursor(LOSS, {"loss": [dataclasses.replace(calm, window=None)]}) == {}


def test_a_rule_with_drift_is_due_and_says_what_consuming_it_moves():
    rule = Rule(conditions=(LOSS, DriftCondition(column="prediction")), at_least=1)
    drift = {"loss": [finding("loss", "a")], "prediction": [finding("prediction", "a", drifted=False)]}
    found = evaluate_rule(rule, NOTHING_CHANGED, Signals(as_of=0, drift=drift))
    assert [one.kind for one in found.reasons] == ["drift"]
    assert found.cursors.keys() == {"drift loss", "drift prediction"}
    both = Rule(conditions=rule.conditions, at_least=2)
    assert evaluate_rule(both, NOTHING_CHANGED, Signals(as_of=0, drift=drift)).reasons == ()
