"""Tasks and their results as values: what a worker is told, and what it answers.

A task names its inputs (tables, columns, joins) by key; a backend supplies them. Results are small
plain values: models and columns travel through the store's packs, never through a result.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from retraining.data.labels import Classes
from retraining.decide.fits import LeftOut
from retraining.decide.profiles import Bins
from retraining.decide.recipes import Recipe
from retraining.errors import StoreError
from retraining.manifest.catalog import MetricInfo
from retraining.manifest.values import Json, Margin
from retraining.release.values import BlobPointer
from retraining.store.packs import StoredRecord

FitKind: TypeAlias = Literal["gate", "block", "shipped", "champion", "comparison"]


@dataclass(frozen=True, slots=True, kw_only=True)
class InputSpec:
    """One upstream column of a task: keys of the values and of the join (None: the same row)."""

    values: str
    join: str | None
    names: tuple[str, ...]
    policy: Literal["drop", "nan", "refuse"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A block or fold to predict, and the fingerprint of the predictions."""

    part: int
    fingerprint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FitTask:
    """Train M(node, left out) (or load `model`) and predict some blocks or folds with it."""

    id: str
    node: str
    kind: FitKind
    recipe: Recipe
    classes: Classes
    left_out: LeftOut
    fingerprint: str
    pieces: tuple[Piece, ...]
    inputs: tuple[InputSpec, ...]
    as_of: int
    model: BlobPointer | None = None
    keep_model: bool = False
    check_reload: bool = False

    @property
    def label(self) -> str:
        """The fit's name for people."""
        return f"{self.node} {self.left_out}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceColumn:
    """A column whose values are slices: of each judged row the position of its value in `texts`, -1 for missing."""

    name: str
    codes: NDArray[np.int64]
    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreTask:
    """Compare predictions on the same rows: challenger, champion, and the challenger without each input.

    Predictions are `(n_rows, n_outputs)`; `clusters` has the day or leak group of each row. `train`
    and `fresh` are the labels (and days) that the gate fit learnt from and those that only the
    shipped fit will, for the label-profile check. `weights` say how much the judged rows count, and
    `train_weights` how much the labels that the gate fit learnt from did (None: all the same).
    `own_metrics` says how those of the `metrics` are read that are callables of the user's own. `slices` are
    compared too, each against `margin`; `add_up` asks for the sums by which nodes are judged together.
    """

    id: str
    node: str
    metrics: tuple[str, ...]
    task: Literal["regression", "classification"]
    classes: Classes
    target: NDArray[np.generic]
    clusters: NDArray[np.int64]
    challenger: NDArray[np.float64]
    champion: NDArray[np.float64] | None
    without: Mapping[str, NDArray[np.float64] | None]
    train: NDArray[np.generic]
    train_days: NDArray[np.int64] | None
    fresh: NDArray[np.generic]
    fresh_days: NDArray[np.int64] | None
    seed: int
    weights: NDArray[np.float64] | None = None
    train_weights: NDArray[np.float64] | None = None
    own_metrics: Mapping[str, MetricInfo] = field(default_factory=dict)
    slices: tuple[SliceColumn, ...] = ()
    margin: Margin = field(default_factory=Margin)
    add_up: bool = False

    @property
    def label(self) -> str:
        """The task's name for people."""
        return f"{self.node} score"


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasureTask:
    """Add up a champion's honest column by block and day, and say what it is worth since its cut.

    One entry of each array for each row of the blocks at hand: its block (or fold), its day (or fold), its label,
    whether that counts, and its predictions `(n_rows, n_outputs)`, NaN without one. `records` are the fingerprints of
    the blocks that are not in the store yet; of the `lost` ones there are no predictions any more. `reference`,
    `judged` and `since` are blocks as `decide.measures.Measured` has them. `bins` None: those of the reference are
    made and stored as `bins_key`. `worth` is the fingerprint of what it is worth; `compared` the metric that is held
    against the gate's, within `margin`. `fit` names the shipped fit.
    """

    id: str
    node: str
    fit: str
    metrics: tuple[str, ...]
    task: Literal["regression", "classification"]
    classes: Classes
    part: NDArray[np.int32]
    day: NDArray[np.int64]
    target: NDArray[np.generic]
    counted: NDArray[np.bool_]
    prediction: NDArray[np.float64]
    weights: NDArray[np.float64] | None
    records: Mapping[int, str]
    lost: tuple[int, ...]
    mature: frozenset[int]
    reference: frozenset[int]
    judged: frozenset[int]
    since: tuple[int, ...]
    bins: Bins | None
    bins_key: str
    worth: str
    compared: str | None
    margin: Margin
    seed: int
    own_metrics: Mapping[str, MetricInfo] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """The task's name for people."""
        return f"{self.node} measure"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileTask:
    """Count what the features of a champion's rows held on each day, by block.

    `records` are the fingerprints of the blocks that are not in the store yet. `bins` None: they are made from the
    blocks of `reference` and stored as `bins_key`. `fit` names the shipped fit.
    """

    id: str
    node: str
    fit: str
    recipe: Recipe
    classes: Classes
    as_of: int
    records: Mapping[int, str]
    reference: frozenset[int]
    bins: Mapping[str, Bins] | None
    bins_key: str

    @property
    def label(self) -> str:
        """The task's name for people."""
        return f"{self.node} inputs"


Task: TypeAlias = FitTask | ScoreTask | MeasureTask | ProfileTask


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskResult:
    """What became of one task; `error` is the text of what a fit raised (None: it succeeded).

    `damaged` is True where the stored model that the task named cannot be read: it can be made again.
    `shared` is True where another run finished the task: its results are in the store.
    `records` are the footers of what the task stored; `scores` the answer of a score task; times are
    in seconds since the epoch, on the worker's clock.
    """

    id: str
    records: tuple[StoredRecord, ...] = ()
    scores: Mapping[str, Json] = field(default_factory=dict)
    error: str | None = None
    damaged: bool = False
    shared: bool = False
    started: float = 0.0
    ended: float = 0.0
    worker: str = ""
    peak_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Tasks that one worker does one after the other, and the pack that makes them durable.

    `room` is how many times what its model asks for it is to get: a fit that used up the memory is tried with twice.
    """

    id: str
    tasks: tuple[Task, ...]
    pack: str
    attempt: int = 1
    room: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchResult:
    """The results of a batch's tasks, in their order; `lost` says why the worker gave none.

    `machine_lost` is True where that was no fault of the tasks: their machine went away; `out_of_memory` where
    the machine's memory was used up.
    `fatal` is what ends the run: the store, which other tasks would not find in a better state.

    `columns` holds columns of the pack by their digest: as many as are cheaper to hand over than to
    read back.
    """

    batch: Batch
    results: tuple[TaskResult, ...] = ()
    columns: Mapping[str, bytes] = field(default_factory=dict)
    lost: str | None = None
    machine_lost: bool = False
    out_of_memory: bool = False
    fatal: StoreError | None = None
