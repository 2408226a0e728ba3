"""The port between the driver and whoever runs batches: in this process, or on Ray."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from retraining.data.tables import Table
from retraining.execution.tasks import Batch, BatchResult
from retraining.manifest.values import Dataset


class Backend(Protocol):
    """Runs batches. Every method is called by the driver's thread only."""

    name: str

    @property
    def slots(self) -> int:
        """The number of batches that run at once."""
        ...

    def put_table(self, dataset: Dataset, table: Table) -> None:
        """Makes a table known to all later batches."""
        ...

    def put_array(self, key: str, values: NDArray[np.generic]) -> None:
        """Makes an array known to all later batches."""
        ...

    def submit(self, batch: Batch) -> None:
        """Starts a batch."""
        ...

    def finished(self, timeout_seconds: float) -> Sequence[BatchResult]:
        """The batches that ended since the last call, waiting up to the timeout for one."""
        ...

    def stop(self, grace_seconds: float) -> Iterator[BatchResult]:
        """Ends all work: what finishes within the grace is answered, the rest is cut off."""
        ...

    def close(self) -> None:
        """Gives back everything that the backend started."""
        ...
