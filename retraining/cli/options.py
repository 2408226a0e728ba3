"""Options that several verbs share, with one meaning everywhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import click

from retraining.errors import InputError
from retraining.execution.addresses import check_address
from retraining.manifest.durations import parse_duration

__all__ = [
    "Choice",
    "address_option",
    "allow_joblib_option",
    "allow_option",
    "as_of_option",
    "backend_option",
    "because_option",
    "compare_option",
    "data_option",
    "format_option",
    "history_option",
    "manifest_and",
    "manifest_argument",
    "manifest_option",
    "nodes_and",
    "read_address",
    "release_numbers",
    "selection_options",
    "store_option",
    "wait_for_nodes_option",
    "workers_option",
]

Decorated: TypeAlias = Callable[..., Any]

_SUFFIXES = (".yaml", ".yml")
_MOST_DIGITS = 18


def manifest_argument(command: Decorated) -> Decorated:
    """Adds `[MANIFEST]`."""
    return click.argument("manifest", required=False, type=click.Path(path_type=Path))(command)


def store_option(command: Decorated) -> Decorated:
    """Adds `--store`."""
    return click.option(
        "--store",
        metavar="URL",
        help="The store, instead of the manifest's `store`: a folder, s3://BUCKET/PREFIX, gs:// or az://.",
    )(command)


def history_option(command: Decorated) -> Decorated:
    """Adds `--history`."""
    return click.option(
        "--history",
        type=click.Choice(["recorded", "shipped"]),
        default="recorded",
        show_default=True,
        help="Rows from before a version's cut: as recorded then, or as the released model predicts them.",
    )(command)


def selection_options(command: Decorated) -> Decorated:
    """Adds `--select` and `--exclude`, each of which may be repeated."""
    exclude = click.option(
        "--exclude", metavar="EXPR", multiple=True, help="Leave out these nodes; may be repeated."
    )
    select = click.option(
        "--select",
        metavar="EXPR",
        multiple=True,
        help="These nodes only: name, name+, +name, 2+name+1, @name, model[carrier=UA], tag:x, state:due, "
        "wildcards; a space means or, a comma and. May be repeated.",
    )
    return select(exclude(command))


def compare_option(command: Decorated) -> Decorated:
    """Adds `--compare-inputs`, which may be repeated."""
    return click.option(
        "--compare-inputs",
        metavar="EXPR",
        multiple=True,
        help="Measure what each input brings to these nodes, due or not ('*': all), by fits without it; "
        "may be repeated.",
    )(command)


def as_of_option(command: Decorated) -> Decorated:
    """Adds `--as-of`."""
    return click.option(
        "--as-of", metavar="TIME", help="Act as if it were this moment: 2013-07-01 or 2013-07-01T06:00:00Z."
    )(command)


def format_option(command: Decorated) -> Decorated:
    """Adds `--format`."""
    return click.option(
        "--format",
        "output",
        type=click.Choice(["text", "json"]),
        default="text",
        show_default=True,
        help="json: exactly one document on stdout, also for errors.",
    )(command)


def because_option(*, required: bool) -> Decorated:
    """Adds `--because TEXT`."""
    return click.option(
        "--because",
        metavar="TEXT",
        required=required,
        help="Why, for whoever reads the history." + (" Required." if required else ""),
    )


def allow_option(command: Decorated) -> Decorated:
    """Adds `--allow`, which may be repeated."""
    return click.option(
        "--allow",
        metavar="PACKAGE",
        multiple=True,
        help="A package that estimators and metrics of your own may come from, besides those of "
        "RETRAINING_ALLOW; may be repeated.",
    )(command)


def allow_joblib_option(command: Decorated) -> Decorated:
    """Adds `--allow-joblib`."""
    return click.option(
        "--allow-joblib",
        is_flag=True,
        help="Let joblib hold models of your own that nothing safer can; loading them runs code. As "
        "RETRAINING_ALLOW_JOBLIB=1.",
    )(command)


def data_option(command: Decorated) -> Decorated:
    """Adds `--data NAME=PATH`, which may be repeated."""
    return click.option(
        "--data",
        metavar="NAME=PATH",
        multiple=True,
        callback=_read_data,
        help="Read dataset NAME from PATH, instead of the manifest's `path`; may be repeated.",
    )(command)


def backend_option(command: Decorated) -> Decorated:
    """Adds `--backend`."""
    return click.option(
        "--backend",
        type=click.Choice(["ray", "serial"]),
        default="ray",
        show_default=True,
        help="ray: in parallel; serial: in this process, one fit after the other. Both give the same bytes.",
    )(command)


def address_option(command: Decorated) -> Decorated:
    """Adds `--address`."""
    return click.option(
        "--address",
        metavar="auto|HOST:PORT",
        default="local",
        callback=read_address,
        help="A running Ray cluster that this machine is part of; else a Ray of the run's own.",
    )(command)


def workers_option(command: Decorated) -> Decorated:
    """Adds `--workers`."""
    return click.option(
        "--workers",
        metavar="N",
        type=click.IntRange(min=1),
        help="How many fits of ray run at once; else one for each core. On a cluster that has fewer, its "
        "autoscaler is asked for them.",
    )(command)


def wait_for_nodes_option(command: Decorated) -> Decorated:
    """Adds `--wait-for-nodes`, in seconds."""
    return click.option(
        "--wait-for-nodes",
        metavar="DURATION",
        default="0",
        callback=_read_duration,
        help="On a cluster: how long to wait for a node that has what a model's `resources` ask for (15m, 1h).",
    )(command)


def _read_duration(ctx: click.Context, param: click.Parameter, value: str) -> float:
    found = parse_duration(value)
    if found is None:
        raise click.BadParameter(f"{value!r} is no duration such as 15m or 1h", ctx, param)
    return found.total_seconds()


def read_address(ctx: click.Context, param: click.Parameter, value: str) -> str:
    """The address of `--address` of a run; InputError, with the reason, for what a run cannot use."""
    del ctx, param
    return check_address(value)


def _read_data(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for value in values:
        name, equals, path = value.partition("=")
        if not (name and equals and path):
            raise click.BadParameter(f"{value!r} is not NAME=PATH, as in flights=./new.parquet", ctx, param)
        if name in pairs:
            raise click.BadParameter(f"{name!r} is given twice", ctx, param)
        pairs[name] = path
    return pairs


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A manifest, if one was written, and the arguments after it."""

    manifest: Path | None
    rest: tuple[str, ...] = field(default=())


def manifest_option(command: Decorated) -> Decorated:
    """Adds `--manifest`, for verbs whose arguments are names."""
    return click.option(
        "--manifest",
        metavar="FILE",
        type=click.Path(path_type=Path),
        help="The manifest, where it is not the first argument.",
    )(command)


def manifest_and(arguments: tuple[str, ...], manifest: Path | None) -> Choice:
    """`[MANIFEST] [ARGS]`: the manifest is `--manifest`, or the first argument if it has a manifest's suffix."""
    if manifest is not None:
        return Choice(manifest=manifest, rest=arguments)
    if arguments and arguments[0].endswith(_SUFFIXES):
        return Choice(manifest=Path(arguments[0]), rest=arguments[1:])
    return Choice(manifest=None, rest=arguments)


def nodes_and(arguments: tuple[str, ...], manifest: Path | None) -> Choice:
    """`[MANIFEST] NODE...` as `manifest_and`, with at least one node; InputError without."""
    choice = manifest_and(arguments, manifest)
    if not choice.rest:
        raise InputError(
            "no node was named", "`retrain ls` lists the nodes, `retrain status` those of a store"
        )
    return choice


def release_numbers(texts: tuple[str, ...], *, most: int) -> list[int]:
    """The numbers of releases that were written; InputError for more than `most`, and for what is no number."""
    if len(texts) > most:
        raise InputError(
            f"{len(texts)} releases were named, and {'one is' if most == 1 else f'{most} are'} the most",
            "`retrain releases` lists them",
        )
    for text in texts:
        if not text.isascii() or not text.isdigit() or len(text) > _MOST_DIGITS or int(text) == 0:
            raise InputError(f"{text!r} is not the number of a release", "`retrain releases` lists them")
    return [int(text) for text in texts]
