"""Differences with their intervals as small forest plots on shared axes, one line for each row of a table.

Left of zero is better, always: differences are in loss. Rows whose metric is a loss share an axis in
percent of the loss that they are compared with; every other metric has an axis of its own. An interval
that leaves the axis ends in an arrowhead, so a wide one does not flatten all others.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from retraining.reporting.markup import Markup, join, tag
from retraining.reporting.text import format_change, format_number, format_signed
from retraining.reporting.view import Difference

__all__ = ["Axis", "axes_of", "axis_key", "describe_difference", "draw_interval"]

_WIDTH, _HEIGHT = 220.0, 30.0
_EDGE = 8.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """A symmetric axis: `reach` is the number at its right end; `in_percent` of a reference loss."""

    reach: float
    in_percent: bool

    def x(self, number: float) -> float:
        """The position of a number, held within the picture."""
        middle, half = _WIDTH / 2, _WIDTH / 2 - _EDGE
        return middle + max(-1.0, min(1.0, number / self.reach)) * half

    def tick(self, number: float) -> str:
        """The text of a number on this axis."""
        return format_change(number) if self.in_percent else format_signed(number, 2)


def axis_key(metric: str, difference: Difference) -> str:
    """The name of the axis that a difference belongs to: `%` for all losses, else the metric."""
    return "%" if difference.reference is not None else metric


def axes_of(differences: Iterable[tuple[str, Difference]]) -> dict[str, Axis]:
    """An axis for each kind of (metric, difference), wide enough for nine of ten of their intervals."""
    ends: defaultdict[str, list[float]] = defaultdict(list)
    for metric, difference in differences:
        numbers = (difference.value, difference.lower, difference.upper, difference.margin)
        scaled = (difference.in_percent_units(number) for number in numbers)
        reach = max(abs(number) for number in scaled if number is not None)
        ends[axis_key(metric, difference)].append(reach)
    return {
        key: Axis(reach=_round_up(_most(reaches)), in_percent=key == "%") for key, reaches in ends.items()
    }


def _most(reaches: list[float]) -> float:
    ordered = sorted(reaches)
    usual = ordered[math.ceil(0.9 * len(ordered)) - 1]
    # Without outliers everything fits; with them the axis serves the others.
    return ordered[-1] if ordered[-1] <= 1.6 * usual else usual * 1.1


def _round_up(number: float) -> float:
    if number <= 0:
        return 1.0
    size: float = 10.0 ** math.floor(math.log10(number))
    return next(
        (step * size for step in (1, 1.5, 2, 3, 4, 5, 6, 8) if number <= step * size * 1.0001), 10 * size
    )


def draw_interval(difference: Difference, axis: Axis) -> Markup:
    """One line of the forest plot, hidden from screen readers: its numbers stand beside it as text."""
    scale = difference.in_percent_units
    middle = _HEIGHT / 2
    value = scale(difference.value) or 0.0
    lower, upper, margin = scale(difference.lower), scale(difference.upper), scale(difference.margin)
    parts = [
        tag(
            "rect",
            {"class": "better", "x": _EDGE, "y": 2, "width": _WIDTH / 2 - _EDGE, "height": _HEIGHT - 4},
        ),
        tag("line", {"class": "zero", "x1": _WIDTH / 2, "x2": _WIDTH / 2, "y1": 0, "y2": _HEIGHT}),
    ]
    if margin is not None and 0 < margin <= axis.reach:
        at = axis.x(margin)
        parts.append(tag("path", {"class": "margin", "d": f"M{at:.1f} 3V{_HEIGHT - 3:.0f}"}))
    if lower is not None and upper is not None:
        parts.append(_whisker(axis, lower, upper, middle))
    if abs(value) <= axis.reach:
        x = axis.x(value)
        parts.append(tag("path", {"class": "point", "d": f"M{x:.1f} {middle - 5}l5 5l-5 5l-5-5z"}))
    return tag(
        "svg",
        {
            "class": f"forest f-{difference.finding}",
            "viewBox": f"0 0 {_WIDTH:.0f} {_HEIGHT:.0f}",
            "aria-hidden": "true",
        },
        *parts,
    )


def _whisker(axis: Axis, lower: float, upper: float, middle: float) -> Markup:
    left, right = axis.x(lower), axis.x(upper)
    path = f"M{left:.1f} {middle:.0f}H{right:.1f}"
    for beyond, at, towards in ((lower < -axis.reach, left, 5), (upper > axis.reach, right, -5)):
        path += (
            f"M{at + towards:.1f} {middle - 4:.0f}L{at:.1f} {middle:.0f}L{at + towards:.1f} {middle + 4:.0f}"
            if beyond
            else f"M{at:.1f} {middle - 3.5:.1f}v7"
        )
    return tag("path", {"class": "whisker", "d": path})


def describe_difference(difference: Difference) -> str:
    """The difference and its interval in words: `-8.5% [-12%, -4.1%]`, in loss or percent of it."""
    value = _show(difference, difference.value)
    if difference.lower is None or difference.upper is None:
        return value
    return f"{value} [{_show(difference, difference.lower)}, {_show(difference, difference.upper)}]"


def _show(difference: Difference, number: float) -> str:
    scaled = difference.in_percent_units(number)
    return format_signed(scaled, 2) if difference.reference is None else format_change(scaled)


def axis_head(axes: Mapping[str, Axis]) -> Markup:
    """The heading of a column of forest plots: the directions, and the ends where one axis serves all."""
    if len(axes) == 1:
        (axis,) = axes.values()
        ends = (axis.tick(-axis.reach), "0", axis.tick(axis.reach))
    else:
        ends = ("", "0", "")
    return join(
        [
            tag("span", {"class": "axis"}, tag("span", None, "← better"), tag("span", None, "worse →")),
            tag("span", {"class": "axis ticks"}, *(tag("span", None, end.replace("-", "−")) for end in ends)),
        ]
    )


def axis_note(axes: Mapping[str, Axis]) -> str:
    """How far the axes reach, in words, where there are several; "" where there is one."""
    if len(axes) < 2:
        return ""
    reaches = (
        f"{format_change(axis.reach)[1:]} of the loss"
        if key == "%"
        else f"{format_number(axis.reach, 2)} for {key}"
        for key, axis in sorted(axes.items())
    )
    return "Half an axis is " + ", ".join(reaches) + "."
