"""A run as a job on a Ray cluster: what must travel is packed, what cannot be seen from there is refused.

The job is `retrain run` itself, in a copy of the manifest's folder that holds the manifest, what it
includes, and the local data inside that folder. Everything else must be where the cluster's machines
find it: in a bucket, or below a path that is the same there.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shlex
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from retraining.data.files import find_files
from retraining.errors import ClusterError, InputError, InterruptedRunError
from retraining.manifest import load_manifest
from retraining.manifest.values import Json, Manifest
from retraining.operations.arguments import store_url
from retraining.store.cloud.addresses import is_bucket_url, scheme_of

__all__ = ["Ended", "Package", "Submission", "follow_job", "pack", "submit_job"]

#: What travels with a job goes through the head's memory, and to every node.
MOST_BYTES = 200 * 1024 * 1024
#: Exit codes of `retrain run`, which are those of the job.
_CODES = frozenset({0, 1, 2, 3, 4, 5, 130})
_NO_COMMAND = 127
#: What Ray itself writes into the log of a job that goes well.
_OF_RAY = re.compile(r"Running entrypoint for job |[-\d]+ [:,\d]+\tINFO job_manager\.py")
#: As a shell says that a signal ended a command: SIGTERM, SIGKILL.
_TERMINATED, _KILLED = (143, -15), (137, -9)


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """What to run where.

    `arguments` are those of `retrain run` that travel as they are. Paths below `shared` are the same on the
    cluster. `job` names the job (None: a name is made).
    """

    manifest: Path
    address: str
    store: str | None = None
    data: Mapping[str, str] = field(default_factory=dict)
    arguments: tuple[str, ...] = ()
    shared: tuple[Path, ...] = ()
    output: Literal["text", "json"] = "text"
    job: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """What travels: each file by its path inside the copy, with its bytes; and the run's command line there."""

    files: Mapping[str, Path]
    size: int
    command: tuple[str, ...]
    name: str

    @property
    def told(self) -> str:
        """What is uploaded, in a line."""
        names = ", ".join(list(self.files)[:4]) + (", …" if len(self.files) > 4 else "")
        return f"uploads {len(self.files)} file{'s' * (len(self.files) != 1)}, {_bytes(self.size)}: {names}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A job that ended: the run's exit code, and what the run wrote to its standard output."""

    job: str
    status: str
    exit_code: int
    result: str

    def document(self) -> Json:
        """The run's JSON document; None where the result is none."""
        try:
            found: Json = json.loads(self.result)
        except ValueError:
            return None
        return found


def pack(submission: Submission) -> Package:
    """What travels with a job, and the command; nothing is copied yet.

    Raises `InputError` for a manifest that is wrong, for data that is missing or too much, and for a path of
    this machine that the cluster cannot see.
    """
    manifest = load_manifest(submission.manifest)
    home = Path(os.path.abspath(manifest.directory))
    files = {name: home / name for name in (manifest.file.name, *manifest.included)}
    command = ["run", manifest.file.name, "--address", "auto", f"--format={submission.output}"]
    command.append(f"--store={_store(manifest, submission)}")
    unknown = sorted(submission.data.keys() - manifest.datasets.keys())
    if unknown:
        raise InputError(
            f"--data names the dataset {unknown[0]!r}, which the manifest does not have",
            f"its datasets are {', '.join(manifest.datasets)}",
        )
    for name, dataset in manifest.datasets.items():
        given = submission.data.get(name)
        written = given if given is not None else dataset.path
        if is_bucket_url(written):
            command += [f"--data={name}={written}"] if given is not None else []
            continue
        place = _place(written, Path.cwd() if given is not None else home)
        if _is_shared(place, submission.shared):
            command.append(f"--data={name}={place}")
            continue
        if not place.is_relative_to(home):
            raise InputError(
                f"dataset {name}: {place} is a path of this machine, outside of the manifest's folder",
                f"put it into the folder {home}, so that it is uploaded; or into a bucket; or say "
                f"with --shared {place.parent} that the cluster's machines see the same there",
            )
        found = [
            Path(os.path.abspath(path)) for path in find_files(dataset, home, given) if isinstance(path, Path)
        ]
        files |= {path.relative_to(home).as_posix(): path for path in found}
        command += [f"--data={name}={place.relative_to(home).as_posix()}"] if given is not None else []
    size = sum(path.stat().st_size for path in files.values())
    if size > MOST_BYTES:
        largest = max(files, key=lambda one: files[one].stat().st_size)
        raise InputError(
            f"the manifest and its local data are {_bytes(size)} ({largest} is the largest file); at most "
            f"{_bytes(MOST_BYTES)} travel with a job",
            "put the data into a bucket and name it as `path`, or onto a shared file system (--shared PATH)",
        )
    return Package(files=files, size=size, command=(*command, *submission.arguments), name=manifest.name)


def submit_job(submission: Submission, package: Package) -> str:
    """The name of the job, once the cluster has it; errors as `JobServer`."""
    from retraining.execution.ray.jobs import JobServer

    server = JobServer(submission.address)
    job = submission.job or _job_name(package.name)
    line = _shell_line(package.command, job)
    try:
        with _copied(package) as folder:
            server.submit(line, job=job, folder=folder, about={"retraining": package.name})
    except KeyboardInterrupt:
        raise InterruptedRunError(
            f"interrupted while job {job} was handed over: it may run",
            f"`retrain submit --follow {job} --address {submission.address}` says whether it does",
        ) from None
    return job


def follow_job(
    address: str,
    job: str,
    show: Callable[[str], None],
    *,
    stop_on_interrupt: bool = False,
    announce: Callable[[], None] = lambda: None,
) -> Ended:
    """How a job ended; what it prints before its result is shown as it comes, after `announce` was called.

    Raises `ClusterError` where it ended without the run's own exit code, and `InterruptedRunError` where it was
    stopped, or where a signal ends the following: the job then goes on, unless `stop_on_interrupt`.
    """
    from retraining.execution.ray.jobs import JobServer

    until = _Until(_mark(job), show)
    try:
        announce()
        server = JobServer(address)
        end = server.follow(job, until)
    except KeyboardInterrupt:
        if stop_on_interrupt:
            JobServer(address).stop(job)
            raise InterruptedRunError(
                f"job {job} was stopped; every finished fit is kept", "submit it again: it continues"
            ) from None
        raise InterruptedRunError(
            f"job {job} goes on, and nobody follows it",
            f"`retrain submit --follow {job} --address {address}` follows it again, "
            f"`ray job stop {job} --address {address}` ends it",
        ) from None
    until.flush()
    code = end.exit_code
    if end.status == "STOPPED" or code in _TERMINATED:
        raise InterruptedRunError(
            f"job {job} was stopped; every finished fit is kept", "submit it again: it continues"
        )
    if code not in _CODES:
        raise ClusterError(*_failure(job, code, end.message))
    result = server.log(job).rpartition(_mark(job) + "\n")[2] if until.found else ""
    return Ended(job=job, status=end.status, exit_code=code, result=result)


class _Until:
    """Shows what comes before a line, and nothing from that line on."""

    def __init__(self, line: str, show: Callable[[str], None]) -> None:
        self.found = False
        self._line = line + "\n"
        self._show = show
        self._held = ""

    def __call__(self, text: str) -> None:
        """Show whole lines; the last may be the beginning of the one that ends it."""
        if self.found:
            return
        before, self.found = self._held + text, False
        shown, mark, _ = before.partition(self._line)
        self.found = bool(mark)
        if not self.found:
            shown, newline, self._held = before.rpartition("\n")
            shown += newline
        else:
            self._held = ""
        told = "".join(line for line in shown.splitlines(keepends=True) if not _OF_RAY.match(line))
        if told:
            self._show(told)

    def flush(self) -> None:
        """Show a last line without an end."""
        if self._held and not self.found:
            self._show(self._held + "\n")


def _failure(job: str, code: int | None, message: str) -> tuple[str, str]:
    """What went wrong with a job that has no exit code of the run's own, and what helps."""
    if code == _NO_COMMAND:
        return (
            f"job {job}: the cluster's head has no command `retrain`",
            "install retraining on every machine of the cluster, in the environment that Ray was started from "
            "(cluster/Dockerfile)",
        )
    if code in _KILLED:
        return (
            f"job {job} was killed, as it is where the head's memory is used up",
            "submit it again: it continues with what is missing",
        )
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    told = (lines[0] if lines else "no reason is known")[:400]
    how = f"ended with exit code {code}" if code is not None else "could not be run"
    return f"job {job} {how}: {told}", "look at the job in the cluster's dashboard, and at its log above"


def _store(manifest: Manifest, submission: Submission) -> str:
    """The store as the job will be told; InputError for a folder that the cluster does not see."""
    url = store_url(manifest, submission.store)
    if scheme_of(url) not in (None, "file"):
        return url
    place = _place(url, Path.cwd())
    if _is_shared(place, submission.shared):
        return str(place)
    raise InputError(
        f"the store {place} is a folder of this machine: the cluster's machines would each have another, or none",
        "give a bucket (--store s3://BUCKET/PREFIX); or, for a folder on a file system that every machine of the "
        f"cluster has under this path, --shared {place.parent}",
    )


def _place(written: str, base: Path) -> Path:
    """A path as it is on this machine, absolute; a pattern keeps its letters."""
    path = Path(written.removeprefix("file://")).expanduser()
    return Path(os.path.abspath(path if path.is_absolute() else base.resolve() / path))


def _is_shared(place: Path, shared: Sequence[Path]) -> bool:
    return any(place.is_relative_to(Path(os.path.abspath(one.expanduser()))) for one in shared)


def _job_name(manifest: str) -> str:
    plain = re.sub(r"[^A-Za-z0-9-]+", "-", manifest).strip("-")
    return f"retrain-{plain}-{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{secrets.token_hex(2)}"


def _mark(job: str) -> str:
    """The line between what a job says while it runs and its result."""
    return f"=== the result of {job}"


def _shell_line(command: Sequence[str], job: str) -> str:
    """The job's command line: the run's standard output comes after a mark, at the end, with its exit code.

    Ray merges both streams. A trap that does nothing lets the shell outlive SIGTERM, which the run gets too.
    """
    run = shlex.join(["retrain", *command])
    mark = shlex.quote(_mark(job))
    return f"trap : TERM; out=$(exec {run}); code=$?; printf '%s\\n%s\\n' {mark} \"$out\"; exit $code"


@contextmanager
def _copied(package: Package) -> Iterator[Path]:
    """A folder with a copy of what travels, and nothing else: Ray leaves out what a .gitignore names."""
    with tempfile.TemporaryDirectory(prefix="retrain-submit-") as text:
        folder = Path(text)
        for name, path in package.files.items():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
        yield folder


def _bytes(size: int) -> str:
    return f"{size / 2**20:.1f} MB" if size >= 2**20 else f"{size / 1024:.1f} kB"
