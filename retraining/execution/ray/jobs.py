"""A command as a job on a Ray cluster: handed over, followed to its end, stopped (docs/design.md).

Only Ray's job server is used, over HTTP: this machine need not be part of the cluster. Ray's words and
exceptions end here; what goes wrong is a `ClusterError`.
"""

from __future__ import annotations

import asyncio
import importlib.util
import logging
import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from retraining.errors import ClusterError, InputError
from retraining.execution.ray.session import QUIET, has_token

__all__ = ["JobEnd", "JobServer"]

#: How long the job server may take to accept a connection.
KNOCK_SECONDS = 5.0
#: How long a job has between SIGTERM and SIGKILL; Ray's own 3 s are few for a run that writes down what it has.
STOP_SECONDS = 20
_POLL_SECONDS = 1.0
#: How often a connection that follows a job's log may break one after the other.
_MOST_BREAKS = 5
#: What the client of the job server needs besides Ray itself.
_NEEDED = ("aiohttp", "pydantic", "requests")


@dataclass(frozen=True, slots=True, kw_only=True)
class JobEnd:
    """How a job ended: Ray's word for it (SUCCEEDED, FAILED, STOPPED), the command's exit code, and why without one."""

    status: str
    exit_code: int | None
    message: str


class JobServer:
    """The job server of a cluster; `ClusterError` where it does not answer, and `InputError` where Ray lacks parts."""

    def __init__(self, address: str) -> None:
        missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
        if missing:
            raise InputError(
                f"Ray's job client is not installed here ({', '.join(missing)} missing)",
                "python -m pip install 'retraining[cluster]'",
            )
        self.address = address.rstrip("/")
        _knock(self.address)
        for name, value in QUIET.items():
            os.environ.setdefault(name, value)
        os.environ.setdefault("RAY_AUTH_MODE", "token" if has_token() else "disabled")
        with self._refusals("the job server cannot be used"), _only(self.address):
            from ray.job_submission import JobSubmissionClient

            for talker in ("ray.dashboard", "ray._private.runtime_env"):
                logging.getLogger(talker).setLevel(logging.ERROR)
            for talker in ("modules.job.sdk", "modules.dashboard_sdk"):
                logging.getLogger(f"ray.dashboard.{talker}").setLevel(logging.ERROR)
            self._client: Any = JobSubmissionClient(self.address)

    def submit(self, command: str, *, job: str, folder: Path, about: Mapping[str, str]) -> None:
        """Hands over a shell command, which will run in a copy of the folder, under the name `job`.

        InputError where there is a job of this name.
        """
        with self._refusals(f"job {job} could not be handed over"):
            try:
                self._client.submit_job(
                    entrypoint=command,
                    submission_id=job,
                    runtime_env={
                        "working_dir": str(folder),
                        "env_vars": {"RAY_JOB_STOP_WAIT_TIME_S": str(STOP_SECONDS)},
                    },
                    metadata=dict(about),
                )
            except RuntimeError as error:
                if "already exists" in str(error):
                    raise InputError(
                        f"the cluster has a job {job} already",
                        f"`--follow {job}` follows it; else choose another",
                    ) from error
                raise

    def follow(self, job: str, show: Callable[[str], None]) -> JobEnd:
        """How a job ended, once it has; what it prints meanwhile is shown as it comes, from the beginning."""
        shown = breaks = 0
        self.end(job)  # refuses a job that is not there
        while True:
            try:
                shown = asyncio.run(self._tail(job, show, shown))
                breaks = 0
            except (TimeoutError, OSError, RuntimeError) as error:
                breaks += 1
                if breaks > _MOST_BREAKS:
                    raise ClusterError(
                        f"the log of job {job} cannot be followed: {_first_line(error)}",
                        f"the job goes on; follow it again with --follow {job}",
                    ) from error
            end = self.end(job)
            if end is not None:
                return end
            time.sleep(_POLL_SECONDS)

    async def _tail(self, job: str, show: Callable[[str], None], shown: int) -> int:
        """The number of letters that were shown: a log that is followed again begins anew."""
        seen = 0
        async for text in self._client.tail_job_logs(job):
            new = text[max(0, shown - seen) :]
            seen += len(text)
            if new:
                show(new)
        return max(seen, shown)

    def log(self, job: str) -> str:
        """All that a job has printed."""
        with self._refusals(f"the log of job {job} cannot be read"):
            text: str = self._client.get_job_logs(job)
            return text

    def end(self, job: str) -> JobEnd | None:
        """How a job ended; None while it has not. InputError where there is none of this name."""
        with self._refusals(f"job {job} cannot be asked for"):
            try:
                info = self._client.get_job_info(job)
            except RuntimeError as error:
                if "status code 404" in str(error):
                    raise InputError(
                        f"the cluster has no job {job}", f"`ray job list --address {self.address}` lists them"
                    ) from error
                raise
        if not info.status.is_terminal():
            return None
        return JobEnd(
            status=str(info.status.value), exit_code=info.driver_exit_code, message=info.message or ""
        )

    def stop(self, job: str) -> None:
        """Stops a job by SIGTERM, and returns when it has ended, or should have."""
        with self._refusals(f"job {job} could not be stopped"):
            self._client.stop_job(job)
            deadline = time.monotonic() + STOP_SECONDS + KNOCK_SECONDS
            while self.end(job) is None and time.monotonic() < deadline:
                time.sleep(_POLL_SECONDS)

    @contextmanager
    def _refusals(self, what: str) -> Iterator[None]:
        """Ray's refusals, and those of the network, in our words."""
        try:
            yield
        except (InputError, ClusterError):
            raise
        except Exception as error:
            step = "look at the cluster with its dashboard, or try again"
            if type(error).__name__ == "AuthenticationError" or " 401" in str(error) or " 403" in str(error):
                step = (
                    "give the cluster's token: RAY_AUTH_MODE=token and RAY_AUTH_TOKEN, or RAY_AUTH_TOKEN_PATH with "
                    "the file that holds it"
                )
            raise ClusterError(f"{self.address}: {what}: {_first_line(error)}", step) from error


@contextmanager
def _only(address: str) -> Iterator[None]:
    """While Ray's client is made: its variables would lead it elsewhere than to the address that it is given."""
    before = {name: os.environ.pop(name, None) for name in ("RAY_API_SERVER_ADDRESS", "RAY_ADDRESS")}
    os.environ["RAY_API_SERVER_ADDRESS"] = address
    try:
        yield
    finally:
        del os.environ["RAY_API_SERVER_ADDRESS"]
        os.environ.update({name: value for name, value in before.items() if value is not None})


def _knock(address: str) -> None:
    parts = urlsplit(address)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        socket.create_connection((parts.hostname or "", port), timeout=KNOCK_SECONDS).close()
    except OSError as error:
        raise ClusterError(
            f"nobody answers at {address} ({error.strerror or error})",
            "give the address of the job server on the cluster's head, as in http://HEAD:8265; the head needs "
            "`ray[default]` and --dashboard-host=0.0.0.0 to offer it",
        ) from error


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:400]
