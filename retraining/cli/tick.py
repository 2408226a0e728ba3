"""`retrain tick`: one look at all triggers, and what is due is acted on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from retraining.cli.engine import Engine, with_engine
from retraining.cli.options import (
    as_of_option,
    data_option,
    format_option,
    manifest_argument,
    selection_options,
    store_option,
)
from retraining.cli.output import write_json, write_text
from retraining.cli.places import find_manifest
from retraining.cli.running import (
    exit_code_of,
    fail_on_option,
    run_options,
    say_plan,
    view_of_run,
    watcher_of,
)
from retraining.cli.signals import Stopper
from retraining.cli.telling import tell, telling_errors
from retraining.cli.ticking import tick_document, tick_lines
from retraining.cli.verb import Verb

if TYPE_CHECKING:
    from retraining.operations.session import Quiet, Session

__all__ = ["command"]


@click.command(
    "tick",
    short_help="Look at all triggers once, and act on what is due.",
    cls=Verb,
    examples=(
        "retrain tick shop.yaml",
        "retrain tick shop.yaml --select 'tag:hourly+' --backend serial --format json",
    ),
)
@manifest_argument
@selection_options
@fail_on_option
@run_options
@store_option
@as_of_option
@data_option
@format_option
@with_engine
def command(
    manifest: Path | None,
    select: tuple[str, ...],
    exclude: tuple[str, ...],
    fail_on: tuple[str, ...],
    on_outcome: str | None,
    engine: Engine,
    max_fits: int | None,
    no_progress: bool,
    store: str | None,
    as_of: str | None,
    data: dict[str, str],
    output: str,
) -> int:
    """Look at all triggers once, and act on what is due: what cron or a workflow engine calls.

    A run for a schedule is one as of the instant that has come, whenever this looks. Of two ticks that notice
    the same at the same time one acts, the other says so and exits with 0; --on-outcome is told where a run was made.
    """
    from retraining.operations.tick import tick

    file = find_manifest(manifest)
    with view_of_run(no_progress) as view, Stopper(view.say, view.leave) as stopper:

        def planned(session: Session | Quiet) -> None:
            say_plan(view, session, silent=no_progress)
            stopper.begin()

        with telling_errors(on_outcome):
            ticked = tick(
                file,
                store=store,
                as_of=as_of,
                select=select,
                exclude=exclude,
                data=data,
                max_fits=max_fits,
                options=engine.options(),
                watcher=watcher_of(view, stopper, planned),
            )
    codes = (exit_code_of(act.outcome, fail_on) for act in ticked.acts if act.outcome is not None)
    exit_code = next((code for code in codes if code), 0)
    document = tick_document(ticked, exit_code)
    if output == "json":
        write_json(document)
    else:
        write_text(tick_lines(ticked))
    if on_outcome is not None and any(act.outcome is not None and act.outcome.run for act in ticked.acts):
        tell(on_outcome, document)
    return exit_code
