"""Schedules: the instants of a cron text in a time zone, and which of them make a node due.

Days on which clocks change go by the rules of Debian's cron: a job at a fixed time that the day skips
runs right after the gap, one at a time that comes twice runs the first time. An instant is due while it lies after the
node's cursor; acting on the node consumes all instants up to the plan's moment.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from functools import lru_cache
from itertools import islice
from zoneinfo import ZoneInfo

from cronsim import CronSim

from retraining.decide.calendar import micros, moment, moment_text
from retraining.decide.reasons import Reason
from retraining.decide.signals import Signals
from retraining.decide.wording import counted
from retraining.manifest.values import Json, ScheduleCondition

__all__ = [
    "GRACE_MICROS",
    "answer_ends",
    "due_instants",
    "next_instant",
    "schedule_cursor",
    "schedule_reasons",
]

#: An instant that nobody looked at for longer was missed: with `missed: none` it is passed over.
GRACE_MICROS = 3_600_000_000
#: How many instants are made up for where `missed: all` says no `limit`.
DEFAULT_LIMIT = 10
#: Missed instants are counted up to here.
_MOST_COUNTED = 1_000


def schedule_cursor(condition: ScheduleCondition, signals: Signals) -> tuple[str, int | None]:
    """The name of a schedule's cursor, and where it stands when a decision consumed all instants up to now.

    That is the newest instant, so that looking twice between two instants comes to the same; None: there was none.
    """
    zone = condition.timezone or signals.timezone
    return f"schedule {condition.cron} {zone}", _newest_instant(condition.cron, zone, signals.as_of)


def schedule_reasons(condition: ScheduleCondition, signals: Signals) -> tuple[Reason, ...]:
    """One reason where an instant of the schedule is due, with the number of those before it that were missed."""
    due = due_instants(condition, signals)
    if not due:
        return ()
    zone = condition.timezone or signals.timezone
    newest = due[-1]
    since = _since(condition, signals, zone)
    assert since is not None
    missed = _counted(condition.cron, zone, since, newest) - 1
    text = f"{moment_text(newest, zone)} has come"
    if missed:
        more = "more than " if missed >= _MOST_COUNTED else ""
        text += f", after {more}{counted(missed, 'instant')} that {'was' if missed == 1 else 'were'} missed"
    evidence: dict[str, Json] = {
        "cron": condition.cron,
        "timezone": zone,
        "instants": [_iso(instant) for instant in due],
        "missed": missed,
    }
    return (Reason(kind="schedule", text=text, evidence=evidence),)


def due_instants(condition: ScheduleCondition, signals: Signals) -> tuple[int, ...]:
    """The instants after the cursor, up to the plan's moment, that a decision has to answer, the oldest first.

    `latest`: the newest alone, and none before it has come; `none`: the newest, if it was looked at in time;
    `all`: each, of the newest `limit`. A node that was never tried has none: it is due anyway.
    """
    zone = condition.timezone or signals.timezone
    since = _since(condition, signals, zone)
    through = signals.known_through
    if since is None or since >= signals.as_of:
        return ()
    if condition.missed == "all":
        most = DEFAULT_LIMIT if condition.limit is None else condition.limit
        return tuple(one for one in _last(condition.cron, zone, since, through, most) if one <= signals.as_of)
    newest = _newest_instant(condition.cron, zone, through)
    if newest is None or not since < newest <= signals.as_of:
        return ()
    if condition.missed == "none" and through - newest > GRACE_MICROS:
        return ()
    return (newest,)


def answer_ends(condition: ScheduleCondition, signals: Signals) -> int | None:
    """When the due instant of a schedule that answers none which was missed is passed over; None: none is due."""
    due = due_instants(condition, signals) if condition.missed == "none" else ()
    return due[-1] + GRACE_MICROS + 1 if due else None


def next_instant(condition: ScheduleCondition, after: int, timezone: str) -> int | None:
    """The first instant of a schedule after a moment, which is in microseconds (UTC); None where there is none."""
    return _next_instant(condition.cron, condition.timezone or timezone, after)


def _since(condition: ScheduleCondition, signals: Signals, zone: str) -> int | None:
    return signals.cursors.get(f"schedule {condition.cron} {zone}", signals.looked)


@lru_cache(maxsize=4_096)
def _next_instant(cron: str, zone: str, after: int) -> int | None:
    return next(_after(cron, zone, after), None)


@lru_cache(maxsize=4_096)
def _newest_instant(cron: str, zone: str, until: int) -> int | None:
    """The last instant at or before a moment: found backwards, and told as going forwards tells it."""
    found = next(_before(cron, zone, until), None)
    if found is None:
        return None
    return max(_instants(cron, zone, found - 1, until), default=None)


@lru_cache(maxsize=4_096)
def _last(cron: str, zone: str, since: int, until: int, most: int) -> tuple[int, ...]:
    """The newest `most` instants in (since, until], the oldest first."""
    start = since
    for start in islice(_before(cron, zone, until), most + 1):
        if start <= since:
            break
    return tuple(_instants(cron, zone, max(since, start - 1), until))[-most:]


@lru_cache(maxsize=4_096)
def _counted(cron: str, zone: str, after: int, until: int) -> int:
    """How many instants lie in (after, until]; of very many not all are counted."""
    return sum(1 for _ in islice(_instants(cron, zone, after, until), _MOST_COUNTED + 1))


def _instants(cron: str, zone: str, after: int, until: int) -> Iterator[int]:
    """The instants in (after, until], in order."""
    for instant in _after(cron, zone, after):
        if instant > until:
            return
        yield instant


def _after(cron: str, zone: str, after: int) -> Iterator[int]:
    # in an hour that comes twice it may begin with an instant of the first one
    for found in CronSim(cron, moment(after).astimezone(ZoneInfo(zone))):
        if (instant := micros(found)) > after:
            yield instant


def _before(cron: str, zone: str, until: int) -> Iterator[int]:
    # a start within a second counts that second itself
    start = moment(until) + dt.timedelta(microseconds=1 if until % 1_000_000 == 0 else 0)
    for found in CronSim(cron, start.astimezone(ZoneInfo(zone)), reverse=True):
        if (instant := micros(found)) <= until:
            yield instant


def _iso(instant: int) -> str:
    return moment(instant).isoformat().replace("+00:00", "Z")
