"""The graph of a manifest over its data, and the nodes that an expression selects."""

from __future__ import annotations

from retraining.graph.rendering import as_json
from retraining.graph.selection import resolve_selection
from retraining.manifest.values import Json
from retraining.operations.selecting import selection_states
from retraining.operations.session import Session
from retraining.reporting.graph_file import Standing, as_svg

__all__ = ["describe_nodes", "draw_nodes", "selected_nodes", "states_of"]


def selected_nodes(session: Session, select: tuple[str, ...], exclude: tuple[str, ...]) -> list[str]:
    """The selected nodes in topological order; every node without `select`."""
    graph = session.observation.graph
    chosen = resolve_selection(select, exclude, graph, session.manifest, states_of(session))
    return [node.name for node in graph.nodes if node.name in chosen]


def states_of(session: Session) -> dict[str, frozenset[str]]:
    """The nodes that each `state:WORD` selects."""
    return selection_states(session.observation, session.facts, session.head.nodes)


def describe_nodes(session: Session, names: list[str]) -> dict[str, Json]:
    """The selected nodes and their edges as one document, with what the manifest and the store know of each."""
    document = as_json(session.observation.graph, names)
    states = states_of(session)
    nodes = document["nodes"]
    assert isinstance(nodes, list)
    for node in nodes:
        assert isinstance(node, dict)
        name = str(node["name"])
        model = session.manifest.models[str(node["model"])]
        state = session.head.nodes.get(name)
        words: list[Json] = [word for word, members in states.items() if name in members]
        node |= {
            "description": model.description,
            "owner": model.owner,
            "tags": list(model.tags),
            "dataset": model.dataset,
            "estimator": model.estimator.type,
            "rows": session.observation.data[name].counts.get("total"),
            "version": None if state is None else state.version,
            "states": words,
        }
    return {"manifest": session.manifest.name, **document}


def draw_nodes(session: Session, names: list[str]) -> str:
    """The selected nodes and their edges as an SVG document that stands alone."""
    tried = {name: state.attempt for name, state in session.head.nodes.items() if state.attempt is not None}
    return as_svg(
        session.observation.graph,
        names,
        {model.name: model.estimator.type for model in session.manifest.models.values()},
        {name: Standing(outcome=one.outcome, because=one.because) for name, one in tried.items()},
    )
