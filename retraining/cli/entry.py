"""The entry point: every way in which a command can end becomes an exit code and a few words.

The invariant: no bad input ends in a traceback. What nobody foresaw is one line, with the traceback in a
file; with `--format json` an error is a document on stdout.
"""

from __future__ import annotations

import os
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import pairwise
from typing import NoReturn

import click
from click.shell_completion import shell_complete

from retraining.cli.group import root
from retraining.cli.output import error_document, error_text, paint_for, say, write_json
from retraining.errors import InputError, InterruptedRunError, RetrainingError

__all__ = ["run_command", "run_process"]

#: Set by a shell that asks for completions (README: `source <(_RETRAIN_COMPLETE=bash_source retrain)`).
_COMPLETE = "_RETRAIN_COMPLETE"
#: As a shell reports a process that wrote into a closed pipe (128 + SIGPIPE).
_BROKEN_PIPE = 141


def run_process(stop_asked: Callable[[], bool]) -> NoReturn:
    """Runs the command of this process and ends it with its exit code; `stop_asked` as for `run_command`."""
    _open_missing_streams()
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            # a terminal without Unicode shows marks instead of failing
            stream.reconfigure(errors="replace")
    asked = os.environ.get(_COMPLETE)
    if asked:
        sys.exit(shell_complete(root, {}, "retrain", _COMPLETE, asked))
    _leave(run_command(sys.argv[1:], stop_asked))


def _open_missing_streams() -> None:
    """Give the process the streams that it was started without (`>&-`, some daemons): they lead nowhere.

    Else the next file that is opened gets the number of standard output, and what compiled code prints.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            descriptor = os.open(os.devnull, os.O_RDWR)
            if descriptor != number:
                os.dup2(descriptor, number)
                os.close(descriptor)
            os.set_inheritable(number, True)
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115 - for good


def _leave(code: int) -> NoReturn:
    """End the process, without waiting for what still runs in the background: a Ray on its way up."""
    if threading.active_count() > 1:
        with suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        session = sys.modules.get("retraining.execution.ray.session")
        if session is not None:
            session.abandon()
        os._exit(code)
    sys.exit(code)


def run_command(arguments: Sequence[str], stop_asked: Callable[[], bool] = lambda: False) -> int:
    """The exit code of a command line; `stop_asked` tells whether a signal came, whatever it was turned into."""
    try:
        # not `root.main`, which ends the process where a pipe is closed
        with root.make_context("retrain", list(arguments)) as context:
            code = root.invoke(context)
        sys.stdout.flush()
    except BrokenPipeError:
        return _nobody_reads()
    except click.exceptions.Exit as end:
        return end.exit_code
    except (KeyboardInterrupt, click.Abort):
        return _tell(_interrupted(), arguments)
    except click.ClickException as error:
        return _tell(_usage(error), arguments)
    except RetrainingError as error:
        return _tell(error, arguments)
    except Exception as error:  # noqa: BLE001 - the last line of defence: one line for people, the rest in a file
        # an import of compiled code makes an ImportError of a KeyboardInterrupt
        return _tell(_interrupted() if stop_asked() else _unforeseen(error), arguments)
    return code if isinstance(code, int) else 0


def _tell(error: RetrainingError, arguments: Sequence[str]) -> int:
    """The error's exit code, after it was written."""
    try:
        if _wants_json(arguments):
            write_json(error_document(error))
        else:
            say(error_text(error, paint_for(sys.stderr)).removesuffix("\n"))
    except BrokenPipeError:
        return _nobody_reads()
    return error.exit_code


def _nobody_reads() -> int:
    """The exit code for a closed pipe, after whatever is still buffered was sent where it does no harm."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return _BROKEN_PIPE


def _wants_json(arguments: Sequence[str]) -> bool:
    """Whether `--format json` was asked for, also where the rest of the command line cannot be read."""
    return "--format=json" in arguments or ("--format", "json") in pairwise(arguments)


def _interrupted() -> InterruptedRunError:
    return InterruptedRunError("interrupted", "run the same command again")


def _usage(error: click.ClickException) -> InputError:
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "retrain"
    message = error.format_message().rstrip()
    return InputError(message[:1].lower() + message[1:], f"`{command} --help` shows how it is used")


def _unforeseen(error: Exception) -> RetrainingError:
    text = "".join(traceback.format_exception(error))
    with tempfile.NamedTemporaryFile(
        "w", prefix="retrain-error-", suffix=".txt", delete=False, encoding="utf-8"
    ) as file:
        file.write(text)
    line = f"{type(error).__name__}: {error}".splitlines()[0]
    return RetrainingError(
        f"internal error: {line}", f"please report it with the traceback, which is in {file.name}"
    )
