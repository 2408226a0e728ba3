"""Batches on Ray: on an embedded, private session, or on a running cluster.

Every task has `max_retries=0` and the driver owns retries; results are small plain values and never
models. The driver places each batch on a node of its own table (`execution.slots`), so that it knows
which ones went down with a node. A call that fails because the session is lost says so; the rest is a
task's own fate.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from retraining.data.tables import Table
from retraining.errors import ClusterError, StoreError
from retraining.execution.ray.cluster import Cluster
from retraining.execution.ray.session import RaySession
from retraining.execution.requests import amounts_of, unmet_request
from retraining.execution.slots import Slots
from retraining.execution.tasks import Batch, BatchResult, FitTask, ProfileTask
from retraining.manifest.permissions import NOTHING, Permissions
from retraining.manifest.values import Dataset, Resources
from retraining.store.objects import Objects

if TYPE_CHECKING:
    import ray

#: How long a run goes on without a node that could take any of what is left.
PATIENCE_SECONDS = 60.0
#: How long a run on a cluster waits for what is under way when it is stopped: a job is killed after three seconds.
CLUSTER_GRACE_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Flight:
    """A batch that a node has."""

    batch: Batch
    node: str
    asked: Mapping[str, float]


class RayBackend:
    """Runs batches as Ray tasks, one slot for each CPU.

    Parameters
    ----------
    store_url, objects
        Workers open the store by its URL: a pickled store could hold a secret.
    workers
        CPUs of the embedded session (None: the machine's); on a cluster the most batches at once (None: its CPUs).
    address
        `local` for a private embedded session, `auto` or an address for a running cluster.
    requests
        What each model asks for one of its fits, by the model's name.
    permissions
        What workers may import, and where they look for it.
    wait_seconds
        How long to wait for a node that can run what no node can run now.
    say
        Who is told in a line that nodes joined, or were lost.
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
        wait_seconds: float = 0.0,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.objects = objects
        self._permissions = permissions
        self._store_url = _absolute(store_url)
        self._requests = requests or {}
        self._session = RaySession(workers=workers, address=address)
        self._slots = Slots(most=workers)
        self._cluster: Cluster | None = None
        if address != "local":
            self._cluster = Cluster(
                self._slots,
                objects,
                self._store_url,
                requests=self._requests,
                wait_seconds=wait_seconds,
                say=say,
            )
        self._patience = max(PATIENCE_SECONDS, wait_seconds)
        self._stuck_since: float | None = None
        self._tables: dict[str, ray.ObjectRef] = {}
        self._arrays: dict[str, ray.ObjectRef] = {}
        self._remotes: dict[tuple[str, str, int], Any] = {}
        self._waiting: deque[Batch] = deque()
        self._flying: dict[ray.ObjectRef, _Flight] = {}

    # -- life ---------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begins to start Ray, without waiting for it."""
        self._session.start()

    def ready(self, stop_asked: Callable[[], bool] = lambda: False) -> RayBackend:
        """The backend, once Ray has started and the cluster's nodes were looked at.

        Raises `ClusterError` where Ray does not start, a node runs something else or does not see the store, or
        no node can give what a model asks for, and `InterruptedRunError` where `stop_asked` says so.
        """
        self._session.wait(stop_asked)
        if self._cluster is not None:
            self._cluster.begin(stop_asked)
            return self
        for node in self._session.nodes():
            self._slots.admit(node)
        problem = unmet_request(self._requests, self._slots.amounts())
        if problem is not None:
            step = "ask for less in `resources`, or run on a cluster that has it; --backend serial asks for nothing"
            raise ClusterError(problem, step)
        return self

    @property
    def slots(self) -> int:
        """One batch for each CPU."""
        return self._slots.count

    def close(self) -> None:
        """Ends the embedded session, or leaves the cluster."""
        if self._cluster is not None:
            self._cluster.close()
        self._session.close(lost=self._cluster is not None and self._cluster.head_lost)

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
            self._check()
            raise

    # -- batches ------------------------------------------------------------------------------------

    def submit(self, batch: Batch) -> None:
        """Starts a batch on a node that has room for it, or as soon as one has."""
        self._waiting.append(batch)
        self._place_waiting()

    def _place_waiting(self) -> None:
        """Starts what there is room for; a batch that has to wait lets others pass."""
        left: deque[Batch] = deque()
        for batch in self._waiting:
            asked = amounts_of(self._asked(batch))
            node = self._slots.place(asked)
            if node is None:
                left.append(batch)
            else:
                self._start(_Flight(batch=batch, node=node, asked=asked))
        self._waiting = left

    def _start(self, flight: _Flight) -> None:
        """Only the tables and arrays that a batch names travel, as direct arguments."""
        batch = flight.batch
        datasets, keys = _needs(batch)
        names = [name for name in self._tables if name in datasets]
        values = [self._tables[name] for name in names] + [self._arrays[key] for key in keys]
        remote = self._remote(flight)
        ref = remote.remote(self._store_url, self._permissions, batch, names, keys, *values)
        self._flying[ref] = flight

    def _remote(self, flight: _Flight) -> Any:
        """The task with its options, made once for each node and model: it takes a millisecond."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        from retraining.execution.ray.task import execute_on_worker

        first = flight.batch.tasks[0]
        kind = first.recipe.model if isinstance(first, FitTask) else ""
        key = (flight.node, kind, flight.batch.room)
        if key not in self._remotes:
            asked = self._asked(flight.batch)
            self._remotes[key] = execute_on_worker.options(
                name=f"fit:{kind}" if kind else "score",
                max_retries=0,
                num_cpus=asked.cpus,
                num_gpus=asked.gpus,
                memory=asked.memory,
                resources=dict(asked.custom),
                scheduling_strategy=NodeAffinitySchedulingStrategy(flight.node, soft=False),
            )
        return self._remotes[key]

    def _asked(self, batch: Batch) -> Resources:
        """What the tasks of a batch, which are of one model, ask for; scores ask for one CPU."""
        task = batch.tasks[0]
        return (
            self._requests.get(task.recipe.model, Resources()) if isinstance(task, FitTask) else Resources()
        )

    def finished(self, timeout_seconds: float) -> Sequence[BatchResult]:
        """The batches that ended, waiting up to the timeout for the first; `ClusterError` where Ray was lost."""
        import ray

        self._check()
        answers = self._lost_batches()
        self._place_waiting()
        self._check_stuck()
        if not self._flying:
            if self._waiting and not answers:
                time.sleep(timeout_seconds)
            return answers
        timeout = 0.0 if answers else timeout_seconds
        done, _ = ray.wait(list(self._flying), num_returns=1, timeout=timeout)
        more, _ = ray.wait(list(self._flying), num_returns=len(self._flying), timeout=0)
        answers += [self._answer(ref) for ref in dict.fromkeys([*done, *more]) if ref in self._flying]
        self._place_waiting()
        return answers

    def stop(self, grace_seconds: float) -> Iterator[BatchResult]:
        """What ends within the grace is answered; the rest is killed."""
        import ray

        self._waiting.clear()
        if self._cluster is not None:
            grace_seconds = min(grace_seconds, CLUSTER_GRACE_SECONDS)
        end = time.monotonic() + grace_seconds
        while self._flying and time.monotonic() < end:
            yield from self.finished(min(0.2, grace_seconds))
        for ref in self._flying:
            with contextlib.suppress(Exception):
                ray.cancel(ref, force=True)
        self._flying.clear()

    def _check(self) -> None:
        """Raises `ClusterError` where what no task can do without is gone."""
        self._session.check()
        if self._cluster is not None:
            self._cluster.check()

    def _lost_batches(self) -> list[BatchResult]:
        """The batches whose nodes went away, after a look at the cluster if one is due."""
        if self._cluster is None:
            return []
        return [answer for node in self._cluster.look() for answer in self._lose(node.id, node.address)]

    def _lose(self, node: str, address: str) -> list[BatchResult]:
        """Gives up what a lost node had: Ray itself may notice minutes later, and its answer is not waited for."""
        import ray

        answers = []
        for ref in [ref for ref, flight in self._flying.items() if flight.node == node]:
            flight = self._flying.pop(ref)
            with contextlib.suppress(Exception):
                ray.cancel(ref, force=True)
            why = f"its machine {address} was lost"
            answers.append(BatchResult(batch=flight.batch, lost=why, machine_lost=True))
        return answers

    def _check_stuck(self) -> None:
        """Raises `ClusterError` where what waits has found no node for so long that none will come."""
        amounts = self._slots.amounts()
        problem = None
        if not self._slots.count:
            problem = "no node of the cluster is left that can take work"
        elif self._waiting:
            task = self._waiting[0].tasks[0]
            model = task.recipe.model if isinstance(task, FitTask) else task.node
            problem = unmet_request({model: self._asked(self._waiting[0])}, amounts)
        if problem is None:
            self._stuck_since = None
        elif self._stuck_since is None:
            self._stuck_since = time.monotonic()
        elif time.monotonic() - self._stuck_since > self._patience:
            raise ClusterError(
                f"{problem}, for {self._patience:.0f} s now",
                "add nodes and run the same command again: it continues with what is missing",
            )

    def _answer(self, ref: ray.ObjectRef) -> BatchResult:
        import ray

        flight = self._flying.pop(ref)
        batch = flight.batch
        self._slots.give_back(flight.node, flight.asked)
        try:
            result: BatchResult = ray.get(ref)
        except ray.exceptions.RayTaskError as error:
            # a task's own failure and the store's are values: what arrives here is ours
            fatal = StoreError(f"a worker failed: {_plain(error)}", "please report this")
            return BatchResult(batch=batch, fatal=fatal)
        except ray.exceptions.OutOfMemoryError:
            why = "the machine's memory was used up (fewer --workers, or `resources: {memory: …}`, need less)"
            return BatchResult(batch=batch, lost=why, out_of_memory=True)
        except ray.exceptions.RayError as error:
            if self._cluster is not None and not self._cluster.lives(flight.node):
                return BatchResult(batch=batch, lost="its machine was lost", machine_lost=True)
            if isinstance(error, ray.exceptions.WorkerCrashedError):
                return BatchResult(batch=batch, lost="it was killed, or crashed in compiled code")
            return BatchResult(batch=batch, lost=_plain(error))
        return replace(result, batch=batch)


def _needs(batch: Batch) -> tuple[set[str], list[str]]:
    datasets: set[str] = set()
    keys: dict[str, None] = {}
    for task in batch.tasks:
        if isinstance(task, FitTask | ProfileTask):
            datasets.add(task.recipe.dataset)
        if isinstance(task, FitTask):
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
