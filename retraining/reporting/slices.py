"""Slices of verdicts: the groups of rows that must not pay for what the others gain."""

from __future__ import annotations

from collections.abc import Sequence

from retraining.reporting.icons import icon
from retraining.reporting.markup import Markup, join, tag
from retraining.reporting.tables import Cell, Column, Row, code, number_cell, quiet, table
from retraining.reporting.text import format_number, format_signed, plural
from retraining.reporting.view import RunView, SliceView, VerdictView

__all__ = ["draw_slices", "slice_count"]

_NOTE = (
    "Each value of a column is compared like the whole holdout. A slice is harmed where its lower bound is beyond the "
    "margin and its probability, after Benjamini and Hochberg over the node's slices, at most 5%; a slice with too few "
    "clusters or without a champion is reported only."
)
# A row has about 1 kB; past so many the harmed ones are shown and as many others as there is room for.
MOST_SLICES = 600


def slice_count(slices: Sequence[SliceView]) -> str:
    """How many slices there are and how many of them are harmed."""
    harmed = sum(one.harmed for one in slices)
    return f"{plural(len(slices), 'slice')}, {harmed} harmed" if harmed else plural(len(slices), "slice")


def draw_slices(run: RunView) -> Markup:
    """The table of all slices of the run; nothing where there are none."""
    found = [(one.model, one.verdict, part) for one in run.pools for part in one.verdict.slices]
    found += [(n.name, n.verdict, part) for n in run.nodes if n.verdict for part in n.verdict.slices]
    if not found:
        return join([])
    shown = found
    if len(found) > MOST_SLICES:
        ranked = sorted(range(len(found)), key=lambda place: (not found[place][2].harmed, place))
        shown = [found[place] for place in sorted(ranked[:MOST_SLICES])]
    columns = (
        Column(name="Node or model", kind="node"),
        Column(name="Slice", kind="text"),
        Column(name="Rows", kind="num", note="below it: days, or groups"),
        Column(name="Challenger", kind="num"),
        Column(name="Champion", kind="num"),
        Column(name="Difference in loss", kind="num", note="below it: the one-sided 95% bounds"),
        Column(name="Margin", kind="num"),
        Column(name="Adjusted p", kind="num", note="after Benjamini and Hochberg"),
    )
    drawn = table("Slices with their numbers", columns, [_row(*one) for one in shown])
    rest = len(found) - len(shown)
    text = f"{plural(rest, 'slice')} left out to keep the page small; the record has them."
    return join(
        [tag("p", {"class": "note"}, _NOTE), drawn, tag("p", {"class": "quiet"}, text) if rest else ""]
    )


def _row(name: str, verdict: VerdictView, one: SliceView) -> Row:
    sign = join([icon("failed"), tag("span", {"class": "unseen"}, "harmed: ")]) if one.harmed else ""
    bounds = ""
    if one.lower is not None and one.upper is not None:
        bounds = f"{format_signed(one.lower)} to {format_signed(one.upper)}"
    difference = "" if one.difference is None else format_signed(one.difference)
    days = plural(one.clusters, "day" if verdict.holdout.start else "group")
    adjusted = Cell(content=quiet("reported only"), sort="")
    return Row(
        node=name,
        cells=(
            Cell(content=code(name), sort=name),
            Cell(content=join([sign, code(one.name)]), sort=one.name),
            number_cell(f"{one.rows:,}", one.rows, days),
            _number(one.challenger),
            _number(one.champion),
            number_cell(difference, one.difference, bounds),
            _number(one.margin),
            _number(one.adjusted) if one.adjusted is not None else adjusted,
        ),
    )


def _number(value: float | None) -> Cell:
    return number_cell("" if value is None else format_number(value), value)
