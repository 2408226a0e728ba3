"""How a champion does on what came after it, from its document to lines of text."""

from __future__ import annotations

from collections.abc import Mapping

from retraining.reporting.grouping import wrapped
from retraining.reporting.parts import Part
from retraining.reporting.text import format_number, format_signed, plural
from retraining.reporting.view import TrackBlock, TrackView

__all__ = ["read_track", "track_text"]

_ROLES = {"judged": "judged", "before": "before", "since": "since"}
# of a long series the newest; the document has all
_MOST_BLOCKS = 16


def read_track(part: Part) -> TrackView | None:
    """The performance that a document tells; None where it tells none."""
    if not part.raw:
        return None
    return TrackView(
        metrics=part.texts("metrics"),
        blocks=tuple(map(_block, part.parts("blocks"))),
        judged=part.numbers("judged"),
        since=part.numbers("since"),
        rows=part.count("rows") or 0,
        days=part.count("days"),
        since_from=part.text("since_from"),
        finding=_finding(part),
        pending=part.count("pending") or 0,
        lost=part.count("lost") or 0,
        error=part.text("error"),
    )


def _block(part: Part) -> TrackBlock:
    days = f"{part.text('from')} to {part.text('to')}"
    dated = bool(part.text("from"))
    return TrackBlock(
        name=days if dated else f"fold {part.text('fold')}",
        role=_ROLES.get(part.text("role"), "") if dated else "",
        rows=part.count("rows") or 0,
        labelled=part.count("labelled") or 0,
        values=part.numbers("values"),
    )


def _finding(part: Part) -> str:
    """What the comparison with the gate came to."""
    if part.text("not_compared"):
        return f"cannot be compared with its gate: {part.text('not_compared')}"
    found = part.part("worsening")
    difference, lower, margin = found.number("difference"), found.number("lower"), found.number("margin")
    if difference is None or lower is None or margin is None:
        return ""
    word = "worse than its gate said" if lower > margin else "not shown to be worse than its gate said"
    return (
        f"{word}: difference in loss of {found.text('metric')} {format_signed(difference)}, "
        f"95% bound {format_signed(lower)}, the margin is {format_number(margin, 3)}"
    )


def track_text(track: TrackView) -> list[str]:
    """The series as lines: each block, then all together, then what is missing."""
    told = []
    shown = track.blocks[-_MOST_BLOCKS:]
    if len(shown) < len(track.blocks):
        told.append(f"(the last {len(shown)} of {len(track.blocks)} blocks)")
    for block in shown:
        values = _values(track, block.values) or "labels are not mature yet"
        role = f"{block.role:<6} " if block.role else ""
        told.append(f"{role}{block.name}: {plural(block.rows, 'row')}, {values}")
    if track.judged:
        told.append(f"in all when it was judged: {_values(track, track.judged)}")
    if track.since:
        where = plural(track.rows, "row") + (f" of {plural(track.days, 'day')}" if track.days else "")
        when = f"since {track.since_from}" if track.since_from else "now"
        told.append(f"in all {when}: {where}, {_values(track, track.since)}")
    if track.finding:
        told.append(track.finding)
    if track.error:
        told.append(f"could not be measured: {track.error}")
    elif track.pending:
        blocks = plural(track.pending, "block")
        told.append(f"{blocks} not measured yet: `retrain run` measures before it decides")
    if track.lost:
        told.append(f"the predictions of {plural(track.lost, 'earlier block')} are no longer in the store")
    head = "measured on blocks that came after it:" if track.since_from or not track.since else "measured:"
    lines = [line for one in told for line in wrapped(one, "  ", "    ")]
    return [head, *lines] if lines else []


def _values(track: TrackView, values: Mapping[str, float]) -> str:

    return ", ".join(f"{name} {format_number(values[name])}" for name in track.metrics if name in values)
