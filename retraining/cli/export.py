"""`retrain export`: a release, or a node of it, as files that need no store."""

from __future__ import annotations

from pathlib import Path

import click

from retraining.cli.options import format_option, manifest_and, manifest_option, store_option
from retraining.cli.output import write_json, write_text
from retraining.cli.places import find_manifest
from retraining.cli.verb import Verb
from retraining.errors import InputError

__all__ = ["command"]


@click.command(
    "export",
    short_help="Write a release, or a node and what it reads, to a folder or .zip.",
    cls=Verb,
    examples=(
        "retrain export shop.yaml -o release",
        "retrain export shop.yaml returned -o returned.zip",
        "retrain export 'basket[country=DE]' --store ./store --release 7 -o basket-de",
    ),
)
@click.argument("arguments", metavar="[MANIFEST] [MODEL|NODE]", nargs=-1)
@click.option("-o", "--output", "path", metavar="PATH", required=True, help="A new folder, or a new .zip.")
@click.option(
    "--release", metavar="N", type=click.IntRange(min=1), help="Another release than the current one."
)
@manifest_option
@store_option
@format_option
def command(
    arguments: tuple[str, ...],
    path: str,
    release: int | None,
    manifest: Path | None,
    store: str | None,
    output: str,
) -> None:
    """Write a release, or a node and all that it reads, to a folder or .zip.

    Each node's model is in its own format, with its version document and its metrics, and every file has its
    digest. `retraining.load_exported` makes of it an estimator that needs no store.
    """
    from retraining.operations.export import export
    from retraining.operations.session import store_url

    choice = manifest_and(arguments, manifest)
    if len(choice.rest) > 1:
        raise InputError(
            f"{len(choice.rest)} nodes were named", "name one, or none for every node of the release"
        )
    url = store
    if url is None:
        from retraining.manifest import load_manifest

        url = store_url(load_manifest(find_manifest(choice.manifest)), None)
    summary = export(url, path, choice.rest[0] if choice.rest else None, release)
    if output == "json":
        write_json(summary.to_json())
    else:
        write_text(f"{summary.text()}\n")
