"""Numbers inside the sentences and documents that decisions and verdicts are told in.

Four significant digits, commas between thousands, and no exponent where a person would not write one:
these sentences are recorded, and read by people years later.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from retraining.manifest.values import Json

__all__ = ["counted", "finite_or_none", "number", "numbers", "signed"]

_DIGITS = 4
_LARGE, _SMALL = 1e12, 1e-4


def counted(count: int, noun: str) -> str:
    """The count with its noun: `1 row`, `12,890 rows`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def number(value: float) -> str:
    """The text of a number: `12,730`, `17.11`, `0.02436`; an exponent only below 0.0001 and from 1e12."""
    if value == 0:
        return "0"
    if not math.isfinite(value) or not _SMALL <= abs(value) < _LARGE:
        return f"{value:.{_DIGITS}g}"
    decimals = max(0, _DIGITS - 1 - math.floor(math.log10(abs(value))))
    text = f"{value:,.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def signed(value: float) -> str:
    """The text of a difference, with its sign: `+22.42`, `-0.003931`, `0`."""
    return f"+{number(value)}" if value > 0 else number(value)


def finite_or_none(value: float | None) -> float | None:
    """The number, or None where JSON has none for it."""
    return value if value is not None and math.isfinite(value) else None


def numbers(values: Mapping[str, float]) -> dict[str, Json]:
    """Named numbers as a document."""
    return {name: finite_or_none(value) for name, value in values.items()}
