"""Where the time went: for each model when it ran, for how long, and in how many fits."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from retraining.reporting.markup import Markup, join, tag
from retraining.reporting.tables import Cell, Column, Row, code, disclose, number_cell, table
from retraining.reporting.text import format_count, format_duration, format_share
from retraining.reporting.timeline_svg import draw_spans, end_of
from retraining.reporting.view import Bar, NodeView, RunView

__all__ = ["draw_work"]

_MOST_OPEN = 40
_COLUMNS = (
    Column(name="Model", kind="node"),
    Column(name="When it ran", kind="plot wider", note="on any worker, from the begin of the run to its end"),
    Column(name="Training", kind="num"),
    Column(name="Share", kind="num"),
    Column(name="Fits made", kind="num"),
)


def draw_work(run: RunView) -> Markup:
    """The table of models that trained, in the order in which they began; nothing where none did."""
    of_model: defaultdict[str, list[NodeView]] = defaultdict(list)
    for node in run.nodes:
        of_model[node.model].append(node)
    model_of = {node.name: node.model for node in run.nodes}
    bars: defaultdict[str, list[Bar]] = defaultdict(list)
    for bar in run.timeline:
        bars[model_of.get(bar.node, "")].append(bar)
    total = sum(node.fit_seconds for node in run.nodes)
    trained = [model for model, nodes in of_model.items() if any(node.fits_made for node in nodes)]
    if not trained or total <= 0:
        return join([])
    begins = {model: min((bar.start for bar in bars[model]), default=0.0) for model in trained}
    trained.sort(key=lambda model: (begins[model], model))
    end = end_of(run)
    rows = [_row(model, of_model[model], bars[model], begins[model], end, total) for model in trained]
    drawn = table("When and how long each model trained", _COLUMNS, rows)
    return tag("div", {"class": "below"}, disclose("By model", drawn, shown=len(rows) <= _MOST_OPEN))


def _row(
    model: str, nodes: Sequence[NodeView], bars: Sequence[Bar], begin: float, end: float, total: float
) -> Row:
    seconds = sum(node.fit_seconds for node in nodes)
    made = sum(node.fits_made for node in nodes)
    last = max((bar.end for bar in bars), default=0.0)
    words = f"{format_duration(begin)} to {format_duration(last)}"
    when = [draw_spans(bars, end), tag("span", {"class": "line numbers quiet"}, words)] if bars else []
    return Row(
        cells=(
            Cell(content=code(model), sort=model),
            Cell(content=join(when), sort=begin),
            number_cell(format_duration(seconds), seconds),
            number_cell(format_share(seconds / total), seconds / total),
            number_cell(format_count(made), made),
        )
    )
