"""What an audit finds, as values: leaks, and what no record proves."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from retraining.manifest.values import Json

Leak: TypeAlias = Literal["label", "availability"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """One leak: where it is, the fits that learnt from it (empty: it was only predicted from), and what leaked."""

    leak: Leak
    node: str
    version: str
    upstream: str | None
    column: str | None
    cell: str
    fit: str
    text: str

    def to_json(self) -> dict[str, Json]:
        """The finding as a document."""
        return {
            "leak": self.leak,
            "node": self.node,
            "version": self.version,
            "upstream": self.upstream,
            "column": self.column,
            "cell": self.cell,
            "fit": self.fit,
            "text": self.text,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """What cannot be proven, since a record is missing or contradicts another."""

    node: str
    version: str
    text: str

    def to_json(self) -> dict[str, Json]:
        """The finding as a document."""
        return {"node": self.node, "version": self.version, "text": self.text}


@dataclass(slots=True, kw_only=True)
class Audit:
    """What was checked, and what was found.

    `versions` counts released and upstream versions, `fits` what they were trained by, `edges` pairs of
    nodes, `cells` the blocks or folds of a reader that one piece fed, `rows` the rows of all fits.
    """

    nodes: int = 0
    versions: int = 0
    fits: int = 0
    edges: int = 0
    cells: int = 0
    predictions: int = 0
    rows: int = 0
    violations: list[Violation] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)

    @property
    def proven(self) -> bool:
        """True where everything was recorded and nothing leaks."""
        return not self.violations and not self.gaps
