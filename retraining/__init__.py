"""Decide, retrain, judge and release graphs of dependent machine-learning models.

The main verbs as functions; each name is loaded when it is first used, so that importing the package
loads none of Ray, scikit-learn, pandas and pyarrow.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from retraining.compat import ModelRetrainer
    from retraining.errors import DataError, InputError, ManifestError, RetrainingError, StoreError
    from retraining.manifest import load_manifest
    from retraining.operations.feedback import add_feedback
    from retraining.operations.fits import fit_rows
    from retraining.operations.plan import plan
    from retraining.operations.predict import predict
    from retraining.operations.run import RunOptions, run
    from retraining.prediction.answer import Prediction
    from retraining.prediction.exported import load_exported
    from retraining.prediction.predictor import Release
    from retraining.prediction.releases import open_store

__version__ = "0.1.0"

__all__ = [
    "DataError",
    "InputError",
    "ManifestError",
    "ModelRetrainer",
    "Prediction",
    "Release",
    "RetrainingError",
    "RunOptions",
    "StoreError",
    "__version__",
    "add_feedback",
    "fit_rows",
    "load_exported",
    "load_manifest",
    "open_store",
    "plan",
    "predict",
    "run",
]

_HOMES = {
    "DataError": "retraining.errors",
    "InputError": "retraining.errors",
    "ManifestError": "retraining.errors",
    "ModelRetrainer": "retraining.compat",
    "Prediction": "retraining.prediction.answer",
    "Release": "retraining.prediction.predictor",
    "RetrainingError": "retraining.errors",
    "RunOptions": "retraining.operations.run",
    "StoreError": "retraining.errors",
    "add_feedback": "retraining.operations.feedback",
    "fit_rows": "retraining.operations.fits",
    "load_exported": "retraining.prediction.exported",
    "load_manifest": "retraining.manifest",
    "open_store": "retraining.prediction.releases",
    "plan": "retraining.operations.plan",
    "predict": "retraining.operations.predict",
    "run": "retraining.operations.run",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(home), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
