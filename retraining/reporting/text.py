"""Numbers, durations and moments as people read them, for the report and for the command line.

Everything here is plain ASCII text without colour, so that it can go to any terminal; the page turns
a leading `-` into a true minus sign. A share never rounds to 0% or 100% unless it is exactly that.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Sequence
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_DATE_LENGTH = len("2013-12-30")

__all__ = [
    "format_change",
    "format_count",
    "format_day",
    "format_duration",
    "format_moment",
    "format_number",
    "format_share",
    "format_signed",
    "format_size",
    "join_words",
    "plural",
    "shorten",
]


def format_duration(seconds: float | None) -> str:
    """The text of a duration in its two largest units: `40 ms`, `3.2 s`, `2 min 50 s`, `2 d 4 h`."""
    if seconds is None or not math.isfinite(seconds):
        return "unknown"
    if seconds < 0:
        return "-" + format_duration(-seconds)
    if seconds == 0:
        return "0 s"
    if seconds < 0.0995:
        return f"{max(1, round(seconds * 1000))} ms"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes = round(whole / 60)
    if whole < 3600:
        return _two_units(whole, 60, "min", "s")
    if minutes < 24 * 60:
        return _two_units(minutes, 60, "h", "min")
    return _two_units(round(minutes / 60), 24, "d", "h")


def format_size(count: int) -> str:
    """The text of a number of bytes: `812 bytes`, `1.5 kB`, `2.3 MB`."""
    if count < 1000:
        return plural(count, "byte")
    size = float(count)
    for unit in ("kB", "MB", "GB"):
        size /= 1000
        if size < 999.95:
            return f"{size:,.1f} {unit}"
    return f"{size / 1000:,.1f} TB"


def _two_units(amount: int, size: int, large: str, small: str) -> str:
    whole, rest = divmod(amount, size)
    return f"{whole} {large} {rest} {small}" if rest else f"{whole} {large}"


def format_number(value: float | None, digits: int = 4) -> str:
    """The text of a number with `digits` significant digits and commas; whole numbers stay whole.

    Not finite numbers are named, `None` is `unknown`; an exponent appears only below 0.0001 and from 1e12.
    """
    if value is None:
        return "unknown"
    if math.isnan(value):
        return "not a number"
    if math.isinf(value):
        return "infinite" if value > 0 else "-infinite"
    if value == 0:
        return "0"
    if not 1e-4 <= abs(value) < 1e12:
        return f"{value:.{digits - 1}e}"
    if float(value).is_integer():
        return f"{int(value):,}"
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    text = f"{value:,.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def format_signed(value: float | None, digits: int = 3) -> str:
    """The text of a difference, always with its sign: `+0.031`, `-12.1`, `0`."""
    text = format_number(value, digits)
    return f"+{text}" if value is not None and value > 0 else text


def format_count(value: int | None) -> str:
    """The text of a count with commas: `336,776`; `unknown` for `None`."""
    return "unknown" if value is None else f"{value:,}"


def format_share(fraction: float | None) -> str:
    """The text of a fraction in percent with one decimal: `3.2%`, `<0.1%`, `>99.9%`, `100%`."""
    if fraction is None or not math.isfinite(fraction):
        return "unknown"
    if fraction < 0:
        return "-" + format_share(-fraction)
    if 0 < fraction < 0.0005:
        return "<0.1%"
    if 0.9995 <= fraction < 1:
        return ">99.9%"
    return f"{fraction * 100:,.1f}".removesuffix(".0") + "%"


def format_change(fraction: float | None) -> str:
    """The text of a relative change in percent, always with its sign: `+2.3%`, `-8.5%`, `0%`."""
    if fraction is None or not math.isfinite(fraction):
        return "unknown"
    text = f"{abs(fraction) * 100:,.1f}".removesuffix(".0")
    if text == "0":
        return "0%"
    return f"{'+' if fraction > 0 else '-'}{text}%"


def format_moment(moment: str, timezone: str = "UTC") -> str:
    """The text of an ISO moment in a zone, no finer than needed: `2013-12-30`, `2026-11-23 14:00 UTC`.

    Text that is no moment is returned as it is: a report shows what the record says.
    """
    read = _read_moment(moment, timezone)
    if read is None or len(moment) <= _DATE_LENGTH:
        return moment
    text = f"{read:%Y-%m-%d %H:%M:%S}" if read.second else f"{read:%Y-%m-%d %H:%M}"
    name = read.tzname()
    # a zone without letters of its own is named by its offset
    return f"{text} {name if name[:1].isalpha() else f'UTC{name}'}" if name else text


def format_day(moment: str, timezone: str = "UTC") -> str:
    """The calendar day of an ISO moment in a zone: `2013-05-27` for the midnight in which it begins."""
    read = _read_moment(moment, timezone)
    return moment if read is None else f"{read:%Y-%m-%d}"


def _read_moment(moment: str, timezone: str) -> dt.datetime | None:
    """The moment in the zone (UTC where the zone is unknown); a text without a zone keeps its clock."""
    try:
        read = dt.datetime.fromisoformat(moment)
        zone = ZoneInfo(timezone)
    except ZoneInfoNotFoundError:
        zone = ZoneInfo("UTC")
    except ValueError:
        return None
    if read.tzinfo is None:
        return read
    try:
        return read.astimezone(zone)
    except OverflowError:
        return None


def plural(count: int, noun: str, many: str | None = None) -> str:
    """The count with its noun: `1 fit`, `2 fits`, `1,204 fits`; `many` where the plural is no bare s."""
    return f"{count:,} {noun if count == 1 else many or noun + 's'}"


def join_words(words: Sequence[str], most: int | None = None) -> str:
    """The words as a list in a sentence: `a`, `a and b`, `a, b and c`; past `most`: `a, b and 7 more`."""
    shown = list(words)
    if most is not None and len(shown) > most:
        shown = [*shown[:most], f"{len(shown) - most:,} more"]
    return shown[0] if len(shown) == 1 else " and ".join(filter(None, [", ".join(shown[:-1]), *shown[-1:]]))


def shorten(text: str, most: int) -> str:
    """The text, or its first `most - 1` characters and an ellipsis."""
    return text if len(text) <= most else text[: max(1, most - 1)].rstrip() + "…"
