"""What a server knows of itself, as a value that its loop replaces and its page reads."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace

from retraining.manifest.values import Json

__all__ = ["Board", "Status"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """Where a server stands. Moments are ISO, in UTC; `ticks` are those that came to their end.

    `error` says what the last tick failed of ('' where it did not), `failing` how many have failed one after the
    other, `acting_since` since when a run is under way. `next` is when the next tick begins.
    """

    manifest: str
    store: str
    every_seconds: float
    started: str
    ticks: int = 0
    runs: int = 0
    failures: int = 0
    failing: int = 0
    error: str = ""
    release: int | None = None
    last: str | None = None
    next: str | None = None
    acting_since: str | None = None

    def to_json(self) -> dict[str, Json]:
        """The status as a document (format 1)."""
        return {
            "format": 1,
            "manifest": self.manifest,
            "store": self.store,
            "every_seconds": self.every_seconds,
            "started": self.started,
            "ticks": self.ticks,
            "runs": self.runs,
            "failures": self.failures,
            "failing": self.failing,
            "error": self.error,
            "release": self.release,
            "last": self.last,
            "next": self.next,
            "acting_since": self.acting_since,
        }


class Board:
    """The newest status; set by one thread, read by others."""

    def __init__(self, status: Status) -> None:
        self._status = status
        self._lock = threading.Lock()

    def read(self) -> Status:
        """The newest status."""
        with self._lock:
            return self._status

    def change(self, **changes: object) -> Status:
        """The status after these fields were replaced."""
        with self._lock:
            self._status = replace(self._status, **changes)  # type: ignore[arg-type]
            return self._status
