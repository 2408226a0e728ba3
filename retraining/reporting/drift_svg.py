"""The drift section of the report: each column that conditions look at, with a strip of how far it moved over time.

All strips share one time axis. A cell is a fortnight (or as long as the window was); the darker, the further from the
reference, up to twice the smallest effect that counts. The framed cell is the window that was tested.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Final

from retraining.reporting.drift_view import DriftView, Step
from retraining.reporting.markup import Attributes, Markup, join, tag
from retraining.reporting.tables import Cell, Column, Row, code, disclose, number_cell, quiet, table
from retraining.reporting.text import format_change, format_number, join_words, plural

__all__ = ["draw_drift"]

_WIDTH, _HEIGHT = 260.0, 26.0
_KINDS: Final = {"loss": "loss", "prediction": "predictions", "inputs": "input"}
_NOTE: Final = (
    "The newest days since the champion's cut against days of its training blocks. Whole days are permuted, since "
    "rows of one day are not independent; q is after Benjamini and Hochberg over the scan. A loss that drifts asks to "
    "act, a prediction column to watch, an input informs: seasons move inputs all the time."
)


def draw_drift(found: Sequence[DriftView]) -> Markup:
    """The section's content: what drifts, and below it, folded, what does not; nothing where nothing was looked at."""
    if not found:
        return join([])
    axis = _axis(found)
    moved, calm = [one for one in found if one.drifted], [one for one in found if not one.drifted]
    parts: list[str] = [tag("p", {"class": "note"}, _NOTE)]
    if moved:
        parts.append(_table("Columns that drift", moved, axis))
    else:
        parts.append(tag("p", None, f"Nothing drifts: {plural(len(calm), 'column')} looked at."))
    if calm:
        drawn = _table("Columns that do not drift", calm, axis)
        parts.append(disclose(f"Show {plural(len(calm), 'column')} that do not drift", drawn))
    return join(parts)


def _table(caption: str, found: Sequence[DriftView], axis: tuple[int, int]) -> Markup:
    columns = (
        Column(name="Column", kind="node"),
        Column(name="Over time", kind="plot", head=_axis_head(axis), note="the framed days were tested"),
        Column(name="Effect", kind="num", note="PSI, or the change of the loss; below it: the means"),
        Column(name="q", kind="num", note="after Benjamini and Hochberg"),
        Column(name="What to do", kind="text"),
    )
    return table(caption, columns, [_row(one, axis) for one in found])


def _row(one: DriftView, axis: tuple[int, int]) -> Row:
    effect = ""
    if one.effect is not None:
        effect = format_change(one.effect) if one.kind == "loss" else f"{one.effect:.2f}"
    means = ""
    if one.before is not None and one.now is not None:
        means = f"{format_number(one.before)} → {format_number(one.now)}"
    what = " ".join(filter(None, [_KINDS.get(one.kind, one.kind), one.metric and f"({one.metric})"]))
    days = f"{one.window[0]} to {one.window[1]}" if one.window[0] else "no days since the cut"
    return Row(
        node=" ".join((one.column, *one.nodes)),
        cells=(
            Cell(content=join([code(one.column), " ", quiet(what)]), sort=one.column),
            Cell(
                content=join([_strip(one, axis), tag("small", {"class": "quiet line"}, days)]),
                sort=one.window[1],
            ),
            number_cell(effect, one.effect, means),
            number_cell(
                "" if one.q is None else f"{one.q:.3f}", one.q, "" if one.q is not None else "too few days"
            ),
            Cell(content=_advice(one)),
        ),
    )


def _advice(one: DriftView) -> str:
    if not one.drifted:
        return ""
    if one.advice:
        return one.advice[0].upper() + one.advice[1:]
    return f"{one.severity}: read by {join_words(one.nodes, 3)}" if one.kind == "inputs" else one.severity


def _strip(one: DriftView, axis: tuple[int, int]) -> Markup:
    """The cells of one column, hidden from screen readers: its numbers stand beside it as text."""
    cells: list[Markup] = []
    for step in one.strip:
        left, right = _x(step.first, axis), _x(step.last, axis, end=True)
        if left is None or right is None:
            continue
        text = "unknown" if step.effect is None else f"{step.effect:+.2f}"
        cells.append(
            tag(
                "rect",
                {
                    "class": _class(one, step),
                    "x": left,
                    "y": 4,
                    "width": max(right - left - 1, 1.0),
                    "height": _HEIGHT - 8,
                    "fill-opacity": _strength(one, step),
                },
                tag("title", None, f"{step.first} to {step.last}: {text}"),
            )
        )
    left, right = _x(one.window[0], axis), _x(one.window[1], axis, end=True)
    if left is not None and right is not None:
        frame: Attributes = {
            "class": "frame",
            "x": left - 0.5,
            "y": 2,
            "width": right - left,
            "height": _HEIGHT - 4,
        }
        cells.append(tag("rect", frame))
    return tag(
        "svg",
        {"class": "drift", "viewBox": f"0 0 {_WIDTH:.0f} {_HEIGHT:.0f}", "aria-hidden": "true"},
        tag("line", {"class": "base", "x1": 0, "x2": _WIDTH, "y1": _HEIGHT - 2, "y2": _HEIGHT - 2}),
        *cells,
    )


def _class(one: DriftView, step: Step) -> str:
    if one.kind == "loss" and step.effect is not None and step.effect < 0:
        return "d-better"
    return f"d-{one.severity}"


def _strength(one: DriftView, step: Step) -> float:
    """From a faint cell to a full one at twice the floor; of a loss at twice 20 % where the margin is smaller."""
    if step.effect is None:
        return 0.04
    full = 2 * max(one.floor or 0.0, 0.2)
    return round(0.06 + 0.94 * min(abs(step.effect) / full, 1.0), 2)


def _axis(found: Sequence[DriftView]) -> tuple[int, int]:
    """The first and the last day of all strips."""
    days = [day for one in found for step in one.strip for day in (_day(step.first), _day(step.last))]
    known = [day for day in days if day is not None]
    return (min(known), max(known)) if known else (0, 1)


def _axis_head(axis: tuple[int, int]) -> Markup:
    first, last = (dt.date.fromordinal(max(day, 1)).isoformat() for day in axis)
    return join([tag("span", {"class": "axis ticks"}, tag("span", None, first), tag("span", None, last))])


def _x(text: str, axis: tuple[int, int], *, end: bool = False) -> float | None:
    day = _day(text)
    if day is None:
        return None
    return (day + int(end) - axis[0]) / max(axis[1] + 1 - axis[0], 1) * _WIDTH


def _day(text: str) -> int | None:
    try:
        return dt.date.fromisoformat(text).toordinal()
    except ValueError:
        return None
