"""The report of one run as a single HTML page that needs no network, no script and no other file.

A content security policy in the page forbids every load and every script but the page's own (by its
digest): even a record written by an enemy could only ever be shown. The same record gives the same bytes.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping

from retraining.manifest.values import Json
from retraining.reporting.assets import asset
from retraining.reporting.attention import draw_attention
from retraining.reporting.decisions import draw_decisions, draw_rows
from retraining.reporting.drift_svg import draw_drift
from retraining.reporting.edges import draw_edges
from retraining.reporting.graph_svg import draw_graph, explain_cards
from retraining.reporting.header import draw_header, title_of
from retraining.reporting.icons import icon, outcome_class, symbols
from retraining.reporting.markup import Attributes, Markup, join, tag, trusted
from retraining.reporting.record import read_record
from retraining.reporting.slices import draw_slices
from retraining.reporting.tables import Cell, Column, Row, code, disclose, number_cell, table
from retraining.reporting.text import format_count, format_moment, plural
from retraining.reporting.timeline_svg import draw_timeline
from retraining.reporting.together import draw_together
from retraining.reporting.track_table import draw_tracks
from retraining.reporting.verdicts import draw_verdicts
from retraining.reporting.view import RunView
from retraining.reporting.work import draw_work

__all__ = ["render_report"]

_MOST_SKIPPED_SHOWN = 20


def render_report(record: Mapping[str, Json]) -> str:
    """The report of a run as one HTML document.

    Parameters
    ----------
    record
        The run record, format 1. Whatever is missing in it is left out of the page.

    Raises
    ------
    RetrainingError
        If the record has another format.
    """
    run = read_record(record)
    style, script = asset("graph.css") + asset("report.css"), asset("report.js")
    head = tag(
        "head",
        None,
        tag("meta", {"charset": "utf-8"}),
        tag("meta", {"http-equiv": "Content-Security-Policy", "content": _policy(script)}),
        tag("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}),
        tag("meta", {"name": "color-scheme", "content": "light dark"}),
        tag("meta", {"name": "generator", "content": "retraining"}),
        tag("title", None, title_of(run)),
        tag("style", None, trusted(style)),
    )
    body = tag(
        "body",
        None,
        symbols(),
        tag("a", {"class": "skip", "href": "#decisions"}, "Skip to the decisions"),
        draw_header(run),
        tag("main", None, *_sections(run)),
        _footer(run),
        tag("script", None, trusted(script)),
    )
    return f"<!doctype html>\n{tag('html', {'lang': 'en'}, head, body)}\n"


def _policy(script: str) -> str:
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; "
        "base-uri 'none'; form-action 'none'"
    )


def _sections(run: RunView) -> Iterable[Markup]:
    yield _section("attention", "What needs a look", draw_attention(run))
    box: Attributes = {"class": "scroll", "tabindex": 0, "role": "region", "aria-label": "Graph"}
    yield _section("graph", "Graph", _graph_note(run), tag("div", box, draw_graph(run.nodes)))
    yield _section("decisions", "Decisions", _filter(run), draw_decisions(run))
    yield _section("verdicts", "Verdicts", draw_verdicts(run))
    if together := draw_together(run):
        yield _section("together", "Released together", together)
    if tracks := draw_tracks(run):
        yield _section("tracks", "Champions since their cuts", tracks)
    if slices := draw_slices(run):
        yield _section("slices", "Slices", slices)
    if drift := draw_drift(run.drift):
        yield _section("drift", "Drift", drift)
    yield _section("edges", "What upstream columns bring", draw_edges(run))
    yield _section("timeline", "Timeline", draw_timeline(run), draw_work(run))
    yield _section("rows", "Rows", draw_rows(run))
    if run.skipped:
        yield _section("skipped", "Skipped partitions", _skipped(run))


def _section(name: str, heading: str, *content: str) -> Markup:
    return tag(
        "section",
        {"id": name, "aria-labelledby": f"{name}-h"},
        tag("h2", {"id": f"{name}-h"}, heading),
        *content,
    )


def _graph_note(run: RunView) -> Markup:
    legend = (tag("li", {"class": outcome_class(word)}, icon(word), " ", word) for word, _ in run.counts)
    text = f"Predictions flow from left to right. {explain_cards(run.nodes)}"
    return join([tag("p", {"class": "note"}, text), tag("ul", {"class": "legend"}, *legend)])


def _filter(run: RunView) -> Markup:
    """The filter, which only the script shows: it works on every table of the page."""
    words = [word for word, _ in run.counts]
    buttons = (
        tag(
            "button",
            {"type": "button", "aria-pressed": "false", "data-o": word, "class": outcome_class(word)},
            icon(word),
            word,
        )
        for word in words
    )
    return tag(
        "div",
        {"class": "filter", "role": "search", "hidden": True},
        tag(
            "label",
            None,
            "Show nodes ",
            tag("input", {"type": "search", "placeholder": "name or part of it", "autocomplete": "off"}),
        ),
        tag("span", {"class": "buttons", "role": "group", "aria-label": "Outcomes"}, *buttons),
        tag("span", {"class": "quiet", "role": "status", "data-total": len(run.nodes)}),
    )


def _skipped(run: RunView) -> Markup:
    columns = (
        Column(name="Model", kind="node"),
        Column(name="Partition", kind="node"),
        Column(name="Rows", kind="num"),
        Column(name="Why", kind="text"),
    )
    rows = [
        Row(
            cells=(
                Cell(content=code(item.model), sort=item.model),
                Cell(content=code(item.partition), sort=item.partition),
                number_cell(format_count(item.rows) if item.rows is not None else "", item.rows),
                Cell(content=item.why),
            )
        )
        for item in run.skipped
    ]
    drawn = table("Skipped partitions", columns, rows)
    text = f"{plural(len(rows), 'partition')} of the data became no node."
    note = tag("p", {"class": "note"}, text)
    return join([note, drawn if len(rows) <= _MOST_SKIPPED_SHOWN else disclose("Show them", drawn)])


def _footer(run: RunView) -> Markup:
    ended = f"Run {run.run} ended {format_moment(run.ended, run.timezone)}. " if run.run and run.ended else ""
    text = f"{ended}Times are those of {run.timezone}. This page holds everything that it shows and loads nothing."
    return tag("footer", None, tag("p", None, text))
