"""Readings without problems -> the values of `values.py`, with every default filled in."""

from __future__ import annotations

from typing import Literal, cast

from retraining.manifest.catalog import DEFAULT_METRIC, EstimatorInfo, canonical_metric
from retraining.manifest.composites import Item
from retraining.manifest.edges import match_field
from retraining.manifest.grammar import (
    AsOf,
    Datasets,
    Edges,
    Estimators,
    Gates,
    Models,
    Partitioning,
    Requests,
    Targets,
    Top,
    Weights,
)
from retraining.manifest.own import is_own
from retraining.manifest.parameters import written_parameters
from retraining.manifest.readings import ModelReading
from retraining.manifest.records import Reading
from retraining.manifest.values import (
    Aggregation,
    ColumnType,
    DataCondition,
    Dataset,
    DefinitionCondition,
    Estimator,
    FileFormat,
    FoldScheme,
    GateRules,
    Input,
    Limit,
    Margin,
    MissingPolicy,
    Model,
    OwnMetric,
    Partitions,
    Resources,
    Rule,
    Scheme,
    Target,
    UpstreamCondition,
    UpstreamPolicy,
    Weight,
)

__all__ = ["build_dataset", "build_model"]


def build_dataset(name: str, reading: Reading, folder: str = "") -> Dataset:
    """The dataset of a reading without problems; `folder` is that of its file, relative to the manifest's."""
    types = reading.value(Datasets.TYPES) or {}
    missing = reading.value(Datasets.MISSING)
    return Dataset(
        name=name,
        path=_below(folder, reading.value(Datasets.PATH) or ""),
        key=reading.value(Datasets.KEY) or (),
        format=cast("FileFormat | None", reading.value(Datasets.FORMAT)),
        types={column: cast("ColumnType", item.value) for column, item in types.items()},
        missing=("",) if missing is None else missing,
        time=reading.value(Datasets.TIME),
        ingested=reading.value(Datasets.INGESTED),
        group=reading.value(Datasets.GROUP),
    )


def kept_models(written: str | Reading | None) -> int | None:
    """`keep_fits` as the number of a column's newest fits whose models are kept; None: all."""
    if written is None:
        return 2
    if isinstance(written, Reading):
        return written.value(Top.LAST)
    return None if written == "all" else 0


def _below(folder: str, path: str) -> str:
    """A path of an included file, relative to the manifest."""
    if not folder or "://" in path or path.startswith(("/", "~")):
        return path
    return f"{folder}/{path}"


def build_model(model: ModelReading, scheme: Scheme, estimator: EstimatorInfo) -> Model:
    """The model of a reading without problems, with the defaults merged in."""
    gate = _gate(model.value(Models.GATE))
    written = model.value(Models.METRICS) or (DEFAULT_METRIC[estimator.task],)
    # what a limit is kept for is measured, whether it is listed or not
    own = {metric.type: metric for metric in written if isinstance(metric, OwnMetric)}
    names = [one.type if isinstance(one, OwnMetric) else canonical_metric(one) for one in written]
    metrics = (*names, *(limit.metric for limit in gate.limits))
    columns = model.value(Models.PARTITION_BY) or ()
    inputs = model.value(Models.INPUTS) or {}
    return Model(
        name=model.name,
        dataset=model.value(Models.DATASET) or "",
        target=_target(model),
        features=model.value(Models.FEATURES) or (),
        inputs=tuple(_input(upstream, item) for upstream, item in inputs.items()),
        estimator=_estimator(model, estimator),
        metrics=tuple(dict.fromkeys(metrics)),
        retrain_when=model.value(Models.RETRAIN_WHEN) or _default_rule(scheme),
        partition_by=columns,
        partitions=_partitions(model.value(Models.PARTITIONS)) if columns else Partitions(),
        weight=_weight(model.value(Models.WEIGHT)),
        window=model.value(Models.WINDOW),
        train_where=model.value(Models.TRAIN_WHERE),
        preprocess=cast("Literal['auto', 'none']", model.value(Models.PREPROCESS) or "auto"),
        ship=cast("Literal['refit', 'gated']", model.value(Models.SHIP) or "refit"),
        degenerate=cast("Literal['fail', 'prior']", model.value(Models.DEGENERATE) or "fail"),
        gate=gate,
        resources=_resources(model.value(Models.RESOURCES)),
        description=model.value(Models.DESCRIPTION) or "",
        owner=model.value(Models.OWNER) or "",
        tags=model.value(Models.TAGS) or (),
        own_metrics=own,
    )


def _target(model: ModelReading) -> Target:
    written = model.value(Models.TARGET)
    if isinstance(written, Reading):
        return Target(
            column=written.value(Targets.COLUMN) or "",
            known_at=written.value(Targets.KNOWN_AT),
            known_after=written.value(Targets.KNOWN_AFTER),
            classes=written.value(Targets.CLASSES),
            positive=written.value(Targets.POSITIVE),
        )
    return Target(column=written or "")


def _weight(written: str | Reading | None) -> Weight:
    if isinstance(written, Reading):
        return Weight(column=written.value(Weights.COLUMN), half_life=written.value(Weights.HALF_LIFE))
    return Weight(column=written)


def _input(upstream: str, item: Item[Reading]) -> Input:
    edge = cast("Reading", item.value)
    match = match_field(edge) or ()
    coverage = edge.value(Edges.COVERAGE)
    as_of = edge.value(Edges.AS_OF)
    pairs = (
        tuple((column, own.value or "") for column, own in match.items())
        if isinstance(match, dict)
        else tuple((column, column) for column in match)
    )
    return Input(
        upstream=upstream,
        column=edge.value(Edges.AS) or upstream,
        match=pairs,
        several=edge.value(Edges.FROM) or (),
        as_of=as_of is not None,
        tolerance=as_of.value(AsOf.TOLERANCE) if as_of is not None else None,
        aggregate=cast("tuple[Aggregation, ...]", edge.value(Edges.AGGREGATE) or ()),
        missing=cast("MissingPolicy | None", edge.value(Edges.MISSING)),
        coverage=0.95 if coverage is None else coverage,
        on_upstream_change=cast("UpstreamPolicy", edge.value(Edges.ON_UPSTREAM_CHANGE) or "retrain"),
        skew=edge.value(Edges.SKEW),
    )


def _estimator(model: ModelReading, info: EstimatorInfo) -> Estimator:
    written = model.value(Models.ESTIMATOR)
    version = written.value(Estimators.VERSION) if isinstance(written, Reading) else None
    return Estimator(
        type=info.name,
        parameters=dict(written_parameters(model)),
        version=version,
        task=info.task if is_own(info.name) else None,
    )


def _default_rule(scheme: Scheme) -> Rule:
    data = DataCondition(share=0.1) if isinstance(scheme, FoldScheme) else DataCondition(blocks=1)
    return Rule(conditions=(DefinitionCondition(), UpstreamCondition(), data))


def _partitions(reading: Reading | None) -> Partitions:
    if reading is None:
        return Partitions()
    return Partitions(
        only=reading.value(Partitioning.ONLY),
        except_=reading.value(Partitioning.EXCEPT) or (),
        min_rows=reading.value(Partitioning.MIN_ROWS) or Partitions().min_rows,
        small=cast("Literal['skip', 'pool', 'error']", reading.value(Partitioning.SMALL) or "skip"),
        max=reading.value(Partitioning.MAX) or Partitions().max,
    )


def _resources(reading: Reading | None) -> Resources:
    if reading is None:
        return Resources()
    custom = reading.value(Requests.CUSTOM) or {}
    return Resources(
        cpus=reading.value(Requests.CPUS) or 1.0,
        memory=reading.value(Requests.MEMORY),
        gpus=reading.value(Requests.GPUS) or 0.0,
        custom={name: item.value or 0.0 for name, item in custom.items()},
    )


def _gate(reading: Reading | None) -> GateRules:
    plain = GateRules()
    if reading is None:
        return plain
    shift = reading.value(Gates.REFIT_SHIFT)
    limits = reading.value(Gates.LIMITS) or {}
    approve = reading.value(Gates.APPROVE) or plain.approve
    return GateRules(
        margin=_margin(reading.value(Gates.MARGIN)),
        limits=tuple(_limit(metric, cast("Reading", item.value)) for metric, item in limits.items()),
        min_clusters=reading.value(Gates.MIN_CLUSTERS) or plain.min_clusters,
        refit_shift=plain.refit_shift if shift is None else shift,
        dummy=cast("Literal['warn', 'reject']", reading.value(Gates.DUMMY) or plain.dummy),
        slices=reading.value(Gates.SLICES) or (),
        by=cast("Literal['node', 'model']", reading.value(Gates.BY) or plain.by),
        approve=cast("Literal['auto', 'manual']", approve),
        first_release=cast("Literal['auto', 'manual']", reading.value(Gates.FIRST_RELEASE) or approve),
        on_insufficient=cast(
            "Literal['keep', 'ship_if_limits']",
            reading.value(Gates.ON_INSUFFICIENT) or plain.on_insufficient,
        ),
    )


def _margin(written: float | Reading | None) -> Margin:
    if written is None:
        return Margin()
    if isinstance(written, Reading):
        return Margin(value=written.value(Gates.ABSOLUTE) or 0.0, absolute=True)
    return Margin(value=written)


def _limit(metric: str, reading: Reading) -> Limit:
    return Limit(metric=metric, max=reading.value(Gates.MAX), min=reading.value(Gates.MIN))
