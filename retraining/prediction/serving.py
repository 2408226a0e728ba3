"""What serves: versions of some nodes and their models, wherever they come from, evaluated as one predictor.

Documents and models are read when they are first needed and kept.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import get_args

from retraining.data.declarations import Declaration
from retraining.errors import InputError, IntegrityError
from retraining.graph.nodes import is_pool, parse_node_name
from retraining.learn.fitting import FittedModel
from retraining.learn.threads import one_thread
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
from retraining.prediction.past import History, Past, gathered
from retraining.prediction.routing import UnknownPolicy, route
from retraining.prediction.targets import find_nodes
from retraining.prediction.versions import ServedVersion, needed_columns
from retraining.release.values import NodeState


def _no_fetching(_: object) -> None:
    """Where everything is at hand nothing is read ahead."""


@dataclass(slots=True, kw_only=True, eq=False)
class Served:
    """The nodes of one release, `number`, by name; how a version, its model and its past are read is the caller's.

    `fetch_versions` and `fetch_models` are told which will be read next, so that they can be read together.
    """

    number: int
    states: Mapping[str, NodeState]
    read_version: Callable[[NodeState], ServedVersion]
    read_model: Callable[[ServedVersion], FittedModel]
    past: Past
    fetch_versions: Callable[[Iterable[NodeState]], None] = _no_fetching
    fetch_models: Callable[[Iterable[ServedVersion]], None] = _no_fetching
    _versions: dict[str, ServedVersion] = field(default_factory=dict)
    _models: dict[str, FittedModel] = field(default_factory=dict)

    def needs(self, target: str) -> dict[str, tuple[str, ...]]:
        """The datasets that predicting a model or node reads, and the columns of each, sorted."""
        return _by_dataset(_wanted(self.with_upstreams(find_nodes(target, self.states))))

    def asked(self, target: str) -> list[ServedVersion]:
        """The versions that a model's or a node's name asks for, those that left the manifest last."""
        names = sorted(find_nodes(target, self.states), key=lambda name: self.states[name].orphaned)
        self._fetch(names)
        return _of_one_task([self._version(name) for name in names], self.states)

    def predict(
        self,
        target: str,
        frames: Mapping[str, Frame] | Frame,
        *,
        unknown: UnknownPolicy = "error",
        history: History = "recorded",
    ) -> Prediction:
        """The predictions of a model or node; see `Release.predict`."""
        _one_of("unknown", unknown, get_args(UnknownPolicy))
        _one_of("history", history, get_args(History))
        first = self.asked(target)
        versions = self.with_upstreams(find_nodes(target, self.states))
        needed = _by_dataset(_wanted(versions))
        declarations = _declarations(versions.values())
        named = name_frames(frames, target, needed)
        sources = {name: open_source(frame, declarations[name]) for name, frame in named.items()}
        home = first[0].dataset
        _require_routing(sources, first, versions, target)
        times = {version.dataset: version.declaration.dataset.time for version in versions.values()}
        served = {home: _read(sources[home], needed[home], times[home])}
        whole = not parse_node_name(target)[1] and not is_pool(target)
        routing = route(target, first, served[home].table, whole=whole, unknown=unknown)
        active = {name: versions[name] for name in upstream_order(routing.nodes, versions)}
        wanted = [*_wanted(active)]
        require_columns(sources, wanted, target)
        for name in {name for name, _ in wanted} - {home}:
            served[name] = _read(sources[name], needed[name], times[name])
        tables = {name: one.table for name, one in served.items()}
        past = self.past if history == "recorded" else None
        evaluation = Evaluation(
            versions=gathered(active), tables=tables, load=self.model, fetch=self._fetch_models, past=past
        )
        with one_thread():
            found = evaluation.run(routing.nodes)
        return compose(self.number, served[home], routing, found, evaluation.earlier)

    def with_upstreams(self, nodes: Sequence[str]) -> dict[str, ServedVersion]:
        """The versions of some nodes and of all that they read."""
        found: dict[str, ServedVersion] = {}
        waiting = set(nodes)
        while waiting:  # level by level, since one level's documents are read together
            self._fetch(waiting)
            found |= {name: self._version(name) for name in sorted(waiting)}
            waiting = {above for name in waiting for above in found[name].upstreams} - found.keys()
        return found

    def model(self, version: ServedVersion) -> FittedModel:
        """The model of a version."""
        if version.node not in self._models:
            self._models[version.node] = self.read_model(version)
        return self._models[version.node]

    def _fetch_models(self, versions: Iterable[ServedVersion]) -> None:
        self.fetch_models([one for one in versions if one.node not in self._models])

    def _fetch(self, names: Collection[str]) -> None:
        lacking = [
            self.states[name] for name in sorted(names) if name in self.states.keys() - self._versions.keys()
        ]
        self.fetch_versions(lacking)

    def _version(self, name: str) -> ServedVersion:
        if name not in self._versions:
            state = self.states.get(name)
            if state is None or state.version is None:
                raise IntegrityError(
                    f"{name} is read by a node of release {self.number} and has no released version",
                    "run again: the next release puts it right",
                )
            self._versions[name] = self.read_version(state)
        return self._versions[name]


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


def _one_of(name: str, value: object, words: Sequence[str]) -> None:
    if value not in words:
        raise InputError(
            f"{name}={value!r}; expected {' or '.join(map(repr, words))}", "write one of the two"
        )


def _read(source: Source, columns: Collection[str], time: str | None) -> ServedTable:
    """The rows with the columns that are there: which of the others are needed is asked when rows are routed.

    The moments are read where they are given, though not needed: they say which rows lie before a cut.
    """
    wanted = {*columns} if time is None else {*columns, time}
    return source.read({name for name in wanted if name in source.names}, required=columns)
