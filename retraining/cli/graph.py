"""`retrain graph`: the selected nodes and who reads whom."""

from __future__ import annotations

from pathlib import Path

import click

from retraining.cli.options import (
    as_of_option,
    data_option,
    format_option,
    manifest_argument,
    selection_options,
    store_option,
)
from retraining.cli.output import write_exactly, write_json
from retraining.cli.places import look
from retraining.cli.verb import Verb

__all__ = ["command"]


@click.command(
    "graph",
    short_help="Show which model reads which.",
    cls=Verb,
    examples=("retrain graph shop.yaml --as mermaid", "retrain graph shop.yaml --as svg > graph.svg"),
)
@manifest_argument
@click.option(
    "--as",
    "picture",
    type=click.Choice(["tree", "mermaid", "svg"]),
    default="tree",
    show_default=True,
    help="A tree for people, a Mermaid flowchart for Markdown pages, or a picture: what became of each node last.",
)
@selection_options
@store_option
@as_of_option
@data_option
@format_option
def command(
    manifest: Path | None,
    picture: str,
    select: tuple[str, ...],
    exclude: tuple[str, ...],
    store: str | None,
    as_of: str | None,
    data: dict[str, str],
    output: str,
) -> None:
    """Show the graph: which model reads which."""
    from retraining.graph.rendering import as_json, as_mermaid, as_text
    from retraining.operations.listing import draw_nodes, selected_nodes

    session = look(manifest, store=store, as_of=as_of, data=data)
    names = selected_nodes(session, select, exclude)
    graph = session.observation.graph
    if output == "json":
        write_json(as_json(graph, names))
    elif picture == "svg":
        write_exactly(draw_nodes(session, names))
    else:
        write_exactly(as_mermaid(graph, names) if picture == "mermaid" else as_text(graph, names))
