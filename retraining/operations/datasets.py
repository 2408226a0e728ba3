"""Reads what a manifest needs of its datasets: the columns that it names, and only rows that make sense."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from retraining.data.files import DataFile
from retraining.data.reading import read_schema, read_table
from retraining.data.rows import available_from
from retraining.data.tables import Table
from retraining.decide.calendar import moment
from retraining.errors import DataError
from retraining.manifest.values import Dataset, FoldScheme, Manifest


def columns_used(manifest: Manifest, dataset: Dataset) -> set[str]:
    """The columns of a dataset that the manifest names."""
    columns = {*dataset.key, *filter(None, (dataset.time, dataset.ingested, dataset.group))}
    for model in manifest.models.values():
        for item in model.inputs:
            if model.dataset == dataset.name:
                columns |= {own for _, own in item.match}
            if manifest.models[item.models[0]].dataset == dataset.name:
                columns |= {theirs for theirs, _ in item.match}
        if model.dataset == dataset.name:
            scheme = manifest.schemes[dataset.name]
            columns |= {*filter(None, [scheme.column])} if isinstance(scheme, FoldScheme) else set()
            columns |= {*model.features, *model.partition_by, model.target.column, *model.gate.slices}
            columns |= {*filter(None, (model.target.known_at, model.weight.column, model.train_where))}
    return columns


def existing_columns(dataset: Dataset, files: Sequence[DataFile], names: Collection[str]) -> set[str]:
    """Those of some columns that a dataset has."""
    return {name for name in names if name in read_schema(dataset, files).names} if names else set()


def read_dataset(
    dataset: Dataset, files: Sequence[DataFile], columns: Collection[str], timezone: str
) -> Table:
    """A dataset's table; DataError where it has no rows, or rows without a moment."""
    table = read_table(dataset, files, columns, timezone)
    if not table.n_rows:
        raise DataError(f"dataset {dataset.name}: there are no rows in {files[0]}", "write at least one row")
    if dataset.time is not None:
        missing = int(table.columns[dataset.time].missing().sum())
        if missing:
            raise DataError(
                f"dataset {dataset.name}: the time column {dataset.time} is missing in {missing} of "
                f"{table.n_rows} rows",
                "every row needs the moment at which its prediction is made: fill it in or leave the rows out",
            )
    return table


def check_visible(table: Table, dataset: Dataset, as_of: int) -> None:
    """Raises `DataError` where no row exists yet."""
    exists = available_from(table, dataset)
    if exists is not None and not (exists <= as_of).any():
        raise DataError(
            f"dataset {dataset.name}: none of its {table.n_rows} rows exists at {moment(as_of):%Y-%m-%d %H:%M} UTC; "
            f"the first does at {moment(int(exists.min())):%Y-%m-%d %H:%M} UTC",
            "pass a later --as-of, or check the time column and the time zone",
        )


def next_visible(table: Table, dataset: Dataset, as_of: int) -> int:
    """The moment at which the next row will exist; -1 where there is none."""
    exists = available_from(table, dataset)
    later = exists[exists > as_of] if exists is not None else np.zeros(0, np.int64)
    return int(later.min()) if len(later) else -1
