"""`resources` in the grammar: what a fit asks of a cluster."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from retraining.manifest.composites import MapOf
from retraining.manifest.nodes import Node, ScalarNode
from retraining.manifest.problems import Problems
from retraining.manifest.records import Field, Record
from retraining.manifest.shapes import Definitions, Schema, Shape, Text, refuse

__all__ = ["Amount", "MemoryShape", "Requests"]

_MOST = 1_000_000
_UNITS = {"": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12} | {
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
}
_MEMORY = re.compile(r"([0-9]{1,18}(?:\.[0-9]{1,6})?) ?([KMGT]i?B)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Amount(Shape[float]):
    """How much of a resource: a part of one, or whole ones, which is how Ray counts them."""

    positive: bool = False

    def read(self, node: Node, path: str, problems: Problems) -> float | None:
        """The amount."""
        value = node.value if isinstance(node, ScalarNode) else None
        expected = "a number above 0" if self.positive else "a number of 0 or more"
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _MOST:
            refuse(node, path, problems, expected)
            return None
        if self.positive and value == 0:
            refuse(node, path, problems, expected, "leave the line out")
            return None
        if value > 1 and value != int(value):
            refuse(node, path, problems, "a part of one, or a whole number", f"write {round(value)}")
            return None
        return float(value)

    def schema(self, definitions: Definitions) -> Schema:
        """A number up to 1, or a whole one."""
        bound = "exclusiveMinimum" if self.positive else "minimum"
        part: Schema = {"type": "number", bound: 0, "maximum": 1}
        return {"anyOf": [part, {"type": "integer", "minimum": 1, "maximum": _MOST}]}


@dataclass(frozen=True, slots=True)
class MemoryShape(Shape[int]):
    """A number of bytes, or one with a unit."""

    def read(self, node: Node, path: str, problems: Problems) -> int | None:
        """The bytes."""
        found = _MEMORY.fullmatch(node.text) if isinstance(node, ScalarNode) else None
        size = int(float(found[1]) * _UNITS[found[2] or ""]) if found else 0
        if not found or (not found[2] and "." in found[1]) or not 0 < size < 2**62:
            refuse(node, path, problems, "bytes, or a size such as 500MB or 4GiB")
            return None
        return size

    def schema(self, definitions: Definitions) -> Schema:
        """A number or text."""
        pattern = f"^{_MEMORY.pattern}$"
        return {"anyOf": [{"type": "integer", "minimum": 1}, {"type": "string", "pattern": pattern}]}


class Requests:
    """The fields of `resources`."""

    CPUS: Final = Field(name="cpus", shape=Amount(positive=True), about="CPUs", default="1")
    MEMORY: Final = Field(
        name="memory",
        shape=MemoryShape(),
        about="Memory: bytes, or with a unit as in 4GiB",
        default="not asked for",
    )
    GPUS: Final = Field(name="gpus", shape=Amount(), about="GPUs", default="0")
    CUSTOM: Final = Field(
        name="custom",
        shape=MapOf(
            names=Text(longest=200),
            value=Amount(positive=True),
            expected="a mapping from resources to amounts",
        ),
        about="Resources that the cluster's nodes were started with",
        default="none",
    )
    RECORD: Final = Record(name="resources", what="resources", fields=(CPUS, MEMORY, GPUS, CUSTOM), minimum=1)
