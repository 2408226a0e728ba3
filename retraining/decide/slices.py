"""Slices of a holdout: whether a group of rows pays for what the others gain.

Each slice is compared like the whole holdout. That its challenger is worse by more than the margin must be
shown, and shown in spite of the number of slices: probabilities are adjusted by Benjamini and Hochberg (1995)
over the slices with clusters enough. A slice without proof keeps nobody out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from retraining.decide.discoveries import FALSE_DISCOVERIES, adjusted
from retraining.decide.losses import ClusterLosses
from retraining.decide.wording import counted, finite_or_none, number, signed
from retraining.manifest.values import Json

__all__ = ["Slice", "harm_note", "judge_slices"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """The rows of a holdout with one value of a column (None: missing), and how both models do there.

    `difference` is in loss, with its one-sided 95 % bounds. `probability` is that of a difference as large where
    the challenger is worse by exactly `margin`. `adjusted` is the probability after Benjamini and Hochberg (None:
    the slice does not take part, for lack of clusters or of a value), `harmed` what follows. `losses` are there
    to be added up.
    """

    column: str
    value: str | None
    rows: int
    clusters: int
    challenger: float
    champion: float | None = None
    difference: float = math.nan
    lower: float = math.nan
    upper: float = math.nan
    margin: float = math.nan
    probability: float = math.nan
    adjusted: float | None = None
    harmed: bool = False
    losses: ClusterLosses | None = None

    @property
    def name(self) -> str:
        """`column=value` as people write it."""
        return f"{self.column}={'(missing)' if self.value is None else self.value}"

    def to_json(self) -> dict[str, Json]:
        """The slice as a document, without its sums."""
        return {
            "column": self.column,
            "value": self.value,
            "rows": self.rows,
            "clusters": self.clusters,
            "challenger": finite_or_none(self.challenger),
            "champion": finite_or_none(self.champion),
            "difference": finite_or_none(self.difference),
            "lower": finite_or_none(self.lower),
            "upper": finite_or_none(self.upper),
            "margin": finite_or_none(self.margin),
            "probability": finite_or_none(self.probability),
            "adjusted": self.adjusted,
            "harmed": self.harmed,
        }


def judge_slices(slices: Sequence[Slice], min_clusters: int) -> tuple[Slice, ...]:
    """The slices with what the adjustment makes of their probabilities, in their order."""
    part = [
        (one.probability, place)
        for place, one in enumerate(slices)
        if one.clusters >= min_clusters and math.isfinite(one.probability)
    ]
    found = adjusted([probability for probability, _ in part])
    by_place = {place: value for (_, place), value in zip(part, found, strict=True)}
    return tuple(
        replace(one, adjusted=by_place.get(place), harmed=by_place.get(place, 1.0) <= FALSE_DISCOVERIES)
        for place, one in enumerate(slices)
    )


def harm_note(slices: Sequence[Slice], metric: str) -> str:
    """A sentence on the slices that are harmed, or ''."""
    harmed = [one for one in slices if one.harmed]
    if not harmed:
        return ""
    worst = max(harmed, key=lambda one: one.lower - one.margin)
    rest = f" (and {counted(len(harmed) - 1, 'slice')} more)" if len(harmed) > 1 else ""
    return (
        f"worse than the champion where {worst.name}{rest}: {metric} differs by {signed(worst.difference)} in loss, "
        f"95% bound {signed(worst.lower)}, and the margin is {number(worst.margin)}"
    )
