"""What a champion's honest column was worth, in sums that can be added up: by day, or by fold.

A `Measure` is of one node and one unit: a local day of the manifest's timezone (time scheme) or a fold. It
holds no row, only sums of losses. Days of one block are measured and stored together (`MeasuredBlock`), with the
profile of their predictions (`decide.profiles`); all that is known of a champion is `Measured`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from retraining.decide.profiles import Profile
from retraining.decide.wording import finite_or_none
from retraining.manifest.catalog import DEFAULT_METRIC, METRICS, MetricInfo, Task
from retraining.manifest.values import Json

__all__ = [
    "Measure",
    "Measured",
    "MeasuredBlock",
    "add_up",
    "days_of",
    "loss_metric",
    "mean_of",
    "merge",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """The predictions of one day (days since 1970-01-01, local) or of one fold, added up.

    `rows` are all rows, `labelled` those whose label is known and counts, with a prediction; `weight` is theirs.
    `losses` has, for each metric that is made of sums, the weighted sum of row losses, lower is better (squared
    errors for `root_mean_squared_error`, misses for `accuracy`); NaN where a row has none.
    """

    unit: int
    rows: int
    labelled: int
    weight: float
    losses: Mapping[str, float]

    def __add__(self, other: Measure) -> Measure:
        """The measure of both parts' rows; ValueError where they are of different units or metrics."""
        if self.unit != other.unit or self.losses.keys() != other.losses.keys():
            raise ValueError("only measures of one unit, in the same metrics, can be added up")
        return Measure(
            unit=self.unit,
            rows=self.rows + other.rows,
            labelled=self.labelled + other.labelled,
            weight=self.weight + other.weight,
            losses={name: value + other.losses[name] for name, value in self.losses.items()},
        )

    def to_json(self) -> dict[str, Json]:
        """The measure as a document."""
        return {
            "unit": self.unit,
            "rows": self.rows,
            "labelled": self.labelled,
            "weight": self.weight,
            "losses": {name: finite_or_none(value) for name, value in self.losses.items()},
        }

    @classmethod
    def from_json(cls, doc: Mapping[str, Any]) -> Measure:
        """The inverse of `to_json`."""
        return cls(
            unit=doc["unit"],
            rows=doc["rows"],
            labelled=doc["labelled"],
            weight=doc["weight"],
            losses={name: math.nan if value is None else value for name, value in doc["losses"].items()},
        )


def merge(*parts: Iterable[Measure]) -> tuple[Measure, ...]:
    """The measures of several parts of the rows, by unit, rising; equal for equal parts in equal order."""
    found: dict[int, Measure] = {}
    for part in parts:
        for one in part:
            found[one.unit] = found[one.unit] + one if one.unit in found else one
    return tuple(found[unit] for unit in sorted(found))


def add_up(measures: Sequence[Measure]) -> Measure | None:
    """All units together (as unit 0), in their order; None without any."""
    total: Measure | None = None
    for one in measures:
        plain = Measure(
            unit=0,
            rows=one.rows,
            labelled=one.labelled,
            weight=one.weight,
            losses=one.losses,
        )
        total = plain if total is None else total + plain
    return total


def mean_of(metric: str, measures: Sequence[Measure]) -> float:
    """A metric that is made of sums, in natural sign, over all rows of the measures; NaN where it has no value."""
    total = add_up(measures)
    if total is None or not total.weight > 0:
        return math.nan
    loss = total.losses[metric] / total.weight
    if metric == "root_mean_squared_error":
        return math.sqrt(loss) if loss >= 0 else math.nan
    return 1.0 - loss if METRICS[metric].greater_is_better else loss


def loss_metric(metrics: Sequence[MetricInfo], task: Task, *, probabilities: bool) -> str:
    """The metric whose sums stand for a model's loss: the first that is made of sums, else the task's default."""
    for info in metrics:
        if info.made_of_sums:
            return info.name
    return DEFAULT_METRIC[task] if task == "regression" or probabilities else "accuracy"


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredBlock:
    """One block (or fold) of a champion's column: its measures by day, rising.

    Losses are counted where it is `mature` (by folds: always), and only of labels that were known then. `values`
    has the metrics that are no sums, over the labelled rows of the block; NaN where one has no value. `prediction`
    is the profile by day of the column that readers know (of two classes the positive one's probability, of more the
    predicted class), in bins that are fixed for the champion; None where it was not read.
    """

    part: int
    mature: bool
    measures: tuple[Measure, ...]
    values: Mapping[str, float] = field(default_factory=dict)
    prediction: Profile | None = None

    def to_json(self) -> dict[str, Json]:
        """The block as a document (format 1), without the profile, which is stored beside it."""
        return {
            "format": 1,
            "part": self.part,
            "mature": self.mature,
            "measures": [one.to_json() for one in self.measures],
            "values": {name: finite_or_none(value) for name, value in self.values.items()},
        }

    @classmethod
    def from_json(cls, doc: Mapping[str, Any], prediction: Profile | None = None) -> MeasuredBlock:
        """The inverse of `to_json`."""
        return cls(
            part=doc["part"],
            mature=doc["mature"],
            measures=tuple(Measure.from_json(one) for one in doc["measures"]),
            values={name: math.nan if value is None else value for name, value in doc["values"].items()},
            prediction=prediction,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What is known of one champion: its column, measured block by block.

    `column` is the name of the column that it hands down. `reference` are blocks before its cut, which fits
    predicted that had not seen them (those of `judged` are its gate fit's); `since` are the complete blocks from its
    cut on, which its shipped fit predicted: the mature ones with their losses. By folds everything is in `since`.
    `loss` is the metric that stands for its loss. `pending` counts blocks of `since` that are not measured yet,
    `lost` are reference blocks whose predictions are no longer in the store.
    """

    node: str
    column: str
    loss: str
    reference: tuple[MeasuredBlock, ...] = ()
    judged: tuple[int, ...] = ()
    since: tuple[MeasuredBlock, ...] = ()
    pending: int = 0
    lost: tuple[int, ...] = ()

    @property
    def gate(self) -> tuple[MeasuredBlock, ...]:
        """The blocks on which the champion was judged, as far as they are there."""
        return tuple(block for block in self.reference if block.part in self.judged)

    @property
    def mature(self) -> tuple[MeasuredBlock, ...]:
        """The blocks since its cut whose labels count."""
        return tuple(block for block in self.since if block.mature)


def days_of(blocks: Iterable[MeasuredBlock]) -> tuple[Measure, ...]:
    """The measures of some blocks by day, rising."""
    return merge(*(block.measures for block in blocks))
