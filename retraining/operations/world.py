"""What a run knows when it starts, of a session: its tables are read here."""

from __future__ import annotations

from collections.abc import Mapping

from retraining.decide.facts import Facts
from retraining.execution.study import World
from retraining.operations.measures import recorded_columns
from retraining.operations.session import Session
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
        tables=observation.tables(_champion_columns(session.facts, store)),
        rows=observation.rows,
        describe=observation.describe,
        link=observation.link,
        objects=store.objects,
        as_of=observation.as_of,
        environment=session.environment,
        promoted=session.promoted,
    )


def _champion_columns(facts: Mapping[str, Facts], store: Store) -> dict[str, set[str]]:
    """The columns that champions of changed recipes read, by dataset: to be compared, measured, or to feed readers."""
    wanted: dict[str, set[str]] = {}
    for one in facts.values():
        state = one.state
        if state is None or state.document is None or state.parts is None:
            continue
        if state.parts.recipe != one.recipe.digest():
            wanted.setdefault(one.recipe.dataset, set()).update(
                recorded_columns(read_document(store.objects, state.document))
            )
    return wanted
