"""The document's `config["model"]` -> a class of the catalogue and its parameters.

Invariant: nothing in a configuration is ignored: an unknown field, type or parameter is an error that
names the nearest ones.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from retraining.errors import InputError
from retraining.manifest.catalog import SHORT_NAMES, EstimatorInfo, estimators
from retraining.manifest.values import Json

__all__ = ["ModelConfiguration", "model_section", "read_model_configuration", "regressor_for"]

_FIELDS = ("type", "parameters")
# XGBoost's own names of parameters, which its scikit-learn classes call otherwise.
_XGBOOST_NAMES = {
    "alpha": "reg_alpha",
    "eta": "learning_rate",
    "lambda": "reg_lambda",
    "min_split_loss": "gamma",
    "num_boost_round": "n_estimators",
    "num_round": "n_estimators",
    "nthread": "n_jobs",
    "seed": "random_state",
}
_REGRESSORS = {"LogisticRegression": "Ridge", "SVC": "SVR", "LinearSVC": "LinearSVR", "NuSVC": "NuSVR"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfiguration:
    """A checked configuration: `written` is the type as the user wrote it."""

    written: str
    info: EstimatorInfo
    parameters: Mapping[str, Json]


def model_section(config: object) -> Any:
    """`config["model"]`; InputError where there is none."""
    if not isinstance(config, Mapping):
        raise InputError(f"the configuration is {config!r}, expected {_EXAMPLE}")
    if "model" not in config:
        found = ", ".join(map(repr, config)) or "nothing"
        raise InputError(f"the configuration has no 'model', found {found}", f"write {_EXAMPLE}")
    return config["model"]


_EXAMPLE = '{"model": {"type": "RandomForest", "parameters": {"n_estimators": 100}}}'


def read_model_configuration(section: object) -> ModelConfiguration:
    """The class and parameters that `{"type": ..., "parameters": {...}}` means.

    Raises InputError for unknown fields, types and parameters, with the nearest names.
    """
    if not isinstance(section, Mapping):
        raise InputError(f"the model's configuration is {section!r}, expected a mapping", f"write {_EXAMPLE}")
    unknown = [field for field in section if field not in _FIELDS]
    if unknown:
        raise InputError(
            f"unknown field {unknown[0]!r} in the model's configuration, expected 'type' and 'parameters'",
            _nearest(str(unknown[0]), _FIELDS) or "parameters of the estimator go under 'parameters'",
        )
    if "type" not in section:
        raise InputError("the model's configuration has no 'type'", f"write {_EXAMPLE}")
    info = _estimator(section["type"])
    return ModelConfiguration(
        written=section["type"], info=info, parameters=_parameters(section.get("parameters"), info)
    )


def _estimator(written: object) -> EstimatorInfo:
    catalogue = estimators()
    name = SHORT_NAMES.get(written, written) if isinstance(written, str) else ""
    if name in catalogue:
        return catalogue[name]
    known = [*SHORT_NAMES, *catalogue]
    raise InputError(
        f"the model type {written!r} is not known",
        _nearest(str(written), known)
        or f"use {', '.join(SHORT_NAMES)}, or a class name of scikit-learn or XGBoost such as Ridge",
    )


def _nearest(name: str, known: Iterable[str]) -> str:
    lowered = {text.lower(): text for text in known}
    near = difflib.get_close_matches(name.lower().replace("_", ""), lowered, n=3, cutoff=0.6)
    near = near or difflib.get_close_matches(name.lower(), lowered, n=3, cutoff=0.6)
    return f"did you mean {' or '.join(repr(lowered[text]) for text in near)}?" if near else ""


def _parameters(written: object, info: EstimatorInfo) -> dict[str, Json]:
    if written is None:
        return {}
    if not isinstance(written, Mapping):
        raise InputError(
            f"the parameters of {info.name} are {written!r}, expected a mapping of names to values",
            'write {"n_estimators": 100}, or {} for the defaults',
        )
    for name in written:
        if name not in info.parameters:
            raise InputError(f"{info.name} has no parameter {name!r}", _parameter_hint(str(name), info))
    # A random_state of None is the estimator's default too: the engine's fixed seed replaces both.
    return {
        name: _plain(value)
        for name, value in written.items()
        if not (name == "random_state" and value is None)
    }


def _parameter_hint(name: str, info: EstimatorInfo) -> str:
    alias = _XGBOOST_NAMES.get(name)
    if info.module == "xgboost" and alias:
        return f"XGBoost's scikit-learn classes call it {alias!r}"
    near = difflib.get_close_matches(name, info.parameters, n=3, cutoff=0.5)
    if near:
        return f"did you mean {' or '.join(map(repr, near))}?"
    return f"it has {', '.join(info.parameters)}"


def _plain(value: Any) -> Json:
    """The value with NumPy's scalars and arrays as Python's own."""
    if isinstance(value, np.generic | np.ndarray):
        plain: Json = value.tolist()
        return plain
    if isinstance(value, Mapping):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_plain(entry) for entry in value]
    return value  # type: ignore[no-any-return]


def regressor_for(info: EstimatorInfo) -> str:
    """The name of the class that predicts numbers the way this classifier predicts classes."""
    catalogue = estimators()
    name = _REGRESSORS.get(info.name, info.name.replace("Classifier", "Regressor"))
    return name if name in catalogue and catalogue[name].task == "regression" else "RandomForestRegressor"
