"""What a cleaning of a store found and did, as a document and as text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from retraining.manifest.values import Json
from retraining.reporting.grouping import wrapped
from retraining.reporting.paint import Paint, plain
from retraining.reporting.text import format_duration, format_size, plural

__all__ = ["Cleaning", "cleaning_text"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleaning:
    """One look of gc: objects are sizes in bytes by key; `acted` is False for a dry run.

    `sequence` is the log entry that the cleaning made, None where it made none.
    """

    store: str
    acted: bool
    sequence: int | None
    grace_seconds: float
    kept: Sequence[int]
    dropped: Sequence[int]
    condemned: Mapping[str, int]
    deleted: Mapping[str, int]
    waiting: Mapping[str, int]
    temporaries: Mapping[str, int]

    def to_json(self) -> dict[str, Json]:
        """The cleaning as a document."""
        return {
            "store": self.store,
            "dry_run": not self.acted,
            "sequence": self.sequence,
            "grace_seconds": self.grace_seconds,
            "kept_releases": [*sorted(self.kept)],
            "dropped_releases": [*sorted(self.dropped)],
            "condemned": _objects_json(self.condemned),
            "deleted": _objects_json(self.deleted),
            "waiting": _objects_json(self.waiting),
            "temporaries": _objects_json(self.temporaries),
        }


def cleaning_text(found: Cleaning, *, paint: Paint = plain) -> str:
    """The cleaning for people: what is kept, what goes now, what goes later."""
    grace = format_duration(found.grace_seconds)
    done = found.acted
    lines = [("keeps" if not done else "kept", _releases(found.kept, "nothing is released yet"))]
    if found.dropped:
        lines.append(("drops" if not done else "dropped", _releases(found.dropped, "")))
    lines.append(("condemns" if not done else "condemned", _objects(found.condemned)))
    lines.append(
        ("deletes" if not done else "deleted", f"{_objects(found.deleted)}, condemned at least {grace} ago")
    )
    if found.waiting:
        lines.append(("waits", f"{_objects(found.waiting)}, condemned less than {grace} ago"))
    if found.temporaries:
        lines.append(
            ("left over", f"{_objects(found.temporaries)} of killed writers{', deleted' if done else ''}")
        )
    indent = " " * 11
    text = []
    for word, what in lines:
        first, *rest = wrapped(what, indent, indent)
        text += [paint("name", word.ljust(9)) + first[9:], *rest]
    if found.condemned:
        when = f"a gc that runs at least {grace} later" if found.grace_seconds else "the next gc"
        text.append(paint("quiet", f"what is condemned now is deleted by {when}"))
    if not done:
        text.append(paint("quiet", "dry run, nothing was changed: --yes does it"))
    return "\n".join(text) + "\n"


def _releases(numbers: Sequence[int], nothing: str) -> str:
    if not numbers:
        return nothing
    first, last = min(numbers), max(numbers)
    return f"release {first}" if first == last else f"releases {first} to {last}"


def _objects(sizes: Mapping[str, int]) -> str:
    if not sizes:
        return "nothing"
    kinds = Counter(key.partition("/")[0] for key in sizes)
    parts = ", ".join(f"{number:,} in {kind}/" for kind, number in sorted(kinds.items()))
    return f"{plural(len(sizes), 'object')}, {format_size(sum(sizes.values()))} ({parts})"


def _objects_json(sizes: Mapping[str, int]) -> dict[str, Json]:
    return {"objects": len(sizes), "bytes": sum(sizes.values()), "keys": [*sorted(sizes)]}
