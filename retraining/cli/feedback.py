"""`retrain feedback`: labels that come late, correct others, or take them away."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from retraining.cli.options import data_option, format_option, manifest_and, manifest_option, store_option
from retraining.cli.output import paint_for, write_json, write_text
from retraining.cli.places import find_manifest, stored_at
from retraining.cli.verb import Verb
from retraining.errors import InputError

__all__ = ["command"]


class _FeedbackVerb(Verb, click.Group):
    """A verb with verbs of its own."""


@click.group(
    "feedback",
    short_help="Add late or corrected labels, and see what came.",
    cls=_FeedbackVerb,
    invoke_without_command=True,
    subcommand_metavar="add|list|show [MANIFEST] [ARGS]...",
    examples=(
        "retrain feedback add shop.yaml returns.csv --dataset orders",
        "retrain feedback list shop.yaml",
        "retrain feedback show shop.yaml --dataset orders --key order=1207",
    ),
)
@click.pass_context
def command(context: click.Context) -> int:
    """Add labels that came late, correct others or take some away: batches that no later one overwrites.

    The next run learns from them as if the tables held them, from the moment on at which they were known.
    """
    if context.invoked_subcommand is not None:
        return 0
    click.echo(context.get_help(), err=True)
    return 2


@command.command(
    "add",
    short_help="Add labels from a file, as one batch.",
    cls=Verb,
    examples=(
        "retrain feedback add shop.yaml returns.csv --dataset orders",
        "retrain feedback add late.parquet --known-at 2024-05-01 --source chargebacks",
    ),
)
@click.argument("arguments", metavar="[MANIFEST] FILE", nargs=-1)
@click.option(
    "--dataset", metavar="NAME", help="Whose labels these are, where the manifest has several datasets."
)
@click.option(
    "--known-at",
    metavar="TIME",
    help="When labels without a `known_at` of their own were known: 2024-05-01 or 2024-05-01T06:00:00Z; default: now.",
)
@click.option("--source", metavar="TEXT", help="Where labels without a `source` of their own come from.")
@data_option
@manifest_option
@store_option
@format_option
def _add(
    arguments: tuple[str, ...],
    dataset: str | None,
    known_at: str | None,
    source: str | None,
    data: dict[str, str],
    manifest: Path | None,
    store: str | None,
    output: str,
) -> None:
    """Add the labels of FILE: Parquet, CSV or JSON Lines.

    It has the key columns of the dataset, target columns, and where wanted `known_at`, `revision`, `op` (upsert
    or retract) and `source`.

    Rows that say what is known already are left out, and the same file is not stored twice.
    """
    from retraining.operations.feedback import add_feedback
    from retraining.reporting.feedback_text import added_text

    choice = manifest_and(arguments, manifest)
    if len(choice.rest) != 1:
        found = "no file was named" if not choice.rest else f"{len(choice.rest)} files were named"
        raise InputError(found, "name one, as in `retrain feedback add MANIFEST FILE --dataset NAME`")
    done = add_feedback(
        find_manifest(choice.manifest),
        choice.rest[0],
        dataset=dataset,
        known_at=known_at,
        source=source,
        store=store,
        data=data,
    )
    if output == "json":
        write_json(done.to_json())
        return
    write_text(
        added_text(
            done.dataset,
            done.batch,
            existing=done.existing,
            given=done.given,
            came=done.came,
            corrected=done.corrected,
            retracted=done.retracted,
            unchanged=done.unchanged,
            unknown=done.unknown,
            outdated=done.outdated,
            paint=paint_for(sys.stdout),
        )
    )


@command.command(
    "list",
    short_help="Show the batches, newest first.",
    cls=Verb,
    examples=("retrain feedback list shop.yaml", "retrain feedback list --store ./store --dataset orders"),
)
@click.argument("arguments", metavar="[MANIFEST]", nargs=-1)
@click.option("--dataset", metavar="NAME", help="Those of one dataset only.")
@manifest_option
@store_option
@format_option
def _list(
    arguments: tuple[str, ...], dataset: str | None, manifest: Path | None, store: str | None, output: str
) -> None:
    """Show the batches of late labels, newest first: how many, of what, known when, added by whom."""
    from retraining.operations.feedback import list_feedback
    from retraining.reporting.feedback_text import batches_text

    found = list_feedback(stored_at(store, _manifest_alone(arguments, manifest)), dataset)
    if output == "json":
        write_json({"batches": [one.to_json() for one in found]})
    else:
        write_text(batches_text(found, paint=paint_for(sys.stdout)))


@command.command(
    "show",
    short_help="Show what came for one key.",
    cls=Verb,
    examples=("retrain feedback show shop.yaml --dataset orders --key order=1207",),
)
@click.argument("arguments", metavar="[MANIFEST]", nargs=-1)
@click.option("--dataset", metavar="NAME", help="The dataset, where late labels of several came.")
@click.option(
    "--key",
    metavar="COLUMN=VALUE",
    multiple=True,
    help="A column of the key and its value; once for each column.",
)
@manifest_option
@store_option
@format_option
def _show(
    arguments: tuple[str, ...],
    dataset: str | None,
    key: tuple[str, ...],
    manifest: Path | None,
    store: str | None,
    output: str,
) -> None:
    """Show every label that came for one key, the oldest first, and which of them counts."""
    from retraining.operations.feedback import show_feedback
    from retraining.reporting.feedback_text import records_text

    wanted: dict[str, str] = {}
    for text in key:
        name, equals, value = text.partition("=")
        if not (name and equals):
            raise InputError(f"--key {text!r} is not COLUMN=VALUE", "write --key order=1207")
        wanted[name] = value
    found = show_feedback(stored_at(store, _manifest_alone(arguments, manifest)), dataset, wanted)
    if output == "json":
        write_json({"key": dict(wanted), "records": [one.to_json() for one in found]})
    else:
        write_text(records_text(wanted, found, paint=paint_for(sys.stdout)))


def _manifest_alone(arguments: tuple[str, ...], manifest: Path | None) -> Path | None:
    choice = manifest_and(arguments, manifest)
    if choice.rest:
        raise InputError(f"{choice.rest[0]!r} is no manifest", "a manifest's name ends in .yaml")
    return choice.manifest
