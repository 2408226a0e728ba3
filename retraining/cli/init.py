"""`retrain init`: a starter manifest with small real data."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from retraining.cli.options import format_option
from retraining.cli.output import paint_for, write_json, write_text
from retraining.cli.verb import Verb

__all__ = ["command"]


@click.command(
    "init",
    short_help="Write a starter manifest with small real data.",
    cls=Verb,
    examples=("retrain init my-models",),
)
@click.argument("folder", required=False, default=".", type=click.Path(path_type=Path))
@format_option
def command(folder: Path, output: str) -> None:
    """Write a starter manifest with small real data into FOLDER.

    Three models of 442 patients that feed each other, with comments. Nothing is overwritten.
    """
    from retraining.operations.init import init

    files = init(folder)
    if output == "json":
        write_json({"files": [str(file) for file in files]})
        return
    paint = paint_for(sys.stdout)
    lines = [f"wrote {os.path.relpath(file)}" for file in files]
    manifest = files[0].name
    steps = [f"cd {folder}"] if folder != Path() else []
    steps += [f"retrain plan {manifest}", f"retrain run {manifest}", f"retrain report {manifest}"]
    lines += ["", paint("title", "next"), *(f"  {step}" for step in steps)]
    write_text("\n".join(lines) + "\n")
