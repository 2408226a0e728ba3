"""A model as it was read: its own fields, and the defaults behind them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from retraining.manifest.nodes import Node, SequenceNode
from retraining.manifest.records import Field, Reading

__all__ = ["ModelReading"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelReading:
    """A model as it was read, with the manifest's defaults behind it."""

    name: str
    own: Reading
    defaults: Reading | None

    def value(self, wanted: Field[T]) -> T | None:
        """The model's own value, else that of the defaults, else None."""
        source = self.source(wanted)
        return source.value(wanted) if source else None

    def source(self, wanted: Field[T]) -> Reading | None:
        """The reading that writes the field: the model, else the defaults; None where neither does."""
        if self.own.has(wanted):
            return self.own
        return self.defaults if self.defaults and self.defaults.has(wanted) else None

    def refused(self, wanted: Field[T]) -> bool:
        """Whether the field is written and was refused."""
        source = self.source(wanted)
        return source is not None and source.refused(wanted)

    def spot(self, wanted: Field[T], item: int | None = None) -> tuple[Node | tuple[int, int], str]:
        """Where the field stands, or one item of its list; the model itself where it is not written."""
        source = self.source(wanted)
        if source is None:
            return self.own.node.head, self.own.path
        where, path = source.where(wanted), source.at(wanted)
        if item is not None and isinstance(where, SequenceNode):
            return where.items[item], f"{path}[{item}]"
        return where, path
