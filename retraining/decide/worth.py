"""What a champion was worth on all mature blocks since its cut, beside what its gate said of it.

Computed by a worker from the rows, since not every metric is made of sums; read by triggers and told to people.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from retraining.decide.wording import finite_or_none, numbers
from retraining.manifest.values import Json

__all__ = ["Worsening", "Worth"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Worsening:
    """A metric before and after, in natural sign, and how sure it is that it became worse.

    `difference` is of losses: positive means worse. `margin` is what is tolerated; `lower` is the one-sided 95 %
    bound of the difference, and `probability` the p-value of "worse by at most the margin"; NaN where they are
    undefined. `clusters` are the days before and after.
    """

    metric: str
    before: float
    after: float
    difference: float
    margin: float
    lower: float
    probability: float
    clusters: tuple[int, int]
    draws: int

    def to_json(self) -> dict[str, Json]:
        """The numbers as a document."""
        return {
            "metric": self.metric,
            "before": finite_or_none(self.before),
            "after": finite_or_none(self.after),
            "difference": finite_or_none(self.difference),
            "margin": finite_or_none(self.margin),
            "lower": finite_or_none(self.lower),
            "probability": finite_or_none(self.probability),
            "clusters": list(self.clusters),
            "draws": self.draws,
        }

    @classmethod
    def from_json(cls, doc: Mapping[str, Any]) -> Worsening:
        """The inverse of `to_json`."""
        floats = {
            name: _number(doc[name])
            for name in ("before", "after", "difference", "margin", "lower", "probability")
        }
        before, after = doc["clusters"]
        return cls(metric=doc["metric"], clusters=(before, after), draws=doc["draws"], **floats)


@dataclass(frozen=True, slots=True, kw_only=True)
class Worth:
    """A champion's metrics, in natural sign, over the labelled rows of all mature blocks since its cut.

    `parts` are those blocks (by folds: all folds), `rows` and `days` what they hold (by folds: rows and folds).
    `values` are the metrics on them, `gate` the same on the blocks that its gate judged it on, with the labels that
    are known now (empty by folds, and where those predictions are gone); NaN where one has no value. `worsening`
    compares the two, where a rule asks for it.
    """

    parts: tuple[int, ...]
    rows: int
    days: int
    values: Mapping[str, float]
    gate: Mapping[str, float]
    gate_rows: int = 0
    gate_days: int = 0
    worsening: Worsening | None = None

    def to_json(self) -> dict[str, Json]:
        """The numbers as a document (format 1)."""
        return {
            "format": 1,
            "parts": list(self.parts),
            "rows": self.rows,
            "days": self.days,
            "values": numbers(self.values),
            "gate": numbers(self.gate),
            "gate_rows": self.gate_rows,
            "gate_days": self.gate_days,
            "worsening": None if self.worsening is None else self.worsening.to_json(),
        }

    @classmethod
    def from_json(cls, doc: Mapping[str, Any]) -> Worth:
        """The inverse of `to_json`."""
        worsening = doc["worsening"]
        return cls(
            parts=tuple(doc["parts"]),
            rows=doc["rows"],
            days=doc["days"],
            values={name: _number(value) for name, value in doc["values"].items()},
            gate={name: _number(value) for name, value in doc["gate"].items()},
            gate_rows=doc["gate_rows"],
            gate_days=doc["gate_days"],
            worsening=None if worsening is None else Worsening.from_json(worsening),
        )


def _number(value: float | None) -> float:
    return math.nan if value is None else value
