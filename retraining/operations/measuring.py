"""Measures champions before a plan is made: what their triggers have to know, and the store lacks."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from retraining.decide.wording import counted
from retraining.errors import InterruptedRunError
from retraining.execution.driver import Driver
from retraining.execution.journal import Journal
from retraining.operations.backend import backend_for
from retraining.operations.session import Session
from retraining.operations.world import world_of
from retraining.store.results import load_results
from retraining.store.runs import new_run_id

if TYPE_CHECKING:
    from retraining.operations.run import RunOptions, Watcher

__all__ = ["measure_champions"]


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
    world = replace(world_of(session, store), orders=session.orders, profiled=session.profiled)
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
