"""What MLflow calls to load a model that was exported to it: `mlflow.pyfunc.load_model("models:/NAME@champion")`.

MLflow finds this module by the name that the model's own `MLmodel` file writes.
"""

from __future__ import annotations

from typing import Any

from retraining.prediction.exported import Exported, load_exported

__all__ = ["LoadedModel"]


class LoadedModel:
    """An exported model as MLflow's pyfunc: rows in, values or classes out."""

    def __init__(self, exported: Exported) -> None:
        self._exported = exported

    def predict(self, model_input: Any, params: dict[str, Any] | None = None) -> Any:
        """Predicted values or classes of the rows; tables by the names of their datasets where it needs several."""
        del params
        return self._exported.predict(model_input)

    def get_raw_model(self) -> Exported:
        """The estimator itself, with `predict_proba`, `feature_names_in_` and `needs`."""
        return self._exported


def _load_pyfunc(path: str) -> LoadedModel:
    return LoadedModel(load_exported(path))
