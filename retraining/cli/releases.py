"""`retrain releases`: the history."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from retraining.cli.options import format_option, manifest_argument, store_option
from retraining.cli.output import paint_for, write_json, write_text
from retraining.cli.places import stored_at
from retraining.cli.verb import Verb
from retraining.manifest.values import Json

__all__ = ["command"]


@click.command(
    "releases",
    short_help="Show the history of releases.",
    cls=Verb,
    examples=("retrain releases shop.yaml --limit 5", "retrain releases shop.yaml --all"),
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
@click.option(
    "--all",
    "everything",
    is_flag=True,
    help="Show between them what made no release: pins, runs that released nothing, signatures, gc.",
)
@format_option
def command(manifest: Path | None, store: str | None, limit: int, everything: bool, output: str) -> None:
    """Show the releases, newest first: when, by whom, what changed and why."""
    from retraining.operations.status import commits, releases
    from retraining.reporting.history import history_text

    stored = stored_at(store, manifest)
    found, total = releases(stored, limit)
    others = commits(stored, found if len(found) < total else (), limit) if everything else ()
    if output == "json":
        listed: list[Json] = [one.to_json() for one in found]
        between: list[Json] = [one.to_json() for one in others]
        write_json({"total": total, "releases": listed, "commits": between})
    else:
        write_text(history_text(found, total, others, paint=paint_for(sys.stdout)))
