"""What serving must know of a dataset, as a document: it travels with each version, so that a store alone can predict.

The types are those that the columns had when the version was trained: a file of one row, or one whose
column is empty, is read as the whole dataset was, and never by what a few values look like.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from retraining.data.tables import Column, Table
from retraining.manifest.values import ColumnType, Dataset, Json, Manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """A dataset with the type of every column that was read, and the zone of its moments without one."""

    dataset: Dataset
    timezone: str


def declaration_of(manifest: Manifest, dataset: Dataset, table: Table) -> dict[str, Json]:
    """The declaration of a dataset and the columns of its table as JSON, for `declaration_from_json`."""
    exact = _identifying(manifest, dataset)
    types: dict[str, Json] = {
        name: dataset.types.get(name) or _type(column, exact=name in exact)
        for name, column in sorted(table.columns.items())
    }
    return {
        "key": list(dataset.key),
        "time": dataset.time,
        "ingested": dataset.ingested,
        "group": dataset.group,
        "format": dataset.format,
        "missing": list(dataset.missing),
        "types": types,
        "timezone": manifest.timezone,
    }


def declaration_from_json(name: str, doc: Mapping[str, Any]) -> Declaration:
    """The declaration that a document describes. Its dataset has no path: serving brings its own rows."""
    dataset = Dataset(
        name=name,
        path="",
        key=tuple(doc["key"]),
        time=doc["time"],
        ingested=doc["ingested"],
        group=doc["group"],
        format=doc["format"],
        missing=tuple(doc["missing"]),
        types=dict(doc["types"]),
    )
    return Declaration(dataset=dataset, timezone=doc["timezone"])


def _identifying(manifest: Manifest, dataset: Dataset) -> set[str]:
    """The columns whose values say which row or node is meant, and so may lose no digit."""
    columns = {*dataset.key}
    for model in manifest.models.values():
        if model.dataset == dataset.name:
            columns |= {*model.partition_by, *(own for item in model.inputs for _, own in item.match)}
        for item in model.inputs:
            if manifest.models[item.models[0]].dataset == dataset.name:
                columns |= {theirs for theirs, _ in item.match}
    return columns


def _type(column: Column, *, exact: bool) -> ColumnType:
    if column.kind == "category":
        return "string"
    if column.kind in ("bool", "timestamp"):
        return "bool" if column.kind == "bool" else "timestamp"
    # a whole number among the features may arrive with a fraction
    return "int" if exact and column.values.dtype == np.int64 else "float"
