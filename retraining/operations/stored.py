"""The way to a store for who needs no plan: by its URL, or by the manifest that names it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import networkx as nx

from retraining.errors import SelectionError
from retraining.graph.graph import Edge, Graph
from retraining.graph.nodes import Node, parse_node_name
from retraining.graph.selection import resolve_selection
from retraining.manifest import load_manifest
from retraining.manifest.values import Manifest
from retraining.operations.arguments import store_url
from retraining.release.values import NodeState
from retraining.store.log import Store, open_store

__all__ = ["Stored", "open_stored", "stored_selection"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """An open store, its URL, and the manifest if one was given."""

    store: Store
    url: str
    manifest: Manifest | None


def open_stored(store: str | None, manifest: Path | None) -> Stored:
    """The existing store of `--store`, or else of the manifest; NotFoundError where there is none."""
    found = load_manifest(manifest) if manifest is not None else None
    if store is None:
        assert found is not None
        store = store_url(found, None)
    return Stored(store=open_store(store), url=store, manifest=found)


def stored_selection(
    nodes: Mapping[str, NodeState],
    manifest: Manifest | None,
    selected: Sequence[str],
    excluded: Sequence[str] = (),
) -> tuple[str, ...]:
    """The nodes of a store that dbt's expressions select, sorted by name; edges are those of what is served.

    `tag:` needs the manifest. Raises SelectionError for what names nothing, with the nearest names.
    """
    if not nodes:
        raise SelectionError("the store knows no node yet", "`retrain run` makes the first release")
    chosen = resolve_selection(
        selected, excluded, _graph_of(nodes), _models_of(nodes, manifest), _states(nodes)
    )
    if not chosen:
        raise SelectionError(
            f"no node is selected by {' '.join(selected)}", "`retrain status` lists the nodes"
        )
    return tuple(sorted(chosen))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Model:
    tags: tuple[str, ...] = ()
    partition_by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    models: Mapping[str, _Model] = field(default_factory=dict)


def _models_of(nodes: Mapping[str, NodeState], manifest: Manifest | None) -> _Known:
    models: dict[str, _Model] = {}
    for name in nodes:
        model, partition = parse_node_name(name)
        if model in models and not partition:
            continue  # the pool of a model with partitions
        declared = manifest.models.get(model) if manifest is not None else None
        models[model] = _Model(
            tags=declared.tags if declared is not None else (),
            partition_by=tuple(column for column, _ in partition),
        )
    return _Known(models=models)


def _graph_of(nodes: Mapping[str, NodeState]) -> Graph:
    """Who reads whom in what is served, as a graph."""
    ordered: nx.DiGraph[str] = nx.DiGraph()
    ordered.add_nodes_from(nodes)
    pairs = [(up, name) for name, state in nodes.items() for up in state.wiring if up in nodes]
    ordered.add_edges_from(pairs)
    order: list[str] = list(nx.lexicographical_topological_sort(ordered))
    edges = sorted(
        Edge(upstream=up, downstream=down, column=parse_node_name(up)[0]) for up, down in set(pairs)
    )
    return Graph(nodes=tuple(map(_node, order)), edges=tuple(edges))


def _node(name: str) -> Node:
    model, partition = parse_node_name(name)
    return Node(name=name, model=model, partition=tuple(value for _, value in partition))


def _states(nodes: Mapping[str, NodeState]) -> dict[str, Collection[str]]:
    tried = {name: state.attempt.outcome for name, state in nodes.items() if state.attempt is not None}
    return {
        "released": frozenset(name for name, state in nodes.items() if state.version is not None),
        "orphaned": frozenset(name for name, state in nodes.items() if state.orphaned),
        "pinned": frozenset(name for name, state in nodes.items() if state.pin is not None),
        **{
            word: frozenset(name for name, outcome in tried.items() if outcome == word)
            for word in ("failed", "rejected", "insufficient", "waiting", "pending")
        },
    }
