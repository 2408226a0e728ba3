"""`retrain backtest`: history replayed under several trigger policies."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from retraining.cli.engine import Engine, with_engine
from retraining.cli.options import (
    address_option,
    allow_joblib_option,
    allow_option,
    backend_option,
    data_option,
    format_option,
    manifest_argument,
    selection_options,
    wait_for_nodes_option,
    workers_option,
)
from retraining.cli.output import paint_for, say, write_json, write_text
from retraining.cli.places import find_manifest
from retraining.cli.signals import Stopper
from retraining.cli.verb import Verb

__all__ = ["command"]


def _read_policies(
    ctx: click.Context, param: click.Parameter, values: tuple[str, ...]
) -> dict[str, str | None] | None:
    found: dict[str, str | None] = {}
    for value in values:
        name, equals, rule = (part.strip() for part in value.partition("="))
        if (
            not name
            or bool(equals) != bool(rule)
            or (not equals and name not in ("never", "as-written", "always"))
        ):
            text = f"{value!r} is not NAME=RULE, as in weekly={{age: 7d}}, nor never, as-written or always"
            raise click.BadParameter(text, ctx, param)
        if name in found:
            raise click.BadParameter(f"policy {name!r} is given twice", ctx, param)
        found[name] = rule or None
    if not found:
        return None
    from retraining.operations.backtest import DEFAULT_POLICIES

    return {name: DEFAULT_POLICIES.get(name) if rule is None else rule for name, rule in found.items()}


@click.command(
    "backtest",
    short_help="Replay history under several trigger policies: quality against compute.",
    cls=Verb,
    examples=(
        "retrain backtest shop.yaml --from 2026-03-01 --to 2026-06-01",
        "retrain backtest shop.yaml --from 2026-03-01 --to 2026-06-01 --policy never --policy 'monthly={age: 30d}'",
    ),
)
@manifest_argument
@click.option(
    "--from", "begin", metavar="TIME", required=True, help="The first step: 2013-06-01, as --as-of."
)
@click.option(
    "--to", "end", metavar="TIME", required=True, help="The end; labels count that are mature then."
)
@click.option(
    "--every", metavar="DURATION", help="How often policies are asked, as 1d; else at every begin of a block."
)
@click.option(
    "--policy",
    "policies",
    metavar="NAME=RULE",
    multiple=True,
    callback=_read_policies,
    help="A name, and what every model's retrain_when is then; may be repeated. never (trained once), as-written and "
    "always (every new block) need no rule, and are tried where none is named.",
)
@selection_options
@click.option(
    "--store",
    metavar="FOLDER",
    help="Keep each policy's store as FOLDER/NAME: a stopped backtest goes on there. Else a temporary folder.",
)
@backend_option
@address_option
@workers_option
@wait_for_nodes_option
@click.option("--max-fits", metavar="N", type=click.IntRange(min=1), help="The most fits of one run.")
@allow_option
@allow_joblib_option
@data_option
@format_option
@with_engine
def command(
    manifest: Path | None,
    begin: str,
    end: str,
    every: str | None,
    policies: dict[str, str | None] | None,
    select: tuple[str, ...],
    exclude: tuple[str, ...],
    store: str | None,
    engine: Engine,
    max_fits: int | None,
    data: dict[str, str],
    output: str,
) -> int:
    """Replay history under several trigger policies, and compare what they cost with what their releases were worth.

    Each policy runs as of every step, in a store of its own; the manifest's store is not touched. Each block is
    predicted by the release that was current when it began, and all policies are measured on the same rows.
    """
    from retraining.operations.backtest import backtest
    from retraining.operations.run import Watcher
    from retraining.reporting.backtest_text import backtest_text

    with Stopper(say, lambda: None) as stopper:
        stopper.begin()
        found = backtest(
            find_manifest(manifest),
            begin=begin,
            end=end,
            every=every,
            policies=policies,
            select=select,
            exclude=exclude,
            data=data,
            folder=store,
            max_fits=max_fits,
            options=engine.options(),
            watcher=Watcher(said=say, stop_asked=stopper.asked, interruptible=stopper.interruptible),
        )
    if output == "json":
        write_json(found.to_json())
    else:
        write_text(backtest_text(found, paint=paint_for(sys.stdout)))
    return found.exit_code
