"""`retrain promote`: a person approves a challenger, or overrules the gate."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Literal

import click

from retraining.cli.options import (
    allow_joblib_option,
    allow_option,
    because_option,
    data_option,
    format_option,
    manifest_option,
    nodes_and,
    store_option,
)
from retraining.cli.output import paint_for, write_json, write_text
from retraining.cli.places import find_manifest, stored_at
from retraining.cli.verb import Verb
from retraining.errors import InputError

__all__ = ["command"]


@click.command(
    "promote",
    short_help="Release a challenger by hand: approve it, or overrule the gate.",
    cls=Verb,
    examples=(
        "retrain promote shop.yaml basket --because 'looked at the report with sales'",
        "retrain promote --store ./store 1795667251815-3ab47f24 --because 'fine'",
    ),
)
@click.argument("arguments", metavar="[MANIFEST] NODE|RUN...", nargs=-1)
@because_option(required=True)
@click.option(
    "--backend",
    type=click.Choice(["ray", "serial"]),
    default="serial",
    show_default=True,
    help="Where a fit runs that overruling the gate needs: in this process, or on Ray.",
)
@allow_option
@allow_joblib_option
@manifest_option
@store_option
@data_option
@format_option
def command(
    arguments: tuple[str, ...],
    because: str,
    backend: Literal["ray", "serial"],
    allow: tuple[str, ...],
    allow_joblib: bool,
    manifest: Path | None,
    store: str | None,
    data: dict[str, str],
    output: str,
) -> None:
    """Release the last challenger of each NODE, or all that a RUN left pending, as one release.

    What waits for approval is released from the store alone. A challenger that the gate rejected or could not
    judge is released against it: that needs the manifest and the data, since what would be served is made now.
    """
    from retraining.operations.promote import approve_pending, is_pending, named_nodes
    from retraining.operations.run import RunOptions
    from retraining.reporting.people_text import promoted_text

    choice = nodes_and(arguments, manifest)
    file = find_manifest(choice.manifest) if store is None else choice.manifest
    stored = stored_at(store, file)
    head = stored.store.read_head()
    nodes = named_nodes(stored, head, choice.rest)
    if is_pending(head, nodes):
        done = approve_pending(stored, head, nodes, because)
    else:
        from retraining.operations.overrule import overrule

        options = RunOptions(backend=backend, allow=allow, allow_joblib=allow_joblib)
        if file is None:
            raise _without_manifest(sorted(nodes)[0])
        done = overrule(file, head, stored.store, stored.url, nodes, because, data=data, options=options)
    if output == "json":
        write_json(done.to_json())
        return
    names = [row.node for row in done.nodes]
    write_text(promoted_text(done.release, names, done.rewired, done.pending, paint=paint_for(sys.stdout)))


def _without_manifest(node: str) -> InputError:
    return InputError(
        f"{node} does not wait for approval, and to overrule the gate needs the manifest and its data",
        f"name the manifest: `retrain promote FILE.yaml {node} --because …`",
    )
