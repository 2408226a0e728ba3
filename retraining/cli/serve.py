"""`retrain serve`: keeps ticking."""

from __future__ import annotations

import datetime as dt
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from retraining.cli.engine import Engine, with_engine
from retraining.cli.options import (
    data_option,
    format_option,
    manifest_argument,
    selection_options,
    store_option,
)
from retraining.cli.output import error_document, write_json, write_text
from retraining.cli.places import find_manifest
from retraining.cli.running import run_options, say_plan, view_of_run, watcher_of
from retraining.cli.signals import Interrupted, Stopper
from retraining.cli.telling import tell
from retraining.cli.ticking import tick_document, tick_lines
from retraining.cli.verb import Verb
from retraining.errors import InputError, InterruptedRunError, RetrainingError
from retraining.manifest.durations import parse_duration

if TYPE_CHECKING:
    from retraining.cli.progress import View
    from retraining.operations.session import Quiet, Session
    from retraining.operations.tick import Ticked
    from retraining.server.board import Board
    from retraining.server.loop import Ports

__all__ = ["command"]

_SECONDS = re.compile(r"([0-9]{1,6})s")


def _read_every(ctx: click.Context, param: click.Parameter, value: str) -> float:
    seconds = _SECONDS.fullmatch(value)
    found = dt.timedelta(seconds=int(seconds[1])) if seconds else parse_duration(value)
    if found is None or found < dt.timedelta(seconds=1):
        raise click.BadParameter(f"{value!r} is no duration such as 1m, 30s or 1h", ctx, param)
    return found.total_seconds()


@click.command(
    "serve",
    short_help="Keep ticking: act on what is due, when it is.",
    cls=Verb,
    examples=(
        "retrain serve shop.yaml",
        "retrain serve shop.yaml --every 10m --listen 127.0.0.1:8080",
    ),
)
@manifest_argument
@selection_options
@click.option(
    "--every",
    metavar="DURATION",
    default="1m",
    show_default=True,
    callback=_read_every,
    help="How long after a tick the next one comes at the latest; an instant of a schedule is not waited past.",
)
@click.option(
    "--listen",
    metavar="HOST:PORT",
    help="Answer there to /healthz, /status.json and / (the newest run's report). Off by default.",
)
@click.option(
    "--expose",
    is_flag=True,
    help="Let --listen be an address that other machines reach: no password is asked.",
)
@run_options
@store_option
@data_option
@format_option
@with_engine
def command(
    manifest: Path | None,
    select: tuple[str, ...],
    exclude: tuple[str, ...],
    every: float,
    listen: str | None,
    expose: bool,
    on_outcome: str | None,
    engine: Engine,
    max_fits: int | None,
    no_progress: bool,
    store: str | None,
    data: dict[str, str],
    output: str,
) -> int:
    """Keep ticking: look at all triggers again and again, and act on what is due.

    What a tick fails of (the store is away, a file is broken) is said once, and the next tick comes. Ctrl-C and
    SIGTERM stop it in seconds: exit code 0, or 130 where a run was under way, which running again continues. With
    --format json the last status is printed when it ends.
    """
    from retraining.manifest import load_manifest
    from retraining.operations.arguments import store_url
    from retraining.operations.tick import tick
    from retraining.server.board import Board, Status
    from retraining.server.loop import Ports

    file = find_manifest(manifest)
    told = load_manifest(file)
    url = store_url(told, store)
    place = _place(listen, expose)
    board = Board(Status(manifest=told.name, store=url, every_seconds=every, started=_iso(_now())))
    with view_of_run(no_progress) as view, Stopper(view.say, view.leave) as stopper:

        def planned(session: Session | Quiet) -> None:
            if session.plan.idle:
                return
            board.change(acting_since=_iso(_now()))
            say_plan(view, session, silent=no_progress)
            stopper.begin()

        watcher = watcher_of(view, stopper, planned)
        options = engine.options()

        def once() -> Ticked:
            try:
                return tick(
                    file,
                    store=store,
                    select=select,
                    exclude=exclude,
                    data=data,
                    max_fits=max_fits,
                    # a store that was there is away, and must not be made anew
                    existing=board.read().ticks > 0,
                    options=options,
                    watcher=watcher,
                )
            finally:
                view.leave()
                stopper.rest()

        def ticked(found: Ticked) -> None:
            if output == "text":
                write_text(tick_lines(found))
            if on_outcome is not None and any(
                act.outcome is not None and act.outcome.run for act in found.acts
            ):
                tell(on_outcome, tick_document(found, found.exit_code))

        def failed(error: RetrainingError) -> None:
            view.say(f"{_clock()}  {error.message}\n  next: {error.next_step}")
            if on_outcome is not None:
                tell(on_outcome, error_document(error))

        ports = Ports(
            tick=once,
            clock=_now,
            sleep=time.sleep,
            stop_asked=stopper.asked,
            ticked=ticked,
            failed=failed,
            recovered=lambda count: view.say(f"{_clock()}  works again, after {count} failed ticks"),
        )
        with _page(board, url, place, expose, view):
            if not no_progress:
                view.say(f"serving {told.name}, store {url}; stop with Ctrl-C")
            code = _until_stopped(ports, board, view)
    if output == "json":
        document = board.read().to_json()
        write_json({name: value for name, value in document.items() if name != "format"})
    return code


def _until_stopped(ports: Ports, board: Board, view: View) -> int:
    """The exit code of a server when it was told to stop."""
    from retraining.server.loop import serve

    try:
        serve(ports, board)
    except InterruptedRunError as error:
        view.say(f"{error.message}; {error.next_step}")
        return error.exit_code
    except Interrupted:  # between two runs there is nothing to lose
        return 0
    return 0


def _place(listen: str | None, exposed: bool) -> tuple[str, int] | None:
    """Where `--listen` says."""
    from retraining.server.page import parse_listen

    if listen is None and exposed:
        raise InputError("--expose says how --listen is meant, and there is none", "add --listen HOST:PORT")
    return None if listen is None else parse_listen(listen, exposed=exposed)


@contextmanager
def _page(board: Board, url: str, place: tuple[str, int] | None, exposed: bool, view: View) -> Iterator[None]:
    """Around the loop: the page, where one is asked for."""
    if place is None:
        yield
        return
    from retraining.server.page import Page, newest_report

    with Page(board, newest_report(url), place, exposed=exposed, clock=_now) as page:
        view.say(f"page at {page.url}")
        yield


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def _iso(moment: dt.datetime) -> str:
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")


def _clock() -> str:
    return time.strftime("%H:%M:%S")
