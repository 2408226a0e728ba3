"""`retrain status`: what is current."""

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
    "status",
    short_help="Show what is current, and the last attempts.",
    cls=Verb,
    examples=(
        "retrain status shop.yaml",
        "retrain status --store ./store --format json",
    ),
)
@manifest_argument
@store_option
@click.option("--all", "every_node", is_flag=True, help="Show every node, however many there are.")
@format_option
def command(manifest: Path | None, store: str | None, every_node: bool, output: str) -> None:
    """Show the current release, each node's version, and what became of its last attempt."""
    from retraining.operations.status import status
    from retraining.reporting.standing import standing_text

    standing = status(stored_at(store, manifest))
    if output == "json":
        write_json(standing.to_json())
    else:
        write_text(standing_text(standing, every_node=every_node, paint=paint_for(sys.stdout)))
