"""Callables of the user's own that a manifest names, as far as they are known without importing them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from retraining.manifest.catalog import (
    METRICS,
    EstimatorInfo,
    MetricInfo,
    Task,
    canonical_metric,
    estimators,
)
from retraining.manifest.values import Model, OwnMetric

__all__ = [
    "OWN_PATTERN",
    "estimator_facts_of",
    "is_module",
    "is_own",
    "metric_facts",
    "module_of",
    "own_estimator",
    "own_metric",
]

_NAME: Final = r"[A-Za-z_][A-Za-z0-9_]*"
_MODULE: Final = rf"{_NAME}(\.{_NAME})*"
OWN_PATTERN: Final = rf"^{_MODULE}:{_MODULE}$"
"""A callable: `package.module:callable`."""


def is_own(name: str) -> bool:
    """Whether a type is written as a callable of the user's own, well or badly."""
    return ":" in name


def is_module(name: str) -> bool:
    """Whether a text can be the name of a package or module."""
    return re.fullmatch(_MODULE, name) is not None


def module_of(name: str) -> str:
    """The module of a callable."""
    return name.partition(":")[0]


def own_estimator(name: str, task: Task, *, probabilities: bool) -> EstimatorInfo:
    """What the engine takes for granted of an estimator that it may not import.

    That it takes no missing values and wants numbers of one scale, which is right for any under
    `preprocess: auto`; that it takes weights, which is found out when they are given.
    """
    return EstimatorInfo(
        name=name,
        module=module_of(name),
        task=task,
        parameters=(),
        accepts_nan=False,
        needs_scaling=True,
        probabilities=probabilities,
        takes_weights=True,
    )


def own_metric(metric: OwnMetric) -> MetricInfo:
    """A metric of the user's own, as the catalogue would write it."""
    return MetricInfo(
        name=metric.type,
        task="regression" if metric.needs == "value" else "classification",
        needs=metric.needs,
        greater_is_better=metric.better == "higher",
        mean_over_rows=False,
    )


def metric_facts(name: str, own: Mapping[str, OwnMetric]) -> MetricInfo:
    """What is known of a metric that a model measures: the catalogue's, or one of its own."""
    return own_metric(own[name]) if name in own else METRICS[canonical_metric(name)]


def estimator_facts_of(model: Model) -> EstimatorInfo:
    """What is known of a model's estimator: the catalogue's entry, or what is taken for granted of one's own."""
    if not is_own(model.estimator.type):
        return estimators()[model.estimator.type]
    infos = [metric_facts(name, model.own_metrics) for name in model.metrics]
    return own_estimator(
        model.estimator.type,
        model.estimator.task or infos[0].task,
        probabilities=any(info.needs != "labels" for info in infos),
    )
