"""What a run knows when it starts, of a session: its tables are read here."""

from __future__ import annotations

from collections.abc import Mapping

from retraining.decide.facts import Facts
from retraining.execution.study import World
from retraining.operations.measures import recorded_columns
from retraining.operations.session import Session
from retraining.release.values import NodeState
from retraining.store.log import Store
from retraining.store.packs import read_document

__all__ = ["world_of"]


def world_of(session: Session, store: Store) -> World:
    """The world of a run; DataError where the data is no longer what the session saw."""
    observation = session.observation
    return World(
        manifest=session.manifest,
        graph=observation.graph,
        plan=session.plan,
        facts=session.facts,
        states=session.head.nodes,
        tables=observation.tables(_champion_columns(session.facts, session.head.nodes, store)),
        rows=observation.rows,
        describe=observation.describe,
        link=observation.link,
        objects=store.objects,
        as_of=observation.as_of,
        environment=session.environment,
        promoted=session.promoted,
    )


def _champion_columns(
    facts: Mapping[str, Facts], states: Mapping[str, NodeState], store: Store
) -> dict[str, set[str]]:
    """The columns that champions of changed recipes read, by dataset: to be compared, measured, or to feed readers.

    Those that champions read of nodes which left the manifest or the data are among them.
    """
    changed = [
        one.state
        for one in facts.values()
        if one.state is not None
        and one.state.parts is not None
        and one.state.parts.recipe != one.recipe.digest()
    ]
    left = _left_behind(facts, states)
    wanted: dict[str, set[str]] = {}
    joined: set[str] = set()
    for state in (*changed, *left):
        if state.document is None:
            continue
        document = read_document(store.objects, state.document)
        wanted.setdefault(document["recipe"]["dataset"], set()).update(recorded_columns(document))
        joined |= {
            theirs for item in document["recipe"]["definition"]["inputs"] for theirs, _ in item["match"]
        }
    for state in left:  # what they are joined on is written by their readers
        if state.document is not None:
            wanted[read_document(store.objects, state.document)["recipe"]["dataset"]] |= joined
    return wanted


def _left_behind(facts: Mapping[str, Facts], states: Mapping[str, NodeState]) -> list[NodeState]:
    """The nodes that left the manifest or the data, and are read by champions, over any number of edges."""
    found: dict[str, NodeState] = {}
    ahead = [one.state for one in facts.values() if one.state is not None]
    while ahead:
        for name in ahead.pop().wiring:
            if name not in facts and name not in found and name in states:
                found[name] = states[name]
                ahead.append(states[name])
    return [found[name] for name in sorted(found)]
