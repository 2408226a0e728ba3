"""`retrain rollback`: serve again what an old release served."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from retraining.cli.options import (
    because_option,
    format_option,
    manifest_and,
    manifest_option,
    release_numbers,
    selection_options,
    store_option,
)
from retraining.cli.output import paint_for, write_json, write_text
from retraining.cli.places import stored_at
from retraining.cli.verb import Verb

__all__ = ["command"]


@click.command(
    "rollback",
    short_help="Serve again what an old release served.",
    cls=Verb,
    examples=(
        "retrain rollback shop.yaml --because 'refunds doubled since this morning'",
        "retrain rollback shop.yaml 7 --select 'basket+'",
    ),
)
@click.argument("arguments", metavar="[MANIFEST] [RELEASE]", nargs=-1)
@because_option(required=False)
@selection_options
@manifest_option
@store_option
@format_option
def command(
    arguments: tuple[str, ...],
    because: str | None,
    select: tuple[str, ...],
    exclude: tuple[str, ...],
    manifest: Path | None,
    store: str | None,
    output: str,
) -> None:
    """Make a new release that serves what RELEASE served (the one before the current, where none is given).

    Every node that gets another version is pinned, so that the next run does not undo it: `unpin` lets
    it go on. With --select only those nodes go back, if they fit what stays. No history is rewritten.
    """
    from retraining.operations.rollback import rollback
    from retraining.reporting.people_text import rollback_text

    choice = manifest_and(arguments, manifest)
    numbers = release_numbers(choice.rest, most=1)
    done = rollback(
        stored_at(store, choice.manifest),
        numbers[0] if numbers else None,
        select=select,
        exclude=exclude,
        because=because,
    )
    if output == "json":
        write_json(done.to_json())
        return
    restored = [row.node for row in done.restored]
    write_text(rollback_text(done.release, done.to, restored, done.removed, paint=paint_for(sys.stdout)))
