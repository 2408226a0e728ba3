"""Folds that a column gives: which values there are, and whether they are enough for the graph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from retraining.data.rows import available_from
from retraining.data.tables import Table
from retraining.errors import DataError
from retraining.graph.graph import Graph
from retraining.manifest.values import FoldScheme, Manifest


def fold_values(manifest: Manifest, tables: Mapping[str, Table], as_of: int) -> dict[str, tuple[str, ...]]:
    """The values of each fold column that the manifest names, sorted, over all datasets that it divides.

    DataError where a row has none.
    """
    found: dict[str, set[str]] = {}
    for model in manifest.models.values():
        scheme, table = manifest.schemes[model.dataset], tables[model.dataset]
        if not isinstance(scheme, FoldScheme) or scheme.column is None:
            continue
        exists = available_from(table, manifest.datasets[model.dataset])
        rows = np.flatnonzero(np.ones(table.n_rows, bool) if exists is None else exists <= as_of)
        codes, texts = table.columns[scheme.column].take(rows).texts()
        missing = int((codes < 0).sum())
        if missing:
            raise DataError(
                f"dataset {model.dataset}: the fold column {scheme.column} is missing in {missing} of {len(rows)} rows",
                "give every row a fold",
            )
        found.setdefault(scheme.column, set()).update(texts[code] for code in np.unique(codes))
    return {column: tuple(sorted(values)) for column, values in found.items()}


def with_folds(manifest: Manifest, values: Mapping[str, tuple[str, ...]]) -> Manifest:
    """The manifest with the folds of its fold columns."""
    schemes = dict(manifest.schemes)
    for name, scheme in manifest.schemes.items():
        if isinstance(scheme, FoldScheme) and scheme.column is not None and scheme.column in values:
            own = values[scheme.column]
            schemes[name] = replace(scheme, folds=len(own), values=own)
    return replace(manifest, schemes=schemes)


def check_enough(manifest: Manifest, graph: Graph) -> None:
    """Raises `DataError` where a fold column has fewer values than its longest chain of models needs."""
    for node in graph.nodes:
        scheme = manifest.schemes[manifest.models[node.model].dataset]
        levels = graph.level(node.name) + 1
        if isinstance(scheme, FoldScheme) and scheme.column and scheme.folds < levels + 1:
            raise DataError(
                f"{node.name}: {levels} levels of models need at least {levels + 1} folds, and the fold column "
                f"{scheme.column} has {scheme.folds} values ({', '.join(scheme.values)})",
                "give the rows more folds, or shorten the chain",
            )
