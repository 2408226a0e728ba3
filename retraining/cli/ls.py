"""`retrain ls`: the selected nodes."""

from __future__ import annotations

from pathlib import Path

import click

from retraining.cli.options import (
    as_of_option,
    data_option,
    format_option,
    manifest_argument,
    selection_options,
    store_option,
)
from retraining.cli.output import write_exactly, write_json
from retraining.cli.places import look
from retraining.cli.verb import Verb

__all__ = ["command"]


@click.command(
    "ls",
    short_help="List the selected nodes.",
    cls=Verb,
    examples=("retrain ls shop.yaml --select '+returned'",),
)
@manifest_argument
@selection_options
@store_option
@as_of_option
@data_option
@format_option
def command(
    manifest: Path | None,
    select: tuple[str, ...],
    exclude: tuple[str, ...],
    store: str | None,
    as_of: str | None,
    data: dict[str, str],
    output: str,
) -> None:
    """List the selected nodes, one name a line, upstreams first."""
    from retraining.operations.listing import describe_nodes, selected_nodes

    session = look(manifest, store=store, as_of=as_of, data=data)
    names = selected_nodes(session, select, exclude)
    if output == "json":
        write_json(describe_nodes(session, names))
    else:
        write_exactly("".join(f"{name}\n" for name in names))
