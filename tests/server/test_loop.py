"""A server ticks, sleeps no longer than to the next instant, and outlives what a tick fails of."""

from __future__ import annotations

import datetime as dt

import pytest

from retraining.cli.signals import Interrupted
from retraining.errors import DataError, InterruptedRunError, StoreError
from retraining.operations.tick import Act, Ticked
from retraining.server.board import Board, Status
from retraining.server.loop import Ports, serve

START = dt.datetime(2024, 5, 13, 2, 58, 30, tzinfo=dt.UTC)
HELD = Act(as_of="2024-05-13T03:00:00Z", instants=(), why=(), outcome=None)


def ticked(*acts, then=None):
    return Ticked(manifest="m", timezone="UTC", store="s", now="", release=3, next=then, acts=tuple(acts))


class World:
    """Answers of ticks, one after the other (an error is raised), and what the loop did with them."""

    def __init__(self, *answers, every=60.0):
        self.answers = list(answers)
        self.now = START
        self.slept, self.said, self.moments = [], [], []
        status = Status(manifest="m", store="s", every_seconds=every, started="")
        self.board = Board(status)

    def tick(self):
        self.moments.append(self.now)
        answer = self.answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += dt.timedelta(seconds=seconds)

    def run(self):
        serve(
            Ports(
                tick=self.tick,
                clock=lambda: self.now,
                sleep=self.sleep,
                stop_asked=lambda: not self.answers,
                ticked=self.said.append,
                failed=lambda error: self.said.append(error.message),
                recovered=lambda count: self.said.append(f"again after {count}"),
            ),
            self.board,
        )
        return self


def test_it_sleeps_for_the_given_time_and_not_past_the_next_instant():
    world = World(
        ticked(), ticked(then="2024-05-13T03:00:00Z"), ticked(then="2024-06-01T00:00:00Z"), ticked()
    ).run()
    assert world.slept == pytest.approx([60, 30.05, 60])
    assert world.moments[2] >= dt.datetime(2024, 5, 13, 3, tzinfo=dt.UTC)
    status = world.board.read()
    assert (status.ticks, status.release, status.failures) == (4, 3, 0)


def test_an_instant_that_has_passed_already_does_not_make_it_spin():
    world = World(ticked(then="2024-05-13T02:00:00Z"), ticked()).run()
    assert world.slept[0] > 0.1


def test_only_ticks_that_did_something_are_told():
    busy = ticked(HELD)
    assert World(ticked(), busy, ticked()).run().said == [busy]


def test_what_a_tick_fails_of_is_said_once_and_the_next_one_comes():
    away, broken = StoreError("the store is away", "x"), DataError("a file is broken", "x")
    world = World(away, away, broken, RuntimeError("a fault\nof ours"), ticked(), ticked()).run()
    assert world.said == [
        "the store is away",
        "a file is broken",
        "internal error: RuntimeError: a fault",
        "again after 4",
    ]
    assert world.slept == [60.0] * 5
    status = world.board.read()
    assert (status.failures, status.failing, status.error, status.ticks) == (4, 0, "", 2)


def test_while_it_fails_the_status_says_of_what():
    status = World(ticked(), StoreError("away", "x")).run().board.read()
    assert (status.failing, status.error, status.ticks) == (1, "away", 1)


@pytest.mark.parametrize("end", [InterruptedRunError("stopped", "x"), Interrupted()])
def test_a_stop_ends_it(end):
    with pytest.raises(type(end)):
        World(ticked(), end, ticked()).run()
