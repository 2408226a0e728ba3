"""Batches on Ray: an embedded, private session by default.

Ray's habits are tamed here (facts/ray.md): every task has `max_retries=0` and the driver owns
retries; results are small plain values and never models; nothing of Ray reaches stdout; a random
token guards the ports that a local session opens on all interfaces; `ray.init` runs in one thread
that lives until shutdown, because Ray's processes die with the thread that started them.
"""

from __future__ import annotations

import contextlib
import io
import os
import secrets
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from retraining.data.tables import Table
from retraining.errors import ClusterError
from retraining.execution.tasks import Batch, BatchResult
from retraining.manifest.values import Dataset
from retraining.store.objects import Objects

if TYPE_CHECKING:
    import ray

#: Bytes of the embedded object store: tables and columns are megabytes, spilling takes the rest.
OBJECT_STORE_BYTES = 512 * 1024 * 1024
#: How long the start of an embedded session may take on a busy machine.
START_TIMEOUT_SECONDS = 180.0

_QUIET = {
    "RAY_SCHEDULER_EVENTS": "0",
    "RAY_enable_output_error_log_if_still_retry": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DISABLE_FAILURE_SIGNAL_HANDLER": "1",
    "RAY_DEDUP_LOGS": "0",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}


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
    """

    name = "ray"

    def __init__(
        self, *, store_url: str, objects: Objects, workers: int | None = None, address: str = "local"
    ) -> None:
        self.objects = objects
        self._store_url = _absolute(store_url)
        self._workers = workers
        self._address = address
        self._thread: threading.Thread | None = None
        self._started = threading.Event()
        self._closing = threading.Event()
        self._error: BaseException | None = None
        self._cpus = 1
        self._tables: dict[str, ray.ObjectRef] = {}
        self._arrays: dict[str, ray.ObjectRef] = {}
        self._flying: dict[ray.ObjectRef, Batch] = {}
        self._owned = False

    # -- life ---------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begins to start Ray, without waiting for it."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._live, name="ray", daemon=True)
            self._thread.start()

    def ready(self) -> RayBackend:
        """The backend, once Ray has started; raises `ClusterError` where it does not."""
        self.start()
        if not self._started.wait(START_TIMEOUT_SECONDS):
            raise ClusterError(
                f"Ray did not start within {START_TIMEOUT_SECONDS:.0f} s",
                "run with --backend serial, or try again",
            )
        if self._error is not None:
            detail = str(self._error).strip().splitlines() or [type(self._error).__name__]
            raise ClusterError(
                f"Ray could not be started: {detail[0]}",
                "run with --backend serial, or check the address and the machine's memory",
            ) from self._error
        return self

    @property
    def slots(self) -> int:
        """One batch for each CPU."""
        return self._cpus

    def close(self) -> None:
        """Ends the embedded session, or leaves the cluster."""
        self._closing.set()
        if self._thread is not None:
            self._thread.join(timeout=30)

    def _live(self) -> None:
        """The thread in which Ray lives: it starts Ray, waits for the end, and shuts down what it started."""
        for name, value in _QUIET.items():
            os.environ.setdefault(name, value)
        try:
            self._connect()
        except BaseException as error:  # noqa: BLE001 - whatever it is, `ready` reports it
            self._error = error
        finally:
            self._started.set()
        self._closing.wait()
        if self._owned:
            import ray

            with contextlib.suppress(Exception), contextlib.redirect_stdout(sys.stderr):
                ray.shutdown()

    def _connect(self) -> None:
        local = self._address == "local"
        if local:
            # read by Ray once in a process, which keeps the first token for good; leaves no file behind
            os.environ["RAY_AUTH_MODE"] = "token"
            os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
        import ray

        if ray.is_initialized():
            self._cpus = _usable_cpus(ray)
            return
        options: dict[str, Any] = {
            "log_to_driver": False,
            "logging_level": "ERROR",
            "configure_logging": True,
        }
        if local:
            cpus = self._workers or os.cpu_count() or 1
            options |= {
                "address": "local",
                "num_cpus": cpus,
                "include_dashboard": False,
                "object_store_memory": OBJECT_STORE_BYTES,
                "_temp_dir": _short_folder(),
            }
        else:
            options |= {"address": self._address}
        with contextlib.redirect_stdout(_Discard()):
            ray.init(**options)
        self._owned = True
        self._cpus = _usable_cpus(ray)

    # -- data ---------------------------------------------------------------------------------------

    def put_table(self, dataset: Dataset, table: Table) -> None:
        """Puts a table into the object store once, for all batches."""
        import ray

        self._tables[dataset.name] = ray.put((dataset, table))

    def put_array(self, key: str, values: NDArray[np.generic]) -> None:
        """Puts a column or a join into the object store once, for all batches."""
        import ray

        self._arrays[key] = ray.put(values)

    # -- batches ------------------------------------------------------------------------------------

    def submit(self, batch: Batch) -> None:
        """Starts a batch; only the tables and arrays that it names travel, as direct arguments."""
        from retraining.execution.ray.task import execute_on_worker

        datasets, keys = _needs(batch)
        names = [name for name in self._tables if not datasets or name in datasets] if datasets else []
        values = [self._tables[name] for name in names] + [self._arrays[key] for key in keys]
        family = batch.tasks[0].node.partition("[")[0]
        remote = execute_on_worker.options(name=f"fit:{family}", num_cpus=1, max_retries=0)
        self._flying[remote.remote(self._store_url, batch, names, keys, *values)] = batch

    def finished(self, timeout_seconds: float) -> Sequence[BatchResult]:
        """The batches that ended, waiting up to the timeout for the first."""
        import ray

        if not self._flying:
            return []
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
            # a task's own failure is a value: what arrives here is the store's or ours
            return BatchResult(batch=batch, fatal=_plain(error))
        except ray.exceptions.RayError as error:
            return BatchResult(batch=batch, lost=_plain(error))
        return BatchResult(batch=batch, results=result.results, lost=result.lost, fatal=result.fatal)


class _Discard(io.TextIOBase):
    """A stream that takes and forgets: Ray writes its greeting to whatever stdout is."""

    def write(self, text: str) -> int:
        return len(text)


def _needs(batch: Batch) -> tuple[set[str], list[str]]:
    from retraining.execution.tasks import FitTask

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


def _usable_cpus(ray_module: Any) -> int:
    return max(1, int(ray_module.cluster_resources().get("CPU", 1)))


def _short_folder() -> str:
    # unix socket paths must stay under 107 characters
    return os.environ.get("RAY_TMPDIR") or os.path.join(tempfile.gettempdir(), "ray")


def _absolute(url: str) -> str:
    return url if "://" in url else os.path.abspath(os.path.expanduser(url))


def _plain(error: BaseException) -> str:
    """The error's own words, without colours, process ids and stacks."""
    lines = [line.strip() for line in str(error).replace("\x1b[36m", "").replace("\x1b[39m", "").splitlines()]
    words = [line for line in lines if line and not line.startswith(("File ", "ray::"))]
    return (words[-1] if words else type(error).__name__)[:500]
