"""The Ray that a run works on: an embedded, private session by default, or a running cluster.

Ray's habits are tamed here (docs/design.md): a random token guards the ports that a local session opens
on all interfaces; `ray.init` runs in one thread that lives until shutdown, because Ray's processes die
with the thread that started them; what Ray prints is kept from stdout and stderr; its files lie in a
folder of their own that goes with it; and a session whose central processes died is noticed here,
before Ray ends this process for it a minute later.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import socket
import sysconfig
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from retraining.errors import ClusterError, InterruptedRunError, RetrainingError
from retraining.execution.addresses import check_address
from retraining.execution.slots import Node

#: Bytes of the embedded object store: tables and columns are megabytes, spilling takes the rest.
OBJECT_STORE_BYTES = 512 * 1024 * 1024
#: How long the start of an embedded session may take on a busy machine.
START_TIMEOUT_SECONDS = 180.0
#: How long the end of a session may take.
CLOSE_TIMEOUT_SECONDS = 30.0
#: What Ray adds to the path of its folder for its sockets, whose paths end at 107 characters.
_LONGEST_FOLDER = 40

#: How long the head of a cluster may take to accept a connection.
KNOCK_SECONDS = 5.0
_CLUSTER_STEP = (
    "start the run on one of the cluster's machines, with the cluster's token where it has one "
    "(RAY_AUTH_MODE=token and RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH), or send it there with `retrain submit`"
)

#: How Ray is kept from talking, before it is imported.
QUIET = {
    "RAY_SCHEDULER_EVENTS": "0",
    "RAY_enable_output_error_log_if_still_retry": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DISABLE_FAILURE_SIGNAL_HANDLER": "1",
    "RAY_DEDUP_LOGS": "0",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}
#: The processes without which no task runs.
_CENTRAL = {"gcs_server": "GCS server", "raylet": "raylet"}


#: A process has one Ray at most: who comes second, from another thread, waits for its turn.
_ONE_IN_A_PROCESS = threading.Lock()


class RaySession:
    """Ray from its start to its end; `workers` are the CPUs of an embedded one (None: the machine's)."""

    def __init__(self, *, workers: int | None, address: str) -> None:
        self._workers = workers
        self._address = address
        self._thread: threading.Thread | None = None
        self._begun = threading.Event()
        self._started = threading.Event()
        self._closing = threading.Event()
        self._error: BaseException | None = None
        self._owned = False
        self._folder: str | None = None
        self._agents: list[Any] = []

    def start(self) -> None:
        """Begins to start Ray, without waiting for it."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._live, name="ray", daemon=True)
            self._thread.start()

    def wait(self, stop_asked: Callable[[], bool]) -> None:
        """Returns once Ray has started; `ClusterError` where it does not, `InterruptedRunError` at a stop."""
        self.start()
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        while not self._started.wait(0.1):
            if stop_asked():
                raise InterruptedRunError("stopped while Ray was starting", "run the same command again")
            if not self._begun.is_set():
                deadline = time.monotonic() + START_TIMEOUT_SECONDS
            if time.monotonic() > deadline:
                raise ClusterError(
                    f"Ray did not start within {START_TIMEOUT_SECONDS:.0f} s",
                    "run with --backend serial, or try again",
                )
        if isinstance(self._error, RetrainingError):
            message = f"RAY_ADDRESS cannot be used: {self._error.message}"
            raise ClusterError(message, self._error.next_step) from self._error
        if self._error is not None:
            detail = str(self._error).strip().splitlines() or [type(self._error).__name__]
            if self._address == "local":
                raise ClusterError(
                    f"Ray could not be started: {detail[0]}",
                    f"run with --backend serial, or check {_suspects()}",
                ) from self._error
            told = " ".join(line.strip() for line in detail)[:600]
            raise ClusterError(
                f"the cluster at {self._address} cannot be used: {told}", _CLUSTER_STEP
            ) from self._error

    def check(self) -> None:
        """Raises `ClusterError` where a process without which no task runs has ended."""
        if not self._owned:
            return
        from ray._private import worker

        node = getattr(worker, "_global_node", None)
        for kind, process in node.dead_processes() if node is not None else ():
            if kind in _CENTRAL:
                code = process.returncode
                how = f"killed by signal {-code}" if code < 0 else f"exit code {code}"
                raise ClusterError(
                    f"Ray was lost: its {_CENTRAL[kind]} ended ({how})",
                    "run the same command again: it continues with what is missing "
                    "(with --backend serial where this happens again)",
                )

    def nodes(self) -> Sequence[Node]:
        """The nodes that are there."""
        return living_nodes()

    def close(self, *, lost: bool = False) -> None:
        """Ends the embedded session, or leaves the cluster; what is still starting ends when it has started.

        Leaving a cluster whose head is `lost` would take until it is back: nobody waits for that.
        """
        self._closing.set()
        if self._thread is not None and self._started.is_set() and not lost:
            self._thread.join(timeout=CLOSE_TIMEOUT_SECONDS)

    def _live(self) -> None:
        """The thread in which Ray lives: it starts Ray, waits for the end, and shuts down what it started."""
        with _ONE_IN_A_PROCESS:
            self._begun.set()
            if self._closing.is_set():
                return
            try:
                self._connect()
            except BaseException as error:  # noqa: BLE001 - whatever it is, `wait` reports it
                self._error = error
            finally:
                self._started.set()
            if self._owned:
                self._closing.wait()
            self._end()

    def _end(self) -> None:
        """Leaves Ray, or what there is of it where it did not start; nothing of another's Ray is touched."""
        if self._owned:
            import ray

            with contextlib.suppress(Exception):
                ray.shutdown()
        # the agents of a raylet that was killed are nobody's children, and would stay for a while
        _kill(self._agents)
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _connect(self) -> None:
        for name, value in QUIET.items():
            os.environ.setdefault(name, value)
        local = self._address == "local"
        if local:
            # read by Ray once in a process, which keeps the first token for good; leaves no file behind
            os.environ["RAY_AUTH_MODE"] = "token"
            os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
        else:
            # unset, it means something else in each version of Ray
            os.environ.setdefault("RAY_AUTH_MODE", "token" if has_token() else "disabled")
            _knock(self._address)
        import ray
        from ray._private import worker

        if not ray.is_initialized():
            # stdout is not redirected meanwhile: it is the process's own, and the run writes to it
            try:
                with _importable_in_workers():
                    ray.init(**self._options(local))
                self._owned = True
            finally:
                self._agents = _processes_of(self._folder) if self._folder is not None else []
            # else the last words of a dead raylet go to this process's stdout
            vars(worker)["_worker_logs_enabled"] = False

    def _options(self, local: bool) -> dict[str, Any]:
        options: dict[str, Any] = {
            "address": self._address,
            "log_to_driver": False,
            "logging_level": "ERROR",
            "configure_logging": True,
        }
        if not local:
            return options
        self._folder = tempfile.mkdtemp(prefix=_folder_prefix(), dir=_base_folder())
        # nobody else may look into a folder of mkdtemp; what Ray is given, it opens to everybody
        inner = os.path.join(self._folder, "r")
        return options | {
            "num_cpus": self._workers or os.cpu_count() or 1,
            "include_dashboard": False,
            "object_store_memory": OBJECT_STORE_BYTES,
            "_temp_dir": inner,
        }


def living_nodes() -> Sequence[Node]:
    """The nodes of the Ray that this process is connected to, by their ids."""
    import ray

    return [
        Node(
            id=node["NodeID"],
            address=f"{node['NodeManagerHostname']} ({node['NodeManagerAddress']})",
            amounts=node["Resources"],
        )
        for node in sorted(ray.nodes(), key=lambda one: str(one["NodeID"]))
        if node["Alive"]
    ]


def abandon() -> None:
    """Ends every process below this one, which is about to end itself while Ray is starting.

    Ray's servers end with it, but their agents would notice only ten seconds later.
    """
    with contextlib.suppress(ImportError):  # where not even Ray's import came to its end
        _kill(_psutil().Process().children(recursive=True))
    # the thread that starts Ray goes on until this process ends, and may write once more
    for _ in range(5):
        for folder in Path(_base_folder()).glob(f"{_folder_prefix()}*"):
            shutil.rmtree(folder, ignore_errors=True)
        time.sleep(0.05)


def has_token() -> bool:
    """Whether a token for a cluster was given, or lies where Ray looks for one."""
    return (
        bool(os.environ.get("RAY_AUTH_TOKEN") or os.environ.get("RAY_AUTH_TOKEN_PATH"))
        or (Path.home() / ".ray" / "auth_token").is_file()
    )


def _knock(address: str) -> None:
    """Raises `ConnectionError` where nobody listens at the address, for which Ray would wait two minutes."""
    if address == "auto":
        address = check_address(os.environ.get("RAY_ADDRESS") or "auto")
    host, _, port = address.rpartition(":")
    if not port.isdigit():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=KNOCK_SECONDS).close()
    except OSError as error:
        raise ConnectionError(f"nobody answers at {address} ({error.strerror or error})") from error


def _processes_of(folder: str) -> list[Any]:
    """The processes that Ray started in this folder, and those below them."""
    found = []
    for child in _psutil().Process().children():
        with contextlib.suppress(Exception):  # it may end meanwhile
            if any(folder in word for word in child.cmdline()):
                found += [child, *child.children(recursive=True)]
    return found


def _psutil() -> Any:
    import ray  # noqa: F401 - it brings its own psutil, and makes it known
    import psutil  # type: ignore[import-untyped]  # isort: skip

    return psutil


def _kill(processes: Sequence[Any]) -> None:
    for process in processes:
        # gone already, or a number that another process has now: psutil tells them apart
        with contextlib.suppress(Exception):
            process.kill()


def _folder_prefix() -> str:
    return f"retrain-ray-{os.getpid()}-"


@contextlib.contextmanager
def _importable_in_workers() -> Iterator[None]:
    """While Ray's servers start: their workers find this package also where `sys.path` alone leads to it."""
    root = str(Path(__file__).parents[3])
    before = os.environ.get("PYTHONPATH")
    if root not in (sysconfig.get_path("purelib"), sysconfig.get_path("platlib")):
        os.environ["PYTHONPATH"] = root if before is None else f"{before}{os.pathsep}{root}"
    try:
        yield
    finally:
        if before is None:
            os.environ.pop("PYTHONPATH", None)
        else:
            os.environ["PYTHONPATH"] = before


def _suspects() -> str:
    """What may be wrong where Ray does not start."""
    given = os.environ.get("RAY_TMPDIR")
    return f"RAY_TMPDIR ({given}) and the machine's memory" if given else "the machine's memory and /tmp"


def _base_folder() -> str:
    """Where Ray's folder is made: as the user says, else for temporary files unless that path is too long."""
    given = os.environ.get("RAY_TMPDIR")
    if given:
        return given
    usual = tempfile.gettempdir()
    return usual if len(usual) <= _LONGEST_FOLDER else "/tmp"
