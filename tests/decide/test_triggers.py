"""Triggers as an algebra: what conditions say of moments, and what looking at them consumes."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retraining.decide.calendar import micros
from retraining.decide.changes import NOTHING_CHANGED, DataChange
from retraining.decide.schedules import GRACE_MICROS, due_instants, next_instant
from retraining.decide.signals import Signals
from retraining.decide.triggers import evaluate_rule, next_moment
from retraining.manifest.values import (
    AgeCondition,
    DataCondition,
    DefinitionCondition,
    Rule,
    ScheduleCondition,
    UpstreamCondition,
)
from retraining.release.values import joined

from .samples import NOW, World, data

QUICK = settings(max_examples=100, derandomize=True, deadline=None)
HOUR, DAY = 3_600_000_000, 86_400_000_000
MONDAYS = ScheduleCondition(cron="0 3 * * 1")
CURSOR = "schedule 0 3 * * 1 UTC"
GROWN = replace(NOTHING_CHANGED, data=DataChange(blocks=1, rows=20, share=0.1))


def at(text):
    return micros(dt.datetime.fromisoformat(text))


def brute(cron, zone, since, until):
    """The instants in (since, until] of a cron of minute, hour and weekday, by asking every minute."""
    minute, hour, weekday = (
        None if part == "*" else int(part) for part in (*cron.split()[:2], cron.split()[4])
    )
    found = []
    for instant in range(-(-(since + 1) // 60_000_000) * 60_000_000, until + 1, 60_000_000):
        local = dt.datetime.fromtimestamp(instant / 1e6, ZoneInfo(zone))
        if (
            minute in (None, local.minute)
            and hour in (None, local.hour)
            and (weekday is None or weekday == local.isoweekday())
        ):
            found.append(instant)
    return found


@QUICK
@given(
    st.sampled_from(["0 3 * * 1", "30 4 * * *", "15 * * * *", "* 5 * * 3"]),
    st.sampled_from(["UTC", "Asia/Tokyo", "America/New_York"]),
    st.integers(0, 9 * DAY),
    st.integers(0, 9 * DAY),
)
def test_instants_are_those_that_asking_every_minute_finds(cron, zone, start, length):
    since = at("2024-05-01T00:00:00Z") + start
    until = since + length
    expected = brute(cron, zone, since, until)
    signals = Signals(as_of=until, timezone=zone, looked=since)
    every = ScheduleCondition(cron=cron, missed="all", limit=100_000)
    assert list(due_instants(every, signals)) == expected
    assert list(due_instants(replace(every, missed="latest", limit=None), signals)) == expected[-1:]
    assert list(due_instants(replace(every, limit=2), signals)) == expected[-2:]
    in_time = [one for one in expected[-1:] if until - one <= GRACE_MICROS]
    assert list(due_instants(replace(every, missed="none", limit=None), signals)) == in_time
    following = next_instant(every, since, zone)
    assert following is not None
    assert following > since
    assert expected[:1] in ([following], [])


#: On the last Sunday of March 2:30 does not exist in Berlin, on that of October it comes twice.
CLOCKS = {
    "a skipped hour runs right after it": ("30 2 * * *", "2024-03-30T20:00:00Z", ["2024-03-31T01:00:00Z"]),
    "an hour that comes twice runs once": ("30 2 * * *", "2024-10-26T20:00:00Z", ["2024-10-27T00:30:00Z"]),
    "every hour is every hour": (
        "30 * * * *", "2024-10-27T00:00:00Z", ["2024-10-27T00:30:00Z", "2024-10-27T01:30:00Z"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CLOCKS)
def test_days_on_which_clocks_change_go_by_the_rules_of_debian(case):
    cron, since, expected = CLOCKS[case]
    every = ScheduleCondition(cron=cron, timezone="Europe/Berlin", missed="all", limit=50)
    until = at(expected[-1]) + HOUR // 2
    found = due_instants(every, Signals(as_of=until, looked=at(since)))
    assert list(found) == [at(one) for one in expected]


@QUICK
@given(
    st.integers(0, 400), st.integers(0, 400), st.sampled_from(["30 2 * * *", "15 1 * * *", "*/20 2 * * *"])
)
def test_around_a_change_of_clocks_no_instant_is_lost_and_none_comes_twice(first, second, cron):
    start, end = at("2024-10-26T23:00:00Z"), at("2024-10-27T06:00:00Z")
    every = ScheduleCondition(cron=cron, timezone="Europe/Berlin", missed="all", limit=1_000)
    stops = [start, *sorted(start + minutes * 60_000_000 for minutes in (first, second)), end]
    whole = due_instants(every, Signals(as_of=end, looked=start))
    parts = [
        instant
        for since, until in pairwise(stops)
        if since < until
        for instant in due_instants(every, Signals(as_of=until, looked=since))
    ]
    assert tuple(parts) == whole


def test_a_schedule_begins_where_the_node_was_last_tried_and_then_at_its_cursor():
    as_of = at("2024-05-14T12:00:00Z")  # a Tuesday
    rule = Rule(conditions=(MONDAYS,))

    def reasons(**more):
        return evaluate_rule(rule, NOTHING_CHANGED, Signals(as_of=as_of, **more)).reasons

    assert reasons() == ()
    assert reasons(looked=at("2024-05-13T03:00:00Z")) == ()
    (reason,) = reasons(looked=at("2024-05-13T02:59:59Z"))
    assert reason.text == "Mon 2024-05-13 03:00 UTC has come"
    assert reasons(looked=0, cursors={CURSOR: at("2024-05-13T03:00:00Z")}) == ()
    (reason,) = reasons(looked=as_of, cursors={CURSOR: at("2024-04-22T03:00:00Z")})
    assert reason.text == "Mon 2024-05-13 03:00 UTC has come, after 2 instants that were missed"
    assert reason.evidence["missed"] == 2
    assert reason.evidence["instants"] == ["2024-05-13T03:00:00Z"]


def test_while_a_tick_makes_up_for_what_was_missed_only_the_newest_instant_of_latest_counts():
    looked, first, second, now = (at(f"2024-05-{day:02}T03:00:00Z") for day in (5, 6, 13, 14))
    signals = Signals(as_of=first, looked=looked, through=now)
    assert due_instants(MONDAYS, signals) == ()
    assert due_instants(MONDAYS, replace(signals, as_of=second)) == (second,)
    every = replace(MONDAYS, missed="all")
    assert due_instants(every, signals) == (first,)
    assert due_instants(every, replace(signals, as_of=second, looked=first)) == (second,)
    assert due_instants(replace(every, limit=1), signals) == ()


def test_a_cron_of_every_minute_that_was_missed_for_years_is_not_counted_to_the_end():
    signals = Signals(as_of=at("2024-05-14T12:00:00Z"), looked=at("2001-01-01T00:00:00Z"))
    rule = Rule(conditions=(ScheduleCondition(cron="* * * * *"),))
    (reason,) = evaluate_rule(rule, NOTHING_CHANGED, signals).reasons
    assert "more than 1,000 instants" in reason.text


COMBINED = [
    (Rule(conditions=(MONDAYS, DataCondition(rows=1)), at_least=2), False, True, False),
    (Rule(conditions=(MONDAYS, DataCondition(rows=1)), at_least=2), True, False, False),
    (Rule(conditions=(MONDAYS, DataCondition(rows=1)), at_least=2), True, True, True),
    (Rule(conditions=(MONDAYS, DataCondition(rows=1))), False, True, True),
    (Rule(conditions=(MONDAYS, UpstreamCondition(), DataCondition(rows=1)), at_least=2), True, True, True),
    (Rule(conditions=(MONDAYS, DefinitionCondition(), DataCondition(rows=1)), at_least=3), True, True, False),
]


@pytest.mark.parametrize(("rule", "scheduled", "grown", "due"), COMBINED)
def test_a_schedule_counts_as_one_condition_of_its_rule(rule, scheduled, grown, due):
    looked = at("2024-05-12T00:00:00Z" if scheduled else "2024-05-13T04:00:00Z")
    signals = Signals(as_of=at("2024-05-14T00:00:00Z"), looked=looked)
    found = evaluate_rule(rule, GROWN if grown else NOTHING_CHANGED, signals)
    assert bool(found.reasons) == due
    assert len(found.fired) == scheduled + grown
    # whatever the rule says, acting consumes what was looked at
    assert found.cursors == {CURSOR: at("2024-05-13T03:00:00Z")}


moments = st.integers(0, 60 * DAY).map(lambda value: at("2024-05-01T00:00:00Z") + value)
conditions = st.sampled_from(
    [
        MONDAYS,
        replace(MONDAYS, missed="all"),
        replace(MONDAYS, missed="none"),
        ScheduleCondition(cron="*/30 * * * *", timezone="Europe/Berlin"),
        AgeCondition(age=dt.timedelta(days=3)),
        DataCondition(rows=1),
    ]
)
rules = st.builds(
    lambda some, held: Rule(conditions=tuple(some), at_least=1 + held % len(some), not_within=dt.timedelta(hours=held)),
    st.lists(conditions, min_size=1, max_size=3),
    st.integers(1, 60),
)  # fmt: skip


@QUICK
@given(rules, moments, moments, st.booleans())
def test_what_a_decision_consumed_is_never_due_again(rule, looked, as_of, grown):
    signals = Signals(as_of=max(looked, as_of), looked=min(looked, as_of))
    change = GROWN if grown else NOTHING_CHANGED
    first = evaluate_rule(rule, change, signals)
    after = replace(signals, cursors=joined(signals.cursors, first.cursors))
    again = evaluate_rule(rule, change, after)
    assert again.cursors == {}
    assert [reason for reason in again.fired if reason.kind == "schedule"] == []


@QUICK
@given(rules, moments, moments, st.floats(0, 1, exclude_max=True))
def test_before_the_next_moment_time_alone_changes_nothing(rule, looked, as_of, share):
    signals = Signals(as_of=max(looked, as_of), looked=min(looked, as_of), age=dt.timedelta(days=1))
    until = next_moment(rule, signals)
    end = signals.as_of + 30 * DAY if until is None else until
    later = signals.as_of + int(share * (end - signals.as_of))
    age = signals.age + dt.timedelta(microseconds=later - signals.as_of)
    now = evaluate_rule(rule, GROWN, signals)
    then = evaluate_rule(rule, GROWN, replace(signals, as_of=later, age=age))
    assert then.held_until == now.held_until
    assert then.cursors == now.cursors
    assert then == now


def test_not_within_holds_back_whatever_fires_and_consumes_nothing():
    rule = Rule(conditions=(MONDAYS, DataCondition(rows=1)), not_within=dt.timedelta(days=7))
    looked, due = at("2024-05-10T00:00:00Z"), at("2024-05-17T00:00:00Z")
    held = evaluate_rule(rule, GROWN, Signals(as_of=due - 1, looked=looked))
    assert (held.reasons, held.held_until) == ((), due)
    assert [reason.kind for reason in held.fired] == ["schedule", "data"]
    free = evaluate_rule(rule, GROWN, Signals(as_of=due, looked=looked))
    assert [reason.kind for reason in free.reasons] == ["schedule", "data"]
    quiet = evaluate_rule(rule, NOTHING_CHANGED, Signals(as_of=at("2024-05-12T00:00:00Z"), looked=looked))
    assert (quiet.fired, quiet.held_until) == ((), None)


def test_a_node_of_which_too_few_conditions_hold_says_which_do():
    rule = Rule(conditions=(DefinitionCondition(), DataCondition(blocks=1)), at_least=2)
    world = World([("a", "b")], rule=rule).release_all()
    world.data["a"] = data("a", blocks=9)
    note = "not due: 20 training rows differ; data fired, 1 of 2 conditions that are needed"
    assert world.plan()["a"].note == note


def held_world(outcome="promoted"):
    rule = Rule(conditions=(DataCondition(blocks=1),), not_within=dt.timedelta(days=2))
    world = World([("a", "b")], rule=rule).release_all()
    world.release("b", outcome)
    world.data = {name: data(name, blocks=9) for name in "ab"}
    world.signals = dict.fromkeys("ab", Signals(as_of=NOW + DAY, looked=NOW))
    return world


def test_a_held_node_says_until_when_and_for_what():
    plan = held_world().plan()
    assert [decision.action for decision in plan.decisions] == ["keep", "keep"]
    assert plan["a"].note.endswith(
        "held back until Wed 2024-01-03 00:00 UTC, 2d after the last attempt: data"
    )
    assert plan.consumed == {}


def test_what_failed_what_is_forced_and_what_is_new_stand_above_not_within():
    failed = held_world("failed").plan()
    assert [reason.kind for reason in failed["b"].reasons] == ["failed before"]
    assert failed["b"].action == "retrain"
    assert held_world().plan(forced=["a"])["a"].action == "retrain"
    world = held_world()
    del world.states["a"], world.baselines["a"]
    assert world.plan()["a"].action == "retrain"


def scheduled_world(change):
    world = World([("a", "b")], rule=Rule(conditions=(MONDAYS,))).release_all()
    if change:
        world.data = {name: data(name, blocks=9) for name in "ab"}
    as_of = at("2024-01-08T04:00:00Z")  # a Monday
    world.signals = dict.fromkeys("ab", Signals(as_of=as_of, looked=NOW + 4 * HOUR))
    return world


def test_a_schedule_makes_due_where_there_is_work_and_else_is_consumed():
    cursors = {CURSOR: at("2024-01-08T03:00:00Z")}
    plan = scheduled_world(change=True).plan()
    assert {d.node: (d.action, d.cursors, d.consumes) for d in plan.decisions} == dict.fromkeys(
        "ab", ("retrain", cursors, {})
    )
    plan = scheduled_world(change=False).plan()
    assert plan.idle
    assert plan.consumed == dict.fromkeys("ab", cursors)
    assert plan["a"].note == "due, and nothing changed; scheduled next for Mon 2024-01-15 03:00 UTC"


def test_a_scheduled_node_below_a_new_version_retrains_only_if_its_column_changed():
    world = scheduled_world(change=False)
    world.states["a"] = replace(world.states["a"], version="other")
    decision = world.plan()["b"]
    assert (decision.action, decision.conditional) == ("retrain", True)
    world.data["b"] = data("b", blocks=9)
    assert not world.plan()["b"].conditional


def test_an_upstream_condition_alone_stays_conditional_where_too_little_data_is_new():
    world = World(
        [("a", "b")], rule=Rule(conditions=(UpstreamCondition(), DataCondition(blocks=5)))
    ).release_all()
    world.states["a"] = replace(world.states["a"], version="other")
    world.data["b"] = data("b", blocks=9)
    decision = world.plan()["b"]
    assert [reason.kind for reason in decision.reasons] == ["upstream"]
    assert decision.conditional
