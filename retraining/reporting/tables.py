"""The report's tables: one builder, so that each can be sorted, filtered, printed and read on a phone.

On a narrow screen each row becomes a block whose cells carry their column's name; the ARIA roles keep it
a table for screen readers then. Without the script everything is there, unsorted and unfiltered.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from retraining.reporting.icons import icon, outcome_class
from retraining.reporting.markup import Markup, escape, join, tag
from retraining.reporting.outcomes import order_of_outcome
from retraining.reporting.text import plural
from retraining.reporting.view import NodeView

__all__ = [
    "Cell",
    "Column",
    "Row",
    "code",
    "disclose",
    "left_out",
    "minus",
    "most_telling",
    "node_cell",
    "number_cell",
    "outcome_badge",
    "quiet",
    "table",
]

# Past this many nodes, tables of numbers show the worst outcomes only (not tuned; 3 kB a row).
MOST_DETAILED = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column: its plain name, what is shown instead of it (`head`), and the style of its cells (`kind`)."""

    name: str
    kind: str = ""
    head: Markup | None = None
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """A cell's content and what it sorts by (None: its text)."""

    content: str
    sort: float | str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A row; `node` and `outcome` are what the filter looks at; the first cell heads the row."""

    cells: Sequence[Cell]
    node: str = ""
    outcome: str = ""
    anchor: str = ""


def table(caption: str, columns: Sequence[Column], rows: Sequence[Row]) -> Markup:
    """The table; `caption` names it for screen readers (the section's heading stands above it)."""
    heads = (_head(column) for column in columns)
    drawn = tag(
        "table",
        {"role": "table", "data-sort": True},
        tag("caption", {"class": "unseen"}, caption),
        tag("thead", {"role": "rowgroup"}, tag("tr", {"role": "row"}, *heads)),
        tag("tbody", {"role": "rowgroup"}, *(_row(columns, row) for row in rows)),
    )
    return tag("div", {"class": "fit", "tabindex": 0, "role": "region", "aria-label": caption}, drawn)


def _head(column: Column) -> Markup:
    attributes = {
        "scope": "col",
        "role": "columnheader",
        "class": column.kind or None,
        "title": column.note or None,
        "data-plain": column.head is not None,
    }
    return tag("th", attributes, column.head if column.head is not None else column.name)


def _row(columns: Sequence[Column], row: Row) -> Markup:
    attributes = {
        "role": "row",
        "id": row.anchor or None,
        "data-n": row.node.lower() or None,
        "data-o": row.outcome or None,
    }
    return tag(
        "tr",
        attributes,
        *(_cell(at, column, cell) for at, (column, cell) in enumerate(zip(columns, row.cells, strict=True))),
    )


def _cell(place: int, column: Column, cell: Cell) -> Markup:
    sort = f"{cell.sort:.9g}" if isinstance(cell.sort, float | int) else cell.sort
    attributes = {"class": column.kind or None, "data-v": sort}
    if place == 0:
        return tag("th", {"scope": "row", "role": "rowheader", **attributes}, cell.content)
    empty = "empty" if not cell.content else None
    kind = " ".join(filter(None, [column.kind, empty])) or None
    return tag("td", {"role": "cell", "data-l": column.name, **attributes, "class": kind}, cell.content)


def minus(text: str) -> str:
    """The text with true minus signs before digits, as print has them."""
    return escape(text.replace("-", "−")) if text[:1] in "-+" or text[:1].isdigit() else escape(text)


def number_cell(text: str, sort: float | None, small: str = "") -> Cell:
    """A right-aligned number, with a smaller line below it."""
    below = tag("small", None, minus(small)) if small else ""
    return Cell(content=join([minus(text), below]), sort=sort if sort is not None else "")


def node_cell(node: NodeView, below: Sequence[str] = (), *, link: bool = True) -> Cell:
    """The cell that heads a node's row: its name, linked to the node's decision, and a quieter line."""
    name = code(node.name)
    if link:
        name = tag("a", {"href": f"#n{node.place}", "class": "name"}, name)
    lines = [quiet(" · ".join(filter(None, below)))] if any(below) else []
    return Cell(content=join([name, *lines]), sort=node.place)


def code(text: str) -> Markup:
    """A name as code that may break after its punctuation, never wider than its column."""
    broken = escape(text)
    for mark in ("[", ",", "_", "/", "=", "."):
        broken = Markup(broken.replace(mark, mark + "<wbr>"))
    return tag("code", None, broken)


def quiet(text: str) -> Markup:
    """A line of less weight."""
    return tag("span", {"class": "quiet line"}, text)


def outcome_badge(word: str) -> Markup:
    """The sign and the word of an outcome."""
    return tag("span", {"class": f"badge {outcome_class(word)}"}, icon(word), word)


def most_telling(nodes: Sequence[NodeView]) -> tuple[NodeView, ...]:
    """At most `MOST_DETAILED` of the nodes in their order, those with the worst outcomes kept first."""
    if len(nodes) <= MOST_DETAILED:
        return tuple(nodes)
    ranked = sorted(nodes, key=lambda node: order_of_outcome(node.outcome), reverse=True)
    return tuple(sorted(ranked[:MOST_DETAILED], key=lambda node: node.place))


def left_out(nodes: Sequence[NodeView], shown: Sequence[NodeView]) -> Markup:
    """A sentence on the nodes that `most_telling` left out of a table, or nothing."""
    count = len(nodes) - len(shown)
    text = (
        f"{plural(count, 'node')} with better outcomes left out to keep the page small; the record has them."
    )
    return tag("p", {"class": "quiet"}, text) if count else join([])


def disclose(summary: str, *content: str, shown: bool = False) -> Markup:
    """Content that opens under its summary (and always when printed)."""
    return tag("details", {"open": shown}, tag("summary", None, summary), *content)
