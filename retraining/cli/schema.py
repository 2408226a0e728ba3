"""`retrain schema`: the JSON Schema of a manifest."""

from __future__ import annotations

import json

import click

from retraining.cli.output import write_exactly
from retraining.cli.verb import Verb

__all__ = ["command"]


@click.command(
    "schema",
    short_help="Print the JSON Schema of a manifest.",
    cls=Verb,
    examples=("retrain schema > schema.json",),
)
def command() -> None:
    """Print the JSON Schema of a manifest, for editors that complete and check.

    Write it to a file and name that in the manifest's first line, as the starter of `init` does.
    """
    from retraining.manifest import json_schema

    write_exactly(json.dumps(json_schema(), indent=2) + "\n")
