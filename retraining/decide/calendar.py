"""Blocks of the time scheme: half-open calendar intervals, numbered from Monday 1970-01-05 (docs/design.md 1)."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from functools import lru_cache
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

ANCHOR = dt.date(1970, 1, 5)
MICROSECONDS = 1_000_000
#: The block of a label that is not known at any time.
NEVER = 2**31 - 1
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def micros(moment: dt.datetime) -> int:
    """Microseconds since 1970 (UTC) of an aware moment."""
    return round(moment.timestamp() * MICROSECONDS)


def iso_of(seconds: float) -> str:
    """Seconds since 1970 as an ISO instant in UTC, to the second."""
    return dt.datetime.fromtimestamp(seconds, dt.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def moment_text(micros_utc: int, timezone: str) -> str:
    """A moment as people write it, to the minute: `Mon 2026-11-30 03:00 Europe/Berlin`."""
    local = moment(micros_utc).astimezone(ZoneInfo(timezone))
    return f"{_DAYS[local.weekday()]} {local:%Y-%m-%d %H:%M} {timezone}"


def moment(micros_utc: int) -> dt.datetime:
    """The aware UTC moment of so many microseconds since 1970."""
    return dt.datetime.fromtimestamp(micros_utc / MICROSECONDS, dt.UTC)


@dataclass(frozen=True, slots=True)
class Calendar:
    """Blocks of `block_days` days whose borders are midnights of `timezone`."""

    timezone: str
    block_days: int

    def date(self, block: int) -> dt.date:
        """The first day of a block."""
        return ANCHOR + dt.timedelta(days=block * self.block_days)

    def start(self, block: int) -> int:
        """The begin of a block in microseconds since 1970 (UTC)."""
        return _midnight(self.timezone, self.date(block).toordinal())

    def blocks_of(self, moments: NDArray[np.int64]) -> NDArray[np.int32]:
        """The block that holds each moment."""
        starts, first = self._starts(moments)
        return np.asarray(np.searchsorted(starts, moments, side="right") - 1 + first, np.int32)

    def first_from(self, moments: NDArray[np.int64]) -> NDArray[np.int32]:
        """The first block that begins at or after each moment."""
        starts, first = self._starts(moments)
        return np.asarray(np.searchsorted(starts, moments, side="left") + first, np.int32)

    def block_at(self, micros_utc: int) -> int:
        """The block that holds one moment."""
        return int(self.blocks_of(np.array([micros_utc], np.int64))[0])

    def days_of(self, moments: NDArray[np.int64]) -> NDArray[np.int64]:
        """The local calendar day of each moment, in days since 1970-01-01."""
        days = Calendar(self.timezone, 1)
        return days.blocks_of(moments).astype(np.int64) + (ANCHOR - dt.date(1970, 1, 1)).days

    def _starts(self, moments: NDArray[np.int64]) -> tuple[NDArray[np.int64], int]:
        """The starts of all blocks that the moments touch, with one more at both ends."""
        if not len(moments):
            return np.array([self.start(0)], np.int64), 0
        length = self.block_days * 86_400 * MICROSECONDS
        offset = (ANCHOR - dt.date(1970, 1, 1)).days * 86_400 * MICROSECONDS
        first = int((int(moments.min()) - offset) // length) - 1
        last = int((int(moments.max()) - offset) // length) + 2
        return np.array([self.start(block) for block in range(first, last + 1)], np.int64), first


@lru_cache(maxsize=65_536)
def _midnight(timezone: str, ordinal: int) -> int:
    day = dt.date.fromordinal(ordinal)
    return micros(dt.datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(timezone)))
