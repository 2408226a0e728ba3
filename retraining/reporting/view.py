"""What the report shows, as values: a run record that has been read once and needs no more guessing.

Missing parts are None, "" or empty; nothing here is formatted. A difference is always in *loss*:
below zero the first of the two is better, whichever way its metric points.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from retraining.reporting.drift_view import DriftView

__all__ = [
    "Bar",
    "CheckView",
    "Difference",
    "DrawnNode",
    "EdgeView",
    "InputView",
    "LeafView",
    "NodeView",
    "PairView",
    "Period",
    "PoolView",
    "Reason",
    "RunView",
    "SkewView",
    "Skipped",
    "SliceView",
    "VerdictView",
    "is_loss",
]


def is_loss(metric: str) -> bool:
    """Whether smaller values of the metric are better, by scikit-learn's convention for names."""
    return metric.endswith(("_error", "_loss", "_deviance"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A paired difference in loss with its interval.

    `reference` is the loss that it is compared with (champion, or without the column); None where the
    metric is no loss above zero, and the difference then has no meaning in percent.
    """

    value: float
    lower: float | None = None
    upper: float | None = None
    margin: float | None = None
    kind: str = ""
    reference: float | None = None

    def in_percent_units(self, number: float | None) -> float | None:
        """The number as a fraction of the reference; as it is where there is none."""
        if number is None or self.reference is None:
            return number
        return number / self.reference

    @property
    def finding(self) -> str:
        """`better`, `worse` or `unclear`, by whether the whole interval lies on one side of zero."""
        lower = self.lower if self.lower is not None else math.nan
        upper = self.upper if self.upper is not None else math.nan
        if upper < 0:
            return "better"
        return "worse" if lower > 0 else "unclear"


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """The rows on which something was judged: half-open dates as written, rows, clusters, blocks."""

    start: str = ""
    end: str = ""
    rows: int | None = None
    clusters: int | None = None
    blocks: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckView:
    """A limit or sanity check of a gate: `passed` None if not made, `blocking` False if it only warns."""

    name: str
    value: float | None
    limit: float | None
    passed: bool | None
    note: str
    blocking: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceView:
    """The rows with one value of a column; `adjusted` None: reported, not judged. Differences are in loss."""

    name: str
    rows: int
    clusters: int
    challenger: float | None
    champion: float | None
    difference: float | None
    lower: float | None
    upper: float | None
    margin: float | None
    adjusted: float | None
    harmed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictView:
    """What a gate decided and every number that it used."""

    word: str
    because: str
    comparison: str
    metric: str
    holdout: Period
    challenger: Mapping[str, float]
    champion: Mapping[str, float]
    dummy: Mapping[str, float]
    difference: Difference | None
    limits: tuple[CheckView, ...]
    checks: tuple[CheckView, ...]
    notes: tuple[str, ...] = ()
    slices: tuple[SliceView, ...] = ()
    pooled: PoolView | None = None

    @property
    def all_passed(self) -> bool:
        """Whether no limit and no check failed."""
        return all(check.passed is not False for check in (*self.limits, *self.checks))


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolView:
    """The verdict on the nodes of a model that were judged together."""

    model: str
    nodes: int
    verdict: VerdictView


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeView:
    """What one upstream column brings to a node on the same rows, out of time."""

    node: str
    model: str
    column: str
    metric: str
    with_column: float | None
    without_column: float | None
    difference: Difference | None
    period: Period

    @property
    def of_all(self) -> bool:
        """Whether this compares with and without all upstream columns together, which the record names `*`."""
        return self.column == "*"


@dataclass(frozen=True, slots=True, kw_only=True)
class PairView:
    """A champion with other upstream columns than it learnt from: whether it bears them, and the numbers.

    `upstreams` hand down another column, since `new` have new versions. `together` counts the nodes of the model that
    were checked as one, 0 for none: the numbers are the node's own. Of a check that an earlier run made `run` and
    `time` are known.
    """

    node: str
    upstreams: tuple[str, ...]
    new: tuple[str, ...]
    passed: bool
    because: str
    metric: str
    before: float | None
    after: float | None
    difference: Difference | None
    period: Period
    run: str = ""
    time: str = ""
    together: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SkewView:
    """The shift of an upstream column from what was learnt from to what is served; `note` tells it in words."""

    column: str
    psi: float | None
    limit: float | None
    passed: bool
    blocking: bool
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LeafView:
    """A leaf of the release, scored as it was served before and as it is now; `by` says what scored it."""

    node: str
    by: str
    comparison: str
    metric: str
    before: float | None
    after: float | None
    difference: Difference | None
    period: Period
    because: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InputView:
    """An upstream column of a node and the share of rows that found a prediction."""

    column: str
    upstreams: tuple[str, ...]
    coverage: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Why a node was due, or was kept."""

    kind: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnNode:
    """What the picture of a graph shows of a node; `label` is its partition.

    `place` counts nodes from 0 in reading order: by level, model and name.
    """

    place: int
    name: str
    model: str
    label: str
    estimator: str
    upstreams: tuple[str, ...]
    outcome: str
    because: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackBlock:
    """One block of a champion's column: its days (or its fold, as a text) and its metrics, empty before it is mature.

    `role`: `judged` by its gate, `before` its cut otherwise, or `since`; '' by folds.
    """

    name: str
    role: str
    rows: int
    labelled: int
    values: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackView:
    """How a champion does on what came after it: block by block, and all together beside what its gate said.

    `finding` says in words what the comparison with the gate came to, '' where none was asked for.
    """

    metrics: tuple[str, ...]
    blocks: tuple[TrackBlock, ...]
    judged: Mapping[str, float]
    since: Mapping[str, float]
    rows: int
    days: int | None
    since_from: str
    finding: str
    pending: int
    lost: int
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeView(DrawnNode):
    """One node of the run."""

    description: str
    owner: str
    tags: tuple[str, ...]
    level: int
    task: str
    inputs: tuple[InputView, ...]
    action: str
    conditional: bool
    reasons: tuple[Reason, ...]
    note: str
    version: str
    previous: str
    verdict: VerdictView | None
    edges: tuple[EdgeView, ...]
    pairs: tuple[PairView, ...]
    skew: tuple[SkewView, ...]
    fits_made: int
    fits_reused: int
    fit_seconds: float
    rows: Mapping[str, int]
    cut: str
    first_predicted: str
    error: str
    track: TrackView | None = None

    @property
    def error_line(self) -> str:
        """The line of the error that says most: the last of a traceback, else the first."""
        lines = [line for line in self.error.splitlines() if line.strip()]
        if not lines:
            return ""
        return lines[-1] if lines[0].startswith("Traceback") else lines[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One task of the timeline; `start` and `end` are seconds since the run began, `error` its failure."""

    node: str
    fit: str
    kind: str
    worker: str
    start: float
    end: float
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """A partition that is no node, and why."""

    model: str
    partition: str
    rows: int | None
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunView:
    """A whole run. Moments are ISO texts as recorded, durations seconds, `counts` in reading order.

    `timezone` is the manifest's, in which moments are shown.
    """

    run: str
    manifest: str
    manifest_file: str
    manifest_digest: str
    store: str
    backend: str
    slots: int | None
    started: str
    ended: str
    as_of: str
    timezone: str
    release_before: str
    release_after: str
    release_sequence: str
    exit_code: int | None
    counts: tuple[tuple[str, int], ...]
    fits_made: int
    fits_reused: int
    comparisons: int
    total_seconds: float | None
    training_seconds: float | None
    nodes: tuple[NodeView, ...]
    leaves: tuple[LeafView, ...]
    pools: tuple[PoolView, ...]
    timeline: tuple[Bar, ...]
    skipped: tuple[Skipped, ...]
    drift: tuple[DriftView, ...] = ()

    @property
    def released(self) -> bool:
        """Whether the run published a release."""
        return bool(self.release_after) and self.release_after != self.release_before

    @property
    def edges(self) -> tuple[EdgeView, ...]:
        """The edges of all nodes, in the order of the nodes."""
        return tuple(edge for node in self.nodes for edge in node.edges)
