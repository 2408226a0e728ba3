"""From an estimator's name and written parameters to an unfitted instance of its class.

Invariant: equal (spec, classes of the fit, seed) give equal instances: every seed that was not written
is set, and nothing runs on more than one thread whatever was written.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from retraining.learn.failures import FitError
from retraining.learn.own import check_protocol, own_callable
from retraining.manifest.catalog import WITHOUT_EFFECT
from retraining.manifest.own import is_own
from retraining.manifest.permissions import NOTHING, Permissions
from retraining.manifest.values import Json

__all__ = [
    "Class",
    "EstimatorSpec",
    "FitError",
    "build_estimator",
    "is_tree",
    "takes_missing",
    "written_form",
]

Class: TypeAlias = str | int | float | bool

_TREE_MODULES = ("sklearn.tree", "sklearn.ensemble", "xgboost")


@dataclass(frozen=True, slots=True, kw_only=True)
class EstimatorSpec:
    """An estimator as the manifest writes it, and what the catalogue knows of its class.

    `type` and `module` name a class of scikit-learn or XGBoost, or `type` is a callable of the user's own,
    package.module:callable. `classes` are in output order, and empty for regression. `accepts_nan` and
    `needs_scaling` decide what `preprocess: auto` does; `graded`: a metric needs probabilities.
    """

    type: str
    module: str
    parameters: Mapping[str, Json]
    preprocess: Literal["auto", "none"]
    task: Literal["regression", "classification"]
    accepts_nan: bool
    needs_scaling: bool
    classes: tuple[Class, ...] = ()
    graded: bool = True

    @property
    def own(self) -> bool:
        """Whether the estimator is a callable of the user's own."""
        return is_own(self.type)

    @property
    def n_outputs(self) -> int:
        """The number of columns of a prediction."""
        return 1 if self.task == "regression" else len(self.classes)


def build_estimator(
    spec: EstimatorSpec, *, present: Sequence[int], seed: int, permissions: Permissions = NOTHING
) -> Any:
    """An unfitted instance of the spec's class, or what its callable returns.

    `present` are the positions in `spec.classes` that the fit's rows have: a written `class_weight` by
    class is translated to them. Raises FitError for a name that is no estimator or was not
    allowed, or parameters that the constructor refuses.
    """
    factory = own_callable(spec.type, permissions) if spec.own else estimator_class(spec.module, spec.type)
    dropped: frozenset[str] = frozenset() if spec.own else WITHOUT_EFFECT
    parameters: dict[str, Any] = {k: v for k, v in spec.parameters.items() if k not in dropped}
    if spec.task == "classification" and isinstance(parameters.get("class_weight"), dict):
        parameters["class_weight"] = _class_weight(spec, present)
    try:
        estimator = factory(**parameters)
        if spec.own:
            check_protocol(spec.type, estimator, spec.task, graded=spec.graded)
            if not hasattr(estimator, "get_params"):
                return estimator
        return estimator.set_params(**_fixed_parameters(spec, estimator, seed))
    except (TypeError, ValueError) as error:
        message = f"{spec.type} refuses its parameters: {error}"
        raise FitError(message, "mend `estimator.parameters` in the manifest") from error


def estimator_class(module: str, name: str) -> Any:
    """The class of this name, which is a scikit-learn or XGBoost estimator that predicts; else FitError."""
    what = f"{module}.{name}"
    if module != "xgboost" and not module.startswith("sklearn."):
        raise FitError(f"{what} is neither in scikit-learn nor in xgboost", "use a type of the catalogue")
    from sklearn.base import BaseEstimator

    try:
        found = getattr(importlib.import_module(module), name, None)
    except ImportError as error:
        raise FitError(f"{what} cannot be imported: {error}", "install the library") from error
    if not (isinstance(found, type) and issubclass(found, BaseEstimator) and hasattr(found, "predict")):
        raise FitError(f"{what} is no estimator that predicts", "use a type of the catalogue")
    return found


def is_tree(spec: EstimatorSpec) -> bool:
    """Whether the estimator splits on thresholds, so that ordinal codes serve it as well as indicators."""
    return not spec.own and spec.module.startswith(_TREE_MODULES)


def takes_missing(spec: EstimatorSpec, estimator: Any) -> bool:
    """Whether this instance takes NaN among its features.

    The catalogue speaks for default parameters; the instance knows better.
    """
    if not (spec.accepts_nan and estimator.__sklearn_tags__().input_tags.allow_nan):
        return False
    # Trees and forests (not the histogram kind) refuse NaN under monotonic constraints; tags do not tell.
    constrained = spec.parameters.get("monotonic_cst") is not None
    return not constrained or spec.type.startswith("Hist")


def _fixed_parameters(spec: EstimatorSpec, estimator: Any, seed: int) -> dict[str, Json]:
    fixed: dict[str, Json] = {}
    for name, value in estimator.get_params(deep=True).items():
        leaf = name.rpartition("__")[2]
        if leaf == "random_state" and value is None:
            fixed[name] = seed % 2**32
        elif leaf == "n_jobs" and (value is not None or spec.own or spec.module.startswith("xgboost")):
            # scikit-learn takes None for one; XGBoost and LightGBM take it for all
            fixed[name] = 1
    return fixed


def _class_weight(spec: EstimatorSpec, present: Sequence[int]) -> dict[int, Json]:
    written = spec.parameters["class_weight"]
    assert isinstance(written, dict)
    position = {written_form(value): index for index, value in enumerate(spec.classes)}
    unknown = sorted(set(written) - set(position))
    if unknown:
        message = f"class_weight names {unknown[0]!r}, which is none of the classes {list(position)}"
        raise FitError(message, "mend `estimator.parameters.class_weight` in the manifest")
    here = {index: code for code, index in enumerate(present)}
    return {here[position[name]]: weight for name, weight in written.items() if position[name] in here}


def written_form(value: Class) -> str:
    """A class as the manifest writes it."""
    return str(value).lower() if isinstance(value, bool) else str(value)
