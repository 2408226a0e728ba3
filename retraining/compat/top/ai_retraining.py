"""The document's names under the document's module name; they live in `retraining.compat`."""

from retraining.compat import (  # noqa: F401
    DriftMonitor,
    ModelDeployment,
    ModelRetrainer,
    ModelTrainer,
    TrainingDataManager,
    validate_model,
)
