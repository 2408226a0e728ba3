"""The names of runs, of what a run writes under `runs/`, and which of them still work.

The hint `alive` of a run says only that it lived when it was written. Ages are differences of the
store's own times, never of a local clock.
"""

from __future__ import annotations

import datetime as dt
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from retraining.errors import IntegrityError
from retraining.store.documents import digest_of
from retraining.store.objects import Objects

__all__ = [
    "OpenRun",
    "alive_key",
    "check_events",
    "events_key",
    "living_runs",
    "new_run_id",
    "outcome_key",
    "process_lives",
    "run_key",
]

#: A run overwrites its `alive` ten times in this time; who has not is taken for dead.
DEAD_AFTER_SECONDS = 300.0
_MILLISECONDS_DIGITS = 13
_WEEK_MS = 7 * 24 * 3600 * 1000


def process_lives(pid: int) -> bool:
    """Whether this machine has a process of that number, also if it is somebody else's."""
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except OSError:
        return False
    return True


def new_run_id(now_ms: int, random_bytes: bytes) -> str:
    """A run's name: milliseconds since 1970 in UTC (13 digits), then 8 hex digits of randomness.

    `random_bytes` is 4 bytes long. Names sort by time; ValueError outside the years 2001 to 2286.
    """
    if len(str(now_ms)) != _MILLISECONDS_DIGITS or len(random_bytes) != 4:
        raise ValueError(f"a run id needs 13 digits of milliseconds and 4 random bytes, not {now_ms}")
    return f"{now_ms}-{random_bytes.hex()}"


def run_key(run: str) -> str:
    """The key of the document that says who started a run, with what."""
    return f"runs/{run}/run.json"


def outcome_key(run: str) -> str:
    """The key of the document that says what became of a run."""
    return f"runs/{run}/outcome.json"


def alive_key(run: str) -> str:
    """The key of the hint that a run overwrites while it works, and removes when it ends."""
    return f"runs/{run}/alive"


def events_key(run: str, number: int) -> str:
    """The key of a run's events number `number`, counted from 1."""
    return f"runs/{run}/events/{number:06d}.jsonl"


def living_runs(objects: Objects, now: dt.datetime) -> frozenset[str]:
    """The runs whose `alive` was written within the last five minutes.

    `now` is the store's own time: the `modified` of an object that was just written.
    """
    return frozenset(
        info.key.split("/")[1]
        for info in objects.list("runs/")
        if info.key.endswith("/alive") and (now - info.modified).total_seconds() < DEAD_AFTER_SECONDS
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenRun:
    """A run without an outcome: its name, the age of its `alive`, the key of its last events."""

    name: str
    alive_seconds_ago: float | None
    last_events: str | None


def open_runs(objects: Objects, run: str, most: int = 5) -> list[OpenRun]:
    """The runs of the last week before `run` that left no outcome, newest first, back to one that did; at most so many.

    The `alive` of `run` was just written: ages are counted from it.
    """
    found: dict[str, dict[str, dt.datetime]] = {}
    since = f"runs/{max(int(run[:_MILLISECONDS_DIGITS]) - _WEEK_MS, 0):0{_MILLISECONDS_DIGITS}d}"
    for info in objects.list("runs/", since):
        name = info.key.split("/")[1]
        found.setdefault(name, {})[info.key] = info.modified
    now = found.get(run, {}).get(alive_key(run))
    unended: list[OpenRun] = []
    for name in sorted((name for name in found if name < run), reverse=True):
        keys = found[name]
        if outcome_key(name) in keys or len(unended) == most:
            break
        alive = keys.get(alive_key(name))
        unended.append(
            OpenRun(
                name=name,
                alive_seconds_ago=None if now is None or alive is None else (now - alive).total_seconds(),
                last_events=max((key for key in keys if "/events/" in key), default=None),
            )
        )
    return unended


def write_events(lines: Iterable[dict[str, object]]) -> bytes:
    """Events as JSON lines, and a last line with the digest of those before it."""
    body = b"".join(json.dumps(line, sort_keys=True, default=str).encode() + b"\n" for line in lines)
    return body + _digest_line(body)


def check_events(data: bytes, key: str) -> None:
    """Raise IntegrityError where an object of events is not as it was written."""
    body, newline, last = data.removesuffix(b"\n").rpartition(b"\n")
    if last + b"\n" != _digest_line(body + newline):
        raise IntegrityError(
            f"{key}: its bytes are not what its digest says", "nothing relies on events: delete it"
        )


def _digest_line(body: bytes) -> bytes:
    return json.dumps({"digest": digest_of(body)}).encode() + b"\n"


def read_events(data: bytes) -> Iterator[dict[str, object]]:
    """The lines of an object of events that can be read; what cannot is passed over, since nothing relies on it."""
    for line in data.splitlines():
        try:
            document = json.loads(line)
        except ValueError:
            continue
        if isinstance(document, dict) and document.keys() != {"digest"}:
            yield document
