"""The section of champions that are measured: a small series for each metric, beside what the gate said."""

from __future__ import annotations

from collections.abc import Iterator

from retraining.reporting.markup import Markup, join, tag
from retraining.reporting.tables import Cell, Column, Row, code, node_cell, number_cell, quiet, table
from retraining.reporting.text import format_number, plural
from retraining.reporting.view import NodeView, RunView, TrackView

__all__ = ["draw_tracks"]

_NOTE = (
    "The champion that the run found, on the rows of each block since its cut, which it had not seen, before anything "
    "was retrained. Hollow points are blocks that its gate fit was judged on; the dashed line is what the gate said."
)
_WIDTH, _HEIGHT, _EDGE = 220.0, 36.0, 6.0
MOST_ROWS = 600


def draw_tracks(run: RunView) -> Markup:
    """The table of measured champions; nothing where none was."""
    found = [
        (node, node.track, metric)
        for node in run.nodes
        if node.track is not None and node.track.blocks
        for metric in node.track.metrics
    ]
    if not found:
        return join([])
    columns = (
        Column(name="Node", kind="node"),
        Column(name="Metric", kind="text"),
        Column(name="When judged", kind="num"),
        Column(name="By block", kind="plot"),
        Column(name="Since its cut", kind="num", note="below it: the rows that count"),
        Column(name="Held against its gate", kind="text checks"),
    )
    rows = [_row(node, track, metric) for node, track, metric in found[:MOST_ROWS]]
    left = len(found) - len(rows)
    more = (
        tag("p", {"class": "quiet"}, f"{plural(left, 'row')} left out; the record has them.") if left else ""
    )
    return join(
        [tag("p", {"class": "note"}, _NOTE), table("Champions since their cuts", columns, rows), more]
    )


def _row(node: NodeView, track: TrackView, metric: str) -> Row:
    before, since = track.judged.get(metric), track.since.get(metric)
    first = metric == track.metrics[0]
    told = track.finding if first else ""
    return Row(
        node=node.name,
        outcome=node.outcome,
        cells=(
            node_cell(node),
            Cell(content=code(metric), sort=metric),
            number_cell("" if before is None else format_number(before), before),
            Cell(content=_series(track, metric), sort=""),
            number_cell("" if since is None else format_number(since), since, plural(track.rows, "row")),
            Cell(content=quiet(told) if told else "", sort=told),
        ),
    )


def _series(track: TrackView, metric: str) -> Markup:
    """The metric block by block as a line with points; its numbers are told to screen readers."""
    points = [(b.name, b.role, b.values[metric]) for b in track.blocks if metric in b.values]
    if not points:
        return join([])
    gate = track.judged.get(metric)
    values = [value for *_, value in points] + ([gate] if gate is not None else [])
    low, high = min(values), max(values)
    span = high - low or abs(high) or 1.0

    def y(value: float) -> float:
        return _HEIGHT - _EDGE - (value - low) / span * (_HEIGHT - 2 * _EDGE)

    step = (_WIDTH - 2 * _EDGE) / max(len(points) - 1, 1)
    places = [(_EDGE + at * step, y(value)) for at, (*_, value) in enumerate(points)]
    parts: list[Markup] = []
    if gate is not None:
        parts.append(tag("path", {"class": "gate", "d": f"M{_EDGE:.0f} {y(gate):.1f}H{_WIDTH - _EDGE:.0f}"}))
    line = "L".join(f"{x:.1f} {at:.1f}" for x, at in places)
    parts.append(tag("path", {"class": "series", "d": f"M{line}"}))
    parts += [*_dots(points, places)]
    told = "; ".join(f"{name}: {format_number(value)}" for name, _, value in points)
    return tag(
        "svg",
        {"class": "track", "viewBox": f"0 0 {_WIDTH:.0f} {_HEIGHT:.0f}", "role": "img", "aria-label": told},
        *parts,
    )


def _dots(points: list[tuple[str, str, float]], places: list[tuple[float, float]]) -> Iterator[Markup]:
    for (name, role, value), (x, y) in zip(points, places, strict=True):
        kind = "dot hollow" if role in ("judged", "before") else "dot"
        title = tag("title", None, f"{name}: {format_number(value)}")
        yield tag("circle", {"class": kind, "cx": f"{x:.1f}", "cy": f"{y:.1f}", "r": 3}, title)
