"""Profiles: what a column held on each day, as counts between fixed edges (docs/design.md).

A profile keeps no row, takes about 300 bytes a day, and adds up: profiles with the same bins are merged by
addition, which is exact (sums are fractions, never rounded), so that any order gives the same bytes.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from retraining.manifest.values import Json

__all__ = [
    "MOST_BINS",
    "Bins",
    "NumberBins",
    "Profile",
    "WordBins",
    "bins_from_json",
    "merge",
    "number_bins",
    "word_bins",
]

Counts: TypeAlias = NDArray[np.int64]
Floats: TypeAlias = NDArray[np.float64]

#: Bins of a column, besides the one of missing values.
MOST_BINS = 32
_FORMAT = 1
_MANTISSA = 53
_HALF = 26
_EXPONENTS = 4096  # more than a float64 has


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberBins:
    """Bins of numbers: bin i holds what is above `edges[i - 1]` and at most `edges[i]`; the last is of the missing."""

    edges: tuple[float, ...]

    @property
    def count(self) -> int:
        """How many bins there are, that of the missing included."""
        return len(self.edges) + 2

    def to_json(self) -> dict[str, Json]:
        """The bins as a document; edges are exact, as hexadecimal texts."""
        return {"edges": [edge.hex() for edge in self.edges]}


@dataclass(frozen=True, slots=True, kw_only=True)
class WordBins:
    """Bins of texts: one for each of `words`, one for all others, the last for the missing."""

    words: tuple[str, ...]

    @property
    def count(self) -> int:
        """How many bins there are, that of the missing included."""
        return len(self.words) + 2

    def to_json(self) -> dict[str, Json]:
        """The bins as a document."""
        return {"words": list(self.words)}


Bins: TypeAlias = NumberBins | WordBins


def number_bins(values: Floats, most: int = MOST_BINS) -> NumberBins:
    """Bins between `most` quantiles of the values that are finite; fewer where many values are equal."""
    present = values[np.isfinite(values)]
    if not present.size:
        return NumberBins(edges=())
    edges = np.unique(np.quantile(present, np.arange(1, most) / most, method="inverted_cdf")) + 0.0
    if edges[0] == present.min():
        # where so many are the smallest that it is a quantile, what is below is not the same
        edges = np.concatenate([[math.nextafter(edges[0], -math.inf)], edges])
    return NumberBins(edges=tuple(edges.tolist()))


def word_bins(counts: Mapping[str, int], most: int = MOST_BINS) -> WordBins:
    """Bins of the most frequent texts, equally frequent ones in their order; one bin is kept for all others."""
    order = sorted(counts, key=lambda text: (-counts[text], text))
    return WordBins(words=tuple(sorted(order[: most - 1])))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Profile:
    """What a column held on each of some days.

    `days` rise, in days since 1970-01-01. `counts` is `(n_days, n_bins)`, `totals` and `squares` are each day's
    exact sum of the finite numbers and of their squares (0 for texts).
    """

    bins: Bins
    days: tuple[int, ...]
    counts: Counts
    totals: tuple[Fraction, ...]
    squares: tuple[Fraction, ...]

    @classmethod
    def of_numbers(cls, bins: NumberBins, values: Floats, days: Counts) -> Profile:
        """The profile of numbers, NaN for a missing one, and the day of each, both `(n_rows,)`."""
        missing = np.isnan(values)
        codes = np.searchsorted(np.asarray(bins.edges), values, side="left")
        codes[missing] = bins.count - 1
        found, place = np.unique(days, return_inverse=True)
        finite = np.isfinite(values)
        present, at = values[finite], place[finite]
        with np.errstate(over="ignore"):
            squares = present * present
        return cls(
            bins=bins,
            days=tuple(found.tolist()),
            counts=_counted(codes, place, len(found), bins.count),
            totals=_exact_sums(present, at, len(found)),
            squares=_exact_sums(np.minimum(squares, np.finfo(np.float64).max), at, len(found)),
        )

    @classmethod
    def of_words(cls, bins: WordBins, codes: Counts, texts: Sequence[str], days: Counts) -> Profile:
        """The profile of texts: of each row the place in `texts`, -1 for a missing one, and its day."""
        places = {word: place for place, word in enumerate(bins.words)}
        other = len(bins.words)
        table = np.array([*(places.get(text, other) for text in texts), other + 1], np.int64)
        found, place = np.unique(days, return_inverse=True)
        nothing = (Fraction(0),) * len(found)
        return cls(
            bins=bins,
            days=tuple(found.tolist()),
            counts=_counted(table[codes], place, len(found), bins.count),
            totals=nothing,
            squares=nothing,
        )

    @classmethod
    def empty(cls, bins: Bins) -> Profile:
        """The profile of no day."""
        return cls(bins=bins, days=(), counts=np.zeros((0, bins.count), np.int64), totals=(), squares=())

    @property
    def rows(self) -> Counts:
        """The rows of each day, `(n_days,)`."""
        return np.asarray(self.counts.sum(axis=1), np.int64)

    def mean_and_spread(self) -> tuple[float, float]:
        """The mean and the standard deviation of all finite numbers; NaN where there are none."""
        rows = int(self.counts[:, :-1].sum())
        if rows == 0 or isinstance(self.bins, WordBins):
            return math.nan, math.nan
        mean = sum(self.totals, Fraction(0)) / rows
        variance = sum(self.squares, Fraction(0)) / rows - mean * mean
        return float(mean), math.sqrt(max(float(variance), 0.0))

    def on(self, days: Iterable[int]) -> Profile:
        """The profile of those of its days that are among `days`."""
        wanted = set(days)
        chosen = [place for place, day in enumerate(self.days) if day in wanted]
        return Profile(
            bins=self.bins,
            days=tuple(self.days[place] for place in chosen),
            counts=self.counts[chosen],
            totals=tuple(self.totals[place] for place in chosen),
            squares=tuple(self.squares[place] for place in chosen),
        )

    def to_bytes(self) -> bytes:
        """The profile as bytes, the same for equal profiles; `from_bytes` reads them."""
        head: dict[str, Json] = {
            "format": _FORMAT,
            "bins": self.bins.to_json(),
            "days": list(self.days),
            "totals": [_written(one) for one in self.totals],
            "squares": [_written(one) for one in self.squares],
        }
        text = json.dumps(head, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return text.encode() + b"\n" + np.ascontiguousarray(self.counts, "<i8").tobytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> Profile:
        """The inverse of `to_bytes`; ValueError for other bytes."""
        line, _, body = data.partition(b"\n")
        head: Mapping[str, Any] = json.loads(line)
        if head["format"] != _FORMAT:
            raise ValueError(f"a profile of format {head['format']}, and this version reads {_FORMAT}")
        bins = bins_from_json(head["bins"])
        counts = np.frombuffer(body, "<i8").astype(np.int64).reshape(len(head["days"]), bins.count)
        return cls(
            bins=bins,
            days=tuple(head["days"]),
            counts=counts,
            totals=tuple(map(_read, head["totals"])),
            squares=tuple(map(_read, head["squares"])),
        )


def merge(profiles: Sequence[Profile]) -> Profile:
    """The profile of the rows of all of these; equal for any order. At least one, and all with the same bins."""
    bins = profiles[0].bins
    if any(one.bins != bins for one in profiles):
        raise ValueError("profiles with other bins cannot be added")
    days = sorted({day for one in profiles for day in one.days})
    place = {day: number for number, day in enumerate(days)}
    counts = np.zeros((len(days), bins.count), np.int64)
    totals, squares = [Fraction(0)] * len(days), [Fraction(0)] * len(days)
    for one in profiles:
        for number, day in enumerate(one.days):
            counts[place[day]] += one.counts[number]
            totals[place[day]] += one.totals[number]
            squares[place[day]] += one.squares[number]
    return Profile(bins=bins, days=tuple(days), counts=counts, totals=tuple(totals), squares=tuple(squares))


def _counted(codes: NDArray[np.intp], place: NDArray[np.intp], days: int, bins: int) -> Counts:
    counts = np.bincount(place * bins + codes, minlength=days * bins)
    return np.asarray(counts, np.int64).reshape(days, bins)


def _exact_sums(values: Floats, place: NDArray[np.intp], days: int) -> tuple[Fraction, ...]:
    """The exact sum of the finite values of each day: whole numbers are added for each day and exponent."""
    if not values.size:
        return (Fraction(0),) * days
    parts, exponents = np.frexp(values)
    whole = np.ldexp(parts, _MANTISSA).astype(np.int64)
    least = int(exponents.min())
    keys, group = np.unique(place * _EXPONENTS + exponents - least, return_inverse=True)
    # in halves, so that a float64 holds the sums of 2^26 rows without rounding
    high = np.bincount(group, weights=(whole >> _HALF).astype(np.float64))
    low = np.bincount(group, weights=(whole & ((1 << _HALF) - 1)).astype(np.float64))
    sums = [0] * days
    for key, above, below in zip(keys.tolist(), high.tolist(), low.tolist(), strict=True):
        day, exponent = divmod(key, _EXPONENTS)
        sums[day] += ((int(above) << _HALF) + int(below)) << exponent
    scale = Fraction(2) ** (least - _MANTISSA)
    return tuple(one * scale for one in sums)


def _written(value: Fraction) -> str:
    return f"{value.numerator:x}/{value.denominator:x}"


def _read(text: str) -> Fraction:
    above, _, below = text.partition("/")
    return Fraction(int(above, 16), int(below, 16))


def bins_from_json(doc: Mapping[str, Any]) -> Bins:
    """The inverse of both kinds' `to_json`."""
    if "words" in doc:
        return WordBins(words=tuple(doc["words"]))
    return NumberBins(edges=tuple(map(float.fromhex, doc["edges"])))
