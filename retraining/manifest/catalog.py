"""The names that a manifest may use: estimators, their parameters, and metrics.

Facts only: nothing here fits or scores anything. The invariant: what this module says of an
estimator is what the installed scikit-learn and XGBoost say of it (`installed.py` asks them once
for each pair of versions), and the table of metrics is closed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal, TypeAlias

from retraining.manifest.allowed import Allowed
from retraining.manifest.installed import EstimatorFacts, estimator_facts
from retraining.manifest.values import Json

__all__ = [
    "DEFAULT_METRIC",
    "METRICS",
    "METRIC_HINTS",
    "SHORT_NAMES",
    "WITHOUT_EFFECT",
    "EstimatorInfo",
    "MetricInfo",
    "Task",
    "canonical_metric",
    "estimators",
    "gives_probabilities",
]

#: Parameters of the catalogue's estimators that no fit takes: results must not depend on the machine's cores, and
#: standard output belongs to the command line.
WITHOUT_EFFECT = frozenset({"n_jobs", "nthread", "thread_count", "verbose", "verbosity"})

Task: TypeAlias = Literal["regression", "classification"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EstimatorInfo:
    """What the engine must know of an estimator class without importing it.

    `module` is the public one from which `name` can be imported. `probabilities` is meant with
    default parameters; see `gives_probabilities`. `defaults` holds the default of each parameter
    whose default JSON can write, `allowed` what the library declares that it takes, where it does.
    """

    name: str
    module: str
    task: Task
    parameters: tuple[str, ...]
    accepts_nan: bool
    needs_scaling: bool
    probabilities: bool
    takes_weights: bool
    defaults: Mapping[str, Json] = field(default_factory=dict)
    allowed: Mapping[str, Allowed] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricInfo:
    """What a metric needs and how it is read.

    `needs`: 'value' (regression), 'labels' (predicted classes) or 'probabilities'.
    `mean_over_rows`: it is the (weighted) mean of a loss of each row.
    `binary_only`: it is defined for two classes alone.
    """

    name: str
    task: Task
    needs: Literal["value", "labels", "probabilities"]
    greater_is_better: bool
    mean_over_rows: bool
    binary_only: bool = False

    @property
    def made_of_sums(self) -> bool:
        """Whether sums of a loss over rows are all it needs, so that parts of the rows can be added up."""
        return self.mean_over_rows or self.name == "root_mean_squared_error"

    @property
    def loss(self) -> str:
        """The metric whose row losses are summed for this one."""
        return "mean_squared_error" if self.name == "root_mean_squared_error" else self.name


SHORT_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "LogisticRegression": "LogisticRegression",
        "RandomForest": "RandomForestClassifier",
        "SVM": "SVC",
        "XGBoost": "XGBClassifier",
    }
)
"""The four names of the document that the project began from, and the classes that they mean."""

DEFAULT_METRIC: Mapping[Task, str] = MappingProxyType(
    {"regression": "mean_squared_error", "classification": "log_loss"}
)
"""The metric that judges a model which names none."""


def _value(name: str, *, greater: bool = False, mean: bool = False) -> MetricInfo:
    return MetricInfo(
        name=name, task="regression", needs="value", greater_is_better=greater, mean_over_rows=mean
    )


def _labels(name: str, *, mean: bool = False, binary: bool = False) -> MetricInfo:
    return MetricInfo(
        name=name,
        task="classification",
        needs="labels",
        greater_is_better=True,
        mean_over_rows=mean,
        binary_only=binary,
    )


def _probabilities(
    name: str, *, greater: bool = True, mean: bool = False, binary: bool = False
) -> MetricInfo:
    return MetricInfo(
        name=name,
        task="classification",
        needs="probabilities",
        greater_is_better=greater,
        mean_over_rows=mean,
        binary_only=binary,
    )


METRICS: Mapping[str, MetricInfo] = MappingProxyType(
    {
        metric.name: metric
        for metric in (
            _value("mean_squared_error", mean=True),
            _value("root_mean_squared_error"),
            _value("mean_absolute_error", mean=True),
            _value("median_absolute_error"),
            _value("r2", greater=True),
            _value("explained_variance", greater=True),
            _value("mean_squared_log_error", mean=True),
            _value("mean_poisson_deviance", mean=True),
            _value("max_error"),
            _value("mean_absolute_percentage_error", mean=True),
            _probabilities("log_loss", greater=False, mean=True),
            _probabilities("brier_score_loss", greater=False, mean=True),
            _labels("accuracy", mean=True),
            _labels("balanced_accuracy"),
            _labels("f1", binary=True),
            _labels("f1_macro"),
            _labels("precision", binary=True),
            _labels("recall", binary=True),
            _labels("matthews_corrcoef"),
            _probabilities("roc_auc", binary=True),
            _probabilities("roc_auc_ovr"),
            _probabilities("average_precision"),
        )
    }
)
"""Every metric, by scikit-learn's scorer name without `neg_`; values are in their natural sign."""

_PROBABILITIES_WITH: Mapping[str, tuple[str, tuple[Json, ...]]] = MappingProxyType(
    {
        "NuSVC": ("probability", (True,)),
        "SGDClassifier": ("loss", ("log_loss", "modified_huber")),
        "SVC": ("probability", (True,)),
    }
)


METRIC_HINTS: Mapping[str, str] = MappingProxyType(
    {
        "accuracy_score": "accuracy",
        "auc": "roc_auc",
        "f1_score": "f1",
        "logloss": "log_loss",
        "mae": "mean_absolute_error",
        "mape": "mean_absolute_percentage_error",
        "mcc": "matthews_corrcoef",
        "mse": "mean_squared_error",
        "neg_brier_score": "brier_score_loss",
        "r2_score": "r2",
        "rmse": "root_mean_squared_error",
    }
)
"""Names that people try, and the table's name of what they mean."""


def canonical_metric(name: str) -> str:
    """The table's name of a metric that may be written in scikit-learn's `neg_` form."""
    return name.removeprefix("neg_")


def estimators() -> Mapping[str, EstimatorInfo]:
    """Every estimator that a manifest may name, by class name, in alphabetical order.

    Read from a small cache file; only the first call after an installation or upgrade imports
    scikit-learn and XGBoost (about three seconds).
    """
    return MappingProxyType({facts["name"]: _info(facts) for facts in estimator_facts()})


def _info(facts: EstimatorFacts) -> EstimatorInfo:
    return EstimatorInfo(
        name=facts["name"],
        module=facts["module"],
        task=facts["task"],
        parameters=tuple(facts["parameters"]),
        accepts_nan=facts["accepts_nan"],
        needs_scaling=facts["needs_scaling"],
        probabilities=facts["probabilities"],
        takes_weights=facts["takes_weights"],
        defaults=facts["defaults"],
        allowed=facts["allowed"],
    )


def gives_probabilities(info: EstimatorInfo, parameters: Mapping[str, Json]) -> bool:
    """Whether the class, built with these parameters, predicts a probability for each class."""
    if info.name in _PROBABILITIES_WITH:
        parameter, values = _PROBABILITIES_WITH[info.name]
        return parameters.get(parameter) in values
    return info.probabilities
