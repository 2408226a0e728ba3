"""`retrain predict`: predictions of the current release."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from retraining.cli.options import (
    allow_joblib_option,
    allow_option,
    format_option,
    history_option,
    manifest_and,
    manifest_option,
    store_option,
)
from retraining.cli.output import say, write_exactly, write_json
from retraining.cli.places import find_manifest
from retraining.cli.verb import Verb
from retraining.errors import InputError

__all__ = ["command"]


@click.command(
    "predict",
    short_help="Predict with the current release.",
    cls=Verb,
    examples=(
        "retrain predict shop.yaml returned --data orders=new.parquet -o returned.parquet",
        "retrain predict 'basket[country=DE]' --store ./store --data new.csv",
    ),
)
@click.argument("arguments", metavar="[MANIFEST] MODEL|NODE", nargs=-1)
@click.option(
    "--data",
    metavar="[DATASET=]FILE",
    multiple=True,
    help="The rows of one dataset; the name may be left out where only one is needed. May be repeated.",
)
@click.option(
    "-o", "--output", "file", metavar="FILE", help="Write .parquet or .csv, instead of CSV to stdout."
)
@click.option(
    "--release", metavar="N", type=click.IntRange(min=1), help="Another release than the current one."
)
@click.option(
    "--unknown",
    type=click.Choice(["error", "null"]),
    default="error",
    show_default=True,
    help="What becomes of rows whose partition value is no node.",
)
@history_option
@allow_option
@allow_joblib_option
@manifest_option
@store_option
@format_option
def command(
    arguments: tuple[str, ...],
    data: tuple[str, ...],
    file: str | None,
    release: int | None,
    unknown: Literal["error", "null"],
    history: Literal["recorded", "shipped"],
    allow: tuple[str, ...],
    allow_joblib: bool,
    manifest: Path | None,
    store: str | None,
    output: str,
) -> None:
    """Predict with the current release: upstream models are evaluated on the way.

    Rows of a MODEL go to the node of their partition. Every row carries the release's number.
    """
    from retraining.operations.predict import predict

    choice = manifest_and(arguments, manifest)
    if len(choice.rest) != 1:
        found = "no model or node was named" if not choice.rest else f"{len(choice.rest)} models were named"
        raise InputError(found, "name one, as in `retrain predict MODEL --data FILE`")
    if output == "json" and file is None:
        raise InputError("--format json tells of the predictions and does not hold them", "add -o FILE")
    url = store if store is not None else _store_of(choice.manifest)
    summary = predict(
        url,
        choice.rest[0],
        data,
        file,
        release,
        unknown=unknown,
        history=history,
        allow=allow,
        allow_joblib=allow_joblib,
    )
    if output == "json":
        write_json(summary.to_json())
        return
    if file is None:
        write_exactly(summary.csv())
    say(summary.text())


def _store_of(manifest: Path | None) -> str:
    from retraining.manifest import load_manifest
    from retraining.operations.arguments import store_url

    return store_url(load_manifest(find_manifest(manifest)), None)
