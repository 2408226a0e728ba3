"""The document's `ModelDeployment` under the document's module name; it lives in `retraining.compat`."""

from retraining.compat import ModelDeployment  # noqa: F401
