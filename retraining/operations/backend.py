"""Who runs a plan's fits: this process, a Ray of the run's own, or a running cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from retraining.execution.backends import Backend
from retraining.execution.serial import SerialBackend
from retraining.operations.session import Session
from retraining.store.log import Store

if TYPE_CHECKING:
    from retraining.operations.run import RunOptions, Watcher

__all__ = ["backend_for"]


@contextmanager
def backend_for(
    session: Session, store: Store, options: RunOptions, watcher: Watcher
) -> Iterator[Callable[[], Backend]]:
    """What opens the backend when the first task is ready; it is closed at the end, opened or not."""
    if options.backend == "serial":
        yield lambda: SerialBackend(
            store.objects, watcher.stop_asked, watcher.interruptible, session.permissions
        )
        return
    from retraining.execution.ray.backend import RayBackend  # imported only where Ray is used

    # Ray needs seconds to start: it does so while the driver reads data and results
    backend = RayBackend(
        store_url=session.store_url,
        objects=store.objects,
        workers=options.workers,
        address=options.address,
        wait_seconds=options.wait_for_nodes,
        say=watcher.said,
        requests={
            model.name: model.resources
            for decision in session.plan.active
            if (model := session.manifest.models[session.graph.node(decision.node).model])
        },
        permissions=session.permissions,
    )
    try:
        if session.plan.fits[0]:
            backend.start()
        yield lambda: backend.ready(watcher.stop_asked)
    finally:
        backend.close()
