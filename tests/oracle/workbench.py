"""A folder with a manifest and tables, and what a run of it left in the store, as plain arrays.

Nothing here knows how the engine works: columns are found by the packs' own footers, models by the
version document's pointers.
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from retraining.data.rows import folds_of
from retraining.data.tables import Column, Table
from retraining.learn.features import Features
from retraining.learn.fitting import FittedModel
from retraining.learn.persistence import load
from retraining.manifest.values import Dataset, FoldScheme
from retraining.operations.outcome import RunOutcome
from retraining.operations.run import RunOptions, Watcher, run
from retraining.release.values import BlobPointer, NodeState
from retraining.store.log import Store, open_store
from retraining.store.packs import StoredRecord, read_blob, read_footer

SERIAL = RunOptions(backend="serial")


@dataclass
class Version:
    """A version document with the arrays and models that it names."""

    store: Store
    document: dict

    def column(self, left_out: str) -> dict[int, np.ndarray]:
        """Block or fold -> what the fit M(node, left_out) predicts for the node's rows there, by key.

        Probabilities are in the order of the version's classes, 0 for one that the fit did not know.
        """
        fit = self.document["fits"][left_out]["fingerprint"]
        return {
            record.parts["part"]: self._widened(
                np.load(io.BytesIO(read_blob(self.store.objects, record.blobs[0]))),
                record.metrics.get("classes", ()),
            )
            for record in records(self.store)
            if record.action == "column" and record.parts["fit"] == fit
        }

    def _widened(self, values: np.ndarray, known) -> np.ndarray:
        classes = self.document["data"]["classes"]
        if list(known) == classes or not known:
            return values
        wide = np.zeros((len(values), len(classes)))
        wide[:, [classes.index(value) for value in known]] = values
        wide[np.isnan(values).any(axis=1)] = np.nan
        return wide

    def folds(self, width: int = 0) -> np.ndarray:
        """The leaf column of the fold scheme, fold by fold: what M(node, {j}) predicts for fold j."""
        n_folds = self.document["recipe"]["definition"]["validation"]["folds"]
        return np.concatenate([self.column(f"-{fold}")[fold] for fold in range(n_folds)])

    def model(self, left_out: str) -> FittedModel:
        """A stored model."""
        return load(
            read_blob(self.store.objects, BlobPointer.from_json(self.document["fits"][left_out]["model"]))
        )

    @property
    def fits(self) -> dict[str, str]:
        return {name: fit["fingerprint"] for name, fit in self.document["fits"].items()}

    @property
    def verdict(self) -> dict:
        return self.document["verdict"]


def records(store: Store) -> list[StoredRecord]:
    """Every record of every pack."""
    return [
        record for info in store.objects.list("packs/") for record in read_footer(store.objects, info.key)
    ]


@dataclass
class Bench:
    """A folder with `m.yaml` and its tables."""

    folder: Path

    def write(self, text: str, **frames: pd.DataFrame) -> Bench:
        (self.folder / "m.yaml").write_text("manifest: 1\nname: bench\n" + text)
        for name, frame in frames.items():
            frame.to_parquet(self.folder / f"{name}.parquet", index=False)
        return self

    def run(
        self,
        as_of: str | None = None,
        *,
        store: str = "store",
        backend: str = "serial",
        watcher: Watcher | None = None,
        **more: tuple[str, ...],
    ) -> RunOutcome:
        return run(
            self.folder / "m.yaml",
            store=str(self.folder / store),
            as_of=as_of,
            options=RunOptions(backend=backend, workers=2),
            watcher=watcher,
            **more,
        )

    def store(self, name: str = "store") -> Store:
        return open_store(str(self.folder / name))

    def state(self, node: str, store: str = "store") -> NodeState:
        return self.store(store).read_head().nodes[node]

    def version(self, node: str, store: str = "store", *, attempt: bool = False) -> Version:
        """The released version of a node, or that of its last attempt."""
        opened = self.store(store)
        state = opened.read_head().nodes[node]
        assert attempt or state.document is not None, state.attempt.because
        pointer = state.attempt.document if attempt else state.document
        return Version(opened, json.loads(read_blob(opened.objects, pointer)))


def folds_by_key(keys: np.ndarray, n_folds: int, seed: int = 0) -> np.ndarray:
    """The fold of each integer key, by the program's own hash: what an oracle must split by."""
    table = Table(
        dataset="d",
        key=("id",),
        columns={"id": Column(kind="number", values=np.asarray(keys, np.int64))},
        n_rows=len(keys),
    )
    return folds_of(table, Dataset(name="d", path="", key=("id",)), FoldScheme(folds=n_folds), seed)


def numbers(values: np.ndarray, names: list[str]) -> Features:
    """Rows of plain numbers as the learn room names them."""
    return Features(names=tuple(names), values=np.ascontiguousarray(values, np.float64), categories={})
