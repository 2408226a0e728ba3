"""The API of the document that the project began from, on the same engine as manifests.

Invariant: the names, arguments and results are the document's; what they do is done by
`retraining.learn`. docs/modelretrainer.md shows its use and the way from here to a manifest.
"""

from __future__ import annotations

from retraining.compat.deployment import ModelDeployment
from retraining.compat.drift import DriftMonitor
from retraining.compat.retrainer import ModelRetrainer
from retraining.compat.training_data import TrainingDataManager
from retraining.compat.training_model import ModelTrainer
from retraining.compat.validation import validate_model

__all__ = [
    "DriftMonitor",
    "ModelDeployment",
    "ModelRetrainer",
    "ModelTrainer",
    "TrainingDataManager",
    "validate_model",
]
