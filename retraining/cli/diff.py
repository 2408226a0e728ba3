"""`retrain diff`: what changed between two releases."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from retraining.cli.options import format_option, manifest_and, manifest_option, release_numbers, store_option
from retraining.cli.output import paint_for, write_json, write_text
from retraining.cli.places import stored_at
from retraining.cli.verb import Verb

__all__ = ["command"]


@click.command(
    "diff",
    short_help="Show what changed between two releases.",
    cls=Verb,
    examples=(
        "retrain diff shop.yaml",
        "retrain diff --store ./store 3 7 --format json",
    ),
)
@click.argument("arguments", metavar="[MANIFEST] [A] [B]", nargs=-1)
@manifest_option
@store_option
@format_option
def command(arguments: tuple[str, ...], manifest: Path | None, store: str | None, output: str) -> None:
    """Show what release B serves otherwise than release A: nodes added, removed and changed, and in what.

    B is the current release where it is not given, and A the one before B.
    """
    from retraining.operations.diff import diff
    from retraining.reporting.difference import difference_text

    choice = manifest_and(arguments, manifest)
    numbers = release_numbers(choice.rest, most=2)
    before = numbers[0] if numbers else None
    after = numbers[1] if len(numbers) > 1 else None
    found = diff(stored_at(store, choice.manifest), before, after)
    if output == "json":
        write_json(found.to_json())
    else:
        write_text(difference_text(found, paint=paint_for(sys.stdout)))
