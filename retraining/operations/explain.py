"""The story of a node: from the store what it is and was, from the plan what would happen now.

With a manifest every node is told, also one that never ran and a partition that is no node; from a
store alone those that the store remembers.
"""

from __future__ import annotations

import difflib
import fnmatch
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from retraining.decide.drift import ranked
from retraining.errors import NotFoundError, SelectionError
from retraining.graph.nodes import parse_node_name
from retraining.graph.selection import resolve_selection
from retraining.manifest.values import Json
from retraining.operations.listing import states_of
from retraining.operations.record import performance_of
from retraining.operations.session import Session, read_document
from retraining.operations.stored import Stored
from retraining.release.recorded import recorded_of
from retraining.release.values import BlobPointer, NodeState
from retraining.reporting.record import read_record
from retraining.reporting.story import Comparison, Making, Story
from retraining.store.log import Store
from retraining.store.runs import outcome_key

__all__ = ["explain_planned", "explain_stored"]

#: Records of runs that are looked at for comparisons; those of large graphs are large.
_MOST_RECORDS = 5


def explain_planned(session: Session, expressions: tuple[str, ...]) -> list[Story]:
    """The stories of the nodes that the expressions select, in topological order."""
    graph = session.observation.graph
    left_out = [_no_node(session, text) for text in expressions]
    wanted = tuple(text for text, story in zip(expressions, left_out, strict=True) if story is None)
    chosen = (
        resolve_selection(wanted, (), graph, session.manifest, states_of(session)) if wanted else frozenset()
    )
    stories = [_planned(session, node.name) for node in graph.nodes if node.name in chosen]
    told = [*stories, *(story for story in left_out if story is not None)]
    return told if session.store is None else _with_comparisons(session.store, told)


def explain_stored(stored: Stored, expressions: tuple[str, ...]) -> list[Story]:
    """The stories of the nodes of a store that the expressions name: nodes, models, or patterns of them."""
    nodes = stored.store.read_head().nodes
    chosen: dict[str, None] = {}
    for text in expressions:
        chosen.update(dict.fromkeys(_named(text, nodes)))
    return _with_comparisons(stored.store, [_stored(stored.store, nodes, name) for name in chosen])


def _with_comparisons(store: Store, stories: Sequence[Story]) -> list[Story]:
    """The stories with what was last found of the inputs of their champions because somebody asked.

    Such a run releases nothing, so that its record alone tells of it; the newest few are looked at.
    """
    open_ones = {one.node: one for one in stories if one.champion is not None and one.reads}
    since = min((one.champion.run for one in open_ones.values() if one.champion is not None), default="")
    found: dict[str, Comparison] = {}
    for run in [name for name in store.runs() if open_ones and name > since][:_MOST_RECORDS]:
        try:
            record = store.read_json(outcome_key(run))
        except NotFoundError:
            continue
        nodes = record.get("nodes")
        for node in nodes if isinstance(nodes, list) else ():
            comparison = _comparison(node, run, str(record.get("ended", "")))
            if comparison is not None:
                name, told = comparison
                story = open_ones.get(name)
                if story is not None and story.champion is not None and run > story.champion.run:
                    found.setdefault(name, told)
    return [replace(one, compared=found.get(one.node)) for one in stories]


def _comparison(node: Json, run: str, ended: str) -> tuple[str, Comparison] | None:
    """The name of a node whose inputs a run compared because somebody asked, and what it found."""
    if not isinstance(node, dict) or not isinstance(node.get("decision"), dict) or not node.get("edges"):
        return None
    decision: Any = node["decision"]
    if decision.get("compared") is not True or node.get("outcome") != "kept":
        return None
    view = read_record({"format": 1, "nodes": [node]}).nodes[0]
    edges: Any = node["edges"]
    return view.name, Comparison(edges=tuple(view.edges), time=ended, run=run, record=tuple(edges))


def _named(text: str, nodes: Mapping[str, NodeState]) -> list[str]:
    """The nodes of a store that one expression names."""
    if text in nodes:
        return [text]
    found = [name for name in nodes if fnmatch.fnmatchcase(name, text)]
    found = found or [name for name in nodes if fnmatch.fnmatchcase(parse_node_name(name)[0], text)]
    if not found:
        known = {*nodes, *(parse_node_name(name)[0] for name in nodes)}
        near = difflib.get_close_matches(text, sorted(known), n=3)
        step = f"did you mean {', '.join(near)}?" if near else "`retrain status` lists its nodes"
        raise SelectionError(f"the store knows no node {text!r}", step)
    return found


def _no_node(session: Session, text: str) -> Story | None:
    """The story of a partition that the data has and that is no node."""
    for one in session.observation.skipped:
        if text == f"{one.model}[{one.partition}]":
            return Story(node=text, no_node=one.why)
    return None


def _planned(session: Session, name: str) -> Story:
    graph, recipe = session.observation.graph, session.observation.recipes[name]
    model = session.manifest.models[graph.node(name).model]
    reads: dict[str, tuple[str, ...]] = {item.column: () for item in recipe.inputs}
    for edge in graph.edges_into(name):
        reads[edge.column] += (edge.upstream,)
    state = session.head.nodes.get(name)
    champion, attempt = _makings(session.store, state)
    return Story(
        node=name,
        description=model.description,
        owner=model.owner,
        tags=model.tags,
        estimator=recipe.estimator,
        dataset=recipe.dataset,
        target=recipe.target.column,
        features=recipe.features,
        reads=reads,
        readers=graph.downstreams(name),
        rows=session.observation.data[name].counts,
        champion=champion,
        attempt=attempt,
        decision=session.plan[name],
        as_of=session.plan.as_of,
        timezone=session.manifest.timezone,
        orphaned=state is not None and state.orphaned,
        model_format=_format(state),
        pin=state.pin if state is not None else None,
        performance=performance_of(session, name),
        drift=ranked(one for several in session.known.drift.get(name, {}).values() for one in several),
    )


def _stored(store: Store, nodes: Mapping[str, NodeState], name: str) -> Story:
    state = nodes[name]
    champion, attempt = _makings(store, state)
    told = champion or attempt
    document: Mapping[str, Any] = told.document if told is not None else {}
    recipe = document.get("recipe", {})
    definition = recipe.get("definition", {})
    sources = document.get("sources", {})
    return Story(
        node=name,
        estimator=definition.get("estimator", ""),
        dataset=recipe.get("dataset", ""),
        target=definition.get("target", {}).get("column", ""),
        features=tuple(definition.get("features", ())),
        reads={column: tuple(names) for column, names in sources.items()},
        readers=tuple(other for other, one in nodes.items() if name in one.wiring),
        champion=champion,
        attempt=attempt,
        timezone=recipe.get("timezone") or "UTC",
        orphaned=state.orphaned,
        model_format=_format(state),
        pin=state.pin,
    )


def _format(state: NodeState | None) -> str:
    return "" if state is None or state.artifact is None else state.artifact.format


def _makings(store: Store | None, state: NodeState | None) -> tuple[Making | None, Making | None]:
    """The champion and, where it is another version, the last attempt."""
    if store is None or state is None:
        return None, None
    champion = attempt = None
    if state.version is not None and state.document is not None:
        champion = _making(store, state.document, "promoted", "", state.time, state.run)
    last = state.attempt
    if last is not None and last.outcome != "promoted" and last.document is not None:
        attempt = _making(store, last.document, last.outcome, last.because, last.time, last.run)
    return champion, attempt


def _making(store: Store, pointer: BlobPointer, outcome: str, because: str, time: str, run: str) -> Making:
    document = read_document(store, pointer)
    sources, coverage = document.get("sources", {}), document.get("coverage", {})
    node: dict[str, Any] = {
        **{key: document.get(key) for key in _SAME},
        "model": document["recipe"]["model"],
        "estimator": document["recipe"]["definition"]["estimator"],
        "inputs": [
            {"column": column, "upstreams": names, "coverage": coverage.get(column)}
            for column, names in sources.items()
        ],
        "rows": document.get("counts", document["data"]["counts"]),
    }
    return Making(
        view=read_record({"format": 1, "nodes": [node]}).nodes[0],
        outcome=outcome,
        because=because or document["because"],
        time=time,
        run=run,
        document=_shortened(document),
    )


_SAME = (
    "node",
    "decision",
    "outcome",
    "because",
    "version",
    "verdict",
    "edges",
    "skew",
    "pair",
    "checks",
    "cut",
    "error",
)
_BULK = ("cells", "features", "rows")


def _shortened(document: Mapping[str, Any]) -> dict[str, Json]:
    """The document without the digest of every cell and fit; of the recorded column the blocks."""
    data = {key: value for key, value in document["data"].items() if key not in _BULK}
    recorded = sorted(recorded_of(document).own)
    return {**document, "data": data, "fits": len(document["fits"]), "recorded": recorded}
