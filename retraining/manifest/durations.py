"""Durations, shares and numbers as a manifest writes them: `2w`, `12h`, `5%`.

Texts to values and back; anything that is not exactly of the form gives None, never a guess.
"""

from __future__ import annotations

import datetime as dt
import re

__all__ = [
    "DAYS_PATTERN",
    "DURATION_PATTERN",
    "SHARE_PATTERN",
    "SOME_PATTERN",
    "duration_text",
    "parse_days",
    "parse_duration",
    "parse_share",
]

DURATION_PATTERN = r"^[0-9]{1,6}[mhdw]$"
SOME_PATTERN = r"^(?=0*[1-9])[0-9]{1,6}[mhdw]$"
DAYS_PATTERN = r"^(?=0*[1-9])[0-9]{1,6}[dw]$"
SHARE_PATTERN = r"^[0-9]{1,3}(\.[0-9]{1,12})?%$"

_DURATION = re.compile(r"([0-9]{1,6})([mhdw])")
_SHARE = re.compile(r"([0-9]{1,3}(\.[0-9]{1,12})?)%")
_UNITS = {
    "w": dt.timedelta(weeks=1),
    "d": dt.timedelta(days=1),
    "h": dt.timedelta(hours=1),
    "m": dt.timedelta(minutes=1),
}


def parse_duration(text: str) -> dt.timedelta | None:
    """The duration that `2w`, `14d`, `12h`, `30m` or `0` writes; None for anything else."""
    if text == "0":
        return dt.timedelta(0)
    match = _DURATION.fullmatch(text)
    return int(match[1]) * _UNITS[match[2]] if match else None


def parse_days(text: str) -> dt.timedelta | None:
    """The duration that `2w` or `14d` writes, at least one day; None for anything else."""
    return parse_duration(text) or None if text.endswith(("d", "w")) else None


def duration_text(duration: dt.timedelta) -> str:
    """The duration in the largest unit that writes it exactly, to the minute: `2w`, `36h`, `0d`."""
    if not duration:
        return "0d"
    unit = next((unit for unit, length in _UNITS.items() if not duration % length), "m")
    return f"{duration // _UNITS[unit]}{unit}"


def parse_share(text: str) -> float | None:
    """The fraction that a percentage writes (`5%` is 0.05), at most 1; None for anything else."""
    match = _SHARE.fullmatch(text)
    if not match:
        return None
    share = float(match[1]) / 100
    return share if share <= 1 else None
