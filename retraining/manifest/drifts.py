"""The condition `drift`: which columns are looked at, and how large a drift has to be."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from retraining.manifest.nodes import MappingNode, Node, ScalarNode
from retraining.manifest.problems import Problems
from retraining.manifest.records import Field, Record
from retraining.manifest.shapes import Choice, Definitions, Number, Schema, Shape
from retraining.manifest.values import DriftColumn, DriftCondition

__all__ = ["DriftShape", "refuse_by_folds"]

_COLUMNS: Final[tuple[DriftColumn, ...]] = ("loss", "prediction", "inputs")


class Drifts:
    """The fields of `drift`."""

    COLUMN: Final = Field(
        name="column",
        shape=Choice(options=_COLUMNS),
        about="What is compared with the champion's training blocks: its loss, its predictions, or what it reads",
        required=True,
    )
    PSI: Final = Field(
        name="psi",
        shape=Number(minimum=0),
        about="The smallest population stability index that counts; of a loss the smallest relative change",
        default="0.2; for `loss` the gate's margin",
    )
    RECORD: Final = Record(name="drift_condition", what="`drift`", fields=(COLUMN, PSI))


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftShape(Shape[DriftCondition]):
    """A column and, if it is written, the smallest drift that counts."""

    def read(self, node: Node, path: str, problems: Problems) -> DriftCondition | None:
        """The condition."""
        if isinstance(node, ScalarNode) and node.text in _COLUMNS:
            problems.add(node, path, "`drift` needs settings", f"write {{column: {node.text}}}")
            return None
        before = len(problems)
        reading = Drifts.RECORD.read(node, path, problems)
        if reading is None or len(problems) > before:
            return None
        column = next((one for one in _COLUMNS if one == reading.value(Drifts.COLUMN)), None)
        return None if column is None else DriftCondition(column=column, psi=reading.value(Drifts.PSI))

    def schema(self, definitions: Definitions) -> Schema:
        """An object with a column."""
        return Drifts.RECORD.schema(definitions)


def _places(rule: Node, path: str) -> Iterator[tuple[Node, str]]:
    """Where `drift` is written within a rule."""
    if isinstance(rule, ScalarNode):
        return
    if isinstance(rule, MappingNode):
        for entry in rule.entries:
            if entry.key.text == "drift":
                yield entry.key, f"{path}.drift"
            else:
                yield from _places(entry.node, f"{path}.{entry.key.text}")
        return
    for at, item in enumerate(rule.items):
        yield from _places(item, f"{path}[{at}]")


def refuse_by_folds(rule: Node, path: str, problems: Problems) -> None:
    """Note that rows without a time have no days."""
    for node, place in _places(rule, path):
        found = (
            "`drift` compares days, and the fold scheme has none: which rows are newer is not known, and rows that "
            "are not told apart by time differ by nothing but chance"
        )
        problems.add(
            node,
            place,
            found,
            "give the dataset a `time`, or write `data` or `performance`",
            once="drift by folds",
        )
