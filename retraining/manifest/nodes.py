"""The tree of a YAML document: every value with its place and the text it was written as.

Scalars are read by the YAML 1.2 core schema, where `on`, `no` and `007` are not booleans or octal
numbers. The written text stays beside the value, because partition values and classes are compared
as written.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TypeAlias

from retraining.manifest.values import Json

__all__ = [
    "Entry",
    "MappingNode",
    "Node",
    "ScalarNode",
    "ScalarValue",
    "SequenceNode",
    "child_path",
    "describe",
    "plain",
    "resolve_scalar",
    "shortened",
]

ScalarValue: TypeAlias = str | int | float | bool | None

_WORDS: dict[str, ScalarValue] = {
    "": None,
    "~": None,
    "null": None,
    "Null": None,
    "NULL": None,
    "true": True,
    "True": True,
    "TRUE": True,
    "false": False,
    "False": False,
    "FALSE": False,
}
_NUMBER_START = frozenset("+-.0123456789")
_INTEGER = re.compile(r"[-+]?[0-9]+")
_PREFIXED = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_INFINITE = re.compile(r"[-+]?\.(inf|Inf|INF)")
_NOT_A_NUMBER = frozenset({".nan", ".NaN", ".NAN"})
# Longer ones become floats: Python refuses to read an integer of more than 4,300 digits.
_LONGEST_INTEGER = 30
_PLAIN_KEY = re.compile(r"[A-Za-z0-9_-]+")
_SHOWN = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalarNode:
    """A scalar; lines and columns count from 1. `text` is as written, without quotes."""

    line: int
    column: int
    text: str
    value: ScalarValue


@dataclass(frozen=True, slots=True, kw_only=True)
class SequenceNode:
    """A list."""

    line: int
    column: int
    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A key of a mapping with its value."""

    key: ScalarNode
    node: Node


@dataclass(frozen=True, slots=True, kw_only=True)
class MappingNode:
    """A mapping in the order of the file; keys are unique strings.

    `head` is the place of the key that this mapping belongs to, where a missing field is reported.
    """

    line: int
    column: int
    head: tuple[int, int]
    entries: tuple[Entry, ...]


Node: TypeAlias = ScalarNode | SequenceNode | MappingNode


def resolve_scalar(text: str) -> ScalarValue:
    """The value of an unquoted scalar by the YAML 1.2 core schema.

    Integers of more than 30 digits are returned as floats.
    """
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in _NUMBER_START:
        return text
    if _INTEGER.fullmatch(text):
        return int(text) if len(text) <= _LONGEST_INTEGER else float(text)
    if _PREFIXED.fullmatch(text):
        return int(text, 0) if len(text) <= _LONGEST_INTEGER else float("inf")
    if _FLOAT.fullmatch(text):
        return float(text)
    if _INFINITE.fullmatch(text):
        return float("-inf") if text[0] == "-" else float("inf")
    return float("nan") if text in _NOT_A_NUMBER else text


def child_path(path: str, key: str) -> str:
    """The document path of a mapping's entry: `models.delay`, or `models["a b"]` for an odd key."""
    if len(key) > _SHOWN or not _PLAIN_KEY.fullmatch(key):
        return f'{path}["{shortened(key)}"]'
    return f"{path}.{key}" if path else key


def shortened(text: str) -> str:
    """The text on one line, cut to 80 characters."""
    line = " ".join(text[: 4 * _SHOWN].split())
    return line if len(line) <= _SHOWN else line[: _SHOWN - 1] + "…"


def describe(node: Node) -> str:
    """What was found, in words for a message."""
    match node:
        case SequenceNode():
            return "a list" if node.items else "an empty list"
        case MappingNode():
            return "a mapping" if node.entries else "an empty mapping"
        case ScalarNode(value=None):
            return "nothing"
        case ScalarNode(value=bool()):
            return f"the truth value {node.text}"
        case ScalarNode(value=int() | float()):
            return f"the number {shortened(node.text)}"
        case ScalarNode():
            return f'the text "{shortened(node.text)}"'


def plain(node: Node) -> Json:
    """The node as plain Python values, as a JSON document would hold them."""
    match node:
        case ScalarNode():
            return node.value
        case SequenceNode():
            return [plain(item) for item in node.items]
        case MappingNode():
            return {entry.key.text: plain(entry.node) for entry in node.entries}
