"""`retrain submit`: the same run as a job on a Ray cluster."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

import click

from retraining.cli.options import format_option, manifest_argument
from retraining.cli.output import write_json, write_text
from retraining.cli.places import find_manifest
from retraining.cli.running import choice_options, fail_on_option, travelling_options
from retraining.cli.verb import Verb
from retraining.errors import InputError

if TYPE_CHECKING:
    from retraining.manifest.values import Json
    from retraining.operations.submit import Ended, Package

__all__ = ["command"]


def _read_job_server(ctx: click.Context, param: click.Parameter, value: str | None) -> str:
    """The address of a job server; InputError for what is none."""
    del ctx, param
    if value is None:
        raise InputError(
            "no cluster was named",
            "pass --address http://HEAD:8265, the job server on the cluster's head, or set RAY_API_SERVER_ADDRESS",
        )
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path.strip("/"):
        step = "write http://HEAD:8265: the job server, which is the dashboard's address"
        if parts.scheme != "ray" and "://" not in value:
            step += "; on a machine of the cluster `retrain run --address auto` needs no job"
        raise InputError(f"--address {value!r} is not the address of a job server", step)
    if parts.username or parts.password or parts.query:
        raise InputError(
            "--address holds a user, a password or a query",
            "give tokens in RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH",
        )
    return value.rstrip("/")


@click.command(
    "submit",
    short_help="The same run as a job on a Ray cluster.",
    cls=Verb,
    examples=(
        "retrain submit shop.yaml --address http://head:8265 --store s3://models/shop",
        "retrain submit shop.yaml --address http://head:8265 --store /mnt/models/shop --shared /mnt --no-wait",
        "retrain submit --follow retrain-shop-20130701-060000-a1b2 --address http://head:8265",
    ),
)
@manifest_argument
@click.option(
    "--address",
    metavar="URL",
    envvar="RAY_API_SERVER_ADDRESS",
    callback=_read_job_server,
    help="The cluster's job server: http://HEAD:8265, or what RAY_API_SERVER_ADDRESS says.",
)
@click.option(
    "--shared",
    metavar="PATH",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Data and store below PATH are the same on every machine of the cluster; may be repeated.",
)
@click.option(
    "--job", metavar="NAME", help="The job's name, of which the cluster takes one only; else one is made."
)
@click.option(
    "--no-wait", is_flag=True, help="Hand the job over and leave; exit code 0 then says no more than that."
)
@click.option("--follow", metavar="JOB", help="Follow a job that was submitted before, and submit nothing.")
@click.option(
    "--stop-on-interrupt",
    is_flag=True,
    help="Let Ctrl-C stop the job; else it goes on and is followed no more.",
)
@choice_options
@fail_on_option
@travelling_options
@format_option
def command(
    manifest: Path | None,
    address: str,
    shared: tuple[Path, ...],
    job: str | None,
    no_wait: bool,
    follow: str | None,
    stop_on_interrupt: bool,
    store: str | None,
    data: dict[str, str],
    output: Literal["text", "json"],
    **told: object,
) -> int:
    """The same run as a job on a Ray cluster; its exit code is the run's.

    The manifest, what it includes and the data in its folder are uploaded; the store, and other data, must be
    where the cluster's machines see them. What the run says is followed on stderr, its result comes on stdout.
    Credentials are not sent: the cluster's machines have their own.
    """
    from retraining.operations.submit import Submission, follow_job, pack, submit_job

    package: Package | None = None
    if follow is None:
        submission = Submission(
            manifest=find_manifest(manifest),
            address=address,
            store=store,
            data=data,
            arguments=_arguments(told),
            shared=shared,
            output=output,
            job=job,
        )
        package = pack(submission)
        click.echo(package.told, err=True)
        follow = submit_job(submission, package)
        if no_wait:
            step = f"follow it: retrain submit --follow {follow} --address {address}"
            _write(output, _document(address, follow, package, None), f"{follow}\n", step)
            return 0
    elif manifest is not None or no_wait:
        raise InputError("--follow submits nothing", "leave out the manifest and --no-wait")
    told_of = f"job {follow} on {address}"
    ended = follow_job(
        address,
        follow,
        _show,
        stop_on_interrupt=stop_on_interrupt,
        announce=lambda: click.echo(told_of, err=True),
    )
    _write(output, _document(address, follow, package, ended), ended.result.lstrip("\n"), "")
    return ended.exit_code


def _show(text: str) -> None:
    """What the job says, as it comes."""
    sys.stderr.write(text)
    sys.stderr.flush()


def _write(output: str, document: Mapping[str, Json], text: str, step: str) -> None:
    if output == "json":
        write_json(document)
    else:
        write_text(text)
        if step:
            click.echo(step, err=True)


def _document(address: str, job: str, package: Package | None, ended: Ended | None) -> dict[str, Json]:
    return {
        "job": job,
        "address": address,
        "uploaded": None if package is None else {"files": len(package.files), "bytes": package.size},
        "status": "submitted" if ended is None else ended.status.lower(),
        "exit_code": 0 if ended is None else ended.exit_code,
        "run": None if ended is None else ended.document(),
    }


def _arguments(told: Mapping[str, object]) -> tuple[str, ...]:
    """The options of a run that travel as they were written."""
    found: list[str] = []
    for name, value in told.items():
        option = f"--{name.replace('_', '-')}"
        if name == "wait_for_nodes":
            found += [f"{option}={round(value / 60)}m"] if isinstance(value, float) and value else []
        elif isinstance(value, bool):
            found += [option] if value else []
        elif isinstance(value, tuple):
            found += [f"{option}={one}" for one in value]
        elif value is not None:
            found.append(f"{option}={value}")
    return tuple(found)
