"""The JSON Schema of a manifest, made from the grammar, for editors that complete and check."""

from __future__ import annotations

from collections.abc import Iterable

from retraining.manifest.catalog import SHORT_NAMES, estimators
from retraining.manifest.grammar import Top
from retraining.manifest.shapes import Definitions
from retraining.manifest.values import Json
from retraining.manifest.words import ESTIMATOR_TYPE

__all__ = ["json_schema"]


def json_schema(estimator_names: Iterable[str] | None = None) -> dict[str, Json]:
    """The schema (draft 2020-12) of what the reader accepts, field by field.

    `estimator_names` default to those of the installed scikit-learn and XGBoost. What fields say
    about each other is beyond a schema; `retrain validate` checks it.
    """
    names = estimators() if estimator_names is None else estimator_names
    definitions: Definitions = {}
    root = Top.RECORD.schema(definitions)
    types: list[Json] = [*sorted({*names, *SHORT_NAMES})]
    definitions[ESTIMATOR_TYPE] = {"enum": types}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Manifest of retraining",
        "description": "Datasets, models, how they feed each other, and when and how they are retrained.",
        **root,
        "$defs": definitions,
    }
