"""`retrain pin`: a node keeps its champion."""

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
    "pin",
    short_help="Keep the champions of nodes, whatever a run finds.",
    cls=Verb,
    examples=(
        "retrain pin shop.yaml 'basket[country=DE]' --because 'audited for the summer sale'",
        "retrain pin --store ./store basket+ --because 'frozen until the auditors are gone'",
    ),
)
@click.argument("arguments", metavar="[MANIFEST] NODE...", nargs=-1)
@because_option(required=True)
@manifest_option
@store_option
@format_option
def command(
    arguments: tuple[str, ...], because: str, manifest: Path | None, store: str | None, output: str
) -> None:
    """Keep the champion of each NODE: it is not retrained, and its readers go on with it, until `unpin`.

    NODE may be any expression of --select, over what the store holds.
    """
    from retraining.operations.pin import pin
    from retraining.reporting.people_text import pinned_text

    choice = nodes_and(arguments, manifest)
    done = pin(stored_at(store, choice.manifest), choice.rest, because)
    if output == "json":
        write_json(done.to_json())
    else:
        write_text(pinned_text("pinned", done.names, because=because, paint=paint_for(sys.stdout)))
