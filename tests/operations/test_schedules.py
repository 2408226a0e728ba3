"""Runs of scheduled models: what they answer is remembered once, and looking writes nothing."""

from __future__ import annotations

import pytest

from retraining import plan
from tests.operations.scheduled import (
    CURSOR,
    INSTANT,
    MANIFEST,
    MONDAY,
    MONDAYS,
    NEXT,
    SUNDAY,
    TUESDAY,
    at,
    rows,
    written,
)

pytestmark = pytest.mark.slow


def planned(bench, as_of, **more):
    return plan(bench.folder / "m.yaml", store=str(bench.folder / "store"), as_of=as_of, **more)


def sequence(bench):
    return bench.store().read_head().sequence


def cursors(bench, node="a"):
    return bench.state(node).cursors


def test_the_first_release_answers_all_instants_before_it_and_remembers_its_moment(bench, sundays):
    sundays.copied(bench, MONDAYS)
    state = bench.state("a")
    assert state.attempt.as_of == SUNDAY
    assert state.cursors == {CURSOR: at("2024-05-06T01:00:00Z")}
    assert bench.state("b").cursors == {}
    assert planned(bench, "2024-05-13T00:59:59Z").consumed == {}


def test_due_where_nothing_changed_is_written_down_once(bench, sundays):
    sundays.copied(bench, MONDAYS)
    before = planned(bench, MONDAY)
    assert [reason.kind for reason in before["a"].reasons] == ["schedule"]
    assert (before["a"].action, before.idle) == ("keep", True)
    assert sequence(bench) == 1
    outcome = bench.run(MONDAY)
    assert (outcome.outcomes["a"][0], outcome.run) == ("kept", "")
    assert outcome.after.entry.kind == "state"
    assert (outcome.after.sequence, outcome.after.release) == (2, 1)
    assert cursors(bench) == {CURSOR: at(INSTANT)}
    assert bench.run(MONDAY).after.sequence == bench.run(TUESDAY).after.sequence == 2
    assert bench.run(NEXT).after.sequence == 3


def test_a_schedule_acts_on_what_changed_and_not_before(bench, sundays):
    sundays.copied(bench, MONDAYS)
    written(bench, MONDAYS, n=150)
    assert planned(bench, SUNDAY)["a"].action == "keep"
    assert planned(bench, SUNDAY)["a"].note.startswith(
        "not due: 30 training rows differ; scheduled next for Mon"
    )
    outcome = bench.run(MONDAY)
    assert outcome.outcomes["a"][0] not in ("kept", "failed")
    assert cursors(bench) == {CURSOR: at(INSTANT)}
    assert bench.state("a").attempt.as_of == MONDAY
    assert planned(bench, TUESDAY).consumed == {}
    assert bench.run(TUESDAY).after.sequence == outcome.after.sequence


def test_an_instant_waits_unanswered_for_the_other_conditions_of_its_rule(bench, sundays):
    rule = '{all: [{schedule: "0 3 * * 1"}, {data: {rows: 20}}]}'
    sundays.copied(bench, rule)
    assert bench.run(MONDAY).after.sequence == 1
    written(bench, rule, n=150)
    decision = planned(bench, TUESDAY)["a"]
    assert [reason.kind for reason in decision.reasons] == ["schedule", "data"]
    bench.run(TUESDAY)
    assert cursors(bench) == {CURSOR: at(INSTANT)}


def test_not_within_holds_a_node_back_and_then_lets_it_go(bench, sundays):
    rule = "{any: [{data: {rows: 1}}], not_within: 3d}"
    sundays.copied(bench, rule)
    written(bench, rule, n=150)
    held = planned(bench, MONDAY)["a"]
    assert (held.action, held.reasons) == ("keep", ())
    assert "held back until Wed 2024-05-15 14:00 Europe/Berlin, 3d after the last attempt: data" in held.note
    assert bench.run(MONDAY).outcomes["a"][0] == "kept"
    assert planned(bench, MONDAY, force=("a",))["a"].action == "retrain"
    assert planned(bench, "2024-05-15T12:00:00Z")["a"].action == "retrain"


def test_a_scheduled_node_whose_upstream_column_stays_the_same_is_answered_too(bench):
    text = MANIFEST.replace("RULE", "definition").replace(
        "inputs: {a: {}}}", f"inputs: {{a: {{}}}}, retrain_when: {MONDAYS}}}"
    )
    bench.write(text, d=rows())
    bench.run(SUNDAY)
    # forced, `a` comes to the same column under the same name
    outcome = bench.run(MONDAY, force=("a",))
    assert outcome.outcomes["b"][0] == "kept"
    assert cursors(bench, "b") == {CURSOR: at(INSTANT)}
    assert planned(bench, TUESDAY).consumed == {}


@pytest.mark.parametrize("rule", [MONDAYS, "{age: 4d}", "{any: [{data: {rows: 1}}], not_within: 3d}"])
def test_a_remembered_plan_ends_with_the_next_moment_that_time_alone_brings(bench, sundays, rule):
    sundays.copied(bench, rule)
    hint = bench.folder / "store/hints/plans/bench"
    for days in range(12):
        as_of = f"2024-05-{12 + days}T23:00:00Z"
        found = planned(bench, as_of)  # from what was remembered, where it was
        hint.unlink(missing_ok=True)
        assert found == planned(bench, as_of), as_of
    assert hint.exists() or planned(bench, as_of).consumed
