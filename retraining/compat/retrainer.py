"""The document's pipeline: load the data, train, deploy; a model or None.

Invariant: whatever is wrong with data, configuration or paths is logged, never raised; a model that
was deployed before stays as it was unless a new one was trained and written as a whole.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from typing import Any

from retraining.compat.configuration import model_section
from retraining.compat.deployment import ModelDeployment
from retraining.compat.training_data import TrainingDataManager
from retraining.compat.training_model import ModelTrainer
from retraining.errors import RetrainingError

__all__ = ["ModelRetrainer"]

_LOGGER = logging.getLogger(__name__)


class ModelRetrainer:
    """Retrains one model; a subclass may replace any of the three steps by a class of its own."""

    data_manager: type[Any] = TrainingDataManager
    trainer: type[Any] = ModelTrainer
    deployment: type[Any] = ModelDeployment

    @classmethod
    def retrain_model(
        cls,
        training_data_path: str | os.PathLike[str],
        config: Mapping[str, Any],
        deployment_path: str | os.PathLike[str],
    ) -> Any:
        """The fitted model after it was deployed, or None after the error was logged.

        `config` is `{"model": {"type": ..., "parameters": {...}}}`.
        """
        _LOGGER.info("Starting model retraining...")
        try:
            trainer = cls.trainer(model_section(config))  # before the data: it fails sooner
            rows = cls.data_manager().load_training_data(training_data_path)
            model = trainer.train([row["features"] for row in rows], [row["label"] for row in rows])
            cls.deployment.deploy_model(model, deployment_path)
        except Exception as error:
            _LOGGER.error("Retraining failed: %s", _describe(error))
            _LOGGER.debug("Where retraining failed", exc_info=True)
            return None
        _LOGGER.info("Model successfully retrained and deployed.")
        return model


def _describe(error: Exception) -> str:
    """The error on one line, with its type where its text was not written for users."""
    if isinstance(error, RetrainingError):
        return f"{error.message}; next: {error.next_step}" if error.next_step else error.message
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
