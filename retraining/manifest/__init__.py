"""The manifest: a YAML file -> values, with every problem and its place, and the JSON Schema.

Pure but for `load_manifest`, which reads one file, and the catalogue's cache. The invariant: a
`Manifest` that exists is one without contradictions; only the data can still prove it wrong.
"""

from __future__ import annotations

from retraining.manifest.checks import ColumnKind, TableSchema, check_data
from retraining.manifest.loading import load_manifest, parse_manifest
from retraining.manifest.places import locate
from retraining.manifest.schema import json_schema
from retraining.manifest.values import Manifest

__all__ = [
    "ColumnKind",
    "Manifest",
    "TableSchema",
    "check_data",
    "json_schema",
    "load_manifest",
    "locate",
    "parse_manifest",
]
