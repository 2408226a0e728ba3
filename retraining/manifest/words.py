"""Shapes of single values that mean something: names, metrics, time zones, partition values."""

from __future__ import annotations

import zoneinfo
from dataclasses import dataclass
from typing import Final

from retraining.manifest.catalog import METRIC_HINTS, METRICS
from retraining.manifest.nodes import Node, SequenceNode, shortened
from retraining.manifest.own import OWN_PATTERN
from retraining.manifest.problems import Problems
from retraining.manifest.shapes import Choice, Definitions, Schema, Shape, Text, Written

__all__ = [
    "COLUMN_SHAPE",
    "ESTIMATOR_TYPE",
    "METRIC_SHAPE",
    "NAME_SHAPE",
    "OWN_SHAPE",
    "EstimatorType",
    "PartitionValue",
    "Timezone",
]

ESTIMATOR_TYPE: Final = "estimator_type"
"""The JSON Schema definition that holds the names of the catalogue."""

NAME_SHAPE: Final = Text(
    expected="a name of letters, digits, _ and - (at most 64, the first a letter or _)",
    pattern=r"^[A-Za-z_][A-Za-z0-9_-]{0,63}$",
)
COLUMN_SHAPE: Final = Text(expected="the name of a column", longest=256)
METRIC_SHAPE: Final = Choice(
    options=tuple(METRICS),
    also=tuple(f"neg_{name}" for name, info in METRICS.items() if not info.greater_is_better),
    hints=METRIC_HINTS,
)
OWN_SHAPE: Final = Text(
    expected="a callable of your own, written package.module:callable", pattern=OWN_PATTERN
)

_VALUE: Final = Written()


@dataclass(frozen=True, slots=True, kw_only=True)
class Timezone(Text):
    """A name of the IANA time zone database."""

    expected: str = "an IANA time zone"

    def read(self, node: Node, path: str, problems: Problems) -> str | None:
        """The name, if the zone exists."""
        name = Text.read(self, node, path, problems)
        if name is None:
            return None
        try:
            zoneinfo.ZoneInfo(name)
        except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
            step = problems.suggestion(name, zoneinfo.available_timezones(), "write it like Europe/Berlin")
            problems.add(node, path, f'there is no time zone "{shortened(name)}"', step)
            return None
        return name


@dataclass(frozen=True, slots=True, kw_only=True)
class EstimatorType(Text):
    """The name of an estimator; the catalogue is asked when the whole model is known."""

    expected: str = "the name of an estimator, such as Ridge or XGBRegressor, or package.module:callable"

    def schema(self, definitions: Definitions) -> Schema:
        """A reference to the names of the catalogue, or a callable."""
        return {"anyOf": [{"$ref": f"#/$defs/{ESTIMATOR_TYPE}"}, OWN_SHAPE.schema(definitions)]}


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionValue(Shape[tuple[str, ...]]):
    """A partition's value as written; with several partition columns a list of one for each."""

    def read(self, node: Node, path: str, problems: Problems) -> tuple[str, ...] | None:
        """One text for each column."""
        items = node.items if isinstance(node, SequenceNode) else (node,)
        texts = [_VALUE.read(item, path, problems) for item in items]
        known = tuple(text for text in texts if text is not None)
        return known if len(known) == len(texts) else None

    def schema(self, definitions: Definitions) -> Schema:
        """A scalar or a list of scalars."""
        one = _VALUE.schema(definitions)
        return {"anyOf": [one, {"type": "array", "items": one}]}
