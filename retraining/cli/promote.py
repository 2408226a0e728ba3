"""`retrain promote`: a person approves what waits for it."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from retraining.cli.options import because_option, format_option, manifest_option, nodes_and, store_option
from retraining.cli.output import paint_for, write_json, write_text
from retraining.cli.places import stored_at
from retraining.cli.verb import Verb

__all__ = ["command"]


@click.command(
    "promote",
    short_help="Release what waits for a person's approval.",
    cls=Verb,
    examples=("retrain promote shop.yaml basket --because 'looked at the report with sales'",),
)
@click.argument("arguments", metavar="[MANIFEST] NODE|RUN...", nargs=-1)
@because_option(required=True)
@manifest_option
@store_option
@format_option
def command(
    arguments: tuple[str, ...], because: str, manifest: Path | None, store: str | None, output: str
) -> None:
    """Release the pending challenger of each NODE, or all that a RUN left pending, as one release."""
    from retraining.operations.promote import approve_pending, named_nodes
    from retraining.reporting.people_text import promoted_text

    choice = nodes_and(arguments, manifest)
    stored = stored_at(store, choice.manifest)
    head = stored.store.read_head()
    done = approve_pending(stored, head, named_nodes(stored, head, choice.rest), because)
    if output == "json":
        write_json(done.to_json())
        return
    names = [row.node for row in done.nodes]
    write_text(promoted_text(done.release, names, done.rewired, done.pending, paint=paint_for(sys.stdout)))
