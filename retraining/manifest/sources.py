"""The files of one manifest as one sequence of lines, so that a place is a line and a column in all of them.

Lines count on from file to file, in the order in which files are added; `Sources.find` says which file
a line is in. So whatever notes a problem need not know that there are several.
"""

from __future__ import annotations

from retraining.manifest.nodes import Entry, MappingNode, Node, ScalarNode, SequenceNode

__all__ = ["Sources", "moved"]

#: More lines than a file can have, whose bytes are bounded.
_LINES = 100_000_000


class Sources:
    """The files of one manifest, the first one first."""

    def __init__(self, first: str) -> None:
        self._names = [first]

    def add(self, name: str) -> int:
        """Adds a file; the number of lines before it, by which its tree must be `moved`."""
        self._names.append(name)
        return (len(self._names) - 1) * _LINES

    def find(self, line: int) -> tuple[str, int]:
        """The file that a line is in, and its number there."""
        return self._names[line // _LINES], line % _LINES

    def place(self, node: Node) -> str:
        """Where a node stands, as part of a sentence: `line 3`, or `line 3 of teams/a.yaml`."""
        name, line = self.find(node.line)
        return f"line {line}" if name == self._names[0] else f"line {line} of {name}"


def moved(node: Node, lines: int) -> Node:
    """The tree with its lines so many further down."""
    match node:
        case ScalarNode():
            return _scalar(node, lines)
        case SequenceNode():
            items = tuple(moved(item, lines) for item in node.items)
            return SequenceNode(line=node.line + lines, column=node.column, items=items)
        case MappingNode():
            entries = tuple(
                Entry(key=_scalar(entry.key, lines), node=moved(entry.node, lines)) for entry in node.entries
            )
            head = (node.head[0] + lines, node.head[1])
            return MappingNode(line=node.line + lines, column=node.column, head=head, entries=entries)


def _scalar(node: ScalarNode, lines: int) -> ScalarNode:
    return ScalarNode(line=node.line + lines, column=node.column, text=node.text, value=node.value)
