"""`retrain gc`: clean a store."""

from __future__ import annotations

import datetime as dt
import sys
from pathlib import Path

import click

from retraining.cli.options import format_option, manifest_argument, store_option
from retraining.cli.output import paint_for, write_json, write_text
from retraining.cli.places import stored_at
from retraining.cli.verb import Verb
from retraining.manifest.durations import parse_duration

__all__ = ["command"]


def _read_duration(ctx: click.Context, param: click.Parameter, value: str) -> dt.timedelta:
    found = parse_duration(value)
    if found is None:
        raise click.BadParameter(f"{value!r} is no duration, as in 24h, 30d, 2w or 0", ctx, param)
    return found


@click.command(
    "gc",
    short_help="Delete what no kept release needs: shows first, --yes acts.",
    cls=Verb,
    examples=("retrain gc shop.yaml", "retrain gc --store s3://models/shop --keep-releases 3 --yes"),
)
@manifest_argument
@store_option
@click.option(
    "--keep-releases",
    metavar="N",
    type=click.IntRange(min=1),
    default=10,
    show_default=True,
    help="Keep at least the newest N releases.",
)
@click.option(
    "--older-than",
    metavar="AGE",
    default="30d",
    show_default=True,
    callback=_read_duration,
    help="Drop only releases that are older than this: 12h, 30d, 2w, or 0.",
)
@click.option(
    "--grace",
    metavar="AGE",
    default="24h",
    show_default=True,
    callback=_read_duration,
    help="Leave alone what is younger than this, and delete only what was condemned as long ago.",
)
@click.option(
    "--yes/--dry-run",
    "act",
    default=False,
    help="Do it, or only show it.  [default: --dry-run]",
)
@format_option
def command(
    manifest: Path | None,
    store: str | None,
    keep_releases: int,
    older_than: dt.timedelta,
    grace: dt.timedelta,
    act: bool,
    output: str,
) -> None:
    """Clean a store in two steps: condemn what no kept release needs, and delete what was condemned before.

    Kept is all that the kept releases reach, with their cached fits, and what living or young runs
    wrote. What is condemned is listed in the log, so that no later release can name it; a gc that runs
    when the grace is over deletes it.
    """
    from retraining.operations.gc import clean
    from retraining.operations.people import who_am_i
    from retraining.reporting.cleaning import cleaning_text
    from retraining.store.garbage import Keep

    keep = Keep(releases=keep_releases, age=older_than, grace=grace)
    found = clean(stored_at(store, manifest), keep, act=act, who=who_am_i())
    if output == "json":
        write_json(found.to_json())
    else:
        write_text(cleaning_text(found, paint=paint_for(sys.stdout)))
