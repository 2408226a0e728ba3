"""The shape of an entry of `metrics`: a name of the closed table, or a callable of the user's own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, cast

from retraining.manifest.nodes import MappingNode, Node, ScalarNode
from retraining.manifest.own import is_own
from retraining.manifest.problems import Problems
from retraining.manifest.records import Field, Record
from retraining.manifest.shapes import Choice, Definitions, Schema, Shape
from retraining.manifest.values import OwnMetric
from retraining.manifest.words import METRIC_SHAPE, OWN_SHAPE

__all__ = ["LimitName", "MetricShape", "OwnMetrics"]


class OwnMetrics:
    """The fields of a metric of the user's own."""

    TYPE: Final = Field(
        name="type",
        shape=OWN_SHAPE,
        about="The function, called with labels, predictions and, where rows have weights, sample_weight",
        required=True,
    )
    BETTER: Final = Field(
        name="better",
        shape=Choice(options=("lower", "higher")),
        about="Which values are better",
        required=True,
    )
    NEEDS: Final = Field(
        name="needs",
        shape=Choice(options=("value", "labels", "probabilities")),
        about="What it compares with the labels: predicted numbers, predicted classes, or probabilities",
        required=True,
    )
    RECORD: Final = Record(name="own_metric", what="a metric of your own", fields=(TYPE, BETTER, NEEDS))


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricShape(Shape[str | OwnMetric]):
    """The name of a metric, or a mapping that names a callable and says how it is read."""

    def read(self, node: Node, path: str, problems: Problems) -> str | OwnMetric | None:
        """The name, or the metric of one's own."""
        if not isinstance(node, MappingNode):
            if isinstance(node, ScalarNode) and is_own(node.text):
                step = f"write {{type: {node.text}, better: lower, needs: value}}"
                problems.add(node, path, "a metric of your own says how it is read", step)
                return None
            return METRIC_SHAPE.read(node, path, problems)
        reading = OwnMetrics.RECORD.read(node, path, problems)
        if reading is None:
            return None
        values = [reading.value(wanted) for wanted in (OwnMetrics.TYPE, OwnMetrics.BETTER, OwnMetrics.NEEDS)]
        if None in values or not reading.complete:
            return None
        return OwnMetric(
            type=cast("str", values[0]),
            better=cast("Literal['lower', 'higher']", values[1]),
            needs=cast("Literal['value', 'labels', 'probabilities']", values[2]),
        )

    def schema(self, definitions: Definitions) -> Schema:
        """Any of the two."""
        return {"anyOf": [METRIC_SHAPE.schema(definitions), OwnMetrics.RECORD.schema(definitions)]}


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitName(Choice):
    """The name of a metric under `limits`; a callable of one's own must be listed under `metrics`."""

    def read(self, node: Node, path: str, problems: Problems) -> str | None:
        """The name."""
        if isinstance(node, ScalarNode) and is_own(node.text):
            return OWN_SHAPE.read(node, path, problems)
        return Choice.read(self, node, path, problems)

    def schema(self, definitions: Definitions) -> Schema:
        """An enumeration, or a callable."""
        return {"anyOf": [Choice.schema(self, definitions), OWN_SHAPE.schema(definitions)]}
