"""`retrain report`: one run as a page."""

from __future__ import annotations

from pathlib import Path

import click

from retraining.cli.options import format_option, manifest_and, manifest_option, store_option
from retraining.cli.output import write_exactly, write_json
from retraining.cli.places import stored_at
from retraining.cli.verb import Verb
from retraining.errors import InputError

__all__ = ["command"]


@click.command(
    "report",
    short_help="Write one run as a self-contained HTML page.",
    cls=Verb,
    examples=("retrain report shop.yaml -o report.html",),
)
@click.argument("arguments", metavar="[MANIFEST] [RUN]", nargs=-1)
@manifest_option
@store_option
@click.option(
    "-o",
    "--output",
    "file",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("report.html"),
    show_default=True,
    help="Where to write the page.",
)
@format_option
def command(
    arguments: tuple[str, ...], manifest: Path | None, store: str | None, file: Path, output: str
) -> None:
    """Write a run as one self-contained HTML page, and print its path.

    RUN is a run's name or the beginning of it; without it the newest run that ended. With
    --format json the run's record is printed instead.
    """
    from retraining.operations.report import read_run, render_run

    choice = manifest_and(arguments, manifest)
    if len(choice.rest) > 1:
        raise InputError(f"{len(choice.rest)} runs were named", "name one run")
    record = read_run(stored_at(store, choice.manifest).store, choice.rest[0] if choice.rest else None)
    if output == "json":
        write_json(record)
        return
    page = render_run(record)
    try:
        file.write_text(page, encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"{file} cannot be written: {error.strerror}", "name another file with -o"
        ) from error
    write_exactly(f"{file}\n")
