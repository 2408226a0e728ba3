"""The releases of a store, as values and as text: who made each, when, why, and what it holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from retraining.manifest.values import Json
from retraining.reporting.grouping import list_nodes, wrapped
from retraining.reporting.outcomes import order_of_outcome
from retraining.reporting.paint import Paint, plain
from retraining.reporting.text import format_moment, plural

__all__ = ["CommitEntry", "ReleaseEntry", "history_text"]

_INDENT = "         "


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseEntry:
    """One release: `outcomes` counts what became of the run's nodes, `reasons` are why any was due.

    `kind` is `release` or `rollback`; a rollback has the release that it `restored`, and `pruned` counts
    nodes that were forgotten. `because` is what a person said. `nodes` are the first of the `changed` nodes
    that got another version. `entry` is the number of its log entry. `kept` is False where gc has dropped it.
    `timezone` is the manifest's, in which the time is shown. `feedback_through` is the last batch
    of late labels that was seen (0: there was none).
    """

    number: int
    time: str
    who: str
    run: str
    manifest: str
    outcomes: Mapping[str, int] = field(default_factory=dict)
    reasons: tuple[str, ...] = ()
    timezone: str = "UTC"
    kind: str = "release"
    because: str = ""
    restored: int | None = None
    nodes: tuple[str, ...] = ()
    changed: int = 0
    pruned: int = 0
    kept: bool = True
    entry: int = 0
    feedback_through: int = 0

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
            "kind": self.kind,
            "because": self.because or None,
            "restored": self.restored,
            "changed": self.changed,
            "pruned": self.pruned,
            "nodes": list(self.nodes),
            "kept": self.kept,
            "entry": self.entry,
            "feedback_through": self.feedback_through,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitEntry:
    """One log entry that made no release: a pin, a run that released nothing, house keeping.

    `what` says in words what it did, to the first `nodes`; `because` is what a person said.
    """

    entry: int
    kind: str
    time: str
    who: str
    run: str
    what: str
    because: str = ""
    nodes: tuple[str, ...] = ()
    changed: int = 0
    timezone: str = "UTC"

    def to_json(self) -> dict[str, Json]:
        """The entry as a document."""
        return {
            "entry": self.entry,
            "kind": self.kind,
            "time": self.time,
            "who": self.who,
            "run": self.run,
            "what": self.what,
            "because": self.because or None,
            "nodes": list(self.nodes),
            "changed": self.changed,
        }


def history_text(
    releases: Sequence[ReleaseEntry],
    total: int,
    commits: Sequence[CommitEntry] = (),
    *,
    paint: Paint = plain,
) -> str:
    """The releases, newest first: a line each, and below it what changed and what a person said.

    `total` says how many the store has. `commits` stand between them, without a number.
    """
    entries: list[ReleaseEntry | CommitEntry] = [*releases, *commits]
    if commits:
        entries.sort(key=lambda one: -one.entry)
    rows = [("release", "when", "who", "what", "why"), *map(_row, entries)]
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    lines = []
    for index, row in enumerate(rows):
        text = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        lines.append(paint("quiet", text) if index == 0 else text)
        if index:
            lines += _below(entries[index - 1])
    if not entries:
        lines = ["nothing is released yet"]
    elif total > len(releases):
        lines.append(paint("quiet", f"{plural(total - len(releases), 'older release')}; --limit shows more"))
    return "\n".join(lines) + "\n"


def _row(one: ReleaseEntry | CommitEntry) -> tuple[str, str, str, str, str]:
    when = format_moment(one.time, one.timezone)
    if isinstance(one, CommitEntry):
        return "", when, one.who, one.what, ""
    return str(one.number), when, one.who, _what(one), ", ".join(one.reasons)


def _below(release: ReleaseEntry | CommitEntry) -> list[str]:
    """Which nodes an entry changed, and why a person made it."""
    more = release.changed - len(release.nodes)
    named = list_nodes(release.nodes) + (f" and {more:,} more" if more > 0 else "")
    lines = wrapped(named, _INDENT, _INDENT + "  ") if release.nodes else []
    if isinstance(release, ReleaseEntry) and release.feedback_through:
        lines = [*lines, f"{_INDENT}late labels up to batch {release.feedback_through}"]
    if isinstance(release, ReleaseEntry) and not release.kept:
        lines = [*lines, f"{_INDENT}no longer kept (gc)"]
    return lines + (
        wrapped(f"because: {release.because}", _INDENT, _INDENT + "  ") if release.because else []
    )


def _what(release: ReleaseEntry) -> str:
    if release.pruned:
        return f"{release.pruned:,} pruned"
    if release.restored is not None:
        return f"back to release {release.restored}"
    ordered = sorted(release.outcomes.items(), key=lambda item: order_of_outcome(item[0]))
    return ", ".join(f"{number:,} {word}" for word, number in ordered)
