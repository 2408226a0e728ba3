"""Shapes made of shapes: lists, mappings, and a choice between a short form and a mapping."""

from __future__ import annotations

import math
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

from retraining.manifest.nodes import (
    MappingNode,
    Node,
    ScalarNode,
    SequenceNode,
    child_path,
    describe,
    plain,
    shortened,
)
from retraining.manifest.problems import Problems
from retraining.manifest.shapes import Definitions, Schema, Shape, refuse
from retraining.manifest.values import Json

__all__ = ["Either", "Item", "JsonMapping", "ListOf", "MapOf"]

A_co = TypeVar("A_co", covariant=True)
B_co = TypeVar("B_co", covariant=True)
T_co = TypeVar("T_co", covariant=True)
H_co = TypeVar("H_co", bound=Hashable, covariant=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class ListOf(Shape[tuple[H_co, ...]]):
    """A list of different values of one shape.

    `as_written`: items differ where their texts do, which a schema cannot say (`1` and `1.0`).
    """

    item: Shape[H_co]
    expected: str
    minimum: int = 0
    as_written: bool = False

    def read(self, node: Node, path: str, problems: Problems) -> tuple[H_co, ...] | None:
        """The values in order; None if any is refused."""
        if not isinstance(node, SequenceNode):
            wrap = isinstance(node, ScalarNode) and node.value is not None
            next_step = (
                f"write [{shortened(node.text)}]" if isinstance(node, ScalarNode) and wrap else "write [a, b]"
            )
            refuse(node, path, problems, f"a list of {self.expected}", next_step)
            return None
        if len(node.items) < self.minimum:
            refuse(node, path, problems, f"a list of at least {self.minimum} {self.expected}")
            return None
        values: dict[H_co, int] = {}
        complete = True
        for position, item in enumerate(node.items):
            value = self.item.read(item, f"{path}[{position}]", problems)
            if value is None:
                complete = False
            elif value in values:
                first = values[value]
                found = f"{describe(item)} is already item {first} of this list"
                problems.add(item, f"{path}[{position}]", found, "remove one of the two")
                complete = False
            else:
                values[value] = position
        return tuple(values) if complete else None

    def schema(self, definitions: Definitions) -> Schema:
        """An array."""
        array: Schema = {"type": "array", "items": self.item.schema(definitions), "minItems": self.minimum}
        return array if self.as_written else {**array, "uniqueItems": True}


@dataclass(frozen=True, slots=True, kw_only=True)
class Item(Generic[T_co]):
    """One entry of a mapping: its key, its node, and its value, None where that was refused."""

    key: ScalarNode
    node: Node
    value: T_co | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MapOf(Shape[dict[str, Item[T_co]]]):
    """A mapping from names to values of one shape; `names` is the shape of its keys."""

    names: Shape[str]
    value: Shape[T_co]
    expected: str
    minimum: int = 0

    def read(self, node: Node, path: str, problems: Problems) -> dict[str, Item[T_co]] | None:
        """The entries in order, those with a refused value too; entries with a refused name are left out."""
        if not isinstance(node, MappingNode) or len(node.entries) < self.minimum:
            refuse(node, path, problems, self.expected)
            return None
        items: dict[str, Item[T_co]] = {}
        for entry in node.entries:
            at = child_path(path, entry.key.text)
            name = self.names.read(entry.key, at, problems)
            value = self.value.read(entry.node, at, problems)
            if name is not None:
                items[name] = Item(key=entry.key, node=entry.node, value=value)
        return items

    def schema(self, definitions: Definitions) -> Schema:
        """An object with names of one's own."""
        return {
            "type": "object",
            "propertyNames": self.names.schema(definitions),
            "additionalProperties": self.value.schema(definitions),
            "minProperties": self.minimum,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Either(Shape[A_co | B_co]):
    """A scalar or list of one shape, or a mapping of another."""

    short: Shape[A_co]
    mapping: Shape[B_co]

    def read(self, node: Node, path: str, problems: Problems) -> A_co | B_co | None:
        """The value of the shape that the node's kind chooses."""
        if isinstance(node, MappingNode):
            return self.mapping.read(node, path, problems)
        return self.short.read(node, path, problems)

    def schema(self, definitions: Definitions) -> Schema:
        """Any of the two."""
        return {"anyOf": [self.short.schema(definitions), self.mapping.schema(definitions)]}


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonMapping(Shape[dict[str, Json]]):
    """A mapping whose values are anything that JSON can hold."""

    expected: str

    def read(self, node: Node, path: str, problems: Problems) -> dict[str, Json] | None:
        """The mapping as plain values."""
        if not isinstance(node, MappingNode):
            refuse(node, path, problems, self.expected, "write {name: value}, or leave the line out")
            return None
        sound = [_finite(entry.node, child_path(path, entry.key.text), problems) for entry in node.entries]
        return {entry.key.text: plain(entry.node) for entry in node.entries} if all(sound) else None

    def schema(self, definitions: Definitions) -> Schema:
        """An object."""
        return {"type": "object"}


def _finite(node: Node, path: str, problems: Problems) -> bool:
    """Whether every number in the tree is finite; the first that is not is noted."""
    match node:
        case ScalarNode(value=float() as value) if not math.isfinite(value):
            refuse(node, path, problems, "a finite number", "leave the parameter at its default")
            return False
        case SequenceNode(items=items):
            return all(_finite(item, f"{path}[{i}]", problems) for i, item in enumerate(items))
        case MappingNode(entries=entries):
            return all(_finite(e.node, child_path(path, e.key.text), problems) for e in entries)
        case _:
            return True
