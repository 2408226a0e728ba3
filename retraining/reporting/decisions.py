"""The tables of nodes: what was decided and why, what became of it, and what happened to the rows."""

from __future__ import annotations

from collections.abc import Sequence

from retraining.reporting.markup import Markup, join, tag
from retraining.reporting.outcomes import order_of_outcome
from retraining.reporting.tables import (
    Cell,
    Column,
    Row,
    code,
    left_out,
    most_telling,
    node_cell,
    number_cell,
    outcome_badge,
    quiet,
    table,
)
from retraining.reporting.text import (
    format_count,
    format_day,
    format_duration,
    format_moment,
    format_share,
    shorten,
)
from retraining.reporting.view import NodeView, RunView

__all__ = ["draw_decisions", "draw_rows"]

_DECISIONS = (
    Column(name="Node", kind="node"),
    Column(name="Decision and all its reasons", kind="text wide"),
    Column(name="Outcome", kind="text"),
    Column(name="Fits", kind="num", note="made in this run, and reused from earlier ones"),
    Column(name="Time", kind="num", note="seconds of training, summed over the fits"),
)

# The states of docs/design.md 1 that a row can be in, as the record counts them.
_STATES = (
    ("total", "Rows", "rows of the node"),
    ("trained", "Trained on", "rows that trained the shipped fit"),
    ("judged", "Judged on", "rows of the holdout, or all rows of the folds"),
    ("purged", "Purged", "labels known too late for the gate fit"),
    ("unlabelled", "No label", "labels not known at the run's moment"),
    ("no_upstream", "No upstream", "rows without an honest upstream prediction"),
)


def draw_decisions(run: RunView) -> Markup:
    """The table of decisions and outcomes, one row for each node; a model's first node describes it."""
    first = {node.model: node.place for node in reversed(run.nodes)}
    rows = [
        Row(
            anchor=f"n{node.place}",
            node=node.name,
            outcome=node.outcome,
            cells=(
                node_cell(node, _about(node, node.place == first[node.model]), link=False),
                Cell(content=_decision(node), sort=node.action),
                Cell(content=_outcome(node), sort=float(order_of_outcome(node.outcome)[0])),
                number_cell(format_count(node.fits_made), node.fits_made, _reused(node)),
                number_cell(format_duration(node.fit_seconds) if node.fit_seconds else "", node.fit_seconds),
            ),
        )
        for node in run.nodes
    ]
    return table("Decisions with their reasons, and outcomes", _DECISIONS, rows)


def _about(node: NodeView, full: bool) -> Sequence[str]:
    if not full:
        return (node.estimator,)
    tags = ", ".join(node.tags)
    return (node.description, node.estimator, tags and f"tags {tags}", node.owner and f"owner {node.owner}")


def _reused(node: NodeView) -> str:
    return f"{format_count(node.fits_reused)} reused" if node.fits_reused else ""


def _decision(node: NodeView) -> Markup:
    action = tag("b", None, node.action or "none recorded")
    condition = " if its upstream column changes" if node.conditional else ""
    reasons = (
        tag("li", None, tag("span", {"class": "kind"}, one.kind), " ", one.text) for one in node.reasons
    )
    listed = tag("ul", {"class": "reasons"}, *reasons) if node.reasons else ""
    return join([action, condition, listed, quiet(node.note) if node.note else ""])


def _outcome(node: NodeView) -> Markup:
    parts: list[str] = [outcome_badge(node.outcome)]
    if node.because:
        parts.append(tag("span", {"class": "line"}, node.because))
    if node.version:
        was = (
            f", before it {shorten(node.previous, 12)}"
            if node.previous and node.previous != node.version
            else ""
        )
        parts.append(quiet(f"version {shorten(node.version, 12)}{was}"))
    if node.error and node.error_line != node.because:
        parts.append(tag("pre", None, node.error_line))
    return join(parts)


def draw_rows(run: RunView) -> Markup:
    """The table of what happened to each node's rows, and of how its columns and cuts lie in time."""
    states = [state for state in _STATES if any(state[0] in node.rows for node in run.nodes)]
    columns = [
        Column(name="Node", kind="node"),
        *(Column(name=name, kind="num", note=note) for _, name, note in states),
        Column(name="Rows that found their upstream", kind="text"),
        Column(name="First predicted", kind="date", note="the first block with an honest prediction"),
        Column(name="Cut", kind="date", note="the version learnt from labels known before this day"),
    ]
    shown = most_telling(run.nodes)
    rows = [_row(node, [key for key, _, _ in states], run.timezone) for node in shown]
    return join([table("Rows", columns, rows), left_out(run.nodes, shown)])


def _row(node: NodeView, states: Sequence[str], timezone: str) -> Row:
    counts = (
        number_cell(format_count(node.rows[key]) if key in node.rows else "", node.rows.get(key))
        for key in states
    )
    coverage = tag(
        "ul",
        {"class": "plain"},
        *(
            tag("li", None, code(one.column), " ", format_share(one.coverage))
            for one in node.inputs
            if one.coverage is not None
        ),
    )
    covered = any(one.coverage is not None for one in node.inputs)
    return Row(
        node=node.name,
        outcome=node.outcome,
        cells=(
            node_cell(node),
            *counts,
            Cell(content=coverage if covered else ""),
            Cell(content=format_moment(node.first_predicted), sort=node.first_predicted),
            Cell(content=format_day(node.cut, timezone), sort=node.cut),
        ),
    )
