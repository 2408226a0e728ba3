"""A release as one predictor.

A `Release` reads documents and models when they are first needed and keeps them, so that predicting
again costs no reading. It never changes: a newer release is another value.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import pyarrow as pa

from retraining.errors import IntegrityError, NotFoundError
from retraining.learn.fitting import FittedModel
from retraining.learn.persistence import JOBLIB_FORMAT, load
from retraining.learn.storable import joblib_refused
from retraining.manifest.permissions import NOTHING, Permissions
from retraining.prediction.answer import Prediction
from retraining.prediction.blobs import Blobs
from retraining.prediction.frames import Frame
from retraining.prediction.past import History, StoredPast, column_table
from retraining.prediction.routing import UnknownPolicy
from retraining.prediction.serving import Served
from retraining.prediction.targets import released
from retraining.prediction.versions import ServedVersion, read_version
from retraining.release.values import BlobPointer, NodeState
from retraining.store.log import Head, Store

if TYPE_CHECKING:
    from retraining.prediction.exported import Exported


class Release:
    """One release of a store: an immutable map from nodes to versions, which predicts.

    `number` is the release's number, `nodes` the names of its nodes, sorted, and `url` is where the store is.
    """

    def __init__(self, store: Store, head: Head, permissions: Permissions = NOTHING) -> None:
        if head.release is None:
            raise NotFoundError(
                f"{store.objects.url}: there is no release yet", "`retrain run MANIFEST` makes the first"
            )
        self.number = head.release
        self.nodes = released(head.nodes)
        self.url = store.objects.url
        self.head = head
        self._blobs = Blobs(store.objects)
        self._permissions = permissions
        self._past = StoredPast(blobs=self._blobs, load=self._load_fit)
        self._served = Served(
            number=head.release,
            states=head.nodes,
            read_version=lambda state: read_version(self._blobs.take, state),
            read_model=self._read_model,
            past=self._past,
            fetch_versions=lambda states: self._blobs.fetch(state.document for state in states),
            fetch_models=self._fetch_models,
        )

    def __repr__(self) -> str:
        return f"Release(number={self.number}, nodes={len(self.nodes)})"

    def needs(self, target: str) -> dict[str, tuple[str, ...]]:
        """The datasets that predicting a model or node reads, and the columns of each, sorted."""
        return self._served.needs(target)

    def predict(
        self,
        target: str,
        frames: Mapping[str, Frame] | Frame,
        *,
        unknown: UnknownPolicy = "error",
        history: History = "recorded",
    ) -> Prediction:
        """The predictions of a released model (each row by the node of its partition) or of one node.

        `frames` maps dataset names to tables or paths; a single one stands for the only dataset that is
        needed. Rows of a model's partitions that are no node raise a `DataError` that counts them, or get
        nulls with `unknown="null"`; a row that lacks an upstream prediction gets none where training
        would have dropped it. Rows from before a version's cut, the asked ones and those that they read, get what
        the version's column has for them; with `history="shipped"` the released models predict them too.
        Raises InputError for names and data, StoreError for the store.
        """
        return self._served.predict(target, frames, unknown=unknown, history=history)

    def export(self, target: str, *, history: History = "recorded") -> Exported:
        """A node (or a model with all its nodes) and its ancestors as one estimator that needs no store.

        It predicts as scikit-learn's do, and `save` writes it to a folder or a .zip that
        `retraining.load_exported` reads anywhere. With `history="shipped"` it leaves the recorded columns
        behind, and is smaller: for rows from the cuts on.
        """
        from retraining.prediction.exported import open_export
        from retraining.prediction.exporting import export_files

        return open_export(export_files(self, target, history), target, self._permissions)

    def asked(self, target: str) -> tuple[str, ...]:
        """The nodes that a model's or a node's name asks for; InputError for a name that is not released."""
        return tuple(one.node for one in self._served.asked(target))

    def versions(self, target: str | None = None) -> dict[str, ServedVersion]:
        """The versions of a model or node and of all that it reads, by node; of every node without a target."""
        asked = self.nodes if target is None else self.asked(target)
        return dict(sorted(self._served.with_upstreams(asked).items()))

    def state(self, node: str) -> NodeState:
        """What the store remembers of a node of the release."""
        return self.head.nodes[node]

    def document(self, node: str) -> bytes:
        """The version document of a node, as it was stored."""
        return self._blob(node, self.head.nodes[node].document, "version document")

    def artifact(self, node: str) -> bytes:
        """The shipped model of a node, as it was stored; its digest was compared."""
        return self._blob(node, self.head.nodes[node].artifact, "model")

    def recorded_column(self, version: ServedVersion) -> pa.Table:
        """The recorded column of a version as `past.gathered` has it: `block`, `row` and `output.N` of each row."""
        return column_table(self._past.read(version, self._past.blocks(version)), version.width)

    def kept_fit(self, version: ServedVersion, block: int) -> bytes:
        """The stored model of the fit that predicts a block before a version's cut."""
        return self._blob(version.node, version.kept[block], f"fit before block {block}")

    def _blob(self, node: str, pointer: BlobPointer | None, what: str) -> bytes:
        if pointer is None:
            raise IntegrityError(
                f"the released {what} of {node} is missing", f"make it again: retrain run --force '{node}'"
            )
        try:
            return self._blobs.take(pointer)
        except (IntegrityError, NotFoundError) as error:
            raise IntegrityError(
                f"the released {what} of {node} cannot be read: {error.message}",
                f"restore that file, or make a new model with `retrain run --force '{node}'`",
            ) from error

    def _read_model(self, version: ServedVersion) -> FittedModel:
        what, pointer = f"the model of {version.node}", self.head.nodes[version.node].artifact
        self._check_format(pointer, what)
        return load(self.artifact(version.node), self._permissions, what)

    def _fetch_models(self, versions: Iterable[ServedVersion]) -> None:
        pointers = [self.head.nodes[version.node].artifact for version in versions]
        # of what may not be loaded not a byte is read
        self._blobs.fetch(one for one in pointers if self._permissions.joblib or not _is_joblib(one))

    def _load_fit(self, pointer: BlobPointer, what: str) -> FittedModel:
        self._check_format(pointer, what)
        try:
            data = self._blobs.take(pointer)
        except (IntegrityError, NotFoundError) as error:
            raise IntegrityError(
                f"{what} cannot be read: {error.message}",
                "restore that file, or predict without it: --history shipped (history='shipped')",
            ) from error
        return load(data, self._permissions, what)

    def _check_format(self, pointer: BlobPointer | None, what: str) -> None:
        if _is_joblib(pointer) and not self._permissions.joblib:
            raise joblib_refused(what)


def _is_joblib(pointer: BlobPointer | None) -> bool:
    return pointer is not None and pointer.format == JOBLIB_FORMAT
