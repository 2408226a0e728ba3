"""A bench for each test, and the command in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from oracle.workbench import Bench

ROOT = Path(__file__).parents[2]
PROGRAM = [sys.executable, "-c", "from retraining.cli import main; main()"]
AS_OF = "2024-05-01T00:00:00Z"


@pytest.fixture
def bench(tmp_path) -> Bench:
    return Bench(tmp_path)


@contextmanager
def retrain(bench: Bench, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """`retrain run` on a bench, in a process group of its own; what is left of it is killed at the end."""
    command = [*PROGRAM, "run", "m.yaml", "--store", "store", "--as-of", AS_OF, *arguments]
    with subprocess.Popen(
        command,
        cwd=bench.folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as running:
        try:
            yield running
        finally:
            running.kill()


def below(pid: int) -> dict[int, str]:
    """The processes below one, with their command lines."""
    parents, lines = {}, {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            lines[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
    found = {pid}
    while more := {one for one, parent in parents.items() if parent in found} - found:
        found |= more
    return {one: lines[one] for one in found - {pid}}
