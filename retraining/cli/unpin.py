"""`retrain unpin`: a pinned node goes on."""

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
    "unpin",
    short_help="Let pinned nodes go on.",
    cls=Verb,
    examples=(
        "retrain unpin shop.yaml 'basket[country=DE]' --because 'the sale is over'",
        "retrain unpin shop.yaml state:pinned",
    ),
)
@click.argument("arguments", metavar="[MANIFEST] NODE...", nargs=-1)
@because_option(required=False)
@manifest_option
@store_option
@format_option
def command(
    arguments: tuple[str, ...], because: str | None, manifest: Path | None, store: str | None, output: str
) -> None:
    """Take the pin of each NODE away: the next run treats it like every other node.

    NODE may be any expression of --select, over what the store holds.
    """
    from retraining.operations.pin import unpin
    from retraining.reporting.people_text import pinned_text

    choice = nodes_and(arguments, manifest)
    done = unpin(stored_at(store, choice.manifest), choice.rest, because)
    if output == "json":
        write_json(done.to_json())
    else:
        write_text(pinned_text("unpinned", done.names, because=because or "", paint=paint_for(sys.stdout)))
