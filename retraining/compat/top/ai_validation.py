"""The document's `validate_model` under the document's module name; it lives in `retraining.compat`."""

from retraining.compat import validate_model  # noqa: F401
