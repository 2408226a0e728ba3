"""What each upstream column brings: the same fits on the same rows, with the column and without it."""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from retraining.reporting.forest_svg import (
    Axis,
    axes_of,
    axis_head,
    axis_key,
    axis_note,
    describe_difference,
    draw_interval,
)
from retraining.reporting.markup import Markup, join, tag
from retraining.reporting.tables import Cell, Column, Row, code, minus, node_cell, number_cell, table
from retraining.reporting.text import format_change, format_number, format_signed, join_words, plural
from retraining.reporting.verdicts import describe_period
from retraining.reporting.view import EdgeView, NodeView, RunView

__all__ = ["MOST_EDGES", "draw_edges"]

MOST_EDGES = 600

_NOTE = (
    "Each node was fitted once with and once without the column, and both were scored on the same later "
    "rows; where nothing is left without it, a constant guess stands in. Left of zero the column helps; the "
    "ends of the line are 95% bounds from drawing days (by folds: groups) again. Where a node reads several "
    "columns, one more fit has none of them: that is what they bring together."
)
_ALL = "all upstream columns"
_FINDINGS = {"better": "helps", "unclear": "unclear", "worse": "hurts"}


def draw_edges(run: RunView) -> Markup:
    """A sentence, a summary for each pair of column and model, and the table of all edges."""
    measured = [(node, edge) for node in run.nodes for edge in node.edges]
    if not measured:
        text = "No edge was compared in this run: that is done once, when an edge is new."
        return tag("p", {"class": "quiet"}, text)
    parts = [
        tag("p", {"class": "lead small"}, _sentence([edge for _, edge in measured])),
        tag("p", {"class": "note"}, _NOTE),
    ]
    if len({(edge.model, edge.column) for _, edge in measured}) < len(measured):
        parts.append(_summary([edge for _, edge in measured]))
    if len(measured) <= MOST_EDGES:
        parts.append(_table(measured))
    else:
        text = f"The {len(measured):,} single edges are left out of the page; the run record holds them."
        parts.append(tag("p", {"class": "quiet"}, text))
    return join(parts)


def _sentence(edges: Sequence[EdgeView]) -> str:
    """How many columns help, and in how many nodes several of them help together."""
    together = [edge for edge in edges if edge.of_all]
    helped = sum(edge.difference is not None and edge.difference.finding == "better" for edge in together)
    text = _single([edge for edge in edges if not edge.of_all])
    if together:
        nodes = plural(len(together), "node that reads several", "nodes that read several")
        text += f" Together they help {helped:,} of {nodes}."
    return text.strip()


def _single(edges: Sequence[EdgeView]) -> str:
    findings = Counter(edge.difference.finding for edge in edges if edge.difference is not None)
    be = "is" if findings["unclear"] == 1 else "are"
    words = [
        f"{findings[key]:,} {be if key == 'unclear' else ''} {_counted(key, findings[key])}".replace(
            "  ", " "
        )
        for key in _FINDINGS
        if findings[key]
    ]
    return f"Of {plural(len(edges), 'upstream column')}, {join_words(words)}." if words else ""


def _column(edge: EdgeView) -> Markup:
    """The column's name, or words for all of a node's columns together."""
    return tag("i", None, _ALL) if edge.of_all else code(edge.column)


def _counted(finding: str, count: int) -> str:
    if finding == "unclear":
        return "unclear"
    return _FINDINGS[finding] if count == 1 else _FINDINGS[finding].removesuffix("s")


def _summary(edges: Sequence[EdgeView]) -> Markup:
    groups: defaultdict[tuple[str, str], list[EdgeView]] = defaultdict(list)
    for edge in edges:
        groups[edge.model, edge.column].append(edge)
    ordered = sorted(groups.items(), key=lambda item: item[1][0].of_all)
    columns = (
        Column(name="Column", kind="node"),
        Column(name="Read by", kind="text"),
        Column(name="Nodes that it helps", kind="plot wider"),
        Column(name="Median change of the loss", kind="num"),
    )
    rows = [_summary_row(model, column, members) for (model, column), members in ordered]
    return table("What each upstream column brings, by model", columns, rows)


def _summary_row(model: str, column: str, edges: Sequence[EdgeView]) -> Row:
    findings = Counter(edge.difference.finding for edge in edges if edge.difference is not None)
    found = [key for key in _FINDINGS if findings[key]]
    words = ", ".join(f"{findings[key]:,} {_counted(key, findings[key])}" for key in found)
    bar = tag(
        "div",
        {"class": "share thin", "aria-hidden": "true"},
        *(tag("i", {"class": f"f-{key}", "style": f"flex-grow:{findings[key]}"}) for key in found),
    )
    return Row(
        cells=(
            Cell(content=_column(edges[0]), sort=column),
            Cell(content=code(model), sort=model),
            Cell(
                content=join([bar, tag("span", {"class": "line numbers"}, words)]),
                sort=float(findings["better"] / len(edges)),
            ),
            _median(edges),
        ),
    )


def _median(edges: Sequence[EdgeView]) -> Cell:
    """The median difference: in percent where the metric is a loss, else in the metric's own unit."""
    known = [edge.difference for edge in edges if edge.difference is not None]
    relative = [one.value / one.reference for one in known if one.reference is not None]
    if relative:
        median = statistics.median(relative)
        return number_cell(format_change(median), median)
    if not known:
        return Cell(content="", sort="")
    median = statistics.median(one.value for one in known)
    return number_cell(format_signed(median), median, f"as a loss of {edges[0].metric}")


def _table(measured: Sequence[tuple[NodeView, EdgeView]]) -> Markup:
    axes = axes_of((edge.metric, edge.difference) for _, edge in measured if edge.difference is not None)
    columns = (
        Column(name="Node", kind="node"),
        Column(name="Column", kind="text"),
        Column(name="Metric", kind="text"),
        Column(name="With", kind="num"),
        Column(name="Without", kind="num"),
        Column(name="Difference in loss", kind="plot", head=axis_head(axes)),
        Column(name="On", kind="text"),
    )
    note = axis_note(axes)
    rows = [_row(node, edge, axes) for node, edge in measured]
    return join([tag("p", {"class": "note"}, note) if note else "", table("Every edge", columns, rows)])


def _row(node: NodeView, edge: EdgeView, axes: Mapping[str, Axis]) -> Row:
    return Row(
        node=node.name,
        outcome=node.outcome,
        cells=(
            node_cell(node),
            Cell(content=_column(edge), sort=edge.column),
            Cell(content=code(edge.metric), sort=edge.metric),
            number_cell(format_number(edge.with_column), edge.with_column),
            number_cell(format_number(edge.without_column), edge.without_column),
            _plot(edge, axes),
            Cell(content=describe_period(edge.period), sort=edge.period.start),
        ),
    )


def _plot(edge: EdgeView, axes: Mapping[str, Axis]) -> Cell:
    difference = edge.difference
    if difference is None:
        return Cell(content="", sort="")
    words = f"{describe_difference(difference)} {_FINDINGS[difference.finding]}"
    return Cell(
        content=join(
            [
                draw_interval(difference, axes[axis_key(edge.metric, difference)]),
                tag("span", {"class": "line numbers"}, minus(words)),
            ]
        ),
        sort=difference.in_percent_units(difference.value),
    )
