"""A real cluster on this machine for a whole module, and commands in processes of their own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from oracle.workbench import Bench

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "cluster" / "several_nodes.py"
PROGRAM = [sys.executable, "-c", "from retraining.cli import main; main()"]
AS_OF = "2024-05-01T00:00:00Z"
#: What would lead a test to another cluster, or a cluster of the test to other code.
_DECIDED_HERE = ("RAY_", "RETRAINING_", "AWS_")


@dataclass(frozen=True)
class NodesHere:
    """A cluster of several nodes on this machine, by the folder of `cluster/several_nodes.py`."""

    folder: Path
    variables: Mapping[str, str]

    @property
    def address(self) -> str:
        return self.variables["RAY_ADDRESS"]

    @property
    def job_server(self) -> str:
        return self.variables["RAY_API_SERVER_ADDRESS"]

    def command(self, verb: str, *arguments: str, environment: Mapping[str, str] | None = None) -> str:
        return several_nodes(verb, str(self.folder), *arguments, environment=environment)

    @property
    def environment(self) -> dict[str, str]:
        return plain_environment() | dict(self.variables)


def plain_environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_DECIDED_HERE)}
    return {**kept, "PYTHONPATH": str(ROOT)}


def several_nodes(verb: str, *arguments: str, environment: Mapping[str, str] | None = None) -> str:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), verb, *arguments],
        env=plain_environment() | dict(environment or {}),
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@contextmanager
def nodes_here(folder: Path, *, nodes: int, cpus: int = 1) -> Iterator[NodesHere]:
    """A cluster while the block runs; it is stopped whatever happens."""
    try:
        said = several_nodes("start", str(folder), "--nodes", str(nodes), "--cpus", str(cpus))
        yield NodesHere(folder, dict(re.findall(r"^export (\w+)=(.+)$", said, re.MULTILINE)))
    finally:
        several_nodes("stop", str(folder))
        assert not processes_of(folder)


def processes_of(folder: Path) -> list[str]:
    """What still runs of a cluster: its processes carry its folder in their environment."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if f"RETRAINING_SEVERAL_NODES={folder}".encode() in (process / "environ").read_bytes().split(
                b"\0"
            ):
                found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue
    return found


@contextmanager
def retrain(
    arguments: Sequence[str], *, cwd: Path, environment: Mapping[str, str]
) -> Iterator[subprocess.Popen[str]]:
    """The command, in a process group of its own; what is left of it is killed at the end."""
    with subprocess.Popen(
        [*PROGRAM, *arguments],
        cwd=cwd,
        env=dict(environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as running:
        try:
            yield running
        finally:
            running.kill()


@pytest.fixture
def bench(tmp_path) -> Bench:
    return Bench(tmp_path)
