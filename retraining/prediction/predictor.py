"""A release as one predictor.

A `Release` reads documents and models when they are first needed and keeps them, so that predicting
again costs no reading. It never changes: a newer release is another value.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from retraining.data.declarations import Declaration
from retraining.errors import IntegrityError, NotFoundError
from retraining.graph.nodes import is_pool, parse_node_name
from retraining.learn.fitting import FittedModel
from retraining.learn.persistence import JOBLIB_FORMAT, load
from retraining.learn.storable import joblib_refused
from retraining.learn.threads import one_thread
from retraining.manifest.permissions import NOTHING, Permissions
from retraining.prediction.answer import Prediction, compose
from retraining.prediction.evaluation import Evaluation, upstream_order
from retraining.prediction.frames import (
    Frame,
    ServedTable,
    Source,
    name_frames,
    open_source,
    require_columns,
)
from retraining.prediction.routing import UnknownPolicy, route
from retraining.prediction.targets import find_nodes, released
from retraining.prediction.versions import ServedVersion, needed_columns, read_version
from retraining.release.values import NodeState
from retraining.store.log import Head, Store
from retraining.store.packs import read_blob


class Release:
    """One release of a store: an immutable map from nodes to versions, which predicts.

    `number` is the release's number and `nodes` the names of its nodes, sorted.
    """

    def __init__(self, store: Store, head: Head, permissions: Permissions = NOTHING) -> None:
        if head.release is None:
            raise NotFoundError(
                f"{store.objects.url}: there is no release yet", "`retrain run MANIFEST` makes the first"
            )
        self.number = head.release
        self.nodes = released(head.nodes)
        self._objects = store.objects
        self._permissions = permissions
        self._states = head.nodes
        self._versions: dict[str, ServedVersion] = {}
        self._models: dict[str, FittedModel] = {}

    def __repr__(self) -> str:
        return f"Release(number={self.number}, nodes={len(self.nodes)})"

    def needs(self, target: str) -> dict[str, tuple[str, ...]]:
        """The datasets that predicting a model or node reads, and the columns of each, sorted."""
        return _by_dataset(_wanted(self._with_upstreams(find_nodes(target, self._states))))

    def predict(
        self, target: str, frames: Mapping[str, Frame] | Frame, *, unknown: UnknownPolicy = "error"
    ) -> Prediction:
        """The predictions of a released model (each row by the node of its partition) or of one node.

        `frames` maps dataset names to tables or paths; a single one stands for the only dataset that is
        needed. Rows of a model's partitions that are no node raise a `DataError` that counts them, or get
        nulls with `unknown="null"`; a row that lacks an upstream prediction gets none where training
        would have dropped it. Raises InputError for names and data, StoreError for the store.
        """
        asked = sorted(find_nodes(target, self._states), key=lambda name: self._states[name].orphaned)
        versions = self._with_upstreams(asked)
        needed = _by_dataset(_wanted(versions))
        declarations = _declarations(versions.values())
        named = name_frames(frames, target, needed)
        sources = {name: open_source(frame, declarations[name]) for name, frame in named.items()}
        first = _of_one_task([versions[name] for name in asked], self._states)
        home = first[0].dataset
        _require_routing(sources, first, versions, target)
        served = {home: _read(sources[home], needed[home])}
        whole = not parse_node_name(target)[1] and not is_pool(target)
        routing = route(target, first, served[home].table, whole=whole, unknown=unknown)
        active = {name: versions[name] for name in upstream_order(routing.nodes, versions)}
        wanted = [*_wanted(active)]
        require_columns(sources, wanted, target)
        for name in {name for name, _ in wanted} - {home}:
            served[name] = _read(sources[name], needed[name])
        tables = {name: one.table for name, one in served.items()}
        with one_thread():
            found = Evaluation(versions=active, tables=tables, load=self._model).run(routing.nodes)
        return compose(self.number, served[home], routing, found)

    def _with_upstreams(self, nodes: Sequence[str]) -> dict[str, ServedVersion]:
        """The versions of some nodes and of all that they read."""
        found: dict[str, ServedVersion] = {}
        waiting = list(nodes)
        while waiting:
            name = waiting.pop()
            if name not in found:
                found[name] = self._version(name)
                waiting += found[name].upstreams
        return found

    def _version(self, name: str) -> ServedVersion:
        if name not in self._versions:
            state = self._states.get(name)
            if state is None or state.version is None:
                raise IntegrityError(
                    f"{name} is read by a node of release {self.number} and has no released version",
                    "run again: the next release puts it right",
                )
            self._versions[name] = read_version(self._objects, state)
        return self._versions[name]

    def _model(self, version: ServedVersion) -> FittedModel:
        if version.node not in self._models:
            what = f"the model of {version.node}"
            if version.artifact.format == JOBLIB_FORMAT and not self._permissions.joblib:
                raise joblib_refused(what)
            try:
                data = read_blob(self._objects, version.artifact)
            except (IntegrityError, NotFoundError) as error:
                raise IntegrityError(
                    f"the released model of {version.node} cannot be read: {error.message}",
                    f"restore that file, or make a new model with `retrain run --force {version.node}`",
                ) from error
            self._models[version.node] = load(data, self._permissions, what)
        return self._models[version.node]


def _of_one_task(asked: Sequence[ServedVersion], states: Mapping[str, NodeState]) -> list[ServedVersion]:
    """Without the nodes that left the manifest before the model's task became another."""
    task = asked[0].recipe.task
    return [one for one in asked if not states[one.node].orphaned or one.recipe.task == task]


def _wanted(versions: Mapping[str, ServedVersion]) -> set[tuple[str, str]]:
    """Every (dataset, column) that predicting with all of these versions reads."""
    return {pair for version in versions.values() for pair in needed_columns(version, versions)}


def _by_dataset(wanted: Iterable[tuple[str, str]]) -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {}
    for dataset, column in sorted(wanted):
        found.setdefault(dataset, []).append(column)
    return {dataset: tuple(columns) for dataset, columns in found.items()}


def _declarations(versions: Iterable[ServedVersion]) -> dict[str, Declaration]:
    """Each dataset as its newest version knew it, with the types of columns that only older ones read."""
    found: dict[str, Declaration] = {}
    for version in sorted(versions, key=lambda one: (one.made, one.node)):
        before, newer = found.get(version.dataset), version.declaration
        if before is not None:
            types = {**before.dataset.types, **newer.dataset.types}
            newer = replace(newer, dataset=replace(newer.dataset, types=types))
        found[version.dataset] = newer
    return found


def _require_routing(
    sources: Mapping[str, Source],
    asked: Sequence[ServedVersion],
    versions: Mapping[str, ServedVersion],
    target: str,
) -> None:
    """Where the key or a partition column is missing, no row can be routed: then everything lacking is named."""
    home = sources[asked[0].dataset]
    columns = {*home.declaration.dataset.key, *(name for one in asked for name, _ in one.recipe.partition)}
    if not columns <= {*home.names}:
        require_columns(sources, _wanted(versions), target)


def _read(source: Source, columns: Collection[str]) -> ServedTable:
    """The rows with the columns that are there: which of the others are needed is asked when rows are routed."""
    return source.read({name for name in columns if name in source.names})
