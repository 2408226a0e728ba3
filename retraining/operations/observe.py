"""Looks at the data once: snapshots, nodes, their rows and the edges between them.

What was seen is left as a hint in the store, keyed by the files' metadata, so that an unchanged
dataset is recognised without being read (docs/design.md 10). The hint is never authority: lost or stale, the
data is read again.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa

from retraining.data.cells import describe
from retraining.data.conversion import column_kind
from retraining.data.edges import Link, LinkKey, link_key, link_rows
from retraining.data.feedback import Records, with_feedback
from retraining.data.files import DataFile
from retraining.data.labels import Classes
from retraining.data.reading import read_schema
from retraining.data.rows import NodeRows, classes_of, node_rows
from retraining.data.tables import Table
from retraining.decide.recipes import Recipe, recipe_of
from retraining.decide.snapshots import NodeData, node_data_from_json
from retraining.errors import DataError, ManifestError
from retraining.graph.graph import Graph, build_graph
from retraining.graph.nodes import node_name
from retraining.manifest import TableSchema, check_data
from retraining.manifest.own import estimator_facts_of
from retraining.manifest.values import Dataset, FoldScheme, Input, Manifest
from retraining.operations.datasets import (
    check_visible,
    columns_used,
    existing_columns,
    next_visible,
    read_dataset,
)
from retraining.operations.files import DatasetFiles, find_dataset_files, is_racy, signature_of, stamps_of
from retraining.operations.folds import check_enough, fold_values, with_folds
from retraining.operations.forecast import foresee_states
from retraining.operations.labels import NO_FEEDBACK, PinnedFeedback
from retraining.operations.links import linked_nodes
from retraining.operations.notes import notes_of
from retraining.operations.partitions import Skipped, check_classes, check_slices, partitions_of
from retraining.store.log import Store


@dataclass(slots=True)
class Observation:
    """What a manifest's data looks like at `as_of` (microseconds UTC).

    `data` and `recipes` are by node. The tables are read when they are first needed, with the late labels of
    `feedback`.
    """

    manifest: Manifest
    as_of: int
    graph: Graph
    recipes: Mapping[str, Recipe]
    data: Mapping[str, NodeData]
    skipped: tuple[Skipped, ...]
    datasets: Mapping[str, Dataset]
    files: Mapping[str, tuple[DataFile, ...]]
    signature: str
    notes: tuple[str, ...] = ()
    hint: Mapping[str, Any] | None = None  # what a store that lacks it should be left; None: nothing new
    since: int = 0  # from here on, and before `until`, time alone changes nothing of it
    until: int | None = None
    trusted: bool = False  # the files were old enough to be known again by their metadata
    feedback: PinnedFeedback = NO_FEEDBACK
    _tables: dict[str, Table] = field(default_factory=dict)
    _records: dict[str, Records] | None = None
    _rows: dict[tuple[str, str, Classes], NodeRows] = field(default_factory=dict)
    _links: dict[tuple[str, str, LinkKey], Link] = field(default_factory=dict)

    def tables(self, extra_columns: Mapping[str, Collection[str]] | None = None) -> Mapping[str, Table]:
        """All tables, with the columns that the manifest uses (and `extra_columns` where they exist).

        Raises `DataError` where the files are no longer those that were observed.
        """
        extra = extra_columns or {}
        read = False
        for name, dataset in self.datasets.items():
            wanted = columns_used(self.manifest, dataset) | existing_columns(
                dataset, self.files[name], extra.get(name, ())
            )
            table = self._tables.get(name)
            if table is None or not wanted <= table.columns.keys():
                table = read_dataset(dataset, self.files[name], wanted, self.manifest.timezone)
                self._tables[name] = with_feedback(table, self.records().get(name), self.as_of)
                read = True
        # a plan that was made from a hint must not be carried out on other rows
        if read and signature_of(self.manifest, stamps_of(self.files)) != self.signature:
            raise _changed()
        return self._tables

    def records(self) -> Mapping[str, Records]:
        """The late labels by dataset."""
        if self._records is None:
            self._records = self.feedback.records(self.datasets)
        return self._records

    def rows(self, recipe: Recipe, classes: Classes) -> NodeRows:
        """The rows of a node under a recipe."""
        key = (recipe.node, recipe.digest(), classes)
        if key not in self._rows:
            table, dataset = self.tables()[recipe.dataset], self.datasets[recipe.dataset]
            self._rows[key] = node_rows(recipe, table, dataset, self.as_of, classes)
        return self._rows[key]

    def describe(self, recipe: Recipe, classes: Classes) -> NodeData:
        """The evidence of a node's rows under a recipe or with classes that are not today's (a champion's)."""
        table = self.tables()[recipe.dataset]
        model = self.manifest.models.get(recipe.model)  # a champion's may have left the manifest
        measured = model is not None and model.retrain_when.measures
        return describe(recipe, table, self.rows(recipe, classes), classes, measured=measured)

    def link(self, dataset: str, item: Input, upstream: str) -> Link:
        """What each row of a dataset may read of the dataset `upstream` through an input; None: the same row."""
        key = (dataset, upstream, link_key(item))
        if key not in self._links:
            tables = self.tables()
            self._links[key] = link_rows(
                item, tables[dataset], self.datasets[dataset], tables[upstream], self.datasets[upstream]
            )
        return self._links[key]


def observe(
    manifest: Manifest,
    as_of: int,
    store: Store | None = None,
    found: DatasetFiles | None = None,
    sources: Mapping[str, str] | None = None,
    feedback: PinnedFeedback = NO_FEEDBACK,
) -> Observation:
    """What the manifest's data looks like, in the files of `found` (None: those that the manifest names).

    `sources` maps estimators of the user's own to the digests of their modules. `feedback` are the late labels
    that are seen.

    Raises `ManifestError` with every problem that the data shows, or `DataError`.
    """
    found = found or find_dataset_files(manifest, {})
    datasets, files, stamps, signature = found.datasets, found.files, found.stamps, found.signature
    hint = store.read_hint(_hint_key(manifest)) if store is not None else None
    if hint is not None and _valid(hint, signature, as_of, feedback.through):
        return _from_hint(hint, manifest, as_of, datasets, files, signature, sources or {}, feedback)
    seen, changes_at = _look(manifest, as_of, datasets, files, signature, sources or {}, feedback)
    if stamps_of(files) != stamps:
        raise _changed()
    seen.since, seen.until, seen.trusted = as_of, changes_at, not is_racy(stamps)
    if seen.trusted:
        seen.hint = _to_hint(seen, changes_at)
    if store is not None:
        leave_hint(seen, store)
    return seen


def leave_hint(seen: Observation, store: Store) -> None:
    """Leaves in the store what was seen, if it was read and not taken from there."""
    if seen.hint is not None:
        store.write_hint(_hint_key(seen.manifest), seen.hint)


def _hint_key(manifest: Manifest) -> str:
    return f"hints/snapshots/{manifest.name}"


def _changed() -> DataError:
    return DataError("a dataset changed while it was read", "run again when the files are complete")


def _valid(hint: Mapping[str, Any], signature: str, as_of: int, feedback_through: int) -> bool:
    until = hint.get("changes_at")
    return (
        hint.get("signature") == signature
        and hint.get("feedback_through", 0) == feedback_through
        and hint.get("as_of", 0) <= as_of
        and (until is None or as_of < until)
    )


def _to_hint(seen: Observation, changes_at: int | None) -> dict[str, Any]:
    partitions: dict[str, list[list[str]]] = {}
    for node in seen.graph.nodes:
        partitions.setdefault(node.model, []).append(list(node.partition))
    links: dict[str, dict[str, list[list[str]]]] = {}
    for edge in seen.graph.edges:
        model = seen.graph.node(edge.downstream).model
        links.setdefault(model, {}).setdefault(edge.column, []).append([edge.upstream, edge.downstream])
    return {
        "signature": seen.signature,
        "feedback_through": seen.feedback.through,
        "as_of": seen.as_of,
        "changes_at": changes_at,
        "partitions": partitions,
        "folds": {s.column: list(s.values) for s in _fold_columns(seen.manifest)},
        "links": links,
        "nodes": [value.to_json() for value in seen.data.values()],
        "skipped": [[s.model, s.partition, s.rows, s.why] for s in seen.skipped],
        "notes": list(seen.notes),
    }


def _fold_columns(manifest: Manifest) -> list[FoldScheme]:
    return [s for s in manifest.schemes.values() if isinstance(s, FoldScheme) and s.values]


def _from_hint(
    hint: Mapping[str, Any],
    manifest: Manifest,
    as_of: int,
    datasets: Mapping[str, Dataset],
    files: Mapping[str, tuple[DataFile, ...]],
    signature: str,
    sources: Mapping[str, str],
    feedback: PinnedFeedback,
) -> Observation:
    manifest = with_folds(manifest, {column: tuple(v) for column, v in hint["folds"].items()})
    partitions = {model: [tuple(v) for v in values] for model, values in hint["partitions"].items()}
    links = {
        (model, column): [(up, down) for up, down in pairs]
        for model, columns in hint["links"].items()
        for column, pairs in columns.items()
    }
    # an input whose ends share no row has no link, and must not be taken for granted
    for model in manifest.models.values():
        for item in model.inputs:
            links.setdefault((model.name, item.column), [])
    return Observation(
        manifest=manifest,
        as_of=as_of,
        graph=build_graph(
            manifest, {m: v for m, v in partitions.items() if manifest.models[m].partition_by}, links
        ),
        recipes=_recipes(manifest, partitions, sources),
        data={doc["node"]: node_data_from_json(doc) for doc in hint["nodes"]},
        skipped=tuple(Skipped(model=m, partition=p, rows=r, why=w) for m, p, r, w in hint["skipped"]),
        notes=tuple(hint["notes"]),
        datasets=datasets,
        files=files,
        signature=signature,
        since=hint["as_of"],
        until=hint["changes_at"],
        trusted=True,
        feedback=feedback,
    )


def _look(
    manifest: Manifest,
    as_of: int,
    datasets: Mapping[str, Dataset],
    files: Mapping[str, tuple[DataFile, ...]],
    signature: str,
    sources: Mapping[str, str],
    feedback: PinnedFeedback,
) -> tuple[Observation, int | None]:
    """Reads the data: the observation, and the next moment at which time alone would change it."""
    records = feedback.records(datasets)
    schemas = {}
    for name, dataset in datasets.items():
        fields = read_schema(dataset, files[name])
        # a label column without a value yet is of the kind that its late labels have
        late = {} if name not in records else records[name].labels
        schemas[name] = TableSchema(
            columns={
                f.name: late[f.name].kind
                if f.name in late and pa.types.is_null(f.type)
                else column_kind(f.type)  # type: ignore[misc]
                for f in fields
            }
        )
    problems = check_data(manifest, schemas)
    if problems:
        raise ManifestError(problems)
    tables = {
        name: with_feedback(
            read_dataset(dataset, files[name], columns_used(manifest, dataset), manifest.timezone),
            records.get(name),
            as_of,
        )
        for name, dataset in datasets.items()
    }
    for name, dataset in datasets.items():
        check_visible(tables[name], dataset, as_of)
    manifest = with_folds(manifest, fold_values(manifest, tables, as_of))
    partitions: dict[str, list[tuple[str, ...]]] = {}
    skipped: list[Skipped] = []
    for model in manifest.models.values():
        dataset = datasets[model.dataset]
        partitions[model.name], left = partitions_of(model, tables[model.dataset], dataset, as_of)
        skipped += left
    recipes = _recipes(manifest, partitions, sources)
    seen = Observation(
        manifest=manifest,
        as_of=as_of,
        graph=Graph(nodes=(), edges=()),
        recipes=recipes,
        data={},
        skipped=tuple(skipped),
        datasets=datasets,
        files=files,
        signature=signature,
        feedback=feedback,
        _tables=tables,
        _records=records,
    )
    found: dict[str, NodeData] = {}
    classes: dict[str, Classes] = {}
    moments: list[int] = [
        next_visible(tables[name], dataset, as_of) for name, dataset in datasets.items() if dataset.time
    ]
    moments += [moment for late in records.values() if (moment := late.next_after(as_of)) is not None]
    by_model: dict[str, list[Recipe]] = {}
    for recipe in recipes.values():
        by_model.setdefault(recipe.model, []).append(recipe)
    for model in manifest.models.values():
        own = by_model.get(model.name, [])
        if not own:
            continue
        table, dataset = tables[model.dataset], datasets[model.dataset]
        classes[model.name] = classes_of(own, table, dataset, as_of)
        check_classes(model, classes[model.name])
        check_slices(model, table)
        for recipe in own:
            rows = seen.rows(recipe, classes[model.name])
            found[recipe.node] = describe(
                recipe, table, rows, classes[model.name], measured=model.retrain_when.measures
            )
            if rows.changes_at is not None:
                moments.append(rows.changes_at)
    seen.data = found
    own_data = {model: [found[recipe.node] for recipe in own] for model, own in by_model.items()}
    seen.notes = notes_of(manifest, tables, classes, own_data, as_of)
    links = {
        (model.name, item.column): linked_nodes(seen, model, item)
        for model in manifest.models.values()
        for item in model.inputs
    }
    named = {name: values for name, values in partitions.items() if manifest.models[name].partition_by}
    seen.graph = build_graph(manifest, named, links)
    check_enough(manifest, seen.graph)
    foreseen = foresee_states(
        manifest,
        recipes,
        {node: seen.rows(recipe, found[node].classes) for node, recipe in recipes.items()},
        seen.link,
        {name: table.n_rows for name, table in tables.items()},
    )
    seen.data = {
        node: replace(data, states=foreseen[node].states, gate_until=foreseen[node].gate_until)
        for node, data in found.items()
    }
    later = [value for value in moments if value > as_of]
    return seen, min(later, default=None)


def _recipes(
    manifest: Manifest, partitions: Mapping[str, Sequence[tuple[str, ...]]], sources: Mapping[str, str]
) -> dict[str, Recipe]:
    recipes = {}
    for model in manifest.models.values():
        info = estimator_facts_of(model)
        for values in partitions.get(model.name, [()] if not model.partition_by else []):
            name = node_name(model.name, model.partition_by, values)
            recipes[name] = recipe_of(manifest, model, name, values, info, sources.get(info.name))
    return recipes
