"""The numbers that a verdict is made from, as values: workers compute them, `decide.gates` judges them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from retraining.decide.losses import ClusterLosses
from retraining.decide.slices import Slice
from retraining.decide.wording import finite_or_none, numbers
from retraining.manifest.values import Json

__all__ = ["LEVEL", "Check", "Difference", "GateEvidence", "Kind"]

Kind: TypeAlias = Literal["first", "incomparable", "refresh", "recipe", "same recipe"]

#: The one-sided level of the bounds of a difference.
LEVEL = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Challenger's loss minus champion's (positive: worse) with its one-sided 95 % bounds.

    They come from `draws` resamples of whole clusters, seeded with `seed`. `by_cluster` has the sums that were drawn,
    where the metric is made of sums and the clusters are days.
    """

    metric: str
    value: float
    lower: float
    upper: float
    champion_loss: float
    rows: int
    clusters: int
    draws: int = 0
    seed: int = 0
    by_cluster: Mapping[str, Json] | None = None

    def to_json(self, kind: str, margin: float | None) -> dict[str, Json]:
        """The difference as a document, with the kind of comparison and the margin that it was judged by."""
        return {
            "metric": self.metric,
            "value": finite_or_none(self.value),
            "lower": finite_or_none(self.lower),
            "upper": finite_or_none(self.upper),
            "margin": margin,
            "kind": kind,
            "champion_loss": finite_or_none(self.champion_loss),
            "rows": self.rows,
            "clusters": self.clusters,
            "level": LEVEL,
            "draws": self.draws,
            "seed": self.seed,
            "by_cluster": None if self.by_cluster is None else dict(self.by_cluster),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One rule with its number; `blocking` checks reject, others are shown."""

    name: str
    value: float | None
    limit: float | None
    passed: bool
    note: str = ""
    blocking: bool = True

    def to_json(self) -> dict[str, Json]:
        """The check as a document."""
        return {
            "name": self.name,
            "value": finite_or_none(self.value),
            "limit": self.limit,
            "passed": self.passed,
            "note": self.note,
            "blocking": self.blocking,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class GateEvidence:
    """What a challenger's gate fit did on the holdout.

    Metrics are in natural sign on the same rows, NaN where they have no value there; `champion` is None without
    one (or where it has no honest prediction there). `not_finite` counts the challenger's predictions that
    are no numbers. `holdout` describes the rows: from and to (its first and last day), rows, clusters, blocks.
    `losses` are there where the nodes of a model are judged together.
    """

    kind: Kind
    metrics: tuple[str, ...]
    challenger: Mapping[str, float]
    champion: Mapping[str, float] | None
    dummy: Mapping[str, float]
    difference: Difference | None
    holdout: Mapping[str, Json]
    checks: tuple[Check, ...] = ()
    not_finite: int = 0
    slices: tuple[Slice, ...] = ()
    losses: ClusterLosses | None = None

    def measurable(self, metric: str) -> bool:
        """False where the holdout itself leaves a metric without a value: of one class, or too few rows.

        A constant guess has none there either. Where it has one, a missing value is the challenger's own fault:
        its predictions are outside the metric's domain.
        """
        own, guess = self.challenger.get(metric, math.nan), self.dummy.get(metric, math.nan)
        return math.isfinite(own) or math.isfinite(guess)

    def cluster(self) -> str:
        """What was drawn: days in the time scheme, leak groups (or rows) in the fold scheme."""
        return "day" if "blocks" in self.holdout else "group"

    def to_json(self) -> dict[str, Json]:
        """The evidence as fields of a verdict's document."""
        return {
            "comparison": self.kind,
            "metric": self.metrics[0],
            "holdout": dict(self.holdout),
            "challenger": numbers(self.challenger),
            "champion": None if self.champion is None else numbers(self.champion),
            "dummy": numbers(self.dummy),
            "not_finite": self.not_finite,
        }
