"""A model against labelled rows that it was not trained on.

Invariant: scores come from the engine's metrics, in their natural sign, whatever class the model is of;
labels that the model can never predict count as errors, labels of another kind are refused.
"""

from __future__ import annotations

import difflib
import math
import os
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retraining.compat.labels import Label, classes_of, plain_label, plain_labels, positions
from retraining.compat.training_data import TrainingDataManager
from retraining.errors import InputError
from retraining.learn.metrics import score
from retraining.manifest.catalog import METRICS, MetricInfo, canonical_metric

__all__ = ["ValidationResult", "metric_of", "validate_model"]


class ValidationResult(dict[str, Any]):
    """The metric by its name, `rows`, `threshold` and `passed`; false exactly where it was not passed."""

    __slots__ = ()

    @property
    def passed(self) -> bool:
        """Whether the metric reached the threshold; true without one."""
        return bool(self["passed"])

    def __bool__(self) -> bool:
        return self.passed


def validate_model(
    model: Any,
    validation_data: Iterable[Mapping[str, Any]] | str | os.PathLike[str],
    metric: str = "accuracy",
    threshold: float | None = None,
) -> ValidationResult:
    """The metric of the model on these rows, e.g. `{"accuracy": 0.93, "rows": 120, ...}`.

    `validation_data` is a list of rows with `features` and `label`, or a file of them. With `threshold`,
    the smallest good value (the largest, for a metric that is a loss), the result is false where it was
    missed. Raises InputError for an unknown metric, no rows, and rows or labels that do not fit the model.
    """
    info = _metric(metric)
    if threshold is not None and (not isinstance(threshold, int | float) or math.isnan(threshold)):
        raise InputError(f"the threshold is {threshold!r}, expected a number")
    rows = _rows(validation_data)
    features = [row["features"] for row in rows]
    value = metric_of(model, features, [row["label"] for row in rows], info.name)
    passed = threshold is None or (value >= threshold if info.greater_is_better else value <= threshold)
    return ValidationResult({metric: value, "rows": len(rows), "threshold": threshold, "passed": passed})


def _metric(name: object) -> MetricInfo:
    canonical = canonical_metric(name) if isinstance(name, str) else ""
    if canonical not in METRICS:
        near = difflib.get_close_matches(str(name), METRICS, n=3)
        hint = f"did you mean {' or '.join(near)}?" if near else f"use one of {', '.join(METRICS)}"
        raise InputError(f"the metric {name!r} is not known", hint)
    return METRICS[canonical]


def _rows(data: object) -> list[Mapping[str, Any]]:
    if isinstance(data, str | os.PathLike):
        return list(TrainingDataManager.load_training_data(data))
    expected = 'expected a list of {"features": [...], "label": ...}'
    if isinstance(data, Mapping) or not isinstance(data, Iterable) or hasattr(data, "columns"):
        raise InputError(f"the validation data are a {type(data).__name__}, {expected}")
    rows = list(data)
    if not rows:
        raise InputError("there are no validation rows", "give at least one labelled row")
    for number, row in enumerate(rows, 1):
        if not isinstance(row, Mapping) or not {"features", "label"} <= row.keys():
            raise InputError(f"validation row {number} is {row!r:.60}, {expected}")
    return rows


def metric_of(model: Any, X: Any, y: object, metric: str) -> float:
    """The value of a metric of the catalogue for any model with `predict`, natural sign.

    Raises InputError where the metric is of another task, needs probabilities that the model lacks, or is
    undefined on these rows.
    """
    info = METRICS[metric]
    predicted = np.asarray(model.predict(X))
    labels = plain_labels(y, n_rows=len(predicted))
    if info.task == "regression":
        value = score(metric, _numbers(labels, metric), _numbers(predicted, metric).reshape(-1, 1))
    else:
        value = _classification(model, X, labels, predicted, info)
    if math.isnan(value):
        raise InputError(
            f"{metric} is undefined on these {len(labels)} rows (labels: {_some(classes_of(labels))})",
            "give rows of every class, or use accuracy",
        )
    return value


def _numbers(values: Any, metric: str) -> NDArray[np.float64]:
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        found = next(value for value in values if isinstance(value, str))
        raise InputError(
            f"{metric} compares numbers, found the label {str(found)!r}", "use accuracy, f1_macro or log_loss"
        ) from None


def _classification(
    model: Any, X: Any, labels: list[Label], predicted: NDArray[Any], info: MetricInfo
) -> float:
    if predicted.dtype.kind == "f" and not hasattr(model, "classes_"):
        raise InputError(
            f"{info.name} compares classes, and the model predicts numbers such as {predicted[0]}",
            "use metric='mean_squared_error' or metric='r2'",
        )
    answers = [plain_label(value, where=f"prediction {row}") for row, value in enumerate(predicted, 1)]
    known = [plain_label(value, where="a class") for value in getattr(model, "classes_", answers)]
    if isinstance(known[0], str) != isinstance(labels[0], str):
        raise InputError(
            f"the model's classes are {_some(known)}, the labels of the rows are {_some(classes_of(labels))}",
            "write the labels in the same way as in the training data",
        )
    classes = classes_of([*known, *answers, *labels])
    if info.binary_only and len(classes) > 2:
        raise InputError(
            f"{info.name} is for two classes, found {_some(classes)}", "use f1_macro or accuracy"
        )
    prediction = np.zeros((len(labels), len(classes)))
    if info.needs == "labels":
        prediction[np.arange(len(labels)), positions(answers, classes)] = 1.0
    elif hasattr(model, "predict_proba"):
        prediction[:, positions(known, classes)] = model.predict_proba(X)
    else:
        raise InputError(
            f"{info.name} needs probabilities, and the model gives none",
            'for SVM write "parameters": {"probability": True}, or use accuracy',
        )
    return score(info.name, positions(labels, classes), prediction, classes)


def _some(labels: Iterable[Label]) -> str:
    listed = [repr(label) for label in labels]
    return ", ".join(listed[:6]) + (", ..." if len(listed) > 6 else "")
