"""Triggers as a small algebra: what each condition of a rule says, and what looking at it consumes.

The evaluation of a condition gives its reasons and where its cursor stands once a decision has consumed
what was looked at; there is no other memory. A rule says when a node is due, the fingerprint whether
there is work, the gate whether it ships.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import assert_never

from retraining.decide.changes import Change, DataChange
from retraining.decide.drifting import drift_cursor, drift_reasons
from retraining.decide.feedback import feedback_cursors, feedback_reasons
from retraining.decide.performance import performance_cursor, performance_reason
from retraining.decide.reasons import Reason
from retraining.decide.schedules import answer_ends, next_instant, schedule_cursor, schedule_reasons
from retraining.decide.signals import Signals
from retraining.decide.wording import counted
from retraining.manifest.values import (
    AgeCondition,
    Condition,
    DataCondition,
    DefinitionCondition,
    DriftCondition,
    FeedbackCondition,
    Json,
    PerformanceCondition,
    Rule,
    ScheduleCondition,
    UpstreamCondition,
)
from retraining.release.values import joined

__all__ = ["Evaluation", "Fired", "evaluate", "evaluate_rule", "is_timed", "next_moment"]

_NO_TIME, _DAY, _MICROSECOND = dt.timedelta(0), dt.timedelta(days=1), dt.timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fired:
    """What one condition says: its reasons (none: it did not fire), and its cursor if what it saw is consumed."""

    reasons: tuple[Reason, ...] = ()
    cursors: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What a rule says of a node: the `reasons` for which it is due, empty where it is not.

    `fired` are the reasons of all its conditions, due or not. `cursors` are where those cursors would stand that
    acting on the node, or finding it due with nothing to do, moves. `held_until` (microseconds UTC) is
    when `not_within` lets go of a node whose conditions hold; None where it holds nothing back.
    """

    reasons: tuple[Reason, ...]
    fired: tuple[Reason, ...]
    cursors: Mapping[str, int]
    held_until: int | None = None


def evaluate_rule(rule: Rule, change: Change, signals: Signals) -> Evaluation:
    """What a rule says of a node: its conditions, how many of them must hold, and `not_within`."""
    found = [evaluate(condition, change, signals) for condition in rule.conditions]
    fired = tuple(reason for one in found for reason in one.reasons)
    holds = sum(bool(one.reasons) for one in found) >= rule.at_least
    until = _held_until(rule, signals)
    held = holds and until is not None
    cursors: Mapping[str, int] = {}
    for one in found:
        cursors = joined(cursors, one.cursors)
    return Evaluation(
        reasons=fired if holds and not held else (),
        fired=fired,
        cursors={
            name: value
            for name, value in cursors.items()
            if name not in signals.cursors or value > signals.cursors[name]
        },
        held_until=until if held else None,
    )


def evaluate(condition: Condition, change: Change, signals: Signals) -> Fired:
    """What one condition says; a function of its arguments alone."""
    if isinstance(condition, DefinitionCondition):
        if not change.recipe or change.first:
            return Fired()
        what = ", ".join(change.fields) or "its definition"
        return _fired(
            Reason(kind="definition", text=f"{what} changed", evidence={"fields": list(change.fields)})
        )
    if isinstance(condition, UpstreamCondition):
        if not change.upstreams:
            return Fired()
        names = ", ".join(change.upstreams[:3]) + (" …" if len(change.upstreams) > 3 else "")
        text = f"{names} {'has' if len(change.upstreams) == 1 else 'have'} a new version"
        return _fired(Reason(kind="upstream", text=text, evidence={"upstreams": list(change.upstreams)}))
    if isinstance(condition, DataCondition):
        return Fired(reasons=_data_reasons(condition, change.data))
    if isinstance(condition, AgeCondition):
        age = signals.age
        if age is None or age < condition.age:
            return Fired()
        text = f"what the champion learnt from ends {counted(age.days, 'day')} ago"
        return _fired(Reason(kind="age", text=text, evidence={"days": age.days}))
    if isinstance(condition, ScheduleCondition):
        name, stands = schedule_cursor(condition, signals)
        cursors = {} if stands is None else {name: stands}
        return Fired(reasons=schedule_reasons(condition, signals), cursors=cursors)
    if isinstance(condition, PerformanceCondition):
        reason = performance_reason(condition, signals.track, signals.cursors)
        return Fired(
            reasons=() if reason is None else (reason,), cursors=performance_cursor(condition, signals.track)
        )
    if isinstance(condition, FeedbackCondition):
        return Fired(reasons=feedback_reasons(condition, signals), cursors=feedback_cursors(signals))
    if isinstance(condition, DriftCondition):
        return Fired(
            reasons=drift_reasons(condition, signals.drift), cursors=drift_cursor(condition, signals.drift)
        )
    assert_never(condition)


def is_timed(rule: Rule) -> bool:
    """True where what a rule says is a function of time too, not of what changed alone."""
    timed = any(isinstance(one, ScheduleCondition | AgeCondition) for one in rule.conditions)
    return timed or rule.not_within is not None


def next_moment(rule: Rule, signals: Signals) -> int | None:
    """The first moment after the plan's at which time alone changes what the rule says; None: there is none."""
    moments = [_next_of(condition, signals) for condition in rule.conditions]
    moments.append(_held_until(rule, signals))
    return min((one for one in moments if one is not None and one > signals.as_of), default=None)


def _next_of(condition: Condition, signals: Signals) -> int | None:
    match condition:
        case ScheduleCondition():
            moments = (
                next_instant(condition, signals.as_of, signals.timezone),
                answer_ends(condition, signals),
            )
            return min((one for one in moments if one is not None), default=None)
        case AgeCondition() if signals.age is not None:
            left = condition.age - signals.age
            # once it holds, its text counts days
            left = left if left > _NO_TIME else _DAY - signals.age % _DAY
            return signals.as_of + left // _MICROSECOND
        case _:
            return None


def _held_until(rule: Rule, signals: Signals) -> int | None:
    """Until when the last attempt keeps a node from being due; None where it does not."""
    if rule.not_within is None or signals.looked is None:
        return None
    until = signals.looked + rule.not_within // _MICROSECOND
    return until if signals.as_of < until else None


def _fired(reason: Reason) -> Fired:
    return Fired(reasons=(reason,))


def _data_reasons(condition: DataCondition, change: DataChange | None) -> tuple[Reason, ...]:
    if change is None:
        return ()
    if condition.blocks is not None:
        fired, text = (
            change.blocks >= condition.blocks,
            counted(change.blocks, f"new or changed {change.part}"),
        )
    elif condition.rows is not None:
        fired, text = change.rows >= condition.rows, counted(change.rows, "new or changed row")
    else:
        fired, text = (
            change.share >= (condition.share or 0.0),
            f"{change.share:.1%} of the rows new or changed",
        )
    if not fired:
        return ()
    evidence: dict[str, Json] = {f"{change.part}s": change.blocks, "rows": change.rows, "share": change.share}
    if condition.rows is None:
        text += f", {counted(change.rows, 'row')}"
    return (Reason(kind="data", text=text, evidence=evidence),)
