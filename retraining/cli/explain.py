"""`retrain explain`: the story of a node."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from retraining.cli.options import (
    Choice,
    as_of_option,
    data_option,
    format_option,
    manifest_option,
    nodes_and,
    store_option,
)
from retraining.cli.output import paint_for, write_json, write_text
from retraining.cli.places import find_manifest, look, stored_at
from retraining.errors import DataError

if TYPE_CHECKING:
    from retraining.reporting.story import Story
from retraining.cli.verb import Verb

__all__ = ["command"]


@click.command(
    "explain",
    short_help="Tell the story of a node: what, why, and what now.",
    cls=Verb,
    examples=(
        "retrain explain shop.yaml 'basket[country=DE]'",
        "retrain explain --store ./store basket",
    ),
)
@click.argument("arguments", metavar="[MANIFEST] NODE...", nargs=-1)
@manifest_option
@store_option
@as_of_option
@data_option
@format_option
def command(
    arguments: tuple[str, ...],
    manifest: Path | None,
    store: str | None,
    as_of: str | None,
    data: dict[str, str],
    output: str,
) -> None:
    """Tell the story of a NODE: what is served and why, what was tried, what would happen now.

    NODE may be any expression of --select. With --store and no MANIFEST the store alone is asked:
    it does not know what would happen now.
    """
    from retraining.reporting.story_text import story_text

    choice = nodes_and(arguments, manifest)
    stories = _stories(choice, store, as_of, data)
    if output == "json":
        write_json({"nodes": [story.to_json() for story in stories]})
    else:
        write_text("\n".join(story_text(story, paint=paint_for(sys.stdout)) for story in stories))


def _stories(choice: Choice, store: str | None, as_of: str | None, data: dict[str, str]) -> list[Story]:
    from retraining.operations.explain import explain_planned, explain_stored

    if store is not None and choice.manifest is None:
        return explain_stored(stored_at(store, None), choice.rest)
    try:
        session = look(choice.manifest, store=store, as_of=as_of, data=data)
    except DataError as error:
        url = store or _store_of(choice)
        alone = f"retrain explain --store {shlex.quote(url)} {' '.join(map(shlex.quote, choice.rest))}"
        raise type(error)(
            error.message, f"{error.next_step}; what the store knows needs no data: `{alone}`"
        ) from error
    return explain_planned(session, choice.rest)


def _store_of(choice: Choice) -> str:
    from retraining.manifest import load_manifest
    from retraining.operations.arguments import store_url

    return store_url(load_manifest(find_manifest(choice.manifest)), None)
