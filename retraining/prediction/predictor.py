"""A release as one predictor, and the releases of a store.

A `Release` reads documents and models when they are first needed and keeps them, so that predicting
again costs no reading. It never changes: a newer release is another value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from retraining.errors import NotFoundError
from retraining.graph.nodes import parse_node_name
from retraining.learn.fitting import FittedModel
from retraining.prediction.answer import Prediction, compose
from retraining.prediction.evaluation import Evaluation, upstream_order
from retraining.prediction.frames import Frame, Source, name_frames, open_source, require_columns
from retraining.prediction.routing import UnknownPolicy, route
from retraining.prediction.targets import find_nodes, released
from retraining.prediction.versions import ServedVersion, needed_columns, read_version
from retraining.store.entries import Head
from retraining.store.log import Store
from retraining.store.log import open_store as open_log
from retraining.store.packs import read_blob


class Release:
    """One release of a store: an immutable map from nodes to versions that predicts.

    `number` is the release's number and `nodes` the names of its nodes, sorted.
    """

    def __init__(self, store: Store, head: Head) -> None:
        if head.release is None:
            raise NotFoundError(
                f"{store.objects.url}: there is no release yet", "`retrain run MANIFEST` makes the first"
            )
        self.number = head.release
        self.nodes = released(head.nodes)
        self._objects = store.objects
        self._states = head.nodes
        self._versions: dict[str, ServedVersion] = {}
        self._models: dict[str, FittedModel] = {}

    def __repr__(self) -> str:
        return f"Release(number={self.number}, nodes={len(self.nodes)})"

    def needs(self, target: str) -> dict[str, tuple[str, ...]]:
        """The datasets that predicting a model or node reads, and the columns of each, sorted."""
        versions = self._with_upstreams(find_nodes(target, self._states))
        wanted = {pair for version in versions.values() for pair in needed_columns(version, versions)}
        return {
            dataset: tuple(sorted(column for name, column in wanted if name == dataset))
            for dataset in sorted({name for name, _ in wanted})
        }

    def predict(
        self, target: str, frames: Mapping[str, Frame] | Frame, *, unknown: UnknownPolicy = "error"
    ) -> Prediction:
        """The predictions of a released model (each row by the node of its partition) or of one node.

        `frames` maps dataset names to tables or paths; a single one stands for the only dataset that is
        needed. Rows of a model's partitions that are no node raise a `DataError` that counts them, or get
        nulls with `unknown="null"`; a row that lacks an upstream prediction gets none where training
        would have dropped it. Raises InputError for names and data, StoreError for the store.
        """
        asked = find_nodes(target, self._states)
        whole = not parse_node_name(target)[1]
        versions = self._with_upstreams(asked)
        sources = self._open(target, frames, versions)
        first = [versions[name] for name in self._living_first(asked)]
        home = first[0].dataset
        routed = [(home, name) for name in first[0].declaration.dataset.key]
        routed += [(home, column) for version in first for column, _ in version.recipe.partition]
        everything = [pair for version in versions.values() for pair in needed_columns(version, versions)]
        if any(column not in sources[name].names for name, column in routed):
            require_columns(sources, everything, target)
        served = {home: sources[home].read({column for name, column in everything if name == home} & {*sources[home].names})}
        routing = route(target, first, served[home].table, whole=whole, unknown=unknown)
        return compose(self.number, served[home], routing, [])
