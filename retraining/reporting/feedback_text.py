"""Late labels as values and as text: what became of those that were added, the batches, the story of one key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from retraining.manifest.values import Json
from retraining.reporting.grouping import wrapped
from retraining.reporting.paint import Paint, plain
from retraining.reporting.text import format_count, format_moment, plural

__all__ = ["BatchLine", "RecordLine", "added_text", "batches_text", "records_text"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchLine:
    """One batch: how many rows of which dataset, and when their labels were known; `time` and `who` brought it."""

    batch: int
    dataset: str
    rows: int
    retracted: int
    labels: tuple[str, ...]
    known_from: str
    known_through: str
    time: str
    who: str
    bytes: int
    signed: bool

    def to_json(self) -> dict[str, Json]:
        """The batch as a document."""
        return {
            "batch": self.batch,
            "dataset": self.dataset,
            "rows": self.rows,
            "retracted": self.retracted,
            "labels": list(self.labels),
            "known_from": self.known_from,
            "known_through": self.known_through,
            "time": self.time,
            "who": self.who,
            "bytes": self.bytes,
            "signed": self.signed,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordLine:
    """What one batch said of a key: `labels` by column (None: there is none), and what they `was` before.

    `counts` are the columns whose label this is now.
    """

    batch: int
    revision: int
    op: str
    labels: Mapping[str, str | None]
    was: Mapping[str, str | None]
    counts: tuple[str, ...]
    known_at: str
    source: str
    added: str
    who: str

    def to_json(self) -> dict[str, Json]:
        """The record as a document."""
        return {
            "batch": self.batch,
            "revision": self.revision,
            "op": self.op,
            "labels": dict(self.labels),
            "was": dict(self.was),
            "counts": list(self.counts),
            "known_at": self.known_at,
            "source": self.source or None,
            "added": self.added,
            "who": self.who,
        }


def added_text(
    dataset: str,
    batch: int | None,
    *,
    existing: bool,
    given: int,
    came: int,
    corrected: int,
    retracted: int,
    unchanged: int,
    unknown: int,
    outdated: int,
    paint: Paint = plain,
) -> str:
    """What became of labels that were added; `batch` None: they said nothing new."""
    if existing:
        head = paint("title", f"batch {batch} holds these {plural(given, 'label')} of {dataset} already")
        later = ""
        if outdated:
            said = f"a later batch says something else of {format_count(outdated)} of them, and that counts"
            later = "\n".join(wrapped(said, "  ", "  ")) + "\n"
        once_more = "to say the same once more, give it a `revision` or another `source`"
        return f"{head}: nothing was stored\n{later}  {once_more}\n"
    if batch is None:
        return f"{paint('title', f'nothing new for {dataset}')}: {_unchanged(given)}\n"
    lines = [
        paint(
            "title",
            f"batch {batch} of late labels: {plural(came + corrected + retracted, 'row')} of {dataset}",
        )
    ]
    counts = (
        (came, "brought a label"),
        (corrected, "replaced one"),
        (retracted, "took one away"),
    )
    lines += [f"  {format_count(count):>9}  {what}" for count, what in counts if count]
    if unchanged:
        lines.append(f"  {_unchanged(unchanged)}, and left out")
    if unknown:
        lines += wrapped(
            f"{plural(unknown, 'key')} of them {'is' if unknown == 1 else 'are'} in no row of {dataset} yet: "
            "they count when it is there",
            "  ",
            "  ",
        )
    return "\n".join(lines) + "\n"


def _unchanged(count: int) -> str:
    return f"{plural(count, 'row')} {'says' if count == 1 else 'say'} what is known already"


def batches_text(batches: Sequence[BatchLine], *, paint: Paint = plain) -> str:
    """The batches, the newest first: two lines each."""
    if not batches:
        return "no late labels yet: `retrain feedback add` brings some\n"
    lines = [paint("title", f"{plural(len(batches), 'batch', 'batches')} of late labels, newest first")]
    width = len(str(batches[0].batch))
    for one in batches:
        taken = f", {format_count(one.retracted)} of them taken away" if one.retracted else ""
        lines.append(
            f"{one.batch:>{width + 2}}  {one.dataset}: {plural(one.rows, 'row')} of {', '.join(one.labels)}{taken}"
        )
        known = (
            f"known {format_moment(one.known_from)}"
            if one.known_from == one.known_through
            else f"known {format_moment(one.known_from)} to {format_moment(one.known_through)}"
        )
        lines.append(f"{'':{width + 4}}{known}; added {format_moment(one.time)} by {one.who}")
    return "\n".join(lines) + "\n"


def records_text(key: Mapping[str, str], records: Sequence[RecordLine], *, paint: Paint = plain) -> str:
    """The story of one key, the oldest first; the record that counts is marked."""
    named = ", ".join(f"{name}={value}" for name, value in key.items())
    lines = [paint("title", f"{named}: {plural(len(records), 'record')}")]
    for one in records:
        mark = "*" if one.counts else " "
        said = ", ".join(
            f"{name} {'none' if value is None else value}"
            + ("" if one.was[name] is None else f" (was {one.was[name]})")
            for name, value in one.labels.items()
        )
        lines.append(f" {mark} revision {one.revision}, batch {one.batch}: {said}")
        source = f"; from {one.source}" if one.source else ""
        lines.append(
            f"   known {format_moment(one.known_at)}; added {format_moment(one.added)} by {one.who}{source}"
        )
    lines.append("   * the label that counts now")
    return "\n".join(lines) + "\n"
