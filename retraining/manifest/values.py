"""A manifest as values: what the YAML file says, checked, with every default filled in.

Nothing here reads a file or knows YAML. Durations are `timedelta`, shares are fractions
(`5%` is 0.05), names are as written. Descriptions, owners, tags and resources never change a fit.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

Json: TypeAlias = "str | int | float | bool | list[Json] | dict[str, Json] | None"
ColumnType: TypeAlias = Literal["int", "float", "string", "bool", "date", "timestamp", "category"]
FileFormat: TypeAlias = Literal["parquet", "csv", "jsonl"]
MissingPolicy: TypeAlias = Literal["drop", "nan", "refuse"]
UpstreamPolicy: TypeAlias = Literal["retrain", "rescore", "ignore"]
DriftColumn: TypeAlias = Literal["loss", "prediction", "inputs"]
Aggregation: TypeAlias = Literal["mean", "sum", "min", "max", "count"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where something stands in the manifest; lines and columns count from 1."""

    file: str
    line: int
    column: int
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """A named table.

    `key` identifies a row; `time` is the column of the moment at which a row's features are known
    and its prediction is made; `ingested` the column before which the row does not exist; `group`
    the leak group of the fold scheme (default: the key).
    """

    name: str
    path: str
    key: tuple[str, ...]
    format: FileFormat | None = None
    types: Mapping[str, ColumnType] = field(default_factory=dict)
    missing: tuple[str, ...] = ("",)
    time: str | None = None
    ingested: str | None = None
    group: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeScheme:
    """Forward chaining over calendar blocks (docs/design.md 1). `block_days` is a whole number of days."""

    block_days: int = 14
    holdout: int = 1
    embargo: dt.timedelta = dt.timedelta(0)
    min_rows: int = 100
    min_blocks: int = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldScheme:
    """K folds, scored strictly (the fold lattice of docs/design.md 3): by a hash of the leak group, or by a column.

    `values` are the column's, each a fold, as text; they and so `folds` are known when the data was read.
    """

    folds: int = 5
    column: str | None = None
    values: tuple[str, ...] = ()


Scheme: TypeAlias = TimeScheme | FoldScheme


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The label and when it is known: a column of moments, or a delay after the decision.

    `classes` are as written and in output order (None: those of the data, sorted); `positive` is the class
    of two that is handed down (None: the last).
    """

    column: str
    known_at: str | None = None
    known_after: dt.timedelta | None = None
    classes: tuple[str, ...] | None = None
    positive: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Weight:
    """How much a row counts: a column in every fit and score, a half life of its age in fits alone.

    The age is counted back from each fit's own cut.
    """

    column: str | None = None
    half_life: dt.timedelta | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Partitions:
    """Which values of `partition_by` become nodes. Each entry of `only`/`except_` has one text per column.

    `small: pool` adds a node of all rows, which serves the rows of values that have no node.
    """

    only: tuple[tuple[str, ...], ...] | None = None
    except_: tuple[tuple[str, ...], ...] = ()
    min_rows: int = 100
    small: Literal["skip", "pool", "error"] = "skip"
    max: int = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """How an upstream model's predictions become columns of a model (an edge of the graph).

    `upstream` is the model, or a name of one's own for the union of `several`. `match` pairs (upstream
    column, own column): a many-to-one key; with `as_of` the newest available row of that key, at most
    `tolerance` old; with `aggregate` all available rows of it. Empty means the same dataset, row by row.
    `missing` None means: nan where the estimator takes it, else drop. `coverage` is the smallest share of
    rows that must find a prediction, `skew` the largest PSI from the column that was learnt from to what is
    served (None: any). They and `on_upstream_change` change no fit.
    """

    upstream: str
    column: str
    match: tuple[tuple[str, str], ...] = ()
    several: tuple[str, ...] = ()
    as_of: bool = False
    tolerance: dt.timedelta | None = None
    aggregate: tuple[Aggregation, ...] = ()
    missing: MissingPolicy | None = None
    coverage: float = 0.95
    on_upstream_change: UpstreamPolicy = "retrain"
    skew: float | None = None

    @property
    def models(self) -> tuple[str, ...]:
        """The models whose predictions are read, all on one dataset."""
        return self.several or (self.upstream,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """What a cluster must have free for one fit: CPUs, bytes of memory, GPUs, and resources of its own by name.

    None and 0 ask for nothing. They never change a fit.
    """

    cpus: float = 1.0
    memory: int | None = None
    gpus: float = 0.0
    custom: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimator:
    """A scikit-learn or XGBoost class by its name, or a callable of one's own, and its parameters as written.

    `type` is the canonical class name (the document's short names are resolved by the catalogue), or
    package.module:callable, of which `task` says what it predicts.
    """

    type: str
    parameters: Mapping[str, Json] = field(default_factory=dict)
    version: str | None = None
    task: Literal["regression", "classification"] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnMetric:
    """A metric of the user's own: `type` is package.module:callable.

    `better` says which direction is better, `needs` what it compares with the labels: predicted values,
    predicted classes, or probabilities.
    """

    type: str
    better: Literal["lower", "higher"]
    needs: Literal["value", "labels", "probabilities"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Margin:
    """How much worse a refresh may be: a share of the champion's loss, or an absolute number."""

    value: float = 0.02
    absolute: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """A metric's allowed range on the holdout."""

    metric: str
    max: float | None = None
    min: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GateRules:
    """When a challenger may replace its champion (docs/design.md 1).

    `approve` says who releases a winner, `first_release` who does where it replaces nothing.
    """

    margin: Margin = Margin()
    limits: tuple[Limit, ...] = ()
    min_clusters: int = 8
    refit_shift: float = 0.25
    dummy: Literal["warn", "reject"] = "warn"
    slices: tuple[str, ...] = ()
    by: Literal["node", "model"] = "node"
    approve: Literal["auto", "manual"] = "auto"
    first_release: Literal["auto", "manual"] = "auto"
    on_insufficient: Literal["keep", "ship_if_limits"] = "keep"


@dataclass(frozen=True, slots=True, kw_only=True)
class DefinitionCondition:
    """Fires when the model's definition differs from the champion's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamCondition:
    """Fires when an upstream column changed on the model's rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DataCondition:
    """Fires when training data changed by at least so many blocks, rows or such a share; one is set."""

    blocks: int | None = None
    rows: int | None = None
    share: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AgeCondition:
    """Fires when what the champion learnt from ends so long ago (by folds: when it was released then)."""

    age: dt.timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleCondition:
    """Fires when an instant of a cron text (five fields) has come, in `timezone` (None: the manifest's).

    Of instants that nobody looked at in time, `latest` answers the newest, `all` each of the newest `limit`, `none`
    none.
    """

    cron: str
    timezone: str | None = None
    missed: Literal["latest", "all", "none"] = "latest"
    limit: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PerformanceCondition:
    """Fires when a metric of the champion, over the mature blocks since its cut, is above `max` or below `min`.

    With `worse_than_gate`, when it is worse than on the blocks that the gate judged it on, by more than the gate's
    margin and surely so. Exactly one of the three is there. `metric` None: the model's first.
    """

    metric: str | None = None
    max: float | None = None
    min: float | None = None
    worse_than_gate: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedbackCondition:
    """Fires when late labels came or changed in so many rows, or corrected such a share; one is set."""

    rows: int | None = None
    corrected: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftCondition:
    """Fires when the loss, the predictions or the inputs of the champion drift on days since its cut.

    `psi` is the smallest population stability index that counts (None: 0.2); for `loss` the smallest relative change,
    where that is more than the gate's margin.
    """

    column: DriftColumn
    psi: float | None = None


Condition: TypeAlias = (
    DefinitionCondition
    | UpstreamCondition
    | DataCondition
    | AgeCondition
    | ScheduleCondition
    | PerformanceCondition
    | FeedbackCondition
    | DriftCondition
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """When a node is due: at least `at_least` of the conditions (`all`: every one).

    Within `not_within` of the last attempt it is not, whatever holds.
    """

    conditions: tuple[Condition, ...]
    at_least: int = 1
    not_within: dt.timedelta | None = None

    @property
    def measures(self) -> bool:
        """True where a condition looks at what the champion was worth, or predicted, on blocks that came after it."""
        return any(
            isinstance(one, PerformanceCondition)
            or (isinstance(one, DriftCondition) and one.column != "inputs")
            for one in self.conditions
        )

    @property
    def measured_metrics(self) -> tuple[str, ...]:
        """The metrics that conditions name, beside those of the model."""
        named = (one.metric for one in self.conditions if isinstance(one, PerformanceCondition))
        return tuple(dict.fromkeys(name for name in named if name is not None))


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """One entry under `models`, with the manifest's defaults merged in."""

    name: str
    dataset: str
    target: Target
    features: tuple[str, ...]
    inputs: tuple[Input, ...]
    estimator: Estimator
    metrics: tuple[str, ...]
    retrain_when: Rule
    partition_by: tuple[str, ...] = ()
    partitions: Partitions = Partitions()
    weight: Weight = Weight()
    window: dt.timedelta | None = None
    train_where: str | None = None
    preprocess: Literal["auto", "none"] = "auto"
    ship: Literal["refit", "gated"] = "refit"
    degenerate: Literal["fail", "prior"] = "fail"
    gate: GateRules = GateRules()
    resources: Resources = field(default_factory=Resources)
    description: str = ""
    owner: str = ""
    tags: tuple[str, ...] = ()
    own_metrics: Mapping[str, OwnMetric] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """The whole file, checked. `digest` is of its bytes; `schemes` has one entry for each dataset.

    `included` are the other files that it is made of, relative to its folder; the digest is of their bytes too.
    `keep_fits` is of how many of a column's newest fits the models are kept (None: of all).
    `places` maps a document path (`models.delay.features[2]`) to where it stands, for errors that
    only the data can show.
    """

    name: str
    file: Path
    digest: str
    datasets: Mapping[str, Dataset]
    models: Mapping[str, Model]
    schemes: Mapping[str, Scheme]
    store: str | None = None
    timezone: str = "UTC"
    seed: int = 0
    keep_fits: int | None = 2
    included: tuple[str, ...] = ()
    places: Mapping[str, Place] = field(default_factory=dict, compare=False, repr=False)

    @property
    def directory(self) -> Path:
        """The folder that relative paths of the manifest are relative to."""
        return self.file.parent
