"""One fit: an estimator and the encoding of its features, both learned from the same rows.

Invariant: equal arguments give a model with equal predictions, bit for bit, on one thread
(`retraining.learn.threads.one_thread` is the caller's, once around many fits: entering costs 3 ms).
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from retraining.learn.encoding import Encoding, learn_encoding
from retraining.learn.estimators import Class, EstimatorSpec, FitError, build_estimator
from retraining.learn.features import Features
from retraining.learn.storable import check_storable
from retraining.manifest.permissions import NOTHING, Permissions

__all__ = ["EstimatorSpec", "FitError", "FittedModel", "fit"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FittedModel:
    """A fitted estimator with the encoding of its features.

    `present` are the positions in `spec.classes` that the fit's rows had (empty for regression): the
    estimator itself knows them as 0, 1, ... `notes` are the distinct warnings of the fit, and
    `is_prior` says that a constant stands for an estimator that could not learn; neither is persisted.
    """

    spec: EstimatorSpec
    seed: int
    encoding: Encoding
    present: tuple[int, ...]
    estimator: Any
    notes: tuple[str, ...] = ()
    is_prior: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """The feature columns, in order."""
        return self.encoding.names

    @property
    def classes(self) -> tuple[Class, ...]:
        """The classes in the order of the prediction's columns; empty for regression."""
        return self.spec.classes

    def predict(self, features: Features) -> NDArray[np.float64]:
        """Predictions of shape (n_rows, n_outputs): one value, or probabilities in the order of `classes`.

        A class that the fit's rows lacked gets 0.0; an estimator without probabilities gives 1.0 to the
        class it predicts. Values may be infinite or NaN where the estimator diverged. FitError for other
        columns than the fit's, and for what the estimator refuses.
        """
        if len(features) == 0:
            return np.zeros((0, self.spec.n_outputs))
        try:
            # What a warning could tell here (overflow, an old habit) shows in the values or was noted by fit.
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                matrix = self.encoding.transform(features)
                return self._values(matrix) if self.spec.task == "regression" else self._probabilities(matrix)
        except (FitError, MemoryError):
            raise
        except Exception as error:
            odd = _odd(self.spec, features)
            raise FitError(f"{self.spec.type} cannot predict{odd}: {_brief(error)}") from error

    def _values(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(self.estimator.predict(matrix), dtype=np.float64).reshape(len(matrix), 1)

    def _probabilities(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        result = np.zeros((len(matrix), len(self.spec.classes)))
        if hasattr(self.estimator, "predict_proba"):
            result[:, self.present] = self._checked(self.estimator.predict_proba(matrix))
        else:
            codes = np.asarray(self.estimator.predict(matrix), dtype=np.int64)
            result[np.arange(len(matrix)), np.asarray(self.present)[codes]] = 1.0
        return result

    def _checked(self, probabilities: Any) -> NDArray[np.float64]:
        found, shape = np.asarray(probabilities, dtype=np.float64), (len(probabilities), len(self.present))
        if self.spec.own and found.shape != shape:
            raise FitError(f"{self.spec.type}: predict_proba gave the shape {found.shape}, expected {shape}")
        return found


def fit(
    spec: EstimatorSpec,
    features: Features,
    target: NDArray[Any],
    *,
    weights: NDArray[np.float64] | None = None,
    seed: int,
    permissions: Permissions = NOTHING,
    degenerate: Literal["fail", "prior"] = "fail",
) -> FittedModel:
    """The model that the spec's estimator becomes on these rows.

    `target` has shape (n_rows,): float64 values, or int64 positions in `spec.classes`. `weights`, of the
    same shape, count rows. `seed` goes to every `random_state` that was not written. Raises FitError for no
    rows, a non-finite target, rows of one class only, and whatever the estimator raises; with `degenerate`
    "prior" rows of one class, or of one value that the estimator cannot learn, make a model that predicts it.
    An estimator of the user's own must be allowed by `permissions`, and is refused before it is fitted where it
    could not be stored.
    """
    present, labels = _checked_target(spec, features, target)
    checked = None if weights is None else _checked_weights(spec, features, weights)
    constant = len(np.unique(labels)) == 1
    if constant and spec.task == "classification":
        if degenerate == "fail":
            raise _one_class(spec, present, len(target))
        return _prior(spec, features, labels, checked, present, seed)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            estimator = build_estimator(spec, present=present, seed=seed, permissions=permissions)
            if spec.own:
                check_storable(spec.type, estimator, permissions)
            arguments = {} if checked is None else {_weight_argument(spec, estimator): checked}
            encoding = learn_encoding(spec, estimator, features)
            estimator.fit(encoding.transform(features), labels, **arguments)
        except (FitError, MemoryError):
            raise
        except Exception as error:
            if constant and degenerate == "prior":
                return _prior(spec, features, labels, checked, present, seed)
            columns = len(features.names)
            rows = f"{len(features):,} rows x {columns} column{'' if columns == 1 else 's'}"
            alike = f" (all with the target {labels[0]:g})" if constant else ""
            raise FitError(
                f"{spec.type} failed on {rows}{_odd(spec, features)}: {_brief(error)}{alike}"
            ) from error
    notes = tuple(dict.fromkeys(f"{warning.category.__name__}: {warning.message}" for warning in caught))
    return FittedModel(
        spec=spec, seed=seed, encoding=encoding, present=present, estimator=estimator, notes=notes
    )


def _odd(spec: EstimatorSpec, features: Features) -> str:
    """The columns that an estimator may have choked on, which its own error does not name; '' for none."""
    told = {"infinite values": np.isinf(features.values).any(axis=0)}
    if spec.preprocess == "none":
        told["missing values"] = np.isnan(features.values).any(axis=0)
    parts = [
        f"{what} in {', '.join(features.names[index] for index in np.flatnonzero(where)[:5])}"
        for what, where in told.items()
        if where.any()
    ]
    return f" ({'; '.join(parts)})" if parts else ""


def _checked_target(
    spec: EstimatorSpec, features: Features, target: NDArray[Any]
) -> tuple[tuple[int, ...], NDArray[Any]]:
    if target.shape != (len(features),):
        raise ValueError(f"target of shape {target.shape} for {len(features)} rows")
    if len(features) == 0:
        raise FitError("there are no rows to train on", "wait for labelled rows, or lower `min_train`")
    if spec.task == "regression":
        bad = np.flatnonzero(~np.isfinite(target))
        if bad.size:
            message = f"{bad.size} of {len(target)} training labels are not finite, first {target[bad[0]]}"
            raise FitError(message, "mend the target column")
        return (), np.asarray(target, dtype=np.float64)
    present, labels = np.unique(target, return_inverse=True)
    if present[0] < 0 or present[-1] >= len(spec.classes):
        raise ValueError(f"target has class positions outside the {len(spec.classes)} classes")
    return tuple(int(code) for code in present), labels


def _one_class(spec: EstimatorSpec, present: tuple[int, ...], rows: int) -> FitError:
    message = f"degenerate: all {rows:,} training rows have the class {spec.classes[present[0]]!r}"
    step = "a classifier needs rows of two classes: wait for more data, or write `degenerate: prior`"
    return FitError(message, step)


def _prior(
    spec: EstimatorSpec,
    features: Features,
    labels: NDArray[Any],
    weights: NDArray[np.float64] | None,
    present: tuple[int, ...],
    seed: int,
) -> FittedModel:
    """The model that predicts the only class or value of its rows: scikit-learn's own, stored like any other."""
    classifies = spec.task == "classification"
    constant = replace(
        spec,
        type="DummyClassifier" if classifies else "DummyRegressor",
        module="sklearn.dummy",
        parameters={"strategy": "prior" if classifies else "mean"},
        accepts_nan=True,
        needs_scaling=False,
    )
    estimator = build_estimator(constant, present=present, seed=seed)
    encoding = learn_encoding(constant, estimator, features)
    estimator.fit(encoding.transform(features), labels, sample_weight=weights)
    return FittedModel(
        spec=constant, seed=seed, encoding=encoding, present=present, estimator=estimator, is_prior=True
    )


def _checked_weights(
    spec: EstimatorSpec, features: Features, weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    if weights.shape != (len(features),):
        raise ValueError(f"weights of shape {weights.shape} for {len(features)} rows")
    if not np.isfinite(weights).all() or (weights < 0).any() or not (weights > 0).any():
        raise FitError(f"{spec.type}: weights must be finite, not negative, and not all 0")
    return weights


def _weight_argument(spec: EstimatorSpec, estimator: Any) -> str:
    """The name under which `fit` takes weights; of a pipeline that of its last step."""
    from sklearn.utils.validation import has_fit_parameter

    last, prefix = estimator, ""
    while spec.own and type(last).__name__ == "Pipeline" and getattr(last, "steps", None):
        name, last = last.steps[-1]
        prefix += f"{name}__"
    if not has_fit_parameter(last, "sample_weight"):
        raise FitError(f"{spec.type} takes no weights", "use another estimator, or leave the weights out")
    return f"{prefix}sample_weight"


def _brief(error: Exception) -> str:
    """The error's type and the beginning of its text, on one line: some libraries append whole backtraces."""
    text = " ".join(str(error).split("Stack trace:")[0].split())
    return f"{type(error).__name__}: {text[:500]}" if text else type(error).__name__
