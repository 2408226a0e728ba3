"""What a run writes down while it works, and what it learns from other runs at the same time (docs/design.md 6).

Three things, each rarely: result segments and events when there is news, the hint `alive`. None is
needed: packs are found by their own footers, so a store that takes none of them is no error here.
Segments are also how two runs share their work: each looks for those of the others.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from retraining.errors import StoreError
from retraining.execution.tasks import FitTask, Task
from retraining.manifest.values import Json
from retraining.store.documents import FORMAT, write_document
from retraining.store.objects import Objects
from retraining.store.packs import StoredRecord
from retraining.store.results import NewSegments, write_segment
from retraining.store.runs import (
    OpenRun,
    alive_key,
    events_key,
    open_runs,
    process_lives,
    read_events,
    write_events,
)
from retraining.store.signing import NO_KEYS, Keys

__all__ = ["Journal", "Pace"]

#: `alive` older than this, by the store's time, means that a run on another machine is dead.
_SILENT_SECONDS = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """The least seconds between two writes of a kind, and between two looks for what others finished.

    The first look comes after the time of a write: two runs that began together find out early.
    """

    write: float = 5.0
    look: float = 15.0
    alive: float = 30.0


class Journal:
    """One run's segments, events and sign of life.

    Parameters
    ----------
    objects
        The object-store port.
    run
        The run's name.
    pace
        How often it writes and looks.
    loose
        Packs that no segment names yet: the first segment takes them in.
    keys
        With keys, segments are signed, and those of others are taken only if they are.
    events
        Whether what happens is written down: not by a run that only measures, of which no other document tells.
    clock, monotonic
        Seconds since 1970, and seconds of a clock that never goes back.
    """

    def __init__(
        self,
        objects: Objects,
        run: str,
        *,
        pace: Pace | None = None,
        loose: Mapping[str, Sequence[StoredRecord]] | None = None,
        keys: Keys = NO_KEYS,
        events: bool = True,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._objects = objects
        self._run = run
        self._keys = keys
        self._pace = pace or Pace()
        self._clock = clock
        self._monotonic = monotonic
        self._packs: dict[str, Sequence[StoredRecord]] = dict(loose or {})
        self._tells = events
        self._events: list[dict[str, object]] = []
        self._under_way: frozenset[str] = frozenset()
        self._segments = self._event_objects = 0
        now = monotonic()
        self._next_segment, self._next_events = now + self._pace.write, now
        self._next_look, self._next_alive = now + min(self._pace.write, self._pace.look), now
        self._others = NewSegments(objects, run, int(clock() * 1000), keys)

    def begin(self) -> frozenset[str]:
        """The fingerprints of fits that were under way when the runs before this one were cut off.

        Empty where the last run ended, still lives, or left no word. Writes the first sign of life.
        """
        self._live()
        begun: set[str] = set()
        with contextlib.suppress(StoreError):
            for before in open_runs(self._objects, self._run):
                if before.last_events is not None and not self._lives(before):
                    first = next(read_events(self._objects.get(before.last_events)), {})
                    under_way = first.get("under_way")
                    begun.update(map(str, under_way) if isinstance(under_way, list) else ())
        return frozenset(begun)

    def note(self, event: str, **facts: Json) -> None:
        """Remember that something happened, to be written with the next events."""
        self._events.append({"event": event, "at": round(self._clock(), 3), **facts})

    def packed(self, pack: str, records: Sequence[StoredRecord]) -> None:
        """Remember the records of a finished pack, to be written with the next segment."""
        self._packs[pack] = records

    def turn(self, under_way: Collection[Task]) -> list[StoredRecord]:
        """What other runs finished since the last look, after writing whatever is due."""
        now = self._monotonic()
        fits = _fits(under_way)
        if now >= self._next_alive:
            self._next_alive = now + self._pace.alive
            self._live()
        if now >= self._next_events and (self._events or fits != self._under_way):
            self._next_events = now + self._pace.write
            self._write_events(fits)
        if now >= self._next_segment and self._packs:
            self._next_segment = now + self._pace.write
            self._write_segment()
        if now >= self._next_look:
            self._next_look = now + self._pace.look
            with contextlib.suppress(StoreError):
                return self._others.look()
        return []

    def close(self, under_way: Collection[Task]) -> None:
        """Write what is left, and which fits are given up."""
        if self._packs:
            self._write_segment()
        if self._events or _fits(under_way) != self._under_way:
            self._write_events(_fits(under_way))

    def end(self) -> None:
        """Take back the sign of life: whatever becomes of the run has become of it."""
        with contextlib.suppress(StoreError):
            self._objects.delete([alive_key(self._run)])

    def _live(self) -> None:
        document: dict[str, Json] = {"format": FORMAT, "host": socket.gethostname(), "pid": os.getpid()}
        with contextlib.suppress(StoreError):
            self._objects.overwrite(alive_key(self._run), write_document(document))

    def _lives(self, other: OpenRun) -> bool:
        """True where a run seems to be at work: its process is there, or on another machine it spoke lately."""
        if other.alive_seconds_ago is None:
            return False
        alive = next(read_events(self._objects.get(alive_key(other.name))), {})
        pid = alive.get("pid")
        if alive.get("host") == socket.gethostname() and isinstance(pid, int):
            return pid != os.getpid() and process_lives(pid)
        return other.alive_seconds_ago < _SILENT_SECONDS

    def _write_segment(self) -> None:
        # what could not be written is in the packs' own footers, and goes into the next segment
        self._segments += 1  # a name that may have been written is not used again
        with contextlib.suppress(StoreError):
            write_segment(
                self._objects, self._run, self._segments, int(self._clock() * 1000), self._packs, self._keys
            )
            self._packs = {}

    def _write_events(self, under_way: frozenset[str]) -> None:
        if not self._tells:
            self._events = []
            return
        first = {"format": FORMAT, "run": self._run, "under_way": sorted(under_way)}
        self._event_objects += 1
        with contextlib.suppress(StoreError):
            self._objects.put(
                events_key(self._run, self._event_objects), write_events([first, *self._events])
            )
            self._under_way = under_way
            self._events = []


def _fits(tasks: Collection[Task]) -> frozenset[str]:
    return frozenset(task.fingerprint for task in tasks if isinstance(task, FitTask) and task.model is None)
