"""Where each part of a manifest stands, for problems that only the data can show."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from retraining.manifest.nodes import MappingNode, Node, SequenceNode, child_path
from retraining.manifest.sources import Sources
from retraining.manifest.values import Place

__all__ = ["locate", "record_places"]

# Deep enough for `models.NAME.inputs.UPSTREAM.match.COLUMN`.
_DEPTH = 6
# Only the data can show a problem of these.
_SECTIONS = ("datasets", "validation", "defaults", "models")


def record_places(root: Node, sources: Sources) -> dict[str, Place]:
    """The place of every field and list item of datasets, validation, defaults and models, by document path."""
    places: dict[str, Place] = {}
    for entry in root.entries if isinstance(root, MappingNode) else ():
        if entry.key.text in _SECTIONS:
            for path, node in _walk(entry.node, entry.key.text, _DEPTH):
                file, line = sources.find(node.line)
                places[path] = Place(file=file, line=line, column=node.column, path=path)
    return places


def _walk(node: Node, path: str, depth: int) -> Iterator[tuple[str, Node]]:
    yield path, node
    if depth == 0:
        return
    if isinstance(node, MappingNode):
        for entry in node.entries:
            yield from _walk(entry.node, child_path(path, entry.key.text), depth - 1)
    elif isinstance(node, SequenceNode):
        for position, item in enumerate(node.items):
            yield from _walk(item, f"{path}[{position}]", depth - 1)


def locate(places: Mapping[str, Place], file: str, *paths: str) -> Place:
    """The place of the first of these document paths that is written, else of what holds the first one.

    A model's field may stand in `defaults`: give both paths.
    """
    for path in paths:
        if path in places:
            return places[path]
    path = paths[0]
    while path:
        path = path[: max(path.rfind("."), path.rfind("["), 0)]
        if path in places:
            return places[path]
    return Place(file=file, line=0, column=0, path=paths[0])
