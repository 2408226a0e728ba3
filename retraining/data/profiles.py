"""Profiles of a table's columns: what the features of some rows held on each day."""

from __future__ import annotations

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from retraining.data.tables import NO_MOMENT, Column
from retraining.decide.profiles import Bins, NumberBins, Profile, WordBins, number_bins, word_bins

__all__ = ["column_bins", "column_profile"]


def column_bins(column: Column) -> Bins:
    """Bins for a column, from values that it is compared with later: quantiles of numbers, frequent texts."""
    if column.kind != "category":
        return number_bins(_numbers(column))
    codes, texts = column.texts()
    counts = Counter(codes[codes >= 0].tolist())
    return word_bins({texts[code]: rows for code, rows in counts.items()})


def column_profile(column: Column, bins: Bins, days: NDArray[np.int64]) -> Profile:
    """The profile of a column's rows by their days, `(n_rows,)`.

    Texts are counted where numbers were before, and the reverse, as missing: such a column has changed altogether.
    """
    if isinstance(bins, NumberBins):
        values = _numbers(column) if column.kind != "category" else np.full(len(days), np.nan)
        return Profile.of_numbers(bins, values, days)
    assert isinstance(bins, WordBins)
    codes, texts = column.texts() if column.kind == "category" else (np.full(len(days), -1, np.int64), ())
    return Profile.of_words(bins, codes, texts, days)


def _numbers(column: Column) -> NDArray[np.float64]:
    values = column.as_floats()
    return np.where(column.values == NO_MOMENT, np.nan, values) if column.kind == "timestamp" else values
