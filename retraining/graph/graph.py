"""The graph of nodes: who reads whom, in one fixed order.

The invariant: `nodes` is a topological order with ties by name, so every walk over a graph has the
same result however the manifest or the data were ordered. Nothing of a graph changes after it was made.
Inside, nodes are integers, because every walk is over them and graphs have tens of thousands.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

import networkx as nx

from retraining.graph.nodes import Node, node_name
from retraining.manifest.values import Manifest, Model

__all__ = ["Edge", "Graph", "Links", "build_graph"]

Links = Mapping[tuple[str, str], Collection[tuple[str, str]]]
"""(downstream model, input column) -> pairs (upstream node, downstream node) that share a row."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Edge:
    """One node reads another: `column` is the input's column name in the downstream model."""

    upstream: str
    downstream: str
    column: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """Nodes in topological order (ties by name) and edges sorted by (upstream, downstream, column).

    Made by `build_graph`. Every method that takes a node's name raises `KeyError` for an unknown one.
    """

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    _index: Mapping[str, int] = field(init=False, repr=False, compare=False)
    _up: tuple[tuple[int, ...], ...] = field(init=False, repr=False, compare=False)
    _down: tuple[tuple[int, ...], ...] = field(init=False, repr=False, compare=False)
    _edges_into: tuple[tuple[Edge, ...], ...] = field(init=False, repr=False, compare=False)
    _levels: tuple[int, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        index = {node.name: position for position, node in enumerate(self.nodes)}
        up: list[set[int]] = [set() for _ in self.nodes]
        down: list[set[int]] = [set() for _ in self.nodes]
        into: list[list[Edge]] = [[] for _ in self.nodes]
        for edge in self.edges:
            upper, lower = index[edge.upstream], index[edge.downstream]
            if upper >= lower:
                raise ValueError(f"nodes are not in topological order: {edge}")
            up[lower].add(upper)
            down[upper].add(lower)
            into[lower].append(edge)
        levels: list[int] = []
        for upper_nodes in up:
            levels.append(1 + max((levels[upper] for upper in upper_nodes), default=-1))
        object.__setattr__(self, "_index", index)
        object.__setattr__(self, "_up", tuple(tuple(sorted(each)) for each in up))
        object.__setattr__(self, "_down", tuple(tuple(sorted(each)) for each in down))
        object.__setattr__(self, "_edges_into", tuple(tuple(sorted(each)) for each in into))
        object.__setattr__(self, "_levels", tuple(levels))

    def __len__(self) -> int:
        return len(self.nodes)

    def __contains__(self, name: object) -> bool:
        return name in self._index

    def node(self, name: str) -> Node:
        """The node of this name."""
        return self.nodes[self._index[name]]

    def upstreams(self, name: str) -> tuple[str, ...]:
        """The nodes that this one reads, in topological order."""
        return tuple(self.nodes[each].name for each in self._up[self._index[name]])

    def downstreams(self, name: str) -> tuple[str, ...]:
        """The nodes that read this one, in topological order."""
        return tuple(self.nodes[each].name for each in self._down[self._index[name]])

    def edges_into(self, name: str) -> tuple[Edge, ...]:
        """The edges that end at this node, sorted by (upstream, column)."""
        return self._edges_into[self._index[name]]

    def ancestors(self, names: Iterable[str], depth: int | None = None) -> frozenset[str]:
        """All nodes that some of `names` depends on, at most `depth` edges away.

        One of `names` is among them only if another of them depends on it.
        """
        return self._reached(names, self._up, depth)

    def descendants(self, names: Iterable[str], depth: int | None = None) -> frozenset[str]:
        """All nodes that depend on some of `names`, at most `depth` edges away.

        One of `names` is among them only if it depends on another of them.
        """
        return self._reached(names, self._down, depth)

    def level(self, name: str) -> int:
        """The number of edges on the longest path from a root to this node; 0 for a root."""
        return self._levels[self._index[name]]

    def longest_paths_below(self, costs: Mapping[str, float] | None = None) -> dict[str, float]:
        """For every node the most that a path beginning at it costs, its own cost included.

        Without `costs` each node costs 1, and the result counts the nodes of the longest path.
        """
        longest = [0.0] * len(self.nodes)
        for position in range(len(self.nodes) - 1, -1, -1):
            own = 1.0 if costs is None else costs[self.nodes[position].name]
            longest[position] = own + max((longest[lower] for lower in self._down[position]), default=0.0)
        return {node.name: longest[position] for position, node in enumerate(self.nodes)}

    def _reached(
        self, names: Iterable[str], neighbours: tuple[tuple[int, ...], ...], depth: int | None
    ) -> frozenset[str]:
        found: set[int] = set()
        frontier = {self._index[name] for name in names}
        while frontier and (depth is None or depth > 0):
            frontier = {each for position in frontier for each in neighbours[position]} - found
            found |= frontier
            depth = None if depth is None else depth - 1
        return frozenset(self.nodes[position].name for position in found)


def build_graph(
    manifest: Manifest, partitions: Mapping[str, Collection[tuple[str, ...]]], links: Links
) -> Graph:
    """The graph of a manifest over the partitions and shared rows that its data has.

    Parameters
    ----------
    manifest
        Its models and their inputs; a cycle among them is an error here, and found earlier by its checks.
    partitions
        For each model with `partition_by` the partition values that are nodes, each with one text per
        column; a model without is one node. A partitioned model that is not named has no nodes.
    links
        For each input the pairs of nodes that share at least one row. It may leave out an input whose
        two ends are single nodes: that edge is then taken for granted.

    Raises
    ------
    ValueError
        If `links` names an unknown node or leaves out an input of partitioned models, or if the
        models form a cycle (a checked manifest has none).
    """
    nodes = {node.name: node for model in manifest.models.values() for node in _nodes_of(model, partitions)}
    members: dict[str, set[str]] = {model: set() for model in manifest.models}
    for node in nodes.values():
        members[node.model].add(node.name)
    edges = sorted(
        Edge(upstream=upper, downstream=lower, column=each.column)
        for model in manifest.models.values()
        for each in model.inputs
        for upper, lower in _pairs(
            model,
            each.column,
            set().union(*(members[name] for name in each.models)),
            members[model.name],
            links,
        )
    )
    ordered: nx.DiGraph[str] = nx.DiGraph()
    ordered.add_nodes_from(nodes)
    ordered.add_edges_from((edge.upstream, edge.downstream) for edge in edges)
    try:
        order = list(nx.lexicographical_topological_sort(ordered))
    except nx.NetworkXUnfeasible:
        cycle = " -> ".join(upper for upper, _ in nx.find_cycle(ordered))
        raise ValueError(f"the models read each other in a circle: {cycle}") from None
    return Graph(nodes=tuple(nodes[name] for name in order), edges=tuple(edges))


def _nodes_of(model: Model, partitions: Mapping[str, Collection[tuple[str, ...]]]) -> list[Node]:
    if not model.partition_by:
        return [Node(name=model.name, model=model.name)]
    return [
        Node(
            name=node_name(model.name, model.partition_by, values), model=model.name, partition=tuple(values)
        )
        for values in sorted(set(partitions.get(model.name, ())))
    ]


def _pairs(
    model: Model, column: str, upper: Collection[str], lower: Collection[str], links: Links
) -> set[tuple[str, str]]:
    pairs = links.get((model.name, column))
    if pairs is None:
        if len(upper) <= 1 and len(lower) <= 1:
            return {(up, down) for up in upper for down in lower}
        raise ValueError(f"links has no entry for the input {column!r} of {model.name!r}")
    unknown = sorted(
        {up for up, _ in pairs if up not in upper} | {down for _, down in pairs if down not in lower}
    )
    if unknown:
        raise ValueError(f"links of the input {column!r} of {model.name!r} name unknown nodes: {unknown}")
    return set(pairs)
