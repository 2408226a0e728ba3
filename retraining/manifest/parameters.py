"""What a model's estimator is: its class in the catalogue, and whether its parameters exist."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

from retraining.manifest.allowed import is_allowed, told
from retraining.manifest.catalog import METRICS, SHORT_NAMES, EstimatorInfo, Task, canonical_metric
from retraining.manifest.grammar import Estimators, Models, Targets
from retraining.manifest.nodes import MappingNode, Node, ScalarNode, child_path, shortened
from retraining.manifest.own import OWN_PATTERN, is_own, own_estimator, own_metric
from retraining.manifest.problems import Problems, listed
from retraining.manifest.readings import ModelReading
from retraining.manifest.records import Reading
from retraining.manifest.refusals import refused_estimator, refused_parameters
from retraining.manifest.values import Json, OwnMetric

__all__ = ["estimator_info", "written_parameters"]

_REFUSED: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "callbacks": ("takes Python objects, which a manifest cannot write", "remove it"),
        "early_stopping_rounds": (
            "needs rows held out inside each fit, which no scheme gives",
            "remove it and choose n_estimators",
        ),
        "estimator": ("takes a Python object, which a manifest cannot write", "remove it"),
    }
)


def written_parameters(model: ModelReading) -> Mapping[str, Json]:
    """The estimator's parameters as written; empty where there are none."""
    written = model.value(Models.ESTIMATOR)
    return (written.value(Estimators.PARAMETERS) or {}) if isinstance(written, Reading) else {}


def estimator_info(
    model: ModelReading, catalog: Mapping[str, EstimatorInfo], problems: Problems
) -> EstimatorInfo | None:
    """The catalogue's entry of the model's estimator; None after noting what is wrong with it."""
    written = model.value(Models.ESTIMATOR)
    where, path = model.spot(Models.ESTIMATOR)
    if written is None:
        if model.own.complete and not model.refused(Models.ESTIMATOR):
            found = f"`{model.name}` has no `estimator`, and the defaults have none"
            problems.add(
                where, path, found, "add `estimator: Ridge`, or any class of scikit-learn or XGBoost"
            )
        return None
    name: str | None
    if isinstance(written, Reading):
        name, where, path = (
            written.value(Estimators.TYPE),
            written.where(Estimators.TYPE),
            written.at(Estimators.TYPE),
        )
    else:
        name = written
    if name is None:
        return None
    if is_own(name):
        return _own(name, (where, path), model, written if isinstance(written, Reading) else None, problems)
    if isinstance(written, Reading) and written.has(Estimators.TASK):
        found = f"`task` is of a callable of your own; {name} says itself what it predicts"
        problems.add(written.where(Estimators.TASK), written.at(Estimators.TASK), found, "remove it")
    info = catalog.get(SHORT_NAMES.get(name, name))
    if info is None:
        refused = refused_estimator(name)
        if refused is not None:
            problems.add(where, path, *refused, once="refused")
        else:
            _refuse_type(name, (where, path), catalog, problems)
        return None
    if isinstance(written, Reading):
        _check_parameters(info, written, problems)
        other = refused_parameters(name, written.value(Estimators.PARAMETERS) or {})
        node = written.nodes.get(Estimators.PARAMETERS.name)
        if other is not None and isinstance(node, MappingNode):
            parameter, found, step = other
            place = next(entry.key for entry in node.entries if entry.key.text == parameter)
            problems.add(place, child_path(written.at(Estimators.PARAMETERS), parameter), found, step)
    return info


def _own(
    name: str,
    spot: tuple[Node | tuple[int, int], str],
    model: ModelReading,
    written: Reading | None,
    problems: Problems,
) -> EstimatorInfo | None:
    """What is known of a callable of the user's own, which is not imported here."""
    if not re.fullmatch(OWN_PATTERN, name):
        found = f'"{shortened(name)}" is no callable; it is written package.module:callable'
        problems.add(*spot, found, "write it like shop.models:build")
        return None
    metrics = model.value(Models.METRICS) or ()
    infos = [
        own_metric(one) if isinstance(one, OwnMetric) else METRICS[canonical_metric(one)] for one in metrics
    ]
    task: Task | None = None
    if written is not None and written.value(Estimators.TASK) is not None:
        task = "classification" if written.value(Estimators.TASK) == "classification" else "regression"
    elif infos:
        task = infos[0].task
    elif _names_classes(model):
        task = "classification"
    if task is None:
        if not model.refused(Models.METRICS) and not (
            written is not None and written.refused(Estimators.TASK)
        ):
            found = f"whether {name} predicts numbers or classes cannot be told without importing it"
            problems.add(*spot, found, "write `task: regression` or `task: classification` in `estimator`")
        return None
    return own_estimator(name, task, probabilities=any(one.needs != "labels" for one in infos) or not infos)


def _names_classes(model: ModelReading) -> bool:
    target = model.value(Models.TARGET)
    return isinstance(target, Reading) and (target.has(Targets.CLASSES) or target.has(Targets.POSITIVE))


def _refuse_type(
    name: str,
    spot: tuple[Node | tuple[int, int], str],
    catalog: Mapping[str, EstimatorInfo],
    problems: Problems,
) -> None:
    last = name.rsplit(".", 1)[-1]
    otherwise = "see `estimator` in `retrain schema` for the names"
    step = f"write {last}" if last != name and last in catalog else ""
    step = step or problems.suggestion(name, [*catalog, *SHORT_NAMES], otherwise)
    found = f'there is no estimator "{shortened(name)}" in the installed scikit-learn and XGBoost'
    problems.add(*spot, found, step)


def _check_parameters(info: EstimatorInfo, written: Reading, problems: Problems) -> None:
    node = written.nodes.get(Estimators.PARAMETERS.name)
    if not isinstance(node, MappingNode):
        return
    values = written.value(Estimators.PARAMETERS) or {}
    for entry in node.entries:
        name = entry.key.text
        path = child_path(written.at(Estimators.PARAMETERS), name)
        null = isinstance(entry.node, ScalarNode) and entry.node.value is None
        if name not in info.parameters:
            near = problems.nearest(name, info.parameters)
            step = f"did you mean `{near}`{_default(info, near)}?" if near else "remove it"
            found = f"{info.name} has no parameter `{shortened(name)}`; it has {listed(info.parameters)}"
            problems.add(entry.key, path, found, step)
        elif name == "random_state" and null:
            found = "`random_state: null` makes every fit different"
            problems.add(entry.node, path, found, "leave it out: it follows from the manifest's seed")
        elif name in _REFUSED and not null:
            reason, step = _REFUSED[name]
            problems.add(entry.key, path, f"`{name}` of {info.name} {reason}", step)
        elif name in values and name in info.allowed and not is_allowed(values[name], info.allowed[name]):
            takes = told(info.allowed[name])
            found = f"`{name}` of {info.name} cannot be {shortened(_written(values[name]))}"
            problems.add(entry.node, path, found, f"it takes {takes}{_default(info, name)}")


def _written(value: Json) -> str:
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _default(info: EstimatorInfo, parameter: str) -> str:
    return f" (default {_written(info.defaults[parameter])})" if parameter in info.defaults else ""
