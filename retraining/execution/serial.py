"""The serial backend: batches run in this process, one after the other.

It runs the same task bodies as Ray does: for debuggers, tests and tiny graphs, and as the oracle of
the Ray backend.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext

import numpy as np
from numpy.typing import NDArray

from retraining.data.tables import Table
from retraining.execution.tasks import Batch, BatchResult
from retraining.execution.work import execute
from retraining.manifest.permissions import NOTHING, Permissions
from retraining.manifest.values import Dataset
from retraining.store.objects import Objects


class SerialBackend:
    """Runs a batch when its result is asked for.

    `stop_asked` is polled between tasks; each task runs inside `interruptible()` (see `execute`).
    """

    name = "serial"
    slots = 1

    def __init__(
        self,
        objects: Objects,
        stop_asked: Callable[[], bool] = lambda: False,
        interruptible: Callable[[], AbstractContextManager[None]] = nullcontext,
        permissions: Permissions = NOTHING,
    ) -> None:
        self.objects = objects
        self.permissions = permissions
        self._interruptible = interruptible
        self._stop_asked = stop_asked
        self._tables: dict[str, tuple[Dataset, Table]] = {}
        self._arrays: dict[str, NDArray[np.generic]] = {}
        self._waiting: deque[Batch] = deque()

    def table(self, dataset: str) -> Table:
        """The table of a dataset."""
        return self._tables[dataset][1]

    def dataset(self, dataset: str) -> Dataset:
        """The declaration of a dataset."""
        return self._tables[dataset][0]

    def array(self, key: str) -> NDArray[np.generic]:
        """A column's values or a join, by key."""
        return self._arrays[key]

    def put_table(self, dataset: Dataset, table: Table) -> None:
        """Makes a table known to all later batches."""
        self._tables[dataset.name] = (dataset, table)

    def put_array(self, key: str, values: NDArray[np.generic]) -> None:
        """Makes an array known to all later batches."""
        # read-only, as it will be on Ray
        view = values.view()
        view.flags.writeable = False
        self._arrays[key] = view

    def submit(self, batch: Batch) -> None:
        """Queues a batch for the next call of `finished`."""
        self._waiting.append(batch)

    def finished(self, timeout_seconds: float) -> Sequence[BatchResult]:
        """Runs one batch."""
        del timeout_seconds
        if not self._waiting:
            return []
        return [execute(self._waiting.popleft(), self, self._stop_asked, self._interruptible)]

    def stop(self, grace_seconds: float) -> Iterator[BatchResult]:
        """Nothing runs between calls, so there is nothing to end."""
        del grace_seconds
        self._waiting.clear()
        return iter(())

    def close(self) -> None:
        """Nothing was started."""
