"""The Ray task: opens the store by its URL, gathers its arguments, and runs the common task body."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import ray
from numpy.typing import NDArray

from retraining.data.tables import Table
from retraining.errors import StoreError
from retraining.execution.tasks import Batch, BatchResult
from retraining.execution.work import execute
from retraining.manifest.permissions import Permissions
from retraining.manifest.values import Dataset
from retraining.store.objects import Objects, open_objects


@lru_cache(maxsize=4)
def _objects(url: str) -> Objects:
    return open_objects(url)


class _Arguments:
    """What a batch needs, from the direct arguments of its Ray task (zero-copy views of the object store)."""

    def __init__(
        self,
        objects: Objects,
        tables: dict[str, tuple[Dataset, Table]],
        arrays: dict[str, NDArray[np.generic]],
        permissions: Permissions,
    ) -> None:
        self.objects = objects
        self.permissions = permissions
        self._tables = tables
        self._arrays = arrays

    def table(self, dataset: str) -> Table:
        return self._tables[dataset][1]

    def dataset(self, dataset: str) -> Dataset:
        return self._tables[dataset][0]

    def array(self, key: str) -> NDArray[np.generic]:
        return self._arrays[key]


@ray.remote  # type: ignore[untyped-decorator]
def execute_on_worker(
    url: str, permissions: Permissions, batch: Batch, names: list[str], keys: list[str], *values: Any
) -> BatchResult:
    """The results of a batch; `values` are the tables called `names`, then the arrays called `keys`.

    That the store failed is a value too: an error that travels as an exception loses its words.
    """
    tables = dict(zip(names, values[: len(names)], strict=True))
    arrays = dict(zip(keys, values[len(names) :], strict=True))
    try:
        return execute(batch, _Arguments(_objects(url), tables, arrays, permissions))
    except StoreError as error:
        return BatchResult(batch=batch, fatal=error)
