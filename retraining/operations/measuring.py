"""Measures champions before a plan is made: what their triggers have to know, and the store lacks."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from retraining.decide.facts import Facts
from retraining.decide.wording import counted
from retraining.errors import InterruptedRunError
from retraining.execution.driver import Driver
from retraining.execution.journal import Journal
from retraining.execution.study import World
from retraining.operations.backend import backend_for
from retraining.operations.measures import recorded_columns
from retraining.operations.session import Session
from retraining.store.log import Store
from retraining.store.packs import read_document
from retraining.store.results import load_results
from retraining.store.runs import new_run_id

if TYPE_CHECKING:
    from retraining.operations.run import RunOptions, Watcher

__all__ = ["champion_columns", "measure_champions"]


def measure_champions(session: Session, options: RunOptions, watcher: Watcher) -> dict[str, str]:
    """Measures what the session orders and stores it; the value says of which nodes it could not be done, and why.

    Raises `InterruptedRunError` where it was stopped: what is finished is kept.
    """
    observation, head, store = session.observation, session.head, session.store
    assert store is not None
    champions = {*session.orders, *session.profiled}
    watcher.said(f"measuring {counted(len(champions), 'champion')} on what came after")
    run = new_run_id(int(time.time() * 1000), os.urandom(4))
    index = load_results(store.objects, None if head.entry is None else head.entry.results, store.keys)
    journal = Journal(store.objects, run, pace=options.pace, loose=index.loose, keys=store.keys, events=False)
    world = World(
        manifest=session.manifest,
        graph=observation.graph,
        plan=session.plan,
        facts=session.facts,
        states=head.nodes,
        tables=observation.tables(champion_columns(session.facts, store)),
        rows=observation.rows,
        describe=observation.describe,
        link=observation.link,
        objects=store.objects,
        as_of=observation.as_of,
        environment=session.environment,
        orders=session.orders,
        profiled=session.profiled,
    )
    with backend_for(session, store, options, watcher) as open_backend:
        driver = Driver(
            world,
            observation.datasets,
            index,
            open_backend,
            run=run,
            journal=journal,
            stop_asked=watcher.stop_asked,
            progress=watcher.progress,
        )
        journal.begin()
        try:
            execution = driver.measure()
        finally:
            journal.end()
    if execution.fatal is not None:
        raise execution.fatal
    if execution.interrupted:
        raise InterruptedRunError(
            "stopped while champions were measured; what is measured is kept",
            "run the same command again: it continues with what is missing",
        )
    return execution.unmeasured


def champion_columns(facts: Mapping[str, Facts], store: Store) -> dict[str, set[str]]:
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
