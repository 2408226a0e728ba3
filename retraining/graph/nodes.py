"""Nodes and their names: `arrival_delay[carrier=UA]` is written and read here and nowhere else.

The invariant: a name says exactly which model and which partition is meant, so that
`parse_node_name(node_name(model, columns, values))` gives all of it back, whatever the values hold.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from retraining.errors import SelectionError

__all__ = [
    "POOL",
    "Node",
    "PartitionValue",
    "is_pool",
    "node_name",
    "parse_node_name",
    "pool_name",
    "quoted",
    "read_partition",
    "unreadable",
]

#: What follows the model's name in the name of its pool.
POOL = "[*]"


_NEEDS_QUOTES = frozenset(" ,[]=\"'\\*?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One model, or one partition of one.

    `partition` holds one text per column of the model's `partition_by`; it is empty without one, and for
    the model's pool (`model[*]`), which learns from all rows and serves those of values without a node.
    """

    name: str
    model: str
    partition: tuple[str, ...] = ()

    @property
    def pool(self) -> bool:
        """True for the model's pool."""
        return is_pool(self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionValue:
    """One `column=value` between brackets; `position` is where it begins in the text.

    An unquoted value may hold wildcards, where wildcards are allowed at all; a quoted one is literal.
    """

    column: str
    value: str
    quoted: bool
    position: int


def node_name(model: str, columns: Sequence[str], values: Sequence[str]) -> str:
    """The name of a model's partition: `m`, `m[a=1]` or `m[a=1,b=x]`; without values that of its pool, `m[*]`.

    A column or value that is empty or holds a space, comma, bracket, equals sign, quote, backslash,
    wildcard or unprintable character is written as a JSON string.
    """
    if columns and not values:
        return pool_name(model)
    pairs = (f"{quoted(column)}={quoted(value)}" for column, value in zip(columns, values, strict=True))
    return f"{model}[{','.join(pairs)}]" if columns else model


def pool_name(model: str) -> str:
    """The name of a model's pool."""
    return model + POOL


def is_pool(name: str) -> bool:
    """True for the name of a pool; a partition whose value is a star has it in quotes, behind its column."""
    return name.endswith(POOL) and len(name) > len(POOL)


def parse_node_name(text: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    """The model and its (column, value) pairs that a node's name stands for; a pool has no pairs.

    Raises `SelectionError` with the place of the first character that does not belong.
    """
    bracket = text.find("[")
    model = text if bracket < 0 else text[:bracket]
    if not model:
        raise unreadable(text, 0, "expected the name of a model")
    if bracket < 0 or text[bracket:] == POOL:
        return model, ()
    values, end = read_partition(text, bracket)
    if end != len(text):
        raise unreadable(text, end, "nothing may follow the closing bracket")
    return model, tuple((each.column, each.value) for each in values)


def read_partition(text: str, start: int) -> tuple[tuple[PartitionValue, ...], int]:
    """The values between the bracket at `start` and its partner, and the position after that partner.

    Raises `SelectionError` if the text there is not `[column=value,...]`.
    """
    values: list[PartitionValue] = []
    position = start
    while True:
        begin = position + 1
        column, _, position = _read_word(text, begin, "a column")
        if text[position : position + 1] != "=":
            raise unreadable(
                text, position, f"expected '=' after the column {column!r}, as in [{column}=value]"
            )
        value, quoted, position = _read_word(text, position + 1, "a value")
        values.append(PartitionValue(column=column, value=value, quoted=quoted, position=begin))
        match text[position : position + 1]:
            case ",":
                continue
            case "]":
                return tuple(values), position + 1
            case "":
                raise unreadable(text, start, "this bracket is never closed")
            case _:
                raise unreadable(
                    text, position, "expected ',' or ']' here; quote a value that holds this character"
                )


def unreadable(text: str, position: int, message: str, next_step: str = "") -> SelectionError:
    """The error for a text that cannot be understood, with a caret under the place."""
    shown = "".join(character if character.isprintable() else "\ufffd" for character in text)
    return SelectionError(f"{message}\n    {shown}\n    {' ' * position}^", next_step)


def quoted(text: str) -> str:
    """A column or value as it stands in a node's name: see `node_name`."""
    if text and text.isprintable() and _NEEDS_QUOTES.isdisjoint(text):
        return text
    return json.dumps(text, ensure_ascii=not text.isprintable())


def _read_word(text: str, start: int, what: str) -> tuple[str, bool, int]:
    """A bare or quoted word: its value, whether it was quoted, and the position after it."""
    if text[start : start + 1] == '"':
        try:
            value, end = json.JSONDecoder(strict=False).raw_decode(text, start)
        except ValueError:
            raise unreadable(text, start, f"this is not {what} in JSON's double quotes") from None
        return str(value), True, end
    end = start
    while end < len(text) and text[end] not in " \t\n,[]=\"'\\":
        end += 1
    if end == start:
        raise unreadable(text, start, f"expected {what} here")
    return text[start:end], False, end
