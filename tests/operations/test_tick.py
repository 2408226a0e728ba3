"""A tick looks at all triggers once and acts on what is due: as of its instant, and once whoever notices it."""

from __future__ import annotations

import datetime as dt
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from execution.test_runs import FAILING, counts
from store.places import InterceptedObjects, SimulatedCrash

import retraining.store.log
from retraining.errors import InterruptedRunError
from retraining.operations.run import RunOptions, Watcher
from retraining.operations.tick import tick
from retraining.store.claims import newest_claim, standing
from tests.operations.scheduled import (
    CURSOR,
    INSTANT,
    MONDAY,
    MONDAYS,
    NEXT,
    SUNDAY,
    TUESDAY,
    at,
    written,
)

pytestmark = pytest.mark.slow

DAILY = '{schedule: {cron: "0 3 * * *", missed: all, limit: 3}}'
SERIAL = RunOptions(backend="serial")


def ticked(bench, now, **more):
    return tick(
        bench.folder / "m.yaml", store=str(bench.folder / "store"), options=SERIAL, clock=lambda: moment(now), **more
    )  # fmt: skip


def moment(text):
    return dt.datetime.fromisoformat(text)


def listed(bench):
    return {info.key for info in bench.store().objects.list("") if not info.key.startswith("hints/")}


def test_where_nothing_is_due_nothing_is_done_or_written(bench, sundays):
    sundays.copied(bench, MONDAYS, 150)
    bench.run(SUNDAY, select=("b",))
    before = listed(bench)
    found = ticked(bench, SUNDAY)
    assert (found.acts, found.exit_code, found.next) == ((), 0, INSTANT)
    assert listed(bench) == before


def test_the_first_tick_of_a_new_store_makes_the_first_release(bench):
    found = ticked(written(bench, MONDAYS), SUNDAY)
    (act,) = found.acts
    assert (act.as_of, act.instants, found.release) == (SUNDAY, (), 1)


@pytest.mark.parametrize("now", [MONDAY, TUESDAY])
def test_the_moment_of_a_run_is_the_instant_that_has_come_whenever_it_was_noticed(bench, sundays, now):
    sundays.copied(bench, MONDAYS, 150)
    found = ticked(bench, now)
    (act,) = found.acts
    assert (act.as_of, act.instants) == (INSTANT, (INSTANT,))
    assert act.outcome.outcomes["a"][0] not in ("kept", "failed")
    assert bench.state("a").attempt.as_of == INSTANT
    assert bench.state("a").cursors == {CURSOR: at(INSTANT)}
    assert [one.as_of for one in ticked(bench, now).acts if one.outcome.run] == []


def test_every_missed_instant_is_made_up_for_in_order_and_no_more_than_the_limit(bench, sundays):
    sundays.copied(bench, DAILY, 150)
    found = ticked(bench, "2024-05-17T12:00:00Z")
    assert [act.as_of for act in found.acts] == [f"2024-05-{day}T01:00:00Z" for day in (15, 16, 17)]
    assert [act.outcome.after.sequence for act in found.acts] == [2, 3, 4]
    assert ticked(bench, "2024-05-17T12:00:00Z").acts == ()


def test_a_missed_instant_that_the_rule_passes_over_is_not_acted_on(bench, sundays):
    sundays.copied(bench, '{schedule: {cron: "0 3 * * 1", missed: none}}', 150)
    assert ticked(bench, TUESDAY, select=("a",)).acts == ()
    (act,) = ticked(bench, "2024-05-20T01:30:00Z").acts
    assert act.as_of == NEXT


def test_an_instant_that_waits_for_another_condition_is_answered_when_that_holds(bench, sundays):
    rule = '{all: [{schedule: "0 3 * * 1"}, {schedule: "0 6 * * 2"}]}'
    sundays.copied(bench, rule, 150)
    assert ticked(bench, MONDAY, select=("a",)).acts == ()
    (act,) = ticked(bench, TUESDAY, select=("a",)).acts
    assert act.as_of == "2024-05-14T04:00:00Z"
    assert bench.state("a").cursors[CURSOR] == at(INSTANT)


def test_no_run_goes_back_behind_what_the_store_has_looked_at(bench, sundays):
    sundays.copied(bench, MONDAYS, 150)
    bench.run("2024-05-14T06:00:00Z", select=("b",), force=("b",))
    (act,) = ticked(bench, TUESDAY, select=("a",)).acts
    assert (act.as_of, act.instants) == (TUESDAY, (INSTANT,))


def claims(bench):
    return sorted(info.key for info in bench.store().objects.list("claims/"))


@pytest.mark.parametrize("rule", [MONDAYS, "{data: {rows: 1}}"])
def test_of_two_ticks_that_notice_the_same_one_acts_and_the_other_says_so(bench, sundays, rule):
    sundays.copied(bench, rule, 150)
    both, told = threading.Barrier(2), threading.Event()

    def one(_):
        def wait(_):
            assert told.wait(60)

        first = threading.Event()

        def together(_):
            if not first.is_set():
                first.set()
                both.wait(60)

        try:
            return ticked(bench, TUESDAY, watcher=Watcher(planned=together, finished=wait))
        finally:
            told.set()

    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(one, range(2)))
    runs = [act for each in found for act in each.acts if act.outcome is not None and act.outcome.run]
    held = [act for each in found for act in each.acts if act.outcome is None]
    assert (len(runs), len(held)) == (1, 1)
    assert held[0].claim.run == runs[0].outcome.run
    assert [each.exit_code for each in found] == [0, 0]
    assert bench.store().read_head().sequence == 2
    assert len(claims(bench)) == 1


def test_a_tick_leaves_later_instants_alone_while_another_one_is_at_an_earlier(bench, sundays):
    sundays.copied(bench, DAILY, 150)
    now, others = "2024-05-17T12:00:00Z", []

    def meanwhile(_):
        if not others:
            others.append(None)
            others.append(ticked(bench, now))

    found = ticked(bench, now, watcher=Watcher(finished=meanwhile))
    (held,) = others[1].acts
    assert (held.as_of, held.outcome, held.claim.run) == (
        "2024-05-15T01:00:00Z",
        None,
        found.acts[0].outcome.run,
    )
    assert [act.as_of for act in found.acts] == [f"2024-05-{day}T01:00:00Z" for day in (15, 16, 17)]
    assert [act.outcome.after.sequence for act in found.acts] == [2, 3, 4]


def crashing(monkeypatch, where):
    """From here on a store dies when a key with this beginning is about to be created."""
    real = retraining.store.log.open_objects
    dead = []

    def opened(url, *, create=False):
        def around(name, arguments, call):
            if dead or (name == "create" and str(arguments[0]).startswith(where)):
                dead.append(name)
                raise SimulatedCrash
            return call()

        return InterceptedObjects(real(url, create=create), around)

    monkeypatch.setattr(retraining.store.log, "open_objects", opened)


@pytest.mark.parametrize("where", ["runs/", "log/"])
def test_a_tick_that_dies_after_its_claim_is_taken_over_when_it_shows_no_life(
    bench, sundays, monkeypatch, where
):
    sundays.copied(bench, MONDAYS, 150)
    with monkeypatch.context() as patch:
        crashing(patch, where)
        with pytest.raises(SimulatedCrash):
            ticked(bench, TUESDAY)
    (claim,) = claims(bench)
    (act,) = ticked(bench, TUESDAY).acts
    assert act.outcome is None
    assert bench.store().read_head().sequence == 1
    old = time.time() - 301
    for path in (bench.folder / "store").rglob("*"):
        if path.name == "alive" or str(path).endswith(claim):
            os.utime(path, (old, old))
    (act,) = ticked(bench, TUESDAY).acts
    assert act.outcome.after.sequence == 2
    assert act.after.run == claim_run(bench, claim)
    assert claims(bench) == [claim, claim.replace("0001", "0002")]
    assert bench.state("a").cursors == {CURSOR: at(INSTANT)}


def claim_run(bench, key):
    return bench.store().read_json(key)["run"]


def test_a_dead_process_of_this_machine_is_taken_over_at_once(bench, sundays):
    sundays.copied(bench, MONDAYS, 150)
    ticked(bench, TUESDAY)
    store = bench.store()
    (key,) = claims(bench)
    tick_id = key.split("/")[1]
    document = store.read_json(key)
    store.create_json(
        f"claims/{tick_id}/0002", {**document, "run": "1700000000000-00000000", "pid": 2**22 + 1}
    )
    assert standing(store, newest_claim(store, tick_id)) == "dead"
    store.create_json(
        f"claims/{tick_id}/0003", {**document, "run": "1700000000000-00000000", "host": "elsewhere"}
    )
    assert standing(store, newest_claim(store, tick_id)) == "working"


def test_who_stops_early_lets_go_of_its_claim(bench, sundays):
    sundays.copied(bench, MONDAYS, 150)
    with pytest.raises(InterruptedRunError):
        ticked(bench, TUESDAY, watcher=Watcher(stop_asked=lambda: True))
    (act,) = ticked(bench, TUESDAY).acts
    assert act.outcome is not None
    assert [key.rpartition("/")[2] for key in claims(bench)] == ["0001", "0002", "0003"]


def test_ticks_of_different_nodes_do_not_hold_each_other(bench, sundays):
    rule = MONDAYS
    text = (sundays.copied(bench, rule, 150).folder / "m.yaml").read_text()
    (bench.folder / "m.yaml").write_text(text.replace("inputs: {a: {}}}", f"retrain_when: {rule}}}"))
    for node in "ab":
        (act,) = ticked(bench, TUESDAY, select=(node,)).acts
        assert act.outcome.run
    assert len({key.split("/")[1] for key in claims(bench)}) == 2


def test_what_is_due_in_vain_is_written_down_without_a_claim(bench, sundays):
    sundays.copied(bench, MONDAYS)
    (act,) = ticked(bench, TUESDAY).acts
    assert (act.outcome.run, act.outcome.after.sequence) == ("", 2)
    assert claims(bench) == []
    assert ticked(bench, TUESDAY).acts == ()


def test_what_failed_is_left_alone_for_an_hour_unless_something_else_is_due(bench):
    bench.write(FAILING, d=counts(negative=30))
    (first,) = ticked(bench, SUNDAY).acts
    assert (first.outcome.outcomes["bad"][0], first.outcome.outcomes["reader"][0]) == ("failed", "blocked")
    sequence = bench.store().read_head().sequence
    soon = ticked(bench, "2024-05-12T12:59:59Z")
    assert (soon.acts, soon.next, soon.exit_code) == ((), "2024-05-12T13:00:00Z", 0)
    assert bench.store().read_head().sequence == sequence
    (act,) = ticked(bench, "2024-05-12T13:00:00Z").acts
    assert act.outcome.outcomes["bad"][0] == "failed"
    bench.write(FAILING, d=counts())
    (mended,) = ticked(bench, "2024-05-12T13:00:01Z").acts
    assert mended.outcome.outcomes["reader"][0] == "promoted"
