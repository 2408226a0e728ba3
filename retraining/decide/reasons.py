"""Why a node is due, as a value: one fired trigger with its evidence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from retraining.manifest.values import Json

__all__ = ["Reason", "ReasonKind"]

ReasonKind: TypeAlias = Literal[
    "new",
    "failed before",
    "forced",
    "promote",
    "definition",
    "data",
    "upstream",
    "age",
    "schedule",
    "performance",
    "feedback",
    "drift",
    "pair check",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """One fired trigger with its evidence; `text` says it to people."""

    kind: ReasonKind
    text: str
    evidence: Mapping[str, Json] = field(default_factory=dict)

    def to_json(self) -> dict[str, Json]:
        """The reason as a document."""
        return {"kind": self.kind, "text": self.text, "evidence": dict(self.evidence)}
