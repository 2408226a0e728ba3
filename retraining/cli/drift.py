"""`retrain drift`: whether what champions see, say and lose differs from what they learnt on."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from retraining.cli.engine import Engine, with_engine
from retraining.cli.options import (
    address_option,
    allow_joblib_option,
    allow_option,
    as_of_option,
    backend_option,
    data_option,
    format_option,
    manifest_argument,
    selection_options,
    store_option,
    wait_for_nodes_option,
    workers_option,
)
from retraining.cli.output import paint_for, write_json, write_text
from retraining.cli.places import find_manifest
from retraining.cli.signals import Stopper
from retraining.cli.verb import Verb

__all__ = ["command"]

_SEVERITIES = ("act", "watch", "info")


def _read_severities(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    words = tuple(word.strip() for value in values for word in value.split(",") if word.strip())
    unknown = [word for word in words if word not in _SEVERITIES]
    if unknown:
        allowed = ", ".join(_SEVERITIES)
        raise click.BadParameter(f"{unknown[0]!r} is no such severity; there are {allowed}", ctx, param)
    return words


@click.command(
    "drift",
    short_help="Test whether losses, predictions and inputs of the release drift.",
    cls=Verb,
    examples=(
        "retrain drift shop.yaml",
        "retrain drift shop.yaml --select 'tag:daily' --window 4w --fail-on act",
    ),
)
@manifest_argument
@selection_options
@click.option(
    "--window", metavar="DURATION", default="2w", show_default=True, help="The newest days that are tested."
)
@click.option(
    "--fail-on",
    metavar="SEVERITIES",
    multiple=True,
    callback=_read_severities,
    help="Exit with 1 where something drifts that is of these: act (a loss), watch (predictions), info (inputs).",
)
@backend_option
@address_option
@workers_option
@wait_for_nodes_option
@allow_option
@allow_joblib_option
@store_option
@as_of_option
@data_option
@format_option
@with_engine
def command(
    manifest: Path | None,
    select: tuple[str, ...],
    exclude: tuple[str, ...],
    window: str,
    fail_on: tuple[str, ...],
    engine: Engine,
    store: str | None,
    as_of: str | None,
    data: dict[str, str],
    output: str,
) -> int:
    """Compare the newest days with those that champions learnt on: losses, predictions, inputs.

    Whole days are permuted, since rows of one day are not independent, and false discoveries are controlled over
    all columns of the scan. Measures what is missing (no model is trained) and keeps it for the next time; decides
    and releases nothing. The upstreams of selected nodes are tested too: where a drift comes from is half the answer.
    """
    from retraining.operations.drift import find_drift
    from retraining.operations.run import Watcher
    from retraining.reporting.drift_text import drift_text

    def say(text: str) -> None:
        sys.stderr.write(text + "\n")

    with Stopper(say, lambda: None) as stopper:
        stopper.begin()
        done = find_drift(
            find_manifest(manifest),
            store=store,
            as_of=as_of,
            select=select,
            exclude=exclude,
            data=data,
            window=window,
            options=engine.options(),
            watcher=Watcher(stop_asked=stopper.asked, interruptible=stopper.interruptible),
        )
    drifting = {one.severity for one in done.scan.findings if one.drifted}
    exit_code = int(not drifting.isdisjoint(fail_on))
    if output == "json":
        write_json({**done.scan.to_json(), "exit_code": exit_code})
    else:
        write_text(drift_text(done.scan, timezone=done.timezone, paint=paint_for(sys.stdout)))
    return exit_code
