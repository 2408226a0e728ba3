"""What models and datasets say about each other: edges, cycles, and schemes that must agree."""

from __future__ import annotations

import graphlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from retraining.manifest.durations import duration_text
from retraining.manifest.grammar import Datasets, Edges, Models, Partitioning, Targets
from retraining.manifest.problems import Problems
from retraining.manifest.readings import ModelReading
from retraining.manifest.records import Reading
from retraining.manifest.values import FoldScheme, Scheme, TimeScheme

__all__ = ["Edge", "check_connections"]

_CYCLES = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """An input as it was read: who reads whom, and where that is written."""

    upstream: str
    downstream: str
    where: tuple[int, int]
    reading: Reading


def check_connections(
    models: Mapping[str, ModelReading],
    names: Iterable[str],
    datasets: Mapping[str, Reading],
    schemes: Mapping[str, Scheme],
    problems: Problems,
) -> None:
    """Note unknown upstreams, edges that cannot be, cycles, and connected datasets that disagree.

    `names` are all names under `models`, also of models that could not be read. `schemes` has the
    datasets whose scheme is known.
    """
    known = set(names)
    edges = [edge for edge in _edges(models, known, problems) if edge.upstream in models]
    _check_unions(models, edges, problems)
    crossing = [edge for edge in edges if _check_edge(edge, models, datasets, problems)]
    _check_late_labels(models, schemes, problems)
    acyclic = _check_cycles(models, edges, problems)
    for connected in _components(models, datasets, crossing):
        if all(name in schemes for name in connected):
            _check_agreement(connected, datasets, schemes, problems)
    if acyclic:
        _check_levels(models, edges, datasets, schemes, problems)


def _dataset(model: ModelReading) -> str | None:
    return model.value(Models.DATASET)


def _edges(models: Mapping[str, ModelReading], known: set[str], problems: Problems) -> Iterator[Edge]:
    """Every model that an input reads; what is no other model is noted."""
    for model in models.values():
        for name, item in (model.value(Models.INPUTS) or {}).items():
            _, path = model.spot(Models.INPUTS)
            union = item.value is not None and item.value.has(Edges.FROM)
            sources = (item.value.value(Edges.FROM) or ()) if item.value is not None and union else (name,)
            for upstream in sources:
                at, where = f"{path}.{name}", (item.key.line, item.key.column)
                if upstream == model.name:
                    found = f"`{upstream}` reads its own prediction; recursive forecasts are not possible"
                    problems.add(item.key, at, found, "put the lagged label into the table as a feature")
                elif upstream not in known:
                    otherwise = "inputs are named like the models that they read, unless they have `from`"
                    step = problems.suggestion(upstream, known, otherwise)
                    problems.add(item.key, at, f"there is no model `{upstream}`", step)
                elif item.value is not None:
                    yield Edge(upstream=upstream, downstream=model.name, where=where, reading=item.value)


def _check_edge(
    edge: Edge, models: Mapping[str, ModelReading], datasets: Mapping[str, Reading], problems: Problems
) -> bool:
    """Whether the edge connects two datasets; what cannot be is noted."""
    source, reader = _dataset(models[edge.upstream]), _dataset(models[edge.downstream])
    if source is None or reader is None or source == reader:
        return False
    if source not in datasets or reader not in datasets:
        return False
    path = edge.reading.path
    if not (edge.reading.has(Edges.MATCH) or edge.reading.has(Edges.AS_OF)):
        found = (
            f"`{edge.upstream}` is on dataset `{source}`, not `{reader}`: rows cannot be paired one by one"
        )
        step = f"add match: {{column of {source}: column of {reader}}}"
        problems.add(edge.where, path, found, step)
    timed = {name: datasets[name].has(Datasets.TIME) for name in (source, reader)}
    if not all(timed[name] or datasets[name].complete for name in timed):
        return False  # `time` may only be misspelt, which was noted
    if timed[source] != timed[reader]:
        without, with_time = (source, reader) if timed[reader] else (reader, source)
        found = (
            f"`{edge.downstream}` reads `{edge.upstream}`, but dataset `{without}` has no `time` "
            f"and `{with_time}` has: whether a prediction existed in time cannot be known"
        )
        problems.add(edge.where, path, found, f"give `{without}` a `time`")
        return False
    return True


def _check_unions(models: Mapping[str, ModelReading], edges: list[Edge], problems: Problems) -> None:
    """The models of one union are on one dataset and none has a pool: it must be clear who predicts a row."""
    first: dict[str, Edge] = {}
    for edge in edges:
        if edge.reading.has(Edges.FROM) and _has_pool(models[edge.upstream]):
            found = f"`{edge.upstream}` has a pool, which predicts every row: no other model can be beside it"
            step = "read it by itself, or write `small: skip` in its `partitions`"
            problems.add(
                edge.reading.where(Edges.FROM), edge.reading.at(Edges.FROM), found, step, once="pool"
            )
        other = first.setdefault(edge.reading.path, edge)
        one, two = _dataset(models[other.upstream]), _dataset(models[edge.upstream])
        if None not in (one, two) and one != two:
            found = (
                f"`from` unites models of one dataset; `{other.upstream}` is on `{one}`, "
                f"`{edge.upstream}` on `{two}`"
            )
            problems.add(
                edge.reading.where(Edges.FROM),
                edge.reading.at(Edges.FROM),
                found,
                "write two inputs",
                once="union",
            )


def _check_late_labels(
    models: Mapping[str, ModelReading], schemes: Mapping[str, Scheme], problems: Problems
) -> None:
    """A label that is known only after its row's decision does not exist yet where a prediction is made."""
    late: dict[tuple[str, str], tuple[str, str]] = {}
    for model in models.values():
        target, dataset = model.value(Models.TARGET), _dataset(model) or ""
        if not isinstance(target, Reading) or not isinstance(schemes.get(dataset), TimeScheme):
            continue
        column, after, at = (
            target.value(Targets.COLUMN),
            target.value(Targets.KNOWN_AFTER),
            target.value(Targets.KNOWN_AT),
        )
        if column and (after or at):
            when = f"at `{at}`" if at else f"{duration_text(after)} after the decision" if after else ""
            late.setdefault((dataset, column), (model.name, when))
    for model in models.values():
        for position, feature in enumerate(model.value(Models.FEATURES) or ()):
            owner = late.get((_dataset(model) or "", feature))
            if owner is None or owner[0] == model.name or feature == _label(model):
                continue
            where, path = model.spot(Models.FEATURES, position)
            found = (
                f"`{feature}` is the label of `{owner[0]}`, known {owner[1]}: it is not there yet when "
                f"`{model.name}` predicts"
            )
            problems.add(where, path, found, f"read its prediction instead: inputs: {{{owner[0]}: {{}}}}")


def _label(model: ModelReading) -> str | None:
    target = model.value(Models.TARGET)
    return target.value(Targets.COLUMN) if isinstance(target, Reading) else target


def _has_pool(model: ModelReading) -> bool:
    partitions = model.value(Models.PARTITIONS) if model.value(Models.PARTITION_BY) else None
    return partitions is not None and partitions.value(Partitioning.SMALL) == "pool"


def _check_cycles(models: Mapping[str, ModelReading], edges: list[Edge], problems: Problems) -> bool:
    """Whether there is no cycle; up to 20 are noted, each with its path."""
    upstreams: dict[str, dict[str, Edge]] = {name: {} for name in models}
    for edge in edges:
        upstreams[edge.downstream][edge.upstream] = edge
    for found in range(_CYCLES):
        try:
            graphlib.TopologicalSorter(upstreams).prepare()
        except graphlib.CycleError as error:
            cycle: list[str] = error.args[1]
            last = upstreams[cycle[1]].pop(cycle[0])
            problems.add(
                last.where,
                last.reading.path,
                f"models read each other in a circle: {_cycle_text(cycle)}",
                "remove one of these inputs",
            )
        else:
            return found == 0
    return False


def _cycle_text(cycle: list[str]) -> str:
    """The way of the predictions, at most 12 models of it."""
    shown = cycle if len(cycle) <= 12 else [*cycle[:8], f"({len(cycle) - 11} more)", *cycle[-3:]]
    return " -> ".join(shown)


def _components(
    models: Mapping[str, ModelReading], datasets: Mapping[str, Reading], crossing: list[Edge]
) -> list[list[str]]:
    """The datasets in groups that edges connect, each in the order of the file."""
    leader = {name: name for name in datasets}

    def find(name: str) -> str:
        while leader[name] != name:
            leader[name] = leader[leader[name]]
            name = leader[name]
        return name

    for edge in crossing:
        source, reader = _dataset(models[edge.upstream]), _dataset(models[edge.downstream])
        if source is not None and reader is not None:
            leader[find(reader)] = find(source)
    groups: dict[str, list[str]] = {}
    for name in datasets:
        groups.setdefault(find(name), []).append(name)
    return list(groups.values())


def _scheme_text(scheme: Scheme) -> str:
    match scheme:
        case TimeScheme():
            return (
                f"time, blocks of {scheme.block_days}d, holdout {scheme.holdout}, "
                f"embargo {duration_text(scheme.embargo)}, "
                f"at least {scheme.min_rows} rows in {scheme.min_blocks} blocks"
            )
        case FoldScheme():
            return f"folds of the column {scheme.column}" if scheme.column else f"{scheme.folds} folds"


def _check_agreement(
    connected: list[str], datasets: Mapping[str, Reading], schemes: Mapping[str, Scheme], problems: Problems
) -> None:
    """Connected datasets have one scheme, and by folds one group."""
    first, *others = connected
    for name in others:
        if schemes[name] != schemes[first]:
            reading = datasets[name]
            found = (
                f"datasets `{first}` and `{name}` are connected by models and must be validated alike; found "
                f"{_scheme_text(schemes[first])} and {_scheme_text(schemes[name])}"
            )
            where = reading.where(Datasets.VALIDATION)
            problems.add(where, reading.path, found, "write one `validation` for the whole manifest")
            return
    scheme = schemes[first]
    if not others or isinstance(scheme, TimeScheme) or scheme.column:
        return
    groups = {name: datasets[name].value(Datasets.GROUP) for name in connected}
    wanted = next((group for group in groups.values() if group), None)
    for name, group in groups.items():
        reading = datasets[name]
        if group is None and not reading.refused(Datasets.GROUP):
            found = (
                f"dataset `{name}` is connected with {_others(name, connected)} by folds and has no `group`"
            )
            step = f"add `group: {wanted or 'COLUMN'}`, a column of the same name in each of them"
            problems.add(reading.where(Datasets.GROUP), reading.path, found, step)
        elif group is not None and group != wanted:
            found = f"connected datasets have one `group`; found `{group}` and `{wanted}`"
            problems.add(reading.where(Datasets.GROUP), reading.at(Datasets.GROUP), found, f"write {wanted}")


def _others(name: str, connected: list[str]) -> str:
    return ", ".join(f"`{other}`" for other in connected if other != name)


def _check_levels(
    models: Mapping[str, ModelReading],
    edges: list[Edge],
    datasets: Mapping[str, Reading],
    schemes: Mapping[str, Scheme],
    problems: Problems,
) -> None:
    """By folds a chain of L levels needs at least L + 1 folds; each dataset's longest chain is checked."""
    upstreams: dict[str, set[str]] = {name: set() for name in models}
    for edge in edges:
        upstreams[edge.downstream].add(edge.upstream)
    chains: dict[str, tuple[int, str | None]] = {}
    deepest: dict[str, str] = {}
    for name in graphlib.TopologicalSorter(upstreams).static_order():
        above = max(upstreams[name], key=lambda upstream: (chains[upstream][0], upstream), default=None)
        chains[name] = (1 + chains[above][0] if above else 1, above)
        dataset = _dataset(models[name]) or ""
        if dataset in datasets and chains[name][0] > chains.get(deepest.get(dataset, ""), (0, None))[0]:
            deepest[dataset] = name
    for dataset, name in deepest.items():
        scheme = schemes.get(dataset)
        levels = chains[name][0]
        if isinstance(scheme, FoldScheme) and not scheme.column and scheme.folds < levels + 1:
            chain = _chain(name, chains)
            found = f"{levels} levels of models need at least {levels + 1} folds, not {scheme.folds}: {chain}"
            where, path = models[name].spot(Models.DATASET)
            problems.add(where, path, found, f"write validation: {{scheme: folds, folds: {levels + 1}}}")


def _chain(name: str, chains: Mapping[str, tuple[int, str | None]]) -> str:
    chain = [name]
    while (above := chains[chain[-1]][1]) is not None:
        chain.append(above)
    return _cycle_text(chain[::-1])
