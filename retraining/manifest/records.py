"""Mappings with known fields, and what was read from one.

The invariant: a field is declared once, with its shape and its words; reading, the JSON Schema and
the messages that list what is allowed all come from that declaration.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar, cast

from retraining.manifest.nodes import Entry, MappingNode, Node, ScalarNode, child_path, describe, shortened
from retraining.manifest.problems import Problems, listed
from retraining.manifest.shapes import Definitions, Schema, Shape
from retraining.manifest.values import Json

__all__ = ["Field", "Reading", "Record"]

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Field(Generic[T_co]):
    """A field of a record: its name, the shape of its value, what it means, and what its absence means."""

    name: str
    shape: Shape[T_co]
    about: str
    default: str = ""
    required: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What was read from one mapping. A field that is absent or was refused has the value None.

    `complete`: no field was unknown. Else what seems to be absent may only be misspelt.
    """

    node: MappingNode
    path: str
    values: Mapping[str, object]
    nodes: Mapping[str, Node]
    complete: bool

    def value(self, wanted: Field[T]) -> T | None:
        """The field's value."""
        return cast("T | None", self.values.get(wanted.name))

    def has(self, wanted: Field[T]) -> bool:
        """Whether the field is written, with a good value or a refused one."""
        return wanted.name in self.nodes

    def refused(self, wanted: Field[T]) -> bool:
        """Whether the field is written and its value was refused."""
        return wanted.name in self.nodes and self.values.get(wanted.name) is None

    def where(self, wanted: Field[T]) -> Node | tuple[int, int]:
        """The place of the field, or of the whole record where it is not written."""
        return self.nodes.get(wanted.name, self.node.head)

    def at(self, wanted: Field[T]) -> str:
        """The document path of the field."""
        return child_path(self.path, wanted.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Record(Shape[Reading]):
    """A mapping with known fields. `name` is its name in the JSON Schema; `what` names it in messages.

    `hints` say what to do about fields that are not allowed and that people will try.
    """

    name: str
    what: str
    fields: tuple[Field[object], ...]
    hints: Mapping[str, str] = field(default_factory=dict)
    minimum: int = 0

    def read(self, node: Node, path: str, problems: Problems) -> Reading | None:
        """What the mapping says; None if it is no mapping. Refused fields are None in the reading."""
        if not isinstance(node, MappingNode):
            names = listed(wanted.name for wanted in self.fields)
            step = (
                f"fields: {names}"
                if not isinstance(node, ScalarNode) or node.value is not None
                else "write {}"
            )
            if self.minimum or any(wanted.required for wanted in self.fields):
                step = f"fields: {names}"
            problems.add(node, path, f"expected {self.what}; found {describe(node)}", step)
            return None
        known = {wanted.name: wanted for wanted in self.fields}
        values: dict[str, object] = {}
        nodes: dict[str, Node] = {}
        for entry in node.entries:
            wanted = known.get(entry.key.text)
            if wanted is None:
                self._refuse_field(entry, node, path, problems)
            else:
                at = child_path(path, wanted.name)
                nodes[wanted.name] = entry.node
                values[wanted.name] = wanted.shape.read(entry.node, at, problems)
        self._refuse_gaps(node, nodes, path, problems)
        complete = len(nodes) == len(node.entries)
        return Reading(node=node, path=path, values=values, nodes=nodes, complete=complete)

    def _refuse_field(self, entry: Entry, node: MappingNode, path: str, problems: Problems) -> None:
        name = entry.key.text
        written = {other.key.text for other in node.entries}
        allowed = [wanted.name for wanted in self.fields]
        free = [candidate for candidate in allowed if candidate not in written]
        near = self.hints.get(name) or problems.suggestion(name, free, "remove it")
        found = f"unknown field `{shortened(name)}` in {self.what}; allowed: {listed(allowed)}"
        problems.add(entry.key, child_path(path, name), found, near)

    def _refuse_gaps(
        self, node: MappingNode, nodes: Mapping[str, Node], path: str, problems: Problems
    ) -> None:
        if len(node.entries) < self.minimum:
            names = listed(wanted.name for wanted in self.fields)
            problems.add(node, path, f"{self.what} needs at least one of {names}; found none", "write one")
        # A misspelt field was reported; that the right one is missing only follows from it.
        misspelt = len(node.entries) - len(nodes)
        for wanted in self.fields:
            if wanted.required and wanted.name not in nodes:
                if misspelt and self._looks_written(wanted.name, node, nodes, problems):
                    continue
                step = f"add `{wanted.name}`: {wanted.about}"
                problems.add(node.head, path, f"{self.what} has no `{wanted.name}`, which is required", step)

    def _looks_written(
        self, name: str, node: MappingNode, nodes: Mapping[str, Node], problems: Problems
    ) -> bool:
        return any(
            entry.key.text not in nodes and problems.nearest(entry.key.text, [name]) for entry in node.entries
        )

    def schema(self, definitions: Definitions) -> Schema:
        """A reference to this record's definition, which is added if it is not there yet."""
        if self.name not in definitions:
            definitions[self.name] = None  # reserves the place, in the order of the grammar
            properties: dict[str, Json] = {
                wanted.name: _described(wanted, definitions) for wanted in self.fields
            }
            body: Schema = {"type": "object", "properties": properties, "additionalProperties": False}
            required: list[Json] = [wanted.name for wanted in self.fields if wanted.required]
            if required:
                body["required"] = required
            if self.minimum:
                body["minProperties"] = self.minimum
            definitions[self.name] = body
        return {"$ref": f"#/$defs/{self.name}"}


def _described(wanted: Field[object], definitions: Definitions) -> Schema:
    default = f" Default: {wanted.default}." if wanted.default else ""
    return {"description": f"{wanted.about}.{default}", **wanted.shape.schema(definitions)}
