"""A graph for people and programs: a tree as text, a Mermaid flowchart, a JSON document.

The invariant: each is a function of the graph and the selection alone, and its size is bounded by the
number of models where the number of nodes would make it unreadable.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from retraining.graph.graph import Graph
from retraining.graph.nodes import Node, parse_node_name
from retraining.manifest.values import Json

__all__ = ["as_json", "as_mermaid", "as_text"]

_LINE_WIDTH = 100
_FEW_VALUES = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class _Box:
    """A model as one box: its selected nodes, its level, and the models that it reads."""

    model: str
    nodes: tuple[Node, ...]
    level: int
    reads: tuple[str, ...]
    reads_outside: tuple[str, ...]

    @property
    def title(self) -> str:
        """`arrival_delay[carrier=…] x10`, or the node's own name if there is only one."""
        if len(self.nodes) == 1:
            return self.nodes[0].name
        named = next((node for node in self.nodes if not node.pool), self.nodes[0])
        columns = (f"{column}=…" for column, _ in parse_node_name(named.name)[1])
        return f"{self.model}[{','.join(columns)}] x{len(self.nodes)}"


def as_text(graph: Graph, selected: Collection[str]) -> str:
    """The selected nodes as an indented tree with one line for each model, and a line that counts.

    A model stands below its last upstream; what else it reads is said on its line.
    """
    inside = frozenset(selected)
    boxes = _boxes(graph, inside)
    parents = {
        name: max(box.reads, key=lambda upper: (boxes[upper].level, upper), default=None)
        for name, box in boxes.items()
    }
    below: dict[str | None, list[str]] = {}
    for name in boxes:
        below.setdefault(parents[name], []).append(name)
    lines: list[str] = []
    stack = [(name, "", "") for name in reversed(below.get(None, []))]
    while stack:
        name, lead, indent = stack.pop()
        lines.append(_line(boxes[name], parents[name], lead))
        children = below.get(name, [])
        for position in range(len(children) - 1, -1, -1):
            last = position == len(children) - 1
            stack.append(
                (children[position], indent + ("└─ " if last else "├─ "), indent + ("   " if last else "│  "))
            )
    edges = sum(edge.upstream in inside and edge.downstream in inside for edge in graph.edges)
    levels = len({graph.level(name) for name in inside})
    counts = [_counted(len(inside), "node"), _counted(len(boxes), "model"), _counted(edges, "edge")]
    lines.append(f"{', '.join(counts)} on {_counted(levels, 'level')}")
    return "\n".join(lines) + "\n"


def as_mermaid(graph: Graph, selected: Collection[str], most_edges: int = 400) -> str:
    """The selected nodes as a Mermaid flowchart, partitions of one model in one subgraph.

    With more than `most_edges` edges (Mermaid itself refuses 500) each model is drawn as one box.
    """
    inside = frozenset(selected)
    edges = [edge for edge in graph.edges if edge.upstream in inside and edge.downstream in inside]
    boxes = _boxes(graph, inside)
    lines = ["flowchart LR"]
    if len(edges) > most_edges or len(inside) > most_edges:
        ids = {name: f"m{position}" for position, name in enumerate(boxes)}
        lines += [f'  {ids[name]}["{_escaped(box.title)}"]' for name, box in boxes.items()]
        lines += [f"  {ids[upper]} --> {ids[name]}" for name, box in boxes.items() for upper in box.reads]
        return "\n".join(lines) + "\n"
    ids = {node.name: f"n{position}" for position, node in enumerate(graph.nodes)}
    for position, box in enumerate(boxes.values()):
        if not box.nodes[0].partition and not box.nodes[0].pool:
            lines.append(f'  {ids[box.nodes[0].name]}["{_escaped(box.model)}"]')
            continue
        lines.append(f'  subgraph m{position}["{_escaped(box.model)}"]')
        lines += [f'    {ids[node.name]}["{_escaped(_values(node))}"]' for node in box.nodes]
        lines.append("  end")
    for edge in edges:
        plain = edge.column == graph.node(edge.upstream).model
        label = "" if plain else f'|"{_escaped(edge.column)}"|'
        lines.append(f"  {ids[edge.upstream]} -->{label} {ids[edge.downstream]}")
    return "\n".join(lines) + "\n"


def as_json(graph: Graph, selected: Collection[str]) -> dict[str, Json]:
    """The selected nodes in topological order, and the edges between them, as one JSON document."""
    inside = frozenset(selected)
    nodes: list[Json] = [
        {
            "name": node.name,
            "model": node.model,
            "partition": dict(parse_node_name(node.name)[1]),
            "pool": node.pool,
            "level": graph.level(node.name),
        }
        for node in graph.nodes
        if node.name in inside
    ]
    edges: list[Json] = [
        {"upstream": edge.upstream, "downstream": edge.downstream, "column": edge.column}
        for edge in graph.edges
        if edge.upstream in inside and edge.downstream in inside
    ]
    return {"format": 1, "nodes": nodes, "edges": edges}


def _boxes(graph: Graph, selected: frozenset[str]) -> Mapping[str, _Box]:
    """The models of the selected nodes, by level and then by name."""
    nodes: dict[str, list[Node]] = {}
    reads: dict[str, set[str]] = {}
    level: dict[str, int] = {}
    for node in graph.nodes:
        if node.name in selected:
            nodes.setdefault(node.model, []).append(node)
            level[node.model] = max(level.get(node.model, 0), graph.level(node.name))
            upstreams = {graph.node(upper).model for upper in graph.upstreams(node.name)}
            reads.setdefault(node.model, set()).update(upstreams)
    return {
        model: _Box(
            model=model,
            nodes=tuple(nodes[model]),
            level=level[model],
            reads=tuple(sorted(reads[model] & nodes.keys())),
            reads_outside=tuple(sorted(reads[model] - nodes.keys())),
        )
        for model in sorted(nodes, key=lambda model: (level[model], model))
    }


def _line(box: _Box, parent: str | None, lead: str) -> str:
    text = lead + box.title
    if 1 < len(box.nodes) <= _FEW_VALUES:
        values = f": {', '.join(map(_values, box.nodes))}"
        text += values if len(text) + len(values) <= _LINE_WIDTH else ""
    others = [name for name in box.reads if name != parent]
    notes = [f"also reads {', '.join(others)}"] if others else []
    if box.reads_outside:
        notes.append(f"reads {', '.join(box.reads_outside)}, not selected")
    return f"{text}  ({'; '.join(notes)})" if notes else text


def _values(node: Node) -> str:
    """The part of a node's name between the brackets, without the columns where there is only one."""
    pairs = node.name[len(node.model) + 1 : -1]
    return pairs.partition("=")[2] if len(node.partition) == 1 and not pairs.startswith('"') else pairs


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _escaped(text: str) -> str:
    """A text as a quoted Mermaid label: everything that its parser or HTML might read is an entity."""
    return "".join(each if each.isalnum() or each in " _-=.,…" else f"#{ord(each)};" for each in text)
