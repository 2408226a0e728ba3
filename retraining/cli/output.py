"""Writing results and errors: to whom, in which form, and in colour only where a person looks."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import asdict
from typing import IO

import click

from retraining.errors import ManifestError, RetrainingError
from retraining.manifest.values import Json
from retraining.reporting.fitting import fitted
from retraining.reporting.paint import Paint, Role, plain

__all__ = [
    "columns",
    "error_document",
    "error_text",
    "paint_for",
    "say",
    "write_exactly",
    "write_json",
    "write_text",
]

_STYLES: Mapping[Role, Mapping[str, str | bool]] = {
    "title": {"bold": True},
    "name": {"fg": "cyan"},
    "good": {"fg": "green"},
    "bad": {"fg": "red", "bold": True},
    "look": {"fg": "yellow"},
    "quiet": {"dim": True},
}


def paint_for(stream: IO[str]) -> Paint:
    """How text is painted for a stream: plain unless it is a terminal that may show colours."""
    if not stream.isatty() or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return plain
    return lambda role, text: click.style(text, **_STYLES[role])  # type: ignore[arg-type]


def columns() -> int:
    """How wide a line for people may be: as the terminal, or COLUMNS, else 80."""
    return shutil.get_terminal_size((80, 24)).columns


def write_text(text: str) -> None:
    """Write a result for people to stdout, no line wider than its reader."""
    write_exactly(fitted(text, columns()))


def write_exactly(text: str) -> None:
    """Write a result for programs to stdout."""
    sys.stdout.write(text)
    sys.stdout.flush()


def say(text: str) -> None:
    """Write a line for people to stderr, no wider than its reader."""
    sys.stderr.write(f"{fitted(text, columns())}\n")
    sys.stderr.flush()


def write_json(document: Mapping[str, Json]) -> None:
    """Write the one document of `--format json` to stdout, with `format: 1` in front."""
    body = {"format": 1, **document}
    sys.stdout.write(json.dumps(body, indent=2, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def error_text(error: RetrainingError, paint: Paint) -> str:
    """An error for people: every problem with its place, or the message and the next step; lines of any width."""
    if isinstance(error, ManifestError):
        count = len(error.problems)
        problems = "\n".join(str(problem) for problem in error.problems)
        return f"{problems}\n{paint('bad', 'error')}: {count} problem{'' if count == 1 else 's'} found\n"
    step = f"\n  next: {error.next_step}" if error.next_step else ""
    return f"{paint('bad', 'error')}: {error.message}{step}\n"


def error_document(error: RetrainingError) -> dict[str, Json]:
    """An error as the document of `--format json`."""
    found = error.problems if isinstance(error, ManifestError) else ()
    problems: list[Json] = [dict(asdict(problem)) for problem in found]
    return {
        "error": {
            "kind": type(error).__name__,
            "message": error.message,
            "next_step": error.next_step,
            "exit_code": error.exit_code,
            "problems": problems,
        }
    }
