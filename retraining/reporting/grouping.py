"""Many nodes in few words: partitions of one model together, identical causes told once.

What comes out is bounded by the number of models and causes, never by the number of nodes.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence

from retraining.graph.nodes import is_pool, parse_node_name, quoted
from retraining.reporting.text import plural

__all__ = ["by_cause", "counted_texts", "list_nodes", "partition_values", "title_of", "wrapped"]

_WIDTH = 80
_FEW_VALUES = 12


def title_of(nodes: Sequence[str]) -> str:
    """`arrdelay[carrier=…] x10` for partitions of one model, the name of a single node."""
    if len(nodes) == 1:
        return nodes[0]
    # a pool has no columns to tell
    model, values = parse_node_name(next((node for node in nodes if not is_pool(node)), nodes[0]))
    inside = ",".join(f"{column}=…" for column, _ in values)
    return f"{model}[{inside}] x{len(nodes):,}" if inside else f"{model} x{len(nodes):,}"


def partition_values(nodes: Sequence[str], most: int = _FEW_VALUES) -> str:
    """The partition values of some nodes of one model, at most so many: `EWR, JFK, LGA`; '' for single nodes.

    Quoted as in the nodes' names.
    """
    if len(nodes) < 2:
        return ""
    values = sorted(
        "/".join(quoted(value) for _, value in parse_node_name(node)[1])
        for node in nodes
        if not is_pool(node)
    )
    values = ["*" for node in nodes if is_pool(node)] + values
    more = f" and {len(nodes) - most:,} more" if len(nodes) > most else ""
    return ", ".join(values[:most]) + more


def list_nodes(nodes: Iterable[str], most: int = 8) -> str:
    """Some nodes in one line, partitions of one model together: `congestion[origin=…] x3, risk`."""
    models: dict[str, list[str]] = {}
    for node in nodes:
        models.setdefault(node.partition("[")[0], []).append(node)
    titles = [title_of(group) for group in models.values()]
    more = f" and {plural(len(titles) - most, 'more model')}" if len(titles) > most else ""
    return ", ".join(titles[:most]) + more


def by_cause(nodes: Iterable[tuple[str, str]]) -> list[tuple[str, list[str]]]:
    """Each cause with its nodes, from pairs (node, cause), the cause of most nodes first."""
    causes: dict[str, list[str]] = {}
    for node, cause in nodes:
        causes.setdefault(cause, []).append(node)
    return sorted(causes.items(), key=lambda item: -len(item[1]))


def counted_texts(texts: Iterable[str], most: int = 3) -> list[str]:
    """Different texts in the order of their first appearance, identical ones counted once: `text (x3)`."""
    counts: dict[str, int] = {}
    for text in texts:
        counts[text] = counts.get(text, 0) + 1
    if len(counts) == 1:
        return list(counts)
    shown = [f"{text} (x{count:,})" if count > 1 else text for text, count in list(counts.items())[:most]]
    if len(counts) > most:
        shown.append(f"and {plural(len(counts) - most, 'other cause')}")
    return shown


def wrapped(text: str, first: str, rest: str, width: int = _WIDTH) -> list[str]:
    """The text as lines of at most `width` characters; the first begins with `first`, others with `rest`."""
    return textwrap.wrap(
        text,
        width,
        initial_indent=first,
        subsequent_indent=rest,
        break_long_words=False,
        break_on_hyphens=False,
    )


def notes_text(notes: Sequence[str]) -> str:
    """The notes on a manifest and its data, each a wrapped line that begins with `note:`; '' for none."""
    return "".join(f"{line}\n" for note in notes for line in wrapped(f"note: {note}", "", "  "))
