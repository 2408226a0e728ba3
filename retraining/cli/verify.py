"""`retrain verify`: read a store again and compare it with its records."""

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
    "verify",
    short_help="Read the store again: is every byte what its record says?",
    cls=Verb,
    examples=("retrain verify shop.yaml", "retrain verify --store s3://models/shop --released"),
)
@manifest_argument
@store_option
@click.option(
    "--released",
    is_flag=True,
    help="Leave out caches and history: read what kept releases, attempts and runs' records need.",
)
@click.option(
    "--sign",
    is_flag=True,
    help="If all is sound, vouch for it with the first key in RETRAINING_SIGNING_KEY: to begin signing, "
    "or to retire a key.",
)
@format_option
def command(manifest: Path | None, store: str | None, released: bool, sign: bool, output: str) -> int:
    """Read everything and compare it with its digest: releases, attempts, records of runs, cached fits.

    Names what is damaged or missing, what needs it, and what helps. Exit code 1 where there is any.
    """
    from retraining.operations.people import who_am_i
    from retraining.operations.verify import verify, verify_and_sign
    from retraining.reporting.soundness import soundness_text

    if sign and released:
        raise click.UsageError("--sign vouches for everything, so --released cannot stand beside it")
    stored = stored_at(store, manifest)
    signature = None
    if sign:
        found, signature = verify_and_sign(stored, who=who_am_i())
    else:
        found = verify(stored, everything=not released)
    if output == "json":
        vouched: list[Json] = [one.to_json() for one in signature.entries] if signature else []
        signed_by = signature.entry if signature else None
        write_json({**found.to_json(), "signed_by": signed_by, "vouched": vouched})
    else:
        write_text(soundness_text(found, signature, paint=paint_for(sys.stdout)))
    return found.exit_code
