"""The label-profile check, which asks whether the newest labels look like labels at all.

Challenger and champion of a refresh learn from nearly the same rows, so a gate cannot see labels in
a wrong unit: five days times 60 once shipped a model with twelve times the error (docs/design.md 1). This
check compares days, not rows (rows of one day are not independent): a day is strange when its distance
from the earlier median, or its spread around its own, is far outside that of *every* earlier day. A
season or a trend moves less than that in one block; one strange day may be a storm, several are an error.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from retraining.decide.evidence import Check
from retraining.decide.wording import number

#: A day is strange beyond this multiple of the earlier days' largest (or below the smallest) spread.
STRANGE_RATIO = 3.0
#: So many strange days reject; a single one is a note.
STRANGE_DAYS = 2
#: Fewer earlier days than this say nothing about what is usual.
MIN_EARLIER_DAYS = 14
#: Days with fewer labels are left out: their spread is noise.
MIN_DAY_ROWS = 5
#: Days with fewer labels have no spread of their own worth comparing.
MIN_SPREAD_ROWS = 20
#: How far outside the earlier range a day's class share must lie, for classification.
SHARE_MARGIN = 0.15


def label_check(
    earlier: NDArray[np.float64],
    earlier_days: NDArray[np.int64],
    recent: NDArray[np.float64],
    recent_days: NDArray[np.int64],
    n_classes: int,
) -> Check | None:
    """The check of the labels that judge, or that only the shipped fit learns from, against the gate fit's.

    None where there are too few days. Labels are values, or class indices where `n_classes` > 0.
    Days are integers, one for each row.
    """
    if n_classes:
        return _class_check(earlier, earlier_days, recent, recent_days, n_classes)
    if not len(earlier) or not len(recent):
        return None
    middle = float(np.median(earlier))
    usual, usual_spread = _profiles(earlier, earlier_days, middle)
    found, found_spread = _profiles(recent, recent_days, middle)
    if len(usual) < MIN_EARLIER_DAYS or not len(found):
        return None
    strange = int((_outside(found, usual) | _outside(found_spread, usual_spread)).sum())
    low, high = float(usual.min()), float(usual.max())
    note = (
        f"{strange} of the {len(found)} newest days have labels unlike every earlier day "
        f"(mean distance from the median {number(found.min())} to {number(found.max())}; "
        f"earlier days {number(low)} to {number(high)})"
    )
    return Check(
        name="labels",
        value=float(strange),
        limit=float(STRANGE_DAYS - 1),
        passed=strange < min(STRANGE_DAYS, len(found)),
        note=note,
    )


def _profiles(
    values: NDArray[np.float64], days: NDArray[np.int64], middle: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """For each day with enough labels their mean distance from `middle`, and from the day's own median.

    Labels in a larger unit are far from the median; in a smaller one they are all alike. The second
    is NaN for days with too few labels to tell.
    """
    order = np.lexsort((values, days))
    _, starts = np.unique(days[order], return_index=True)
    own = [one for one in np.split(values[order], starts[1:]) if len(one) >= MIN_DAY_ROWS]
    distance = [float(np.abs(one - middle).mean()) for one in own]
    spread = [
        float(np.abs(one - np.median(one)).mean()) if len(one) >= MIN_SPREAD_ROWS else np.nan for one in own
    ]
    return np.array(distance, np.float64), np.array(spread, np.float64)


def _outside(found: NDArray[np.float64], usual: NDArray[np.float64]) -> NDArray[np.bool_]:
    """True for days far above every earlier day, or far below; never where too few earlier days can tell."""
    known = usual[~np.isnan(usual)]
    if len(known) < MIN_EARLIER_DAYS:
        return np.zeros(len(found), bool)
    return np.asarray((found > STRANGE_RATIO * known.max()) | (found * STRANGE_RATIO < known.min()))


def _class_check(
    earlier: NDArray[np.float64],
    earlier_days: NDArray[np.int64],
    recent: NDArray[np.float64],
    recent_days: NDArray[np.int64],
    n_classes: int,
) -> Check | None:
    strange = 0
    days = 0
    for code in range(n_classes):
        usual = _daily_means((earlier == code).astype(float), earlier_days)
        found = _daily_means((recent == code).astype(float), recent_days)
        if len(usual) < MIN_EARLIER_DAYS or not len(found):
            return None
        outside = (found > usual.max() + SHARE_MARGIN) | (found < usual.min() - SHARE_MARGIN)
        strange, days = max(strange, int(outside.sum())), len(found)
    # real events (a storm cancels most flights for two days) are outside too: half the days are not
    limit = max(STRANGE_DAYS, (days + 1) // 2)
    note = f"{strange} of the {days} newest days have class shares unlike every earlier day"
    return Check(
        name="labels", value=float(strange), limit=float(limit - 1), passed=strange < limit, note=note
    )


def _daily_means(values: NDArray[np.float64], days: NDArray[np.int64]) -> NDArray[np.float64]:
    _, codes, counts = np.unique(days, return_inverse=True, return_counts=True)
    sums = np.bincount(codes, weights=values, minlength=len(counts))
    return np.asarray((sums / counts)[counts >= MIN_DAY_ROWS])
