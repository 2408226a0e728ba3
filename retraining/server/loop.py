"""The loop of a server: tick, say what happened, sleep until time alone makes a trigger fire, and again."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass

from retraining.errors import InterruptedRunError, RetrainingError
from retraining.operations.tick import Ticked
from retraining.server.board import Board

__all__ = ["Ports", "serve"]

#: How much later than an instant a tick begins, so that no clock that is read twice is before it.
_AFTER_SECONDS = 0.05
#: A tick begins at least so long after the one before ended.
_LEAST_SECONDS = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """What the loop takes from the world.

    `tick` looks once, and acts. `clock` is the time, `sleep` waits so many seconds, and `stop_asked` says that the loop
    shall end. `ticked` is told of every tick that did something, `failed` of an error that is new, and
    `recovered` after how many failed ticks one came to its end again.
    """

    tick: Callable[[], Ticked]
    clock: Callable[[], dt.datetime]
    sleep: Callable[[float], None]
    stop_asked: Callable[[], bool]
    ticked: Callable[[Ticked], None]
    failed: Callable[[RetrainingError], None]
    recovered: Callable[[int], None]


def serve(ports: Ports, board: Board) -> None:
    """Ticks until it is asked to stop; whatever a tick fails of, the next one comes.

    Raises `InterruptedRunError` where a run was stopped before its end.
    """
    while not ports.stop_asked():
        until = _tick(ports, board)
        seconds = board.read().every_seconds
        now = ports.clock()
        if until is not None:
            left = (dt.datetime.fromisoformat(until) - now).total_seconds() + _AFTER_SECONDS
            seconds = min(seconds, max(left, _LEAST_SECONDS))
        board.change(next=_iso(now + dt.timedelta(seconds=seconds)))
        if ports.stop_asked():
            return
        ports.sleep(seconds)


def _tick(ports: Ports, board: Board) -> str | None:
    """One tick; the moment at which time alone may make something due, as far as it is known."""
    try:
        found = ports.tick()
    except InterruptedRunError:
        raise
    except RetrainingError as error:
        _fail(ports, board, error)
        return None
    except Exception as error:  # noqa: BLE001 - a server outlives what nobody foresaw; it is told like the rest
        line = f"{type(error).__name__}: {error}".splitlines()[0]
        _fail(ports, board, RetrainingError(f"internal error: {line}", "please report it"))
        return None
    finally:
        board.change(last=_iso(ports.clock()), acting_since=None)
    before = board.read()
    if before.failing:
        ports.recovered(before.failing)
    runs = sum(act.outcome is not None and bool(act.outcome.run) for act in found.acts)
    board.change(ticks=before.ticks + 1, runs=before.runs + runs, release=found.release, failing=0, error="")
    if found.acts:
        ports.ticked(found)
    return found.next


def _fail(ports: Ports, board: Board, error: RetrainingError) -> None:
    before = board.read()
    if error.message != before.error:
        ports.failed(error)
    board.change(failures=before.failures + 1, failing=before.failing + 1, error=error.message)


def _iso(moment: dt.datetime) -> str:
    return moment.astimezone(dt.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
