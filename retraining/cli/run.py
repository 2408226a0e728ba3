"""`retrain run`: carries the plan out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from retraining.cli.engine import Engine, with_engine
from retraining.cli.options import format_option, manifest_argument
from retraining.cli.output import write_json, write_text
from retraining.cli.places import find_manifest
from retraining.cli.running import (
    choice_options,
    exit_code_of,
    fail_on_option,
    outcome_document,
    outcome_lines,
    run_options,
    say_plan,
    view_of_run,
    watcher_of,
)
from retraining.cli.signals import Stopper
from retraining.cli.telling import tell, telling_errors
from retraining.cli.verb import Verb

if TYPE_CHECKING:
    from retraining.operations.session import Quiet, Session

__all__ = ["command"]


@click.command(
    "run",
    short_help="Train what is due, judge it, release the consistent set.",
    cls=Verb,
    examples=(
        "retrain run shop.yaml",
        "retrain run shop.yaml --select 'tag:hourly+' --fail-on rejected,waiting",
        "retrain run shop.yaml --address auto --store s3://models/shop",
    ),
)
@manifest_argument
@choice_options
@fail_on_option
@run_options
@format_option
@with_engine
def command(
    manifest: Path | None,
    select: tuple[str, ...],
    exclude: tuple[str, ...],
    force: tuple[str, ...],
    compare_inputs: tuple[str, ...],
    fail_on: tuple[str, ...],
    on_outcome: str | None,
    prune: bool,
    engine: Engine,
    max_fits: int | None,
    no_progress: bool,
    store: str | None,
    as_of: str | None,
    data: dict[str, str],
    output: str,
) -> int:
    """Train what is due, judge it, and release the consistent set.

    Ctrl-C stops in seconds and loses no finished fit: running again continues. --fail-on looks at what
    became of nodes in this run: a challenger that was rejected in an earlier one is `kept`.
    """
    from retraining.operations.run import run

    file = find_manifest(manifest)
    with view_of_run(no_progress) as view, Stopper(view.say, view.leave) as stopper:

        def planned(session: Session | Quiet) -> None:
            say_plan(view, session, silent=no_progress)
            stopper.begin()

        with telling_errors(on_outcome):
            outcome = run(
                file,
                store=store,
                as_of=as_of,
                select=select,
                exclude=exclude,
                force=force,
                compare_inputs=compare_inputs,
                data=data,
                max_fits=max_fits,
                prune=prune,
                options=engine.options(),
                watcher=watcher_of(view, stopper, planned),
            )
    exit_code = exit_code_of(outcome, fail_on)
    document = outcome_document(outcome, exit_code)
    if output == "json":
        write_json(document)
    else:
        write_text(outcome_lines(outcome))
    if on_outcome is not None:
        tell(on_outcome, document)
    return exit_code
