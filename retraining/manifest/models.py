"""What the fields of one model say about each other, before the data is known.

Every check looks only at values that were read well, so that one mistake is one problem.
"""

from __future__ import annotations

from collections.abc import Mapping

from retraining.manifest.catalog import DEFAULT_METRIC, METRICS, EstimatorInfo, MetricInfo, canonical_metric
from retraining.manifest.drifts import refuse_by_folds
from retraining.manifest.edges import check_edges
from retraining.manifest.grammar import Datasets, Gates, Models, Partitioning, Targets, Weights
from retraining.manifest.nodes import MappingNode, Node, SequenceNode
from retraining.manifest.own import is_own, own_metric
from retraining.manifest.performance import Performances, check_performance, performance_readings
from retraining.manifest.problems import Problems
from retraining.manifest.readings import ModelReading
from retraining.manifest.records import Reading
from retraining.manifest.rules import blocks_node
from retraining.manifest.values import FoldScheme, OwnMetric, Scheme, TimeScheme

__all__ = ["check_model"]


def check_model(
    model: ModelReading,
    dataset: Reading | None,
    scheme: Scheme | None,
    estimator: EstimatorInfo | None,
    *,
    probabilities: bool,
    problems: Problems,
) -> None:
    """Note everything that contradicts itself in one model.

    `dataset`, `scheme` and `estimator` are None where they are unknown; what hangs on them is then
    left unchecked. `probabilities`: the estimator gives them with the parameters written.
    """
    _check_columns(model, problems)
    check_edges(model, scheme, problems)
    _check_partitions(model, problems)
    if dataset is not None:
        _check_moments(model, dataset, problems)
    if scheme is not None:
        _check_scheme(model, scheme, problems)
    if estimator is not None:
        _check_weight(model, estimator, problems)
        _check_classes(model, estimator, problems)
        _check_metrics(model, estimator, probabilities, problems)
        _check_margin(model, estimator, problems)
        _check_sums(model, estimator, problems)
        _check_performance(model, estimator, probabilities, isinstance(scheme, FoldScheme), problems)


def _target(model: ModelReading) -> tuple[str | None, Reading | None]:
    """The target's column, and its mapping where it is written as one."""
    target = model.value(Models.TARGET)
    if isinstance(target, Reading):
        return target.value(Targets.COLUMN), target
    return target, None


def _check_columns(model: ModelReading, problems: Problems) -> None:
    features = model.value(Models.FEATURES)
    target, mapping = _target(model)
    known_at = mapping.value(Targets.KNOWN_AT) if mapping else None
    for position, feature in enumerate(features or ()):
        where, path = model.spot(Models.FEATURES, position)
        if feature == target:
            found = f"the target `{feature}` is among the features of `{model.name}`"
            problems.add(where, path, found, "remove it: a model must not see its own label")
        elif feature == known_at:
            found = f"`{feature}` says when the label is known, and is among the features"
            problems.add(where, path, found, "remove it: it is known only with the label")
        elif feature == model.value(Models.TRAIN_WHERE):
            found = f"`{feature}` chooses the rows that are trained on, and is among the features"
            problems.add(where, path, found, "remove it: it is true in every row that a fit learns from")
    inputs = model.own.nodes.get(Models.INPUTS.name)
    nothing = inputs is None or (isinstance(inputs, MappingNode) and not inputs.entries)
    if model.own.complete and nothing and not features and not model.refused(Models.FEATURES):
        where, path = model.spot(Models.FEATURES)
        found = f"`{model.name}` has neither features nor inputs, so it has nothing to learn from"
        problems.add(where, path, found, "add `features: [column, ...]`")


def _check_partitions(model: ModelReading, problems: Problems) -> None:
    columns = model.value(Models.PARTITION_BY)
    target, _ = _target(model)
    if columns and target in columns:
        where, path = model.spot(Models.PARTITION_BY, columns.index(target or ""))
        found = f"the target `{target}` cannot choose the partition"
        problems.add(where, path, found, "partition by what is known when the prediction is made")
    partitions = model.value(Models.PARTITIONS)
    if partitions is None or model.refused(Models.PARTITION_BY):
        return
    if columns is None:
        if model.own.has(Models.PARTITIONS):
            where, path = model.spot(Models.PARTITIONS)
            problems.add(where, path, "`partitions` without `partition_by`", "add `partition_by: [column]`")
        return
    for wanted in (Partitioning.ONLY, Partitioning.EXCEPT):
        for position, value in enumerate(partitions.value(wanted) or ()):
            if len(value) != len(columns):
                where = partitions.where(wanted)
                node = where.items[position] if isinstance(where, SequenceNode) else where
                found = f"{len(value)} values for the {len(columns)} columns of `partition_by`"
                step = "write one list for each partition, with a value for each column"
                problems.add(node, f"{partitions.at(wanted)}[{position}]", found, step, once="arity")
    both = set(partitions.value(Partitioning.ONLY) or ()) & set(partitions.value(Partitioning.EXCEPT) or ())
    if both:
        named = ", ".join(sorted("/".join(value) for value in both))
        found = f"{named} stands in both `only` and `except`"
        problems.add(
            partitions.where(Partitioning.EXCEPT), partitions.at(Partitioning.EXCEPT), found, "keep one"
        )


def _check_moments(model: ModelReading, dataset: Reading, problems: Problems) -> None:
    """Columns of moments are no features."""
    moments = {dataset.value(Datasets.TIME): "time", dataset.value(Datasets.INGESTED): "ingested"}
    for position, feature in enumerate(model.value(Models.FEATURES) or ()):
        if feature in moments:
            where, path = model.spot(Models.FEATURES, position)
            found = f"`{feature}` is the dataset's `{moments[feature]}`, a moment, and no feature"
            problems.add(
                where, path, found, "put what matters of it into the table: hour, weekday, days since"
            )


def _check_weight(model: ModelReading, estimator: EstimatorInfo, problems: Problems) -> None:
    """Weights are of no use to an estimator that takes none."""
    if model.value(Models.WEIGHT) is None or estimator.takes_weights:
        return
    where, path = model.spot(Models.WEIGHT)
    found = f"{estimator.name} takes no weights (`{model.name}`)"
    problems.add(where, path, found, "use another estimator, or leave `weight` out", once="weight")


def _check_classes(model: ModelReading, estimator: EstimatorInfo, problems: Problems) -> None:
    """Classes are of a classifier, and a positive one is one of two."""
    _, target = _target(model)
    if target is None:
        return
    for wanted in (Targets.CLASSES, Targets.POSITIVE):
        if target.has(wanted) and estimator.task != "classification":
            found = f"`{wanted.name}` is of a classifier, and {estimator.name} predicts numbers"
            problems.add(target.where(wanted), target.at(wanted), found, "remove it, or use a classifier")
            return
    classes, positive = target.value(Targets.CLASSES), target.value(Targets.POSITIVE)
    if classes is None or positive is None:
        return
    where, path = target.where(Targets.POSITIVE), target.at(Targets.POSITIVE)
    if positive not in classes:
        problems.add(
            where, path, f"the positive class `{positive}` is not among `classes`", "mend one of them"
        )
    elif len(classes) > 2:
        problems.add(where, path, f"`positive` is for two classes; found {len(classes)}", "remove it")


def _check_scheme(model: ModelReading, scheme: Scheme, problems: Problems) -> None:
    match scheme:
        case TimeScheme():
            _check_time_scheme(model, problems)
        case FoldScheme():
            _check_fold_scheme(model, problems)


def _check_time_scheme(model: ModelReading, problems: Problems) -> None:
    column, mapping = _target(model)
    if column is None or (mapping and mapping.has(Targets.KNOWN_AT) != mapping.has(Targets.KNOWN_AFTER)):
        return
    where, path = model.spot(Models.TARGET)
    if mapping and not mapping.complete:
        return  # known_at may only be misspelt, which was noted
    if mapping and mapping.has(Targets.KNOWN_AT):
        problems.add(where, path, "`known_at` and `known_after` are both written", "keep one of the two")
        return
    found = f"the time scheme needs to know when the label `{column}` is known"
    step = (
        "write known_after: 0d where the label is known at once, else known_at: COLUMN or known_after: 3d: "
        f"`target: {{column: {column}, known_after: 0d}}`"
    )
    problems.add(where, path, found, step)


def _check_fold_scheme(model: ModelReading, problems: Problems) -> None:
    _, mapping = _target(model)
    for wanted in (Targets.KNOWN_AT, Targets.KNOWN_AFTER):
        if mapping and mapping.has(wanted):
            found = f"`{wanted.name}` has no meaning in the fold scheme, which knows no time"
            step = "remove it, or give the dataset `time` and `validation: {scheme: time}`"
            problems.add(mapping.where(wanted), mapping.at(wanted), found, step)
    for name, (where, path) in _counted_back(model).items():
        found = f"`{name}` counts back from a fit's cut, which the fold scheme does not have"
        problems.add(where, path, found, "remove it, or validate by time", once=name)
    if model.value(Models.SHIP) == "gated":
        where, path = model.spot(Models.SHIP)
        found = f"`ship: gated` needs the time scheme: with folds no single fit is judged (`{model.name}`)"
        problems.add(where, path, found, "write ship: refit", once="gated")
    rule = model.source(Models.RETRAIN_WHEN)
    node = rule.nodes[Models.RETRAIN_WHEN.name] if rule and model.value(Models.RETRAIN_WHEN) else None
    blocks = blocks_node(node) if node else None
    if node:
        refuse_by_folds(node, model.spot(Models.RETRAIN_WHEN)[1], problems)
    if blocks:
        _, path = model.spot(Models.RETRAIN_WHEN)
        found = f"`blocks` counts blocks of the time scheme; `{model.name}` is validated by folds"
        problems.add(blocks, path, found, "write data: {share: 10%} or data: {rows: 1000}", once="blocks")


def _counted_back(model: ModelReading) -> Mapping[str, tuple[Node | tuple[int, int], str]]:
    """The fields that are written and mean something in the time scheme alone, with their places."""
    weight = model.value(Models.WEIGHT)
    found = {}
    if model.value(Models.WINDOW) is not None:
        found[Models.WINDOW.name] = model.spot(Models.WINDOW)
    if isinstance(weight, Reading) and weight.has(Weights.HALF_LIFE):
        found[Weights.HALF_LIFE.name] = weight.where(Weights.HALF_LIFE), weight.at(Weights.HALF_LIFE)
    return found


def _check_metrics(
    model: ModelReading, estimator: EstimatorInfo, probabilities: bool, problems: Problems
) -> None:
    written = model.value(Models.METRICS)
    defaulted = written is None and not model.refused(Models.METRICS)
    if defaulted and estimator.task == "classification" and not probabilities:
        where, path = model.spot(Models.ESTIMATOR)
        found = f"{estimator.name} gives no probabilities, which the default metric log_loss needs"
        problems.add(where, path, found, "write metrics: [balanced_accuracy] and a gate", once="default")
    step = _fitting(estimator, probabilities)
    own = {one.type: one for one in written or () if isinstance(one, OwnMetric)}
    for position, one in enumerate(written or ()):
        _check_metric(
            _info(one), model.spot(Models.METRICS, position), estimator, probabilities, problems, step
        )
    _check_ranges(model, problems)
    gate = model.value(Models.GATE)
    if gate and gate.value(Gates.ON_INSUFFICIENT) == "ship_if_limits" and not gate.value(Gates.LIMITS):
        where, path = gate.where(Gates.ON_INSUFFICIENT), gate.at(Gates.ON_INSUFFICIENT)
        found = "ship_if_limits has no limits to go by, so it would ship whatever cannot be compared"
        problems.add(where, path, found, "write `limits` into the gate, or leave the field out")
    for name, spot in _limits(model).items():
        if is_own(name) and name not in own:
            found = f"{name} has a limit and is not among the metrics of `{model.name}`"
            problems.add(*spot, found, "list it under `metrics`, which says how it is read")
        else:
            _check_metric(_info(own.get(name, name)), spot, estimator, probabilities, problems, step)


def _check_performance(
    model: ModelReading, estimator: EstimatorInfo, probabilities: bool, folds: bool, problems: Problems
) -> None:
    """Conditions name metrics, as limits do, and must mean something by the gate that they are held against."""
    rule = model.source(Models.RETRAIN_WHEN)
    if rule is None or model.value(Models.RETRAIN_WHEN) is None or model.refused(Models.METRICS):
        return
    written = model.value(Models.METRICS)
    own = {one.type: one for one in written or () if isinstance(one, OwnMetric)}
    deciding = _info(written[0] if written else DEFAULT_METRIC[estimator.task])
    _, path = model.spot(Models.RETRAIN_WHEN)
    for reading, condition in performance_readings(rule.nodes[Models.RETRAIN_WHEN.name], path):
        name = condition.metric
        where = reading.where(Performances.METRIC), reading.at(Performances.METRIC)
        if name is not None and is_own(name) and name not in own:
            found = f"{name} is measured here and is not among the metrics of `{model.name}`"
            problems.add(*where, found, "list it under `metrics`, which says how it is read")
            continue
        info = deciding if name is None else _info(own.get(name, name))
        if name is not None:
            step = _fitting(estimator, probabilities)
            _check_metric(info, where, estimator, probabilities, problems, step)
        check_performance(reading, condition, info, deciding, folds, problems)


def _info(metric: str | OwnMetric) -> MetricInfo:
    return own_metric(metric) if isinstance(metric, OwnMetric) else METRICS[canonical_metric(metric)]


def _limits(model: ModelReading) -> Mapping[str, tuple[Node, str]]:
    gate = model.value(Models.GATE)
    limits = gate.value(Gates.LIMITS) if gate else None
    if gate is None or limits is None:
        return {}
    return {name: (item.key, f"{gate.at(Gates.LIMITS)}.{name}") for name, item in limits.items()}


def _check_ranges(model: ModelReading, problems: Problems) -> None:
    gate = model.value(Models.GATE)
    for name, item in ((gate.value(Gates.LIMITS) if gate else None) or {}).items():
        low = item.value.value(Gates.MIN) if item.value else None
        high = item.value.value(Gates.MAX) if item.value else None
        if item.value and low is not None and high is not None and low > high:
            found = f"no {name} can keep to this limit: min {low:g} is above max {high:g}"
            problems.add(item.node, item.value.path, found, "swap the two")


def _fitting(estimator: EstimatorInfo, probabilities: bool) -> str:
    fitting = [
        info.name
        for info in METRICS.values()
        if info.task == estimator.task and (probabilities or info.needs != "probabilities")
    ]
    return f"use one of {', '.join(fitting)}"


def _check_metric(
    info: MetricInfo,
    spot: tuple[Node | tuple[int, int], str],
    estimator: EstimatorInfo,
    probabilities: bool,
    problems: Problems,
    step: str,
) -> None:
    where, path, name = *spot, info.name
    if info.task != estimator.task:
        found = f"{name} is a metric of {info.task}; {estimator.name} does {estimator.task}"
        problems.add(where, path, found, step, once="task")
    elif info.needs == "probabilities" and not probabilities:
        found = f"{name} needs probabilities, which {estimator.name} with these parameters does not give"
        problems.add(where, path, found, step, once="probabilities")


def _check_sums(model: ModelReading, estimator: EstimatorInfo, problems: Problems) -> None:
    """Nodes that are judged together add their losses up, which only some metrics allow."""
    gate = model.value(Models.GATE)
    if gate is None or gate.value(Gates.BY) != "model" or model.refused(Models.METRICS):
        return
    written = model.value(Models.METRICS)
    deciding = _info(written[0] if written else DEFAULT_METRIC[estimator.task])
    spots = {deciding.name: (gate.where(Gates.BY), gate.at(Gates.BY))} | {
        _info(name).name: spot for name, spot in _limits(model).items()
    }
    for name, (where, path) in spots.items():
        if not _info(name).made_of_sums:
            found = f"`by: model` adds the losses of its nodes up, and {name} is no sum over rows (`{model.name}`)"
            step = "let a mean over rows decide and limit, such as mean_squared_error, accuracy or log_loss"
            problems.add(where, path, found, step, once=f"sums {name}")


def _check_margin(model: ModelReading, estimator: EstimatorInfo, problems: Problems) -> None:
    """A share of a loss means something only where the deciding metric is a loss above 0."""
    written = model.value(Models.METRICS)
    if model.refused(Models.METRICS) or model.refused(Models.GATE):
        return
    first = _info(written[0] if written else DEFAULT_METRIC[estimator.task])
    gate = model.value(Models.GATE)
    margin = gate.value(Gates.MARGIN) if gate else None
    if not first.greater_is_better or first.task != estimator.task:
        return
    if isinstance(margin, Reading) or (gate and gate.refused(Gates.MARGIN)):
        return
    where, path = model.spot(Models.METRICS, 0)
    found = f"{first.name} decides, and is no loss above 0: the default margin of 2% has no meaning for it"
    if gate and margin is not None:
        where, path = gate.where(Gates.MARGIN), gate.at(Gates.MARGIN)
        found = f"a margin in percent is of a loss above 0; {first.name} decides for `{model.name}`, which is none"
    step = "write gate: {margin: {absolute: 0.01}}, or put a loss first in `metrics`"
    problems.add(where, path, found, step, once="margin")
