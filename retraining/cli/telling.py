"""Telling others how a run ended: a command gets the JSON document on its standard input, a URL gets a POST.

It is a courtesy: what goes wrong with it is one line on stderr and never changes the exit code. A command is
started without a shell, so nothing in a name or an error can become a command.
"""

from __future__ import annotations

import json
import shlex
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import click

from retraining.cli.output import error_document, say
from retraining.errors import RetrainingError
from retraining.manifest.values import Json

__all__ = ["read_target", "tell", "telling_errors"]

_URL_SECONDS = 10.0
_COMMAND_SECONDS = 60.0


def read_target(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """The command or URL as it was written; an error where it can be neither."""
    if value is None or _is_url(value):
        if value is not None and not urlsplit(value).hostname:
            raise click.BadParameter(f"{value!r} names no host", ctx, param)
        return value
    try:
        words = shlex.split(value)
    except ValueError as error:
        raise click.BadParameter(f"{value!r} cannot be read as a command: {error}", ctx, param) from error
    if not words:
        raise click.BadParameter(
            "it is empty: give a command, or a URL that begins with https://", ctx, param
        )
    return value


def tell(target: str, document: Mapping[str, Json]) -> None:
    """Gives the document to a command or a URL; a failure is told on stderr."""
    body = json.dumps({"format": 1, **document}, ensure_ascii=False).encode()
    failure = _post(target, body) if _is_url(target) else _start(shlex.split(target), body)
    if failure:
        say(f"warning: --on-outcome: {failure}; the run itself is not affected")


@contextmanager
def telling_errors(target: str | None) -> Iterator[None]:
    """Tells of an error that ends the run, as the document of `--format json`, and lets it pass."""
    try:
        yield
    except RetrainingError as error:
        if target is not None:
            tell(target, error_document(error))
        raise


def _is_url(target: str) -> bool:
    return target.startswith(("http://", "https://"))


def _post(url: str, body: bytes) -> str:
    """What went wrong, without the path of the URL, in which services keep their secret; '' where nothing did."""
    request = Request(url, data=body, headers={"Content-Type": "application/json"}, method="POST")
    host = urlsplit(url).hostname
    try:
        with urlopen(request, timeout=_URL_SECONDS):
            return ""
    except HTTPError as error:
        return f"{host} answered {error.code}"
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        return f"{host} could not be told ({type(reason).__name__})"


def _start(words: list[str], body: bytes) -> str:
    """What went wrong with the command; '' where nothing did. What it prints goes to stderr."""
    try:
        # what it prints must not mix with the document on standard output
        done = subprocess.run(
            words, input=body, stdout=subprocess.PIPE, timeout=_COMMAND_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return f"{words[0]} did not end within {_COMMAND_SECONDS:.0f} seconds and was stopped"
    except (OSError, ValueError) as error:
        return f"{words[0]} could not be started ({getattr(error, 'strerror', None) or error})"
    click.echo(done.stdout, err=True, nl=False)
    return f"{words[0]} ended with exit code {done.returncode}" if done.returncode else ""
