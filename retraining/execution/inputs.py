"""Assembles a candidate's upstream columns: union over nodes, coverage, digests.

Columns are made by other flows (`ColumnOf`); here they are put together over the rows of their
dataset and handed to the workers once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from retraining.data.columns import (
    UpstreamColumn,
    column_digests,
    output_names,
    reader_column,
    unite,
    usable_rows,
)
from retraining.data.edges import Groups, Newest, edge_kind, link_words
from retraining.data.evidence import fed_cells, unite_origins
from retraining.data.identities import Identities, read_identities, row_identities, unite_identities
from retraining.decide.calendar import Calendar
from retraining.decide.fits import Context, Folds, LeftOut
from retraining.decide.recipes import Recipe, digest_of
from retraining.execution.candidates import (
    Candidate,
    Intake,
    Side,
)
from retraining.execution.flows import Flow
from retraining.execution.keys import ColumnOf
from retraining.execution.study import ColumnValues, Floats, Study
from retraining.execution.tasks import InputSpec
from retraining.graph.nodes import is_pool
from retraining.manifest.values import Input, Json, TimeScheme


def prepare(study: Study, candidate: Candidate, context: Context) -> Flow:
    """Assembles the upstream columns of a candidate in one context; the value is an error or None."""
    if context in candidate.inputs:
        return None
    keys = [
        ColumnOf(node=name, side=side, context=context)
        for sources in candidate.sources.values()
        for name, side in sources
    ]
    found = dict(zip(keys, (yield tuple(keys)), strict=True))
    specs: list[InputSpec] = []
    columns: list[UpstreamColumn] = []
    read: list[Identities] = []
    for item in candidate.recipe.inputs:
        parts = [
            (name, side, found[ColumnOf(node=name, side=side, context=context)])
            for name, side in candidate.sources.get(item.column, ())
        ]
        broken = next((f"{name}: {part.error}" for name, _, part in parts if part.error), None)
        if broken is not None:
            return f"an upstream column could not be made: {broken}"
        parts.sort(key=lambda one: is_pool(one[0]))  # a pool fills what the others leave
        spec, column, united = _assembled(study, candidate, item, parts, context)
        specs.append(spec)
        columns.append(column)
        if context is None:
            read.append(_read_identities(study, candidate, item, parts, column))
        values = column.at(candidate.rows.rows)
        candidate.digests[(context, item.column)] = column_digests(
            values, candidate.rows.part, candidate.rows.known
        )
        error = _count_coverage(study, candidate, item, parts, values, united)
        if error is not None:
            return error
    candidate.usable[context] = usable_rows(candidate.rows.rows, columns)
    candidate.inputs[context] = tuple(specs)
    if context is None:
        table = study.world.tables[candidate.recipe.dataset]
        candidate.identities = row_identities(candidate.recipe, table, candidate.rows.rows, read)
    return None


def prepare_contexts(study: Study, candidate: Candidate, fits: Mapping[LeftOut, Sequence[int]]) -> Flow:
    """The upstream columns that each of these fits reads, and learnt from; the value is an error or None."""
    for left_out in fits:
        context = left_out.folds if isinstance(left_out, Folds) else None
        for one in filter(None, (candidate.base, candidate)):
            error = yield from prepare(study, one, context)
            if error is not None:
                return error
    return None


def _assembled(
    study: Study,
    candidate: Candidate,
    item: Input,
    parts: Sequence[tuple[str, Side, ColumnValues]],
    context: Context,
) -> tuple[InputSpec, UpstreamColumn, Floats]:
    """The column that an input gives the reader, and the union of its upstream nodes over the rows of their dataset."""
    upstream = _upstream_recipe(study, item, parts)
    classes = _upstream_classes(study, parts)
    names = output_names(item.column, upstream.task if upstream else "regression", classes)
    key = _column_key(study, item, parts, context)
    dataset = _upstream_dataset(study, candidate, item, parts)
    if key not in study.arrays:
        task = upstream.task if upstream else "regression"
        pieces = [(part.rows, part.values, _side_classes(study, name, side)) for name, side, part in parts]
        n_rows = study.world.tables[dataset].n_rows
        _share(study, key, unite(n_rows, task, classes, pieces))
        sources = [(part.rows, part.values, part.origin) for _, _, part in parts]
        study.origins[key] = unite_origins(n_rows, sources)
    united = np.asarray(study.arrays[key], np.float64)
    link = study.world.link(candidate.recipe.dataset, item, dataset)
    policy = candidate.recipe.missing_policy(item)
    column = reader_column(item, link, united, names, policy)
    through = link if isinstance(link, Groups) else column.join
    _note_origin(study, candidate, item, context, parts, through, dataset, united, study.origins[key])
    words: list[Json] = [candidate.recipe.dataset, dataset, *link_words(item)]
    values_key, join_key = key, None
    if isinstance(link, Groups):
        values_key = digest_of(["aggregate", key, list(item.aggregate), *words])
        _share(study, values_key, column.values)
    elif column.join is not None:
        # which row is the newest with a prediction hangs on the predictions
        join_key = digest_of(["join", *words, *([key] if isinstance(link, Newest) else [])])
        _share(study, join_key, column.join)
    return (
        InputSpec(values=values_key, join=join_key, names=column.names, policy=policy),
        column,
        united,
    )


def _column_key(
    study: Study, item: Input, parts: Sequence[tuple[str, Side, ColumnValues]], context: Context
) -> str:
    """The name of what some upstream nodes make together."""
    versions: list[Json] = [
        [name, side == "challenger", study.column_name(name, side)] for name, side, _ in parts
    ]
    context_name: Json = None if context is None else [*sorted(context)]
    return digest_of(["column", item.upstream, versions, context_name])


def _read_identities(
    study: Study,
    candidate: Candidate,
    item: Input,
    parts: Sequence[tuple[str, Side, ColumnValues]],
    column: UpstreamColumn,
) -> Identities:
    """What each of the candidate's rows reads of an input, as one word (time scheme)."""
    key = _column_key(study, item, parts, None)
    if key not in study.identities:
        n_rows = len(study.arrays[key])
        sources = [
            (part.rows, part.values, _identities(study, name, side))
            for name, side, part in parts
            if len(part.rows)
        ]
        study.identities[key] = unite_identities(n_rows, sources)
    dataset = _upstream_dataset(study, candidate, item, parts)
    link = study.world.link(candidate.recipe.dataset, item, dataset)
    through = link if isinstance(link, Groups) else column.join
    return read_identities(through, study.identities[key])[candidate.rows.rows]


def _note_origin(
    study: Study,
    candidate: Candidate,
    item: Input,
    context: Context,
    parts: Sequence[tuple[str, Side, ColumnValues]],
    link: Groups | NDArray[np.intp] | None,
    dataset: str,
    united: Floats,
    origin: NDArray[np.int64],
) -> None:
    """Records which pieces of which versions fed the candidate's rows: the facts of `decide.lineage`."""
    tables, datasets = study.world.tables, study.world.manifest.datasets
    own = candidate.recipe.dataset
    upstreams = [study.candidate(name, side) for name, side, _ in parts]
    cells, rows = fed_cells(
        link,
        candidate.rows.rows,
        candidate.rows.part,
        united,
        origin,
        (tables[own], datasets[own]),
        (tables[dataset], datasets[dataset]),
    )
    candidate.intakes[(context, item.column)] = Intake(
        kind=edge_kind(item),
        upstreams=tuple(one for one in upstreams if one is not None),
        cells=tuple(cells),
        rows=rows,
    )


def _share(study: Study, key: str, values: NDArray[np.generic]) -> None:
    """Hands an array to the workers once."""
    if key not in study.arrays:
        study.arrays[key] = values
        study.put_array(key, values)


def _count_coverage(
    study: Study,
    candidate: Candidate,
    item: Input,
    parts: Sequence[tuple[str, Side, ColumnValues]],
    values: Floats,
    united: Floats,
) -> str | None:
    firsts = [part.first for _, _, part in parts if part.first is not None]
    counted = candidate.rows.part >= (min(firsts) if firsts else np.iinfo(np.int32).max)
    present = ~np.isnan(values).any(axis=1)
    dataset = _upstream_dataset(study, candidate, item, parts)
    link = study.world.link(candidate.recipe.dataset, item, dataset)
    shares = np.asarray(present, np.float64)
    if isinstance(link, Groups):
        shares = _group_shares(study, candidate, dataset, link, united, firsts)
    total = int(counted.sum())
    candidate.coverage[item.column] = float(shares[counted].mean()) if total else 0.0
    missing = total - int((present & counted).sum())
    if candidate.recipe.missing_policy(item) == "refuse" and missing:
        return f"{item.column} is missing in {missing:,} of {total:,} rows, and `missing: refuse` allows none"
    return None


def _group_shares(
    study: Study, candidate: Candidate, upstream: str, groups: Groups, united: Floats, firsts: Sequence[int]
) -> Floats:
    """Of each row's group the share that has a prediction, of the rows from the first predicted block on.

    0 where no such row exists yet: a group that lies in the row's future covers nothing.
    """
    expected = np.ones(len(united), bool)
    dataset = study.world.manifest.datasets[upstream]
    scheme = candidate.recipe.scheme
    if isinstance(scheme, TimeScheme) and dataset.time is not None and firsts:
        calendar = Calendar(candidate.recipe.timezone, scheme.block_days)
        decided = study.world.tables[dataset.name].columns[dataset.time].values.astype(np.int64, copy=False)
        expected = calendar.blocks_of(decided) >= min(firsts)
    wanted = groups.counts(expected)[candidate.rows.rows]
    found = groups.counts(expected & ~np.isnan(united).any(axis=1))[candidate.rows.rows]
    return np.asarray(found / np.maximum(wanted, 1), np.float64)


def _upstream_recipe(
    study: Study, item: Input, parts: Sequence[tuple[str, Side, ColumnValues]]
) -> Recipe | None:
    if parts:
        name, side, _ = parts[0]
        found = study.candidate(name, side)
        return found.recipe if found is not None else None
    return next((f.recipe for f in study.world.facts.values() if f.recipe.model in item.models), None)


def _upstream_dataset(
    study: Study, candidate: Candidate, item: Input, parts: Sequence[tuple[str, Side, ColumnValues]]
) -> str:
    upstream = _upstream_recipe(study, item, parts)
    return upstream.dataset if upstream else candidate.recipe.dataset


def _upstream_classes(study: Study, parts: Sequence[tuple[str, Side, ColumnValues]]) -> tuple[object, ...]:
    return tuple(_side_classes(study, parts[0][0], parts[0][1])) if parts else ()


def _side_classes(study: Study, name: str, side: Side) -> tuple[object, ...]:
    found = study.candidate(name, side)
    return tuple(found.data.classes) if found is not None else ()


def _identities(study: Study, name: str, side: Side) -> Identities:
    """The identities of an upstream's rows."""
    found = study.candidate(name, side)
    assert found is not None
    assert found.identities is not None
    return found.identities


def thin_inputs(study: Study, candidate: Candidate) -> str:
    """Why an input covers too few rows, or ''."""
    for item in candidate.recipe.inputs:
        covered = candidate.coverage.get(item.column, 0.0)
        wanted = _coverage_wanted(study, candidate.node, item)
        if covered < wanted:
            return (
                f"{item.column} covers {covered:.1%} of the rows from its first predicted block on, "
                f"and `coverage` asks for {wanted:.1%}"
            )
    return ""


def _coverage_wanted(study: Study, node: str, item: Input) -> float:
    model = study.world.manifest.models[study.world.graph.node(node).model]
    return next((one.coverage for one in model.inputs if one.column == item.column), 0.0)
