"""What verbs that run have in common: their options, who shows a run, and how its outcome is told."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import click

from retraining.cli.options import (
    Decorated,
    address_option,
    allow_joblib_option,
    allow_option,
    as_of_option,
    backend_option,
    compare_option,
    data_option,
    selection_options,
    store_option,
    wait_for_nodes_option,
    workers_option,
)
from retraining.cli.output import paint_for
from retraining.cli.progress import PlainLines, Silence, View
from retraining.cli.telling import read_target

if TYPE_CHECKING:
    from retraining.cli.signals import Stopper
    from retraining.manifest.values import Json
    from retraining.operations.outcome import RunOutcome
    from retraining.operations.run import Watcher
    from retraining.operations.session import Quiet, Session

__all__ = [
    "choice_options",
    "exit_code_of",
    "fail_on_option",
    "outcome_document",
    "outcome_lines",
    "run_options",
    "say_plan",
    "travelling_options",
    "view_of_run",
    "watcher_of",
]

_FAILING = ("rejected", "insufficient", "waiting", "pending", "blocked")


def _read_words(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    words = tuple(word.strip() for value in values for word in value.split(",") if word.strip())
    unknown = [word for word in words if word not in _FAILING]
    if unknown:
        allowed = ", ".join(_FAILING)
        raise click.BadParameter(f"{unknown[0]!r} is no such outcome; there are {allowed}", ctx, param)
    return words


def choice_options(command: Decorated) -> Decorated:
    """Adds what a run is of: nodes, `--force`, `--compare-inputs`, `--prune`, store, moment and data."""
    options = (
        selection_options,
        click.option(
            "--force",
            metavar="EXPR",
            multiple=True,
            help="Refit these nodes in spite of the cache; may be repeated.",
        ),
        compare_option,
        click.option(
            "--prune",
            is_flag=True,
            help="Forget nodes that left the manifest or the data; else they are served on.",
        ),
        store_option,
        as_of_option,
        data_option,
    )
    return _all_of(options, command)


def fail_on_option(command: Decorated) -> Decorated:
    """Adds `--fail-on`."""
    return click.option(
        "--fail-on",
        metavar="OUTCOMES",
        multiple=True,
        callback=_read_words,
        help=f"Exit with 1 also for these outcomes: {', '.join(_FAILING)}.",
    )(command)


def travelling_options(command: Decorated) -> Decorated:
    """Adds how a run is carried out and told, wherever that is: `--on-outcome`, `--workers` and so on."""
    options = (
        click.option(
            "--on-outcome",
            metavar="COMMAND|URL",
            callback=read_target,
            help="Who is told how the run ended: a command, on its standard input, or a URL, by a POST.",
        ),
        workers_option,
        wait_for_nodes_option,
        click.option(
            "--max-fits",
            metavar="N",
            type=click.IntRange(min=1),
            help="The most fits that the run may need, where that is more than 10,000.",
        ),
        allow_option,
        allow_joblib_option,
    )
    return _all_of(options, command)


def run_options(command: Decorated) -> Decorated:
    """Adds how a run is carried out from here and told: `--backend`, `--address`, and the options that travel."""
    options = (
        backend_option,
        address_option,
        travelling_options,
        click.option("--no-progress", is_flag=True, help="Say nothing while it runs."),
    )
    return _all_of(options, command)


def _all_of(options: Sequence[Callable[[Decorated], Decorated]], command: Decorated) -> Decorated:
    """A command with options in the order of its help."""
    for option in reversed(options):
        command = option(command)
    return command


def view_of_run(silent: bool) -> View:
    """Who shows the run: nobody, lines, or on a terminal a live view."""
    if silent:
        return Silence()
    if not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        return PlainLines()
    from rich.console import Console

    from retraining.cli.live import LiveView

    return LiveView(Console(stderr=True))


def watcher_of(view: View, stopper: Stopper, planned: Callable[[Session | Quiet], None]) -> Watcher:
    """A run's watcher: `view` shows what happens, `stopper` ends it, `planned` is told the plan."""
    from retraining.operations.run import Watcher

    return Watcher(
        planned=planned,
        progress=view.progress,
        finished=view.judged,
        said=view.say,
        stop_asked=stopper.asked,
        interruptible=stopper.interruptible,
    )


def say_plan(view: View, session: Session | Quiet, *, silent: bool) -> None:
    """Shows the plan of a run that begins, which instants of schedules have come, and what is worth noting."""
    view.begin(session)
    if silent:
        return
    from retraining.reporting.grouping import notes_text

    for text in (_fired_text(session), notes_text(session.notes).rstrip()):
        if text:
            view.say(text)


def _fired_text(session: Session | Quiet) -> str:
    found: dict[str, int] = {}
    for decision in session.plan.decisions:
        for reason in decision.reasons:
            if reason.kind == "schedule":
                found[reason.text] = found.get(reason.text, 0) + 1
    return "\n".join(
        f"schedule: {text} ({count} node{'' if count == 1 else 's'})" for text, count in found.items()
    )


def exit_code_of(outcome: RunOutcome, fail_on: tuple[str, ...]) -> int:
    """The exit code of a run, where also the outcomes of `--fail-on` count as failures."""
    return outcome.exit_code or int(any(outcome.counts.get(word) for word in fail_on))


def _errors(outcome: RunOutcome) -> Mapping[str, str]:
    """The whole text of what a node's training raised, by node."""
    nodes = outcome.record.get("nodes")
    found = [node for node in nodes if isinstance(node, dict)] if isinstance(nodes, list) else []
    return {str(node["node"]): str(node["error"]) for node in found if node.get("error")}


def outcome_lines(outcome: RunOutcome) -> str:
    """What became of a run, as text for a terminal."""
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


def outcome_document(outcome: RunOutcome, exit_code: int) -> dict[str, Json]:
    """What became of a run, as a document."""
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
