"""`retrain plan`: what a run would do, and why."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from retraining.cli.options import (
    allow_option,
    as_of_option,
    compare_option,
    data_option,
    format_option,
    manifest_argument,
    selection_options,
    store_option,
)
from retraining.cli.output import paint_for, write_json, write_text
from retraining.cli.places import look_at_plan
from retraining.reporting.paint import Paint

if TYPE_CHECKING:
    from retraining.manifest.values import Json
    from retraining.operations.session import Quiet, Session
from retraining.cli.verb import Verb

__all__ = ["command", "plan_head"]


@click.command(
    "plan",
    short_help="Show what would be done and why, changing nothing.",
    cls=Verb,
    examples=(
        "retrain plan shop.yaml",
        "retrain plan shop.yaml --select 'basket+' --all",
        "retrain plan shop.yaml --as-of 2026-07-01 --format json",
    ),
)
@manifest_argument
@selection_options
@click.option(
    "--force", metavar="EXPR", multiple=True, help="Plan these nodes in spite of the cache; may be repeated."
)
@compare_option
@click.option(
    "--all", "every_node", is_flag=True, help="Tell every node for itself, not partitions together."
)
@allow_option
@click.option("--rows", is_flag=True, help="Tell of every node how many rows are in which state.")
@store_option
@as_of_option
@data_option
@format_option
def command(
    manifest: Path | None,
    select: tuple[str, ...],
    exclude: tuple[str, ...],
    force: tuple[str, ...],
    compare_inputs: tuple[str, ...],
    every_node: bool,
    allow: tuple[str, ...],
    rows: bool,
    store: str | None,
    as_of: str | None,
    data: dict[str, str],
    output: str,
) -> None:
    """Show what `run` would do and every reason, changing nothing."""
    from retraining.learn.permitted import permitted
    from retraining.reporting.grouping import notes_text
    from retraining.reporting.plan_text import plan_text

    session = look_at_plan(
        manifest,
        store=store,
        select=select,
        exclude=exclude,
        force=force,
        compare=compare_inputs,
        as_of=as_of,
        data=data,
        permissions=permitted(allow),
    )
    if output == "json":
        write_json(_document(session))
        return
    paint = paint_for(sys.stdout)
    notes = [*session.notes]
    most = session.plan.fits_beyond(None)
    if most is not None:
        notes.append(f"this plan has {most:,} fits: `retrain run` asks for --max-fits {most}")
    text = plan_text(
        session.plan, session.graph, session.skipped, every_node=every_node, rows=rows, paint=paint
    )
    write_text(f"{plan_head(session, paint)}\n\n{text}{notes_text(notes)}")


def plan_head(session: Session | Quiet, paint: Paint) -> str:
    """One line: which manifest, at which moment, against which release."""
    from retraining.reporting.text import format_moment

    release = session.head.release
    against = f"release {release} is current" if release is not None else "nothing is released yet"
    moment = format_moment(session.plan.as_of, session.manifest.timezone)
    return f"{paint('title', session.manifest.name)} as of {moment}; {against} in {session.store_url}"


def _document(session: Session | Quiet) -> dict[str, Json]:
    skipped: list[Json] = [
        {"model": one.model, "partition": one.partition, "rows": one.rows, "why": one.why}
        for one in session.skipped
    ]
    return {
        "manifest": session.manifest.name,
        "store": session.store_url,
        "release": session.head.release,
        **session.plan.to_json(),
        "skipped_partitions": skipped,
        "notes": list(session.notes),
    }
