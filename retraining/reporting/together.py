"""What was released together: leaves as they were served before and are now, and the champions that were checked."""

from __future__ import annotations

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
from retraining.reporting.grouping import list_nodes
from retraining.reporting.markup import Markup, join, tag
from retraining.reporting.tables import Cell, Column, Row, code, minus, node_cell, number_cell, quiet, table
from retraining.reporting.text import format_number, plural
from retraining.reporting.verdicts import describe_period
from retraining.reporting.view import Difference, LeafView, NodeView, PairView, RunView

__all__ = ["draw_together"]

_NOTE = (
    "A leaf is a node that no other reads. Each was scored on its holdout as the release before served it, and as this "
    "one does, with every new version above it. Right of zero the release is worse."
)
_PAIRS = (
    "A champion that stays below a new version is scored with the columns that it has and with the new ones, by the "
    "same fit. It is released with them where it is not worse by more than its margin."
)


def draw_together(run: RunView) -> Markup:
    """The leaves of the release end to end, and every pair check of the run; empty where there is neither."""
    named = {node.name: node for node in run.nodes}
    pairs = [(node, pair) for node in run.nodes for pair in node.pairs]
    compared = [leaf for leaf in run.leaves if leaf.difference is not None]
    scored: list[LeafView | PairView] = [*compared, *(pair for _, pair in pairs)]
    axes = axes_of((one.metric, one.difference) for one in scored if one.difference is not None)
    parts: list[Markup] = []
    if compared:
        note = " ".join(filter(None, [_sentence(run.leaves, compared), _NOTE, axis_note(axes)]))
        rows = [_leaf(named[leaf.node], leaf, axes) for leaf in compared if leaf.node in named]
        parts += [tag("p", {"class": "note"}, note), table("Leaves, end to end", _columns("By", axes), rows)]
    if pairs:
        rows = [_pair(node, pair, axes) for node, pair in pairs]
        drawn = table("Champions with new upstream columns", _columns("New columns of", axes), rows)
        parts += [tag("p", {"class": "note"}, _PAIRS), drawn]
    return join(parts)


def _sentence(leaves: Sequence[LeafView], compared: Sequence[LeafView]) -> str:
    first = len(leaves) - len(compared)
    more = f"; {plural(first, 'other')} had nothing to be compared with" if first else ""
    return f"{plural(len(compared), 'leaf', 'leaves')} compared{more}."


def _columns(what: str, axes: Mapping[str, Axis]) -> tuple[Column, ...]:
    return (
        Column(name="Node", kind="node"),
        Column(name=what, kind="text"),
        Column(name="Metric", kind="text"),
        Column(name="Before", kind="num"),
        Column(name="Now", kind="num"),
        Column(name="Difference in loss", kind="plot", head=axis_head(axes)),
        Column(name="On", kind="text"),
    )


def _leaf(node: NodeView, leaf: LeafView, axes: Mapping[str, Axis]) -> Row:
    return _row(node, Cell(content=leaf.by, sort=leaf.by), leaf, axes)


def _pair(node: NodeView, pair: PairView, axes: Mapping[str, Axis]) -> Row:
    word = "passed" if pair.passed else "not passed"
    what = join([list_nodes(pair.upstreams), quiet(f"{word}: {pair.because}")])
    return _row(node, Cell(content=what, sort=word), pair, axes)


def _row(node: NodeView, what: Cell, one: LeafView | PairView, axes: Mapping[str, Axis]) -> Row:
    return Row(
        node=node.name,
        outcome=node.outcome,
        cells=(
            node_cell(node),
            what,
            Cell(content=code(one.metric) if one.metric else "", sort=one.metric),
            number_cell(format_number(one.before) if one.before is not None else "", one.before),
            number_cell(format_number(one.after) if one.after is not None else "", one.after),
            _plot(one.metric, one.difference, axes),
            Cell(content=describe_period(one.period), sort=one.period.start),
        ),
    )


def _plot(metric: str, difference: Difference | None, axes: Mapping[str, Axis]) -> Cell:
    if difference is None:
        return Cell(content="", sort="")
    drawn = draw_interval(difference, axes[axis_key(metric, difference)])
    words = tag("span", {"class": "line numbers"}, minus(describe_difference(difference)))
    return Cell(content=join([drawn, words]), sort=difference.in_percent_units(difference.value))
