"""What ran where and when: one row for each worker, one bar for each task, as an SVG.

Bars are drawn true to scale; neighbours of one kind that would be thinner than a pixel are drawn as one,
so that a run of 100,000 fits stays a page that opens. Kinds differ in height as well as in colour.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from retraining.reporting.markup import Attributes, Markup, join, tag
from retraining.reporting.text import format_duration, plural, shorten
from retraining.reporting.view import Bar, RunView

__all__ = ["KINDS", "busy_share", "draw_spans", "draw_timeline", "end_of"]

# The kinds in the order of the legend, each with the share of the row that its bars fill.
KINDS: dict[str, tuple[str, float]] = {
    "gate": ("gate fits", 1.0),
    "block": ("block and fold fits", 0.72),
    "shipped": ("shipped fits", 1.0),
    "champion": ("champion's fits, made again to compare", 0.86),
    "comparison": ("comparisons with and without a column", 0.5),
    "score": ("scores", 0.32),
}
_OTHER = ("other work", 0.6)
MOST_WORKERS = 48

_WIDTH = 1000.0
_LABEL = 118.0
_AXIS = 24.0
_THINNEST = 0.7
_SPANS = 400.0
_DAY = 86400.0
_STEPS = (
    0.05,
    0.1,
    0.2,
    0.5,
    1.0,
    2.0,
    5.0,
    10.0,
    15.0,
    30.0,
    60.0,
    120.0,
    300.0,
    600.0,
    900.0,
    1800.0,
    3600.0,
    7200.0,
    21600.0,
    43200.0,
)


@dataclass(slots=True, kw_only=True)
class _Drawn:
    """A bar in pixels; `many` tasks that were too thin to tell apart."""

    kind: str
    left: float
    right: float
    first: Bar
    last: Bar
    many: int = 1


def busy_share(bars: Sequence[Bar], seconds: float | None, slots: int | None) -> float | None:
    """The share of the slots' time in which tasks ran; None where either is unknown."""
    if not bars or not seconds or not slots or seconds <= 0 or slots <= 0:
        return None
    return min(1.0, sum(bar.end - bar.start for bar in bars) / (seconds * slots))


def end_of(run: RunView) -> float:
    """The right end of the timeline in seconds since the run began; above zero."""
    return max(run.total_seconds or 0.0, *(bar.end for bar in run.timeline), 0.001)


def draw_timeline(run: RunView) -> Markup:
    """The SVG of the run's timeline with its legend, or a sentence where nothing ran."""
    if not run.timeline:
        return tag("p", {"class": "quiet"}, "Nothing was trained in this run, so there is no timeline.")
    rows: defaultdict[str, list[Bar]] = defaultdict(list)
    for bar in run.timeline:
        rows[bar.worker].append(bar)
    shown = dict(sorted(rows.items())[:MOST_WORKERS])
    end = end_of(run)
    row = 38.0 if len(shown) <= 8 else 24.0
    height = _AXIS + len(shown) * row + 4
    drawing = tag(
        "svg",
        {
            "class": "timeline",
            "role": "img",
            "aria-labelledby": "timeline-title timeline-desc",
            "viewBox": f"0 0 {_WIDTH:.0f} {height:.0f}",
        },
        tag("title", {"id": "timeline-title"}, "What ran where and when"),
        tag("desc", {"id": "timeline-desc"}, _description(run, len(rows), end)),
        _axis(end, height),
        *(
            _row(worker, bars, end, _AXIS + place * row, row)
            for place, (worker, bars) in enumerate(shown.items())
        ),
    )
    left_out = len(rows) - len(shown)
    more = tag("p", {"class": "quiet"}, f"{plural(left_out, 'more worker')} not drawn.") if left_out else ""
    box: Attributes = {"class": "scroll", "tabindex": 0, "role": "region", "aria-label": "Timeline"}
    return join([_legend(run.timeline), tag("div", box, drawing), more])


def _description(run: RunView, workers: int, end: float) -> str:
    busiest: defaultdict[str, float] = defaultdict(float)
    for bar in run.timeline:
        busiest[bar.kind] += bar.end - bar.start
    parts = ", ".join(
        f"{kind or 'other'} {format_duration(seconds)}" for kind, seconds in sorted(busiest.items())
    )
    return (
        f"{plural(len(run.timeline), 'task')} on {plural(workers, 'worker')} within {format_duration(end)}; "
        f"time by kind of work: {parts}."
    )


def _legend(bars: Sequence[Bar]) -> Markup:
    totals: defaultdict[str, list[float]] = defaultdict(list)
    for bar in bars:
        totals[bar.kind if bar.kind in KINDS else ""].append(bar.end - bar.start)
    items = []
    for kind in (*KINDS, ""):
        if kind not in totals:
            continue
        name, share = KINDS.get(kind, _OTHER)
        swatch = tag(
            "svg",
            {"class": "swatch", "viewBox": "0 0 16 16", "aria-hidden": "true"},
            tag(
                "rect", {"class": _kind_class(kind), "y": 16 * (1 - share), "width": 16, "height": 16 * share}
            ),
        )
        text = f"{len(totals[kind]):,} {name}, {format_duration(sum(totals[kind]))}"
        items.append(tag("li", None, swatch, " ", text))
    return tag("ul", {"class": "legend"}, *items)


def _kind_class(kind: str) -> str:
    return f"k-{kind}" if kind in KINDS else "k-other"


def _axis(end: float, height: float) -> Markup:
    step = _step(end)
    ticks = [step * place for place in range(int(end / step + 1e-9) + 1)]
    lines = (
        join(
            [
                tag(
                    "line",
                    {"x1": _x(at, end), "x2": _x(at, end), "y1": _AXIS - 6, "y2": height, "class": "grid"},
                ),
                tag(
                    "text",
                    {"x": _x(at, end), "y": 12, "class": "tick", "text-anchor": _anchor(at, end)},
                    format_duration(at),
                ),
            ]
        )
        for at in ticks
    )
    return tag("g", {"aria-hidden": "true"}, *lines)


def _anchor(at: float, end: float) -> str:
    return "end" if at > 0.97 * end else "start" if at == 0 else "middle"


def _step(end: float) -> float:
    """A round number of seconds that gives at most nine steps."""
    return next((step for step in _STEPS if end <= step * 9), _DAY * math.ceil(end / _DAY / 9))


def _x(seconds: float, end: float) -> float:
    return _LABEL + (_WIDTH - _LABEL - 2) * min(seconds / end, 1.0)


def _row(worker: str, bars: Sequence[Bar], end: float, top: float, height: float) -> Markup:
    name = worker or "worker"
    base = top + height - 2.5
    return tag(
        "g",
        None,
        tag("text", {"x": 0, "y": base - 5, "class": "who"}, shorten(name, 18), tag("title", None, name)),
        tag("line", {"x1": _LABEL, "x2": _WIDTH, "y1": base + 0.5, "y2": base + 0.5, "class": "base"}),
        *(_draw(drawn, base, height - 5) for drawn in _merged(bars, end)),
    )


def _merged(bars: Sequence[Bar], end: float) -> list[_Drawn]:
    merged: list[_Drawn] = []
    for bar in bars:
        left, right = _x(bar.start, end), _x(bar.end, end)
        last = merged[-1] if merged else None
        if (
            last is not None
            and last.kind == bar.kind
            and not bar.error
            and not last.last.error
            and left - last.right < 0.3
            and (right - left < _THINNEST or last.right - last.left < _THINNEST)
        ):
            last.right, last.last, last.many = max(right, last.right), bar, last.many + 1
        else:
            merged.append(_Drawn(kind=bar.kind, left=left, right=right, first=bar, last=bar))
    return merged


def _draw(drawn: _Drawn, base: float, room: float) -> Markup:
    height = room * KINDS.get(drawn.kind, _OTHER)[1]
    seconds = drawn.last.end - drawn.first.start
    if drawn.many > 1:
        what = f"{plural(drawn.many, 'task')} of kind {drawn.kind}, {drawn.first.node} to {drawn.last.node}"
    else:
        what = " ".join(filter(None, [drawn.first.node, drawn.first.fit, f"({drawn.kind or 'other'})"]))
    what += f", failed: {drawn.last.error}" if drawn.last.error else ""
    when = f"from {format_duration(drawn.first.start)}, {format_duration(seconds)}"
    return tag(
        "rect",
        {
            "class": "k-failed" if drawn.last.error else _kind_class(drawn.kind),
            "x": drawn.left,
            "y": base - height,
            "width": max(drawn.right - drawn.left - 0.25, 0.45),
            "height": height,
        },
        tag("title", None, f"{what}, {when}"),
    )


def draw_spans(bars: Sequence[Bar], end: float) -> Markup:
    """When some tasks ran, on whatever workers, as one thin strip over the whole run."""
    spans: list[list[float]] = []
    for left, right in sorted((_SPANS * bar.start / end, _SPANS * bar.end / end) for bar in bars):
        if spans and left - spans[-1][1] < 1.0:
            spans[-1][1] = max(right, spans[-1][1])
        else:
            spans.append([left, right])
    rects = (
        tag("rect", {"class": "k-gate", "x": left, "y": 3, "width": max(right - left, 1.0), "height": 10})
        for left, right in spans
    )
    box: Attributes = {
        "class": "spans",
        "viewBox": f"0 0 {_SPANS:.0f} 16",
        "preserveAspectRatio": "none",
        "aria-hidden": "true",
    }
    line = tag("line", {"class": "base", "x1": 0, "x2": _SPANS, "y1": 8, "y2": 8})
    return tag("svg", box, line, *rects)
