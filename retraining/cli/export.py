"""`retrain export`: a release, or a node of it, as files that need no store."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from retraining.cli.options import (
    format_option,
    history_option,
    manifest_and,
    manifest_option,
    store_option,
)
from retraining.cli.output import write_json, write_text
from retraining.cli.places import find_manifest
from retraining.cli.verb import Verb
from retraining.errors import InputError

if TYPE_CHECKING:
    from retraining.manifest.values import Json

__all__ = ["command"]


@click.command(
    "export",
    short_help="Write a release, or a node and what it reads, to a folder, .zip or MLflow.",
    cls=Verb,
    examples=(
        "retrain export shop.yaml -o release",
        "retrain export shop.yaml returned -o returned.zip",
        "retrain export shop.yaml --mlflow http://mlflow:5000",
        "retrain export 'basket[country=DE]' --store ./store --release 7 -o basket-de",
    ),
)
@click.argument("arguments", metavar="[MANIFEST] [MODEL|NODE]", nargs=-1)
@click.option("-o", "--output", "path", metavar="PATH", help="A new folder, or a new .zip.")
@click.option(
    "--mlflow",
    metavar="URI",
    help="An MLflow tracking server: each node becomes a registered model, with the aliases champion and challenger.",
)
@click.option(
    "--release", metavar="N", type=click.IntRange(min=1), help="Another release than the current one."
)
@history_option
@manifest_option
@store_option
@format_option
def command(
    arguments: tuple[str, ...],
    path: str | None,
    mlflow: str | None,
    release: int | None,
    history: Literal["recorded", "shipped"],
    manifest: Path | None,
    store: str | None,
    output: str,
) -> None:
    """Write a release, or a node and all that it reads, to a folder, a .zip or MLflow.

    Each node's model is in its own format, with its version document and its metrics, and every file has its
    digest. `retraining.load_exported` makes of it an estimator that needs no store.
    """
    from retraining.operations.arguments import store_url
    from retraining.operations.export import export

    choice = manifest_and(arguments, manifest)
    if len(choice.rest) > 1:
        raise InputError(
            f"{len(choice.rest)} nodes were named", "name one, or none for every node of the release"
        )
    if (path is None) == (mlflow is None):
        raise InputError(
            "an export goes to one place: a folder or .zip, or MLflow", "write -o PATH, or --mlflow URI"
        )
    url = store
    if url is None:
        from retraining.manifest import load_manifest

        url = store_url(load_manifest(find_manifest(choice.manifest)), None)
    target = choice.rest[0] if choice.rest else None
    if mlflow is not None:
        from retraining.operations.registry import export_to_mlflow

        with redirect_stdout(sys.stderr):  # MLflow tells each run's address there
            found = export_to_mlflow(url, mlflow, target, release, history=history)
        if output == "json":
            nodes: list[Json] = [one.node for one in found.registered]
            write_json(
                {"release": found.release, "target": target, "nodes": nodes, "mlflow": found.to_json()}
            )
        else:
            write_text(f"{found.text()}\n")
        return
    assert path is not None
    summary = export(url, path, target, release, history=history)
    if output == "json":
        write_json(summary.to_json())
    else:
        write_text(f"{summary.text()}\n")
