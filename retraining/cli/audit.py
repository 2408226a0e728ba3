"""`retrain audit`: proof that a release was trained on nothing that it could not know."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from retraining.cli.options import format_option, manifest_argument, selection_options, store_option
from retraining.cli.output import paint_for, write_json, write_text
from retraining.cli.places import stored_at
from retraining.cli.verb import Verb

__all__ = ["command"]


@click.command(
    "audit",
    short_help="Prove from stored records that nothing leaked.",
    cls=Verb,
    examples=("retrain audit shop.yaml", "retrain audit --store ./store --release 3 --select '+basket'"),
)
@manifest_argument
@store_option
@click.option(
    "--release",
    metavar="N",
    type=click.IntRange(min=1),
    help="The release to audit, instead of the current one.",
)
@selection_options
@format_option
def command(
    manifest: Path | None,
    store: str | None,
    release: int | None,
    select: tuple[str, ...],
    exclude: tuple[str, ...],
    output: str,
) -> int:
    """Prove for a release that no training row was fed by a fit that saw its label, or by the future.

    Reads what runs recorded: no data, no retraining. Exit code 1 where something leaks, or where records
    that would prove the contrary are missing. See docs/audit.md for what is proven and how.
    """
    from retraining.operations.audit import audit_release
    from retraining.reporting.audit_text import audit_json, audit_text

    done = audit_release(stored_at(store, manifest), release, select, exclude)
    if output == "json":
        write_json(audit_json(done.found, release=done.release, released=done.released, store=done.store))
    else:
        write_text(
            audit_text(
                done.found,
                release=done.release,
                released=done.released,
                timezone=done.timezone,
                paint=paint_for(sys.stdout),
            )
        )
    return 0 if done.found.proven else 1
