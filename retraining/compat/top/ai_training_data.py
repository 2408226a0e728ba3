"""The document's `TrainingDataManager` under the document's module name; it lives in `retraining.compat`."""

from retraining.compat import TrainingDataManager  # noqa: F401
