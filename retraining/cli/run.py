"""`retrain run`: carries the plan out."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from retraining.cli.options import (
    allow_joblib_option,
    allow_option,
    as_of_option,
    compare_option,
    data_option,
    format_option,
    manifest_argument,
    read_address,
    selection_options,
    store_option,
    wait_for_nodes_option,
    workers_option,
)
from retraining.cli.output import paint_for, write_json, write_text
from retraining.cli.places import find_manifest
from retraining.cli.progress import PlainLines, Silence, View
from retraining.cli.signals import Stopper
from retraining.cli.telling import read_target, tell, telling_errors

if TYPE_CHECKING:
    from retraining.manifest.values import Json
    from retraining.operations.run import RunOutcome
    from retraining.operations.session import Quiet, Session
from retraining.cli.verb import Verb

__all__ = ["command"]

_FAILING = ("rejected", "insufficient", "waiting", "pending", "blocked")


def _read_words(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    words = tuple(word.strip() for value in values for word in value.split(",") if word.strip())
    unknown = [word for word in words if word not in _FAILING]
    if unknown:
        allowed = ", ".join(_FAILING)
        raise click.BadParameter(f"{unknown[0]!r} is no such outcome; there are {allowed}", ctx, param)
    return words


@click.command(
    "run",
    short_help="Train what is due, judge it, release the consistent set.",
    cls=Verb,
    examples=(
        "retrain run shop.yaml",
        "retrain run shop.yaml --select 'tag:hourly+' --fail-on rejected,waiting",
    ),
)
@manifest_argument
@selection_options
@click.option(
    "--force", metavar="EXPR", multiple=True, help="Refit these nodes in spite of the cache; may be repeated."
)
@compare_option
@click.option(
    "--fail-on",
    metavar="OUTCOMES",
    multiple=True,
    callback=_read_words,
    help=f"Exit with 1 also for these outcomes: {', '.join(_FAILING)}.",
)
@click.option(
    "--on-outcome",
    metavar="COMMAND|URL",
    callback=read_target,
    help="Who is told how the run ended: a command, on its standard input, or a URL, by a POST.",
)
@click.option(
    "--prune", is_flag=True, help="Forget nodes that left the manifest or the data; else they are served on."
)
@click.option(
    "--backend",
    type=click.Choice(["ray", "serial"]),
    default="ray",
    show_default=True,
    help="ray: in parallel; serial: in this process, one fit after the other. Both give the same bytes.",
)
@click.option(
    "--address",
    metavar="auto|HOST:PORT",
    default="local",
    callback=read_address,
    help="A running Ray cluster that this machine is part of; else a Ray of the run's own.",
)
@workers_option
@wait_for_nodes_option
@click.option(
    "--max-fits",
    metavar="N",
    type=click.IntRange(min=1),
    help="The most fits that the run may need, where that is more than 10,000.",
)
@click.option("--no-progress", is_flag=True, help="Say nothing while it runs.")
@allow_option
@allow_joblib_option
@store_option
@as_of_option
@data_option
@format_option
def command(
    manifest: Path | None,
    select: tuple[str, ...],
    exclude: tuple[str, ...],
    force: tuple[str, ...],
    compare_inputs: tuple[str, ...],
    fail_on: tuple[str, ...],
    on_outcome: str | None,
    prune: bool,
    backend: Literal["ray", "serial"],
    address: str,
    workers: int | None,
    wait_for_nodes: float,
    max_fits: int | None,
    no_progress: bool,
    allow: tuple[str, ...],
    allow_joblib: bool,
    store: str | None,
    as_of: str | None,
    data: dict[str, str],
    output: str,
) -> int:
    """Train what is due, judge it, and release the consistent set.

    Ctrl-C stops in seconds and loses no finished fit: running again continues. --fail-on looks at what
    became of nodes in this run: a challenger that was rejected in an earlier one is `kept`.
    """
    from retraining.operations.run import RunOptions, Watcher, run
    from retraining.reporting.grouping import notes_text

    file = find_manifest(manifest)
    with _view(no_progress) as view, Stopper(view.say, view.leave) as stopper:

        def planned(session: Session | Quiet) -> None:
            view.begin(session)
            if not no_progress and (notes := notes_text(session.notes)):
                view.say(notes.rstrip())
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
                options=RunOptions(
                    backend=backend,
                    address=address,
                    workers=workers,
                    wait_for_nodes=wait_for_nodes,
                    allow=allow,
                    allow_joblib=allow_joblib,
                ),
                watcher=Watcher(
                    planned=planned,
                    progress=view.progress,
                    finished=view.judged,
                    said=view.say,
                    stop_asked=stopper.asked,
                    interruptible=stopper.interruptible,
                ),
            )
    exit_code = outcome.exit_code or int(any(outcome.counts.get(word) for word in fail_on))
    document = _document(outcome, exit_code)
    if output == "json":
        write_json(document)
    else:
        write_text(_text(outcome))
    if on_outcome is not None:
        tell(on_outcome, document)
    return exit_code


def _view(silent: bool) -> View:
    """Who shows the run: nobody, lines, or on a terminal a live view."""
    if silent:
        return Silence()
    if not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        return PlainLines()
    from rich.console import Console

    from retraining.cli.live import LiveView

    return LiveView(Console(stderr=True))


def _errors(outcome: RunOutcome) -> Mapping[str, str]:
    """The whole text of what a node's training raised, by node."""
    nodes = outcome.record.get("nodes")
    found = [node for node in nodes if isinstance(node, dict)] if isinstance(nodes, list) else []
    return {str(node["node"]): str(node["error"]) for node in found if node.get("error")}


def _text(outcome: RunOutcome) -> str:
    from retraining.reporting.inputs_text import compared_text
    from retraining.reporting.people_text import pruned_text
    from retraining.reporting.run_text import last_line, outcome_text, release_line

    paint = paint_for(sys.stdout)
    release = paint("title", release_line(outcome.before.release, outcome.after.release))
    counted = last_line(
        outcome.counts, outcome.fits_made, outcome.fits_reused, outcome.seconds, again=outcome.fits_again
    )
    body = outcome_text(outcome.outcomes, _errors(outcome), paint=paint)
    body += compared_text(outcome.record, paint=paint)
    return f"{release}\n{body}{pruned_text(outcome.pruned, outcome.stay)}{paint('title', counted)}\n"


def _document(outcome: RunOutcome, exit_code: int) -> dict[str, Json]:
    errors = _errors(outcome)
    nodes: list[Json] = [
        {"node": node, "outcome": word, "because": because, "error": errors.get(node)}
        for node, (word, because) in outcome.outcomes.items()
    ]
    return {
        "run": outcome.run or None,
        "release": {"before": outcome.before.release, "after": outcome.after.release},
        "counts": dict(outcome.counts),
        "fits": {"made": outcome.fits_made, "again": outcome.fits_again, "reused": outcome.fits_reused},
        "seconds": outcome.seconds,
        "exit_code": exit_code,
        "nodes": nodes,
        "pruned": [*outcome.pruned],
    }
