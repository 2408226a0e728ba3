"""`retrain releases`: the history."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from retraining.cli.options import format_option, manifest_argument, store_option
from retraining.cli.output import paint_for, write_json, write_text
from retraining.cli.places import stored_at
from retraining.cli.verb import Verb

__all__ = ["command"]


@click.command(
    "releases",
    short_help="Show the history of releases.",
    cls=Verb,
    examples=("retrain releases shop.yaml --limit 5",),
)
@manifest_argument
@store_option
@click.option(
    "--limit",
    metavar="N",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    help="How many to show.",
)
@format_option
def command(manifest: Path | None, store: str | None, limit: int, output: str) -> None:
    """Show the releases, newest first: when, by whom, what changed and why."""
    from retraining.operations.status import releases
    from retraining.reporting.history import history_text

    found, total = releases(stored_at(store, manifest), limit)
    if output == "json":
        write_json({"total": total, "releases": [one.to_json() for one in found]})
    else:
        write_text(history_text(found, total, paint=paint_for(sys.stdout)))
