"""A place where the starter was written and run once, and a way to type commands."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from retraining.cli.entry import run_command

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = [sys.executable, "-c", "from retraining.cli import main; main()"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a command left: its exit code and both streams."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        """The one JSON document on stdout."""
        found: dict[str, Any] = json.loads(self.out)
        return found


Type = Callable[..., Answer]


@pytest.fixture
def type_(capsys: pytest.CaptureFixture[str]) -> Type:
    """Runs a command in this process, as typed after `retrain`."""

    def run(*arguments: str) -> Answer:
        capsys.readouterr()
        code = run_command(arguments)
        streams = capsys.readouterr()
        return Answer(code=code, out=streams.out, err=streams.err)

    return run


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), **(extra or {})}


def program(*arguments: str, cwd: Path, **options: Any) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own."""
    return subprocess.run(
        [*PROGRAM, *arguments],
        cwd=cwd,
        env=environment(),
        **{"capture_output": True, "text": True, "timeout": 60, **options},
    )


@pytest.fixture(scope="session")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the starter, run once; to be read only."""
    folder = tmp_path_factory.mktemp("released")
    here = Path.cwd()
    os.chdir(folder)
    try:
        assert run_command(["init"]) == 0
        assert run_command(["run", "--backend", "serial", "--no-progress"]) == 0
    finally:
        os.chdir(here)
    return folder


@pytest.fixture
def in_released(released: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder is the one with the release."""
    monkeypatch.chdir(released)
    return released


@pytest.fixture
def own_copy(released: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder is a copy of it, to be written to."""
    folder = tmp_path / "copy"
    shutil.copytree(released, folder)
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture(scope="session")
def first_chain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the chain of `tests/cli/chain.py`, run once; to be read only."""
    from tests.cli.chain import write_chain

    folder = tmp_path_factory.mktemp("first-chain")
    write_chain(folder)
    here = Path.cwd()
    os.chdir(folder)
    try:
        assert run_command(["run", "--backend", "serial", "--no-progress"]) == 0
    finally:
        os.chdir(here)
    return folder


@pytest.fixture
def chain(first_chain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder is a copy of it, to be written to."""
    folder = tmp_path / "chain"
    shutil.copytree(first_chain, folder)
    monkeypatch.chdir(folder)
    return folder
