"""The releases of a store, as values and as text: who made each, when, why, and what it holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from retraining.manifest.values import Json
from retraining.reporting.outcomes import order_of_outcome
from retraining.reporting.paint import Paint, plain
from retraining.reporting.text import format_moment, plural

__all__ = ["ReleaseEntry", "history_text"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseEntry:
    """One release: `outcomes` counts what became of the run's nodes, `reasons` are why any was due.

    `timezone` is the manifest's, in which the time is shown.
    """

    number: int
    time: str
    who: str
    run: str
    manifest: str
    outcomes: Mapping[str, int] = field(default_factory=dict)
    reasons: tuple[str, ...] = ()
    timezone: str = "UTC"

    def to_json(self) -> dict[str, Json]:
        """The release as a document."""
        return {
            "release": self.number,
            "time": self.time,
            "who": self.who,
            "run": self.run,
            "manifest": self.manifest,
            "outcomes": dict(self.outcomes),
            "reasons": list(self.reasons),
        }


def history_text(releases: Sequence[ReleaseEntry], total: int, *, paint: Paint = plain) -> str:
    """The releases, newest first, one line each; `total` says how many the store has."""
    rows = [("release", "when", "who", "what", "why")]
    rows += [
        (str(one.number), format_moment(one.time, one.timezone), one.who, _what(one), ", ".join(one.reasons))
        for one in releases
    ]
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    lines = []
    for index, row in enumerate(rows):
        text = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        lines.append(paint("quiet", text) if index == 0 else text)
    if not releases:
        lines = ["nothing is released yet"]
    elif total > len(releases):
        lines.append(paint("quiet", f"{plural(total - len(releases), 'older release')}; --limit shows more"))
    return "\n".join(lines) + "\n"


def _what(release: ReleaseEntry) -> str:
    ordered = sorted(release.outcomes.items(), key=lambda item: order_of_outcome(item[0]))
    return ", ".join(f"{number:,} {word}" for word, number in ordered)
