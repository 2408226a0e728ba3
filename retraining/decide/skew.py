"""Skew of an edge: how far what an upstream serves now is from the column that its reader learnt from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from retraining.decide.evidence import Check
from retraining.decide.wording import counted, finite_or_none
from retraining.manifest.values import Json

__all__ = ["MIN_SKEW_ROWS", "Skew", "Where"]

#: Rows on either side below which a skew is only reported (PSI of a few hundred rows is noise).
MIN_SKEW_ROWS = 500

Where: TypeAlias = Literal["fresh", "holdout", "folds"]
_WHERE: dict[Where, str] = {
    "fresh": "what the shipped upstream gives on fresh rows",
    "holdout": "the holdout, since there are no fresh rows yet",
    "folds": "fits of one fold more, on rows that neither saw",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Skew:
    """The population stability index of one input, of its outputs the largest.

    `where` says what was compared with the column on the newest training rows (fold scheme: with the column by fits
    of one fold less). `learnt_rows` and `compared_rows` have a prediction, `learnt_missing` and
    `compared_missing` have none. `limit` is the edge's `skew`, None where it has none.
    """

    column: str
    output: str
    psi: float | None
    limit: float | None
    where: Where
    learnt_rows: int
    compared_rows: int
    learnt_missing: int = 0
    compared_missing: int = 0
    learnt_from: str | None = None
    compared_from: str | None = None

    @property
    def blocking(self) -> bool:
        """True where the edge has a limit and the rows can tell."""
        enough = min(self.learnt_rows, self.compared_rows) >= MIN_SKEW_ROWS
        return self.limit is not None and self.where != "holdout" and enough

    @property
    def passed(self) -> bool:
        """False where the limit is exceeded, whether that rejects or is only reported."""
        return self.limit is None or self.psi is None or self.psi <= self.limit

    @property
    def note(self) -> str:
        """The numbers in a sentence."""
        if self.psi is None:
            return f"{self.output}: no rows to compare the column with that was learnt from"
        rows = f"{self.learnt_rows:,} and {counted(self.compared_rows, 'row')}"
        text = f"{self.output} shifts by PSI {self.psi:.3f} from what was learnt from to {_WHERE[self.where]}"
        over = f"; `skew` allows {self.limit:g}" if self.limit is not None and not self.passed else ""
        return f"{text} ({rows}){over}" + ("" if self.blocking else " (reported only)")

    def check(self) -> Check:
        """The skew as a check of a verdict."""
        return Check(
            name=f"skew {self.column}",
            value=self.psi,
            limit=self.limit,
            passed=self.passed,
            note=self.note,
            blocking=self.blocking,
        )

    def to_json(self) -> dict[str, Json]:
        """The skew as a document."""
        return {
            "column": self.column,
            "output": self.output,
            "psi": finite_or_none(self.psi),
            "limit": self.limit,
            "where": self.where,
            "learnt_rows": self.learnt_rows,
            "compared_rows": self.compared_rows,
            "learnt_missing": self.learnt_missing,
            "compared_missing": self.compared_missing,
            "learnt_from": self.learnt_from,
            "compared_from": self.compared_from,
            "blocking": self.blocking,
            "passed": self.passed,
            "note": self.note,
        }
