"""Rows and labels -> a model that predicts in the user's own labels.

Invariant: a model answers for the features it was trained on, matched by name where both sides have
names and by position otherwise; equal rows, labels and configuration give equal predictions.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retraining.compat.configuration import ModelConfiguration, read_model_configuration, regressor_for
from retraining.compat.labels import Label, classes_of, plain_labels, positions
from retraining.compat.table import Column, Kind, Table, read_column, read_table
from retraining.errors import InputError
from retraining.learn.features import Features
from retraining.learn.fitting import EstimatorSpec, FitError, FittedModel, fit
from retraining.learn.threads import one_thread
from retraining.manifest.catalog import gives_probabilities
from retraining.manifest.values import Json

__all__ = ["ModelTrainer", "RetrainedModel"]

_LOGGER = logging.getLogger(__name__)
_SEED = 0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class RetrainedModel:
    """A fitted model: `predict` takes rows as lists, arrays, mappings or data frames.

    `names` are the feature names of the training data, None where it had none; `kinds` says of each
    feature whether it holds numbers or categories. It pickles, and joblib loads it.
    """

    fitted: FittedModel
    names: tuple[str, ...] | None
    kinds: tuple[Kind, ...]
    probabilities: bool

    def predict(self, X: object) -> NDArray[Any]:
        """The predicted labels, shape (n_rows,): classes in the labels' own type, or float64 values.

        Raises InputError for rows that do not have the features of the training data.
        """
        outputs = self._outputs(X)
        if self.fitted.spec.task == "regression":
            return outputs[:, 0]
        labels: NDArray[Any] = self.classes_[np.argmax(outputs, axis=1)]
        return labels

    @property
    def predict_proba(self) -> Callable[[object], NDArray[np.float64]]:
        """A function of rows: probabilities, shape (n_rows, n_classes), columns as in `classes_`.

        AttributeError where the estimator gives none, so that `hasattr` tells.
        """
        if not self.probabilities:
            raise AttributeError(f"{self.fitted.spec.type} with these parameters gives no probabilities")
        return self._outputs

    @property
    def classes_(self) -> NDArray[Any]:
        """The classes, sorted, shape (n_classes,); AttributeError for a regressor."""
        classes = self.fitted.classes
        if not classes:
            raise AttributeError(f"{self.fitted.spec.type} is a regressor and has no classes")
        return np.array(classes)

    @property
    def n_features_in_(self) -> int:
        """The number of features."""
        return len(self.kinds)

    @property
    def feature_names_in_(self) -> NDArray[Any]:
        """The feature names of the training data, shape (n_features,); AttributeError where it had none."""
        if self.names is None:
            raise AttributeError("the training data had no feature names")
        return np.array(self.names, dtype=object)

    def score(self, X: object, y: object) -> float:
        """Accuracy of a classifier, R2 of a regressor, on these rows and labels."""
        from retraining.compat.validation import metric_of

        metric = "r2" if self.fitted.spec.task == "regression" else "accuracy"
        return metric_of(self, X, y, metric)

    def _outputs(self, X: object) -> NDArray[np.float64]:
        table = read_table(X)
        if not table.n_rows:
            return np.zeros((0, self.fitted.spec.n_outputs))
        return self.fitted.predict(_features(self._aligned(table), self.fitted.names, self.kinds))

    def _aligned(self, table: Table) -> tuple[Any, ...]:
        """The table's columns in the order of the training data."""
        if table.names is not None and self.names is not None:
            columns = dict(zip(table.names, table.columns, strict=True))
            missing = [name for name in self.names if name not in columns]
            if missing:
                raise InputError(
                    f"the rows lack the feature(s) {', '.join(map(repr, missing[:5]))}; "
                    f"found {', '.join(map(repr, table.names[:8]))}",
                    "give the features of the training data, by the same names",
                )
            return tuple(columns[name] for name in self.names)
        if len(table.columns) != len(self.kinds):
            raise InputError(
                f"the rows have {len(table.columns)} feature(s), the training data had {len(self.kinds)}",
                f"give them in this order: {', '.join(self.fitted.names)}",
            )
        return table.columns

    def __repr__(self) -> str:
        spec = self.fitted.spec
        what = f"classes={list(spec.classes)!r}" if spec.classes else "regression"
        return f"RetrainedModel({spec.type}, {len(self.kinds)} feature(s), {what})"


class ModelTrainer:
    """Trains the model of a configuration `{"type": ..., "parameters": {...}}`.

    Raises InputError for a configuration that names nothing that exists.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        self.config = config
        self._configuration = read_model_configuration(config)

    def train(self, X: object, y: object) -> RetrainedModel:
        """A model fitted to rows of features (n_rows of equal length) and their labels.

        Texts among the features become categories, missing values are imputed where the estimator
        needs it, all inside the model. Raises InputError or FitError, naming the row where there is one.
        """
        configuration = self._configuration
        table = read_table(X, what="training rows")
        if not table.n_rows or not table.columns:
            raise InputError("there are no training rows", "give at least two labelled rows with features")
        names = table.names or tuple(f"x{index}" for index in range(len(table.columns)))
        read = [read_column(column, name=name) for name, column in zip(names, table.columns, strict=True)]
        labels = plain_labels(y, n_rows=table.n_rows)
        spec, target = _task(configuration, labels)
        features = _joined(read, names)
        try:
            with one_thread():
                fitted = fit(spec, features, target, seed=_SEED)
        except FitError as error:
            raise FitError(error.message, "mend the model's configuration or the training data") from error
        for note in fitted.notes:
            _LOGGER.warning("%s: %s", spec.type, note)
        return RetrainedModel(
            fitted=fitted,
            names=table.names,
            kinds=tuple(column.kind for column in read),
            probabilities=gives_probabilities(configuration.info, configuration.parameters),
        )


def _task(configuration: ModelConfiguration, labels: list[Label]) -> tuple[EstimatorSpec, NDArray[Any]]:
    info = configuration.info
    if info.task == "regression":
        return _spec(configuration, ()), _numeric_target(configuration, labels)
    _refuse_fractions(configuration, labels)
    classes = classes_of(labels)
    if len(classes) > max(20, len(labels) // 2):
        _LOGGER.warning(
            "%d different labels in %d rows: if they are amounts and no classes, use %s",
            len(classes), len(labels), regressor_for(info),
        )  # fmt: skip
    return _spec(configuration, classes), positions(labels, classes)


def _numeric_target(configuration: ModelConfiguration, labels: list[Label]) -> NDArray[np.float64]:
    for row, label in enumerate(labels, 1):
        if isinstance(label, str):
            raise InputError(
                f"row {row} has the label {label!r}, and {configuration.info.name} predicts numbers",
                "use a classifier, e.g. RandomForest",
            )
    return np.array([float(label) for label in labels], dtype=np.float64)


def _refuse_fractions(configuration: ModelConfiguration, labels: list[Label]) -> None:
    for row, label in enumerate(labels, 1):
        if isinstance(label, float) and not label.is_integer():
            raise InputError(
                f"row {row} has the label {label!r}, and {configuration.written} predicts classes",
                f"to predict numbers use {regressor_for(configuration.info)}",
            )


def _spec(configuration: ModelConfiguration, classes: tuple[Label, ...]) -> EstimatorSpec:
    info = configuration.info
    parameters = dict(configuration.parameters)
    weights = parameters.get("class_weight")
    if isinstance(weights, dict):
        parameters["class_weight"] = _by_written_class(weights, classes)
    return EstimatorSpec(
        type=info.name,
        module=info.module,
        parameters=parameters,
        preprocess="auto",
        task=info.task,
        accepts_nan=info.accepts_nan,
        needs_scaling=info.needs_scaling,
        classes=classes,
    )


def _by_written_class(weights: Mapping[Any, Json], classes: tuple[Label, ...]) -> dict[str, Json]:
    """Class weights by the text of each class, as a manifest writes them; {0: 1} is accepted for 0.0."""
    written = {label: str(label).lower() if isinstance(label, bool) else str(label) for label in classes}
    return {written.get(label, str(label)): weight for label, weight in weights.items()}


def _joined(columns: list[Column], names: tuple[str, ...]) -> Features:
    return Features(
        names=names,
        values=np.ascontiguousarray(np.column_stack([column.values for column in columns])),
        categories={index: column.texts for index, column in enumerate(columns) if column.kind == "category"},
    )


def _features(columns: tuple[Any, ...], names: tuple[str, ...], kinds: tuple[Kind, ...]) -> Features:
    """The rows to predict, each column in the kind that it had in training."""
    read = []
    for values, name, kind in zip(columns, names, kinds, strict=True):
        column = read_column(values, name=name)
        if kind == "category":
            column = _as_category(column)
        elif column.kind == "category":
            row = int(np.argmax(~np.isnan(column.values)))
            text = column.texts[int(column.values[row])]
            raise InputError(
                f"feature {name!r}: row {row + 1} holds the text {text!r}, in training it held numbers",
                "give a number, or null or None where the value is missing",
            )
        read.append(column)
    return _joined(read, names)


def _as_category(column: Column) -> Column:
    """Numbers as the texts that a file would hold: 3 and 3.0 are `3`."""
    if column.kind == "category":
        return column
    present = ~np.isnan(column.values)
    numbers, codes = np.unique(column.values[present], return_inverse=True)
    values = np.full(len(column.values), np.nan)
    values[present] = codes
    texts = tuple(str(int(number)) if number.is_integer() else repr(float(number)) for number in numbers)
    return Column(kind="category", values=values, texts=texts)
