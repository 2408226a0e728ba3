"""What a champion's honest column was worth, in sums that can be added up: by day, or by fold.

A `Measure` is of one node and one unit: a local day of the manifest's timezone (time scheme) or a fold. It
holds no row: counts of predictions in bins that are fixed for a champion, and sums of losses. Days of one block
are measured together and stored together (`MeasuredBlock`), and all that is known of a champion is `Measured`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retraining.decide.wording import finite_or_none
from retraining.manifest.catalog import DEFAULT_METRIC, METRICS, MetricInfo, Task
from retraining.manifest.values import Json

__all__ = [
    "BINS",
    "Measure",
    "Measured",
    "MeasuredBlock",
    "Profile",
    "add_up",
    "days_of",
    "loss_metric",
    "mean_of",
    "merge",
    "profile_of",
    "profile_of_classes",
]

#: Numbers are counted in at most so many bins, which hold equally many values of the reference.
BINS = 32
#: So many classes have a bin of their own; the others share one.
MOST_CLASSES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """The bins in which one handed-down column is counted, fixed for a champion.

    Numbers: bin i holds `edges[i - 1] <= value < edges[i]`, the first and the last are open. Classes (`edges` is
    None): a bin for each of `classes`, then one for all others. In both cases one more, the last, counts rows
    without a prediction. `name` is the column as readers know it.
    """

    name: str
    edges: tuple[float, ...] | None = None
    classes: tuple[str, ...] = ()

    @property
    def bins(self) -> int:
        """The number of counts, the one of rows without a prediction among them."""
        return (len(self.classes) if self.edges is None else len(self.edges)) + 2

    def bin_of(self, values: NDArray[Any]) -> NDArray[np.intp]:
        """The bin of each value: floats (NaN: no prediction), or the class's text (empty: none)."""
        if self.edges is not None:
            found = np.searchsorted(np.asarray(self.edges, np.float64), values, side="right")
            return np.where(np.isnan(values), self.bins - 1, found).astype(np.intp)
        place = {name: at for at, name in enumerate(self.classes)}
        other = len(self.classes)
        return np.array([self.bins - 1 if v == "" else place.get(str(v), other) for v in values], np.intp)

    def to_json(self) -> dict[str, Json]:
        """The bins as a document (format 1)."""
        return {
            "format": 1,
            "name": self.name,
            "edges": None if self.edges is None else list(self.edges),
            "classes": list(self.classes),
        }

    @classmethod
    def from_json(cls, doc: Mapping[str, Any]) -> Profile:
        """The inverse of `to_json`."""
        edges = doc["edges"]
        return cls(
            name=doc["name"],
            edges=None if edges is None else tuple(float(edge) for edge in edges),
            classes=tuple(doc["classes"]),
        )


def profile_of(name: str, reference: NDArray[np.float64]) -> Profile:
    """The bins of a column of numbers: edges at values of the reference, which cut it into equal parts.

    Fewer than `BINS` where values repeat; one bin for all numbers where the reference has none.
    """
    values = np.sort(reference[np.isfinite(reference)])
    if not len(values):
        return Profile(name=name, edges=())
    wanted = (np.arange(1, BINS) * len(values)) // BINS
    # an edge at the smallest value would leave the first bin empty
    edges = [edge for edge in np.unique(values[wanted]).tolist() if edge > values[0]]
    return Profile(name=name, edges=tuple(edges))


def profile_of_classes(name: str, reference: Sequence[str]) -> Profile:
    """The bins of a column of classes: the most frequent ones of the reference, in the order of their texts."""
    texts, counts = np.unique(
        np.array([text for text in reference if text != ""], object), return_counts=True
    )
    order = sorted(zip(texts.tolist(), counts.tolist(), strict=True), key=lambda one: (-one[1], one[0]))
    return Profile(name=name, classes=tuple(sorted(str(text) for text, _ in order[:MOST_CLASSES])))


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """The predictions of one day (days since 1970-01-01, local) or of one fold, added up.

    `rows` are all rows, `labelled` those whose label is known and counts, with a prediction; `weight` is theirs.
    `losses` has, for each metric that is made of sums, the weighted sum of row losses, lower is better (squared
    errors for `root_mean_squared_error`, misses for `accuracy`); NaN where a row has none. `counts` are of all
    rows, by the bins of the champion's profile.
    """

    unit: int
    rows: int
    labelled: int
    weight: float
    losses: Mapping[str, float]
    counts: tuple[int, ...]

    def __add__(self, other: Measure) -> Measure:
        """The measure of both parts' rows; ValueError where they are of different units, metrics or bins."""
        alike = self.losses.keys() == other.losses.keys() and len(self.counts) == len(other.counts)
        if self.unit != other.unit or not alike:
            raise ValueError("only measures of one unit, in the same metrics and bins, can be added up")
        return Measure(
            unit=self.unit,
            rows=self.rows + other.rows,
            labelled=self.labelled + other.labelled,
            weight=self.weight + other.weight,
            losses={name: value + other.losses[name] for name, value in self.losses.items()},
            counts=tuple(a + b for a, b in zip(self.counts, other.counts, strict=True)),
        )

    def to_json(self) -> dict[str, Json]:
        """The measure as a document."""
        return {
            "unit": self.unit,
            "rows": self.rows,
            "labelled": self.labelled,
            "weight": self.weight,
            "losses": {name: finite_or_none(value) for name, value in self.losses.items()},
            "counts": list(self.counts),
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
            counts=tuple(doc["counts"]),
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
            counts=one.counts,
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
    has the metrics that are no sums, over the labelled rows of the block; NaN where one has no value.
    """

    part: int
    mature: bool
    measures: tuple[Measure, ...]
    values: Mapping[str, float] = field(default_factory=dict)

    def to_json(self) -> dict[str, Json]:
        """The block as a document (format 1)."""
        return {
            "format": 1,
            "part": self.part,
            "mature": self.mature,
            "measures": [one.to_json() for one in self.measures],
            "values": {name: finite_or_none(value) for name, value in self.values.items()},
        }

    @classmethod
    def from_json(cls, doc: Mapping[str, Any]) -> MeasuredBlock:
        """The inverse of `to_json`."""
        return cls(
            part=doc["part"],
            mature=doc["mature"],
            measures=tuple(Measure.from_json(one) for one in doc["measures"]),
            values={name: math.nan if value is None else value for name, value in doc["values"].items()},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What is known of one champion: its column, measured block by block.

    `column` names the column. `reference` are blocks before its cut, which fits predicted that had not seen them
    (those in `judged` by its gate fit); `since` are the blocks from its cut on, which its shipped fit predicted: of
    complete blocks alone, the mature ones with their losses. By folds everything is in `since`. `loss` is the
    metric that stands for its loss. `pending` counts blocks of `since` that are not measured yet, `lost` are
    reference blocks whose predictions are no longer in the store.
    """

    node: str
    column: str
    loss: str
    profile: Profile | None
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
