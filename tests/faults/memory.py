"""A bench whose store is memory behind the port, with a hook around every call; and what must hold of any store."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from oracle.workbench import Bench
from store.places import InterceptedObjects, MemoryObjects

import retraining.store.log
from retraining.operations.outcome import RunOutcome
from retraining.operations.run import RunOptions, run
from retraining.store.log import Store, store_on
from retraining.store.packs import read_blob, read_footer

AS_OF = "2024-05-01T00:00:00Z"
#: Two models in the fold scheme, one above the other: a run of 0.1 s that uses every kind of object.
MANIFEST = """
datasets: {d: {path: d.parquet, key: [id]}}
validation: {scheme: folds, folds: 3}
defaults: {gate: {refit_shift: 100}}
models:
  a: {dataset: d, target: y, features: [x], estimator: {type: Ridge}}
  b: {dataset: d, target: y, features: [z], estimator: {type: Ridge}, inputs: {a: {}}}
"""

LONG_AGO = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
#: One model: a run of half the calls.
ONE_MODEL = MANIFEST.partition("  b: ")[0]

State = dict[str, bytes]
Around = Callable[[str, tuple[object, ...], Callable[[], object]], object]


def rows(n: int = 60) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"x": rng.normal(size=200), "z": rng.normal(size=200)})
    frame["y"] = frame["x"] + frame["z"] ** 2
    return frame.assign(id=range(200)).head(n)


def memory(state: State) -> MemoryObjects:
    """A store that holds a copy of these objects, all written long ago."""
    objects = MemoryObjects()
    objects.bodies = dict(state)
    objects.written = dict.fromkeys(state, LONG_AGO)
    return objects


@dataclass
class MemoryBench:
    """Runs of one manifest on any objects behind the port."""

    bench: Bench
    monkeypatch: object
    around: Around | None = None
    calls: list[tuple[str, str]] = field(default_factory=list)

    def write(self, text: str = MANIFEST, n: int = 60) -> None:
        self.bench.write(text, d=rows(n))

    def run(self, objects: object, **more: object) -> RunOutcome:
        with self.opened(objects):
            return run(
                self.bench.folder / "m.yaml",
                store="memory",
                as_of=AS_OF,
                options=RunOptions(backend="serial"),
                **more,
            )

    @contextmanager
    def opened(self, objects: object) -> Iterator[None]:
        """The program opens these objects, whatever the URL."""
        with self.monkeypatch.context() as patch:
            patch.setattr(retraining.store.log, "open_objects", lambda url, *, create=False: objects)
            yield


def snapshots(objects: MemoryObjects) -> tuple[InterceptedObjects, list[tuple[str, State]]]:
    """The objects with a hook that keeps what the store holds after every call that changed it, from the start."""
    seen: list[tuple[str, State]] = [("start", dict(objects.bodies))]

    def around(name, arguments, call):
        if name == "delete":  # a request for each: a process can die between two
            for key in arguments[0]:
                objects.delete([key])
                keep("delete", key)
            return None
        try:
            return call()
        finally:
            keep(name, str(arguments[0]) if arguments else "")

    def keep(name, key):
        if objects.bodies != seen[-1][1]:
            seen.append((f"{name} {key.partition('/')[0]}", dict(objects.bodies)))

    return InterceptedObjects(objects, around), seen


def stored_fits(state: State) -> Counter[str]:
    """How often each fit is in the packs of a store."""
    objects = memory(state)
    return Counter(
        record.fingerprint
        for key in state
        if key.startswith("packs/")
        for record in read_footer(objects, key)
        if record.action == "fit"
    )


def check_readable(objects: MemoryObjects) -> Store:
    """The store, after everything that its head names was read."""
    store = store_on(objects)
    head = store.read_head()
    for row in head.nodes.values():
        for pointer in (row.document, row.artifact, row.attempt.document if row.attempt else None):
            if pointer is not None:
                read_blob(objects, pointer)
    assert [entry.sequence for entry in store.entries()] == list(range(head.sequence, 0, -1))
    return store
