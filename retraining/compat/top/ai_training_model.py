"""The document's `ModelTrainer` under the document's module name; it lives in `retraining.compat`."""

from retraining.compat import ModelTrainer  # noqa: F401
