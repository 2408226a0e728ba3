"""`retrain validate`: every problem of a manifest and its data."""

from __future__ import annotations

import datetime as dt
import sys
from pathlib import Path

import click

from retraining.cli.options import (
    allow_joblib_option,
    allow_option,
    as_of_option,
    data_option,
    format_option,
    manifest_argument,
)
from retraining.cli.output import paint_for, write_json, write_text
from retraining.cli.places import find_manifest
from retraining.cli.verb import Verb

__all__ = ["command"]


@click.command(
    "validate",
    short_help="Check a manifest and its data; every problem with its line.",
    cls=Verb,
    examples=(
        "retrain validate shop.yaml",
        "retrain validate shop.yaml --data orders=new/orders.parquet",
    ),
)
@manifest_argument
@allow_option
@allow_joblib_option
@data_option
@as_of_option
@format_option
def command(
    manifest: Path | None,
    allow: tuple[str, ...],
    allow_joblib: bool,
    data: dict[str, str],
    as_of: str | None,
    output: str,
) -> None:
    """Check a manifest and its data, and say every problem with its line.

    Estimators and metrics of your own are imported and built, if they are allowed.
    """
    from retraining.learn.permitted import permitted
    from retraining.operations.validate import validate
    from retraining.reporting.grouping import notes_text
    from retraining.reporting.text import plural

    permissions = permitted(allow, joblib=allow_joblib)
    checked = validate(find_manifest(manifest), data, as_of, dt.datetime.now(dt.UTC), permissions)
    if output == "json":
        write_json(checked.to_json())
        return
    rows = ", ".join(f"{name} {count:,} rows" for name, count in checked.rows.items())
    counts = [
        plural(len(checked.manifest.models), "model"),
        plural(len(checked.graph), "node"),
        plural(len(checked.graph.edges), "edge"),
    ]
    text = f"{paint_for(sys.stdout)('good', 'ok')}: {checked.manifest.name}: {', '.join(counts)}; {rows}\n"
    if checked.skipped:
        left_out = plural(len(checked.skipped), "partition is no node", "partitions are no nodes")
        text += f"{left_out}; `retrain plan` says why\n"
    write_text(text + notes_text(checked.notes))
