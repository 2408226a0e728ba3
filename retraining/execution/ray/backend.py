"""Batches on Ray: an embedded, private session by default.

Every task has `max_retries=0` and the driver owns retries; results are small plain values and never
models. A call that fails because the session is lost says so; the rest is a task's own fate.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from retraining.data.tables import Table
from retraining.errors import ClusterError, StoreError
from retraining.execution.ray.session import RaySession
from retraining.execution.requests import unmet_request
from retraining.execution.tasks import Batch, BatchResult, FitTask
from retraining.manifest.permissions import NOTHING, Permissions
from retraining.manifest.values import Dataset, Resources
from retraining.store.objects import Objects

if TYPE_CHECKING:
    import ray


class RayBackend:
    """Runs batches as Ray tasks, one slot for each CPU.

    Parameters
    ----------
    store_url, objects
        Workers open the store by its URL: a pickled store could hold a secret.
    workers
        CPUs of the embedded session; None: the machine's.
    address
        `local` for a private embedded session, `auto` or an address for a running cluster.
    requests
        What each model asks for one of its fits, by the model's name.
    permissions
        What workers may import, and where they look for it.
    """

    name = "ray"

    def __init__(
        self,
        *,
        store_url: str,
        objects: Objects,
        workers: int | None = None,
        address: str = "local",
        requests: Mapping[str, Resources] | None = None,
        permissions: Permissions = NOTHING,
    ) -> None:
        self.objects = objects
        self._permissions = permissions
        self._store_url = _absolute(store_url)
        self._requests = requests or {}
        self._session = RaySession(workers=workers, address=address)
        self._tables: dict[str, ray.ObjectRef] = {}
        self._arrays: dict[str, ray.ObjectRef] = {}
        self._flying: dict[ray.ObjectRef, Batch] = {}

    # -- life ---------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begins to start Ray, without waiting for it."""
        self._session.start()

    def ready(self, stop_asked: Callable[[], bool] = lambda: False) -> RayBackend:
        """The backend, once Ray has started.

        Raises `ClusterError` where Ray does not start or no node can give what a model asks for, and
        `InterruptedRunError` where `stop_asked` says so.
        """
        self._session.wait(stop_asked)
        self._check_requests()
        return self

    def _check_requests(self) -> None:
        import ray

        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        problem = unmet_request(self._requests, nodes)
        if problem is not None:
            step = "ask for less in `resources`, or add a node that has it; --backend serial asks for nothing"
            raise ClusterError(problem, step)

    @property
    def slots(self) -> int:
        """One batch for each CPU."""
        return self._session.cpus

    def close(self) -> None:
        """Ends the embedded session, or leaves the cluster."""
        self._session.close()

    # -- data ---------------------------------------------------------------------------------------

    def put_table(self, dataset: Dataset, table: Table) -> None:
        """Puts a table into the object store once, for all batches."""
        self._tables[dataset.name] = self._put((dataset, table))

    def put_array(self, key: str, values: NDArray[np.generic]) -> None:
        """Puts a column or a join into the object store once, for all batches."""
        self._arrays[key] = self._put(values)

    def _put(self, value: object) -> ray.ObjectRef:
        import ray

        try:
            return ray.put(value)
        except (ray.exceptions.RayError, OSError):
            self._session.check()
            raise

    # -- batches ------------------------------------------------------------------------------------

    def submit(self, batch: Batch) -> None:
        """Starts a batch; only the tables and arrays that it names travel, as direct arguments."""
        from retraining.execution.ray.task import execute_on_worker

        datasets, keys = _needs(batch)
        names = [name for name in self._tables if not datasets or name in datasets] if datasets else []
        values = [self._tables[name] for name in names] + [self._arrays[key] for key in keys]
        family = batch.tasks[0].node.partition("[")[0]
        remote = execute_on_worker.options(name=f"fit:{family}", max_retries=0, **self._options(batch))
        self._flying[remote.remote(self._store_url, self._permissions, batch, names, keys, *values)] = batch

    def _options(self, batch: Batch) -> dict[str, Any]:
        """What the tasks of a batch, which are of one model, ask for as options of Ray; scores ask for one CPU."""
        task = batch.tasks[0]
        asked = Resources()
        if isinstance(task, FitTask):
            asked = self._requests.get(task.recipe.model, asked)
        return {
            "num_cpus": asked.cpus,
            "num_gpus": asked.gpus,
            "memory": asked.memory,
            "resources": dict(asked.custom),
        }

    def finished(self, timeout_seconds: float) -> Sequence[BatchResult]:
        """The batches that ended, waiting up to the timeout for the first; `ClusterError` where Ray was lost."""
        import ray

        if not self._flying:
            return []
        self._session.check()
        done, _ = ray.wait(list(self._flying), num_returns=1, timeout=timeout_seconds)
        more, _ = ray.wait(list(self._flying), num_returns=len(self._flying), timeout=0)
        return [self._answer(ref) for ref in dict.fromkeys([*done, *more])]

    def stop(self, grace_seconds: float) -> Iterator[BatchResult]:
        """What ends within the grace is answered; the rest is killed."""
        import ray

        end = time.monotonic() + grace_seconds
        while self._flying and time.monotonic() < end:
            yield from self.finished(min(0.2, grace_seconds))
        for ref in self._flying:
            with contextlib.suppress(Exception):
                ray.cancel(ref, force=True)
        self._flying.clear()

    def _answer(self, ref: ray.ObjectRef) -> BatchResult:
        import ray

        batch = self._flying.pop(ref)
        try:
            result: BatchResult = ray.get(ref)
        except ray.exceptions.RayTaskError as error:
            # a task's own failure and the store's are values: what arrives here is ours
            fatal = StoreError(f"a worker failed: {_plain(error)}", "please report this")
            return BatchResult(batch=batch, fatal=fatal)
        except ray.exceptions.OutOfMemoryError:
            return BatchResult(
                batch=batch, lost="the machine's memory was used up (fewer --workers need less)"
            )
        except ray.exceptions.WorkerCrashedError:
            return BatchResult(batch=batch, lost="it was killed, or crashed in compiled code")
        except ray.exceptions.RayError as error:
            return BatchResult(batch=batch, lost=_plain(error))
        return replace(result, batch=batch)


def _needs(batch: Batch) -> tuple[set[str], list[str]]:
    datasets: set[str] = set()
    keys: dict[str, None] = {}
    for task in batch.tasks:
        if isinstance(task, FitTask):
            datasets.add(task.recipe.dataset)
            for item in task.inputs:
                keys[item.values] = None
                if item.join is not None:
                    keys[item.join] = None
    return datasets, list(keys)


def _absolute(url: str) -> str:
    return url if "://" in url else os.path.abspath(os.path.expanduser(url))


def _plain(error: BaseException) -> str:
    """The error's own words, without colours, process ids and stacks."""
    lines = [line.strip() for line in str(error).replace("\x1b[36m", "").replace("\x1b[39m", "").splitlines()]
    words = [line for line in lines if line and not line.startswith(("File ", "ray::"))]
    return (words[-1] if words else type(error).__name__)[:500]
