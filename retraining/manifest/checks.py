"""What a manifest says about its data, held against the columns that the data has.

Pure: the tables' columns and kinds come in as values. Problems carry the manifest's line numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from retraining.errors import Problem
from retraining.manifest.nodes import child_path
from retraining.manifest.own import is_own, metric_facts
from retraining.manifest.places import locate
from retraining.manifest.problems import Problems, listed
from retraining.manifest.values import Dataset, FoldScheme, Input, Manifest, Model

__all__ = ["ColumnKind", "TableSchema", "check_data"]

ColumnKind: TypeAlias = Literal["number", "bool", "category", "timestamp", "date", "other"]

_MOMENTS = frozenset({"timestamp", "date"})
_FEATURES = frozenset({"number", "bool", "category"})
_STEPS: Mapping[ColumnKind, str] = {
    "timestamp": "put what matters of it into the table: hour, weekday, days since",
    "date": "put what matters of it into the table: weekday, month, days since",
    "other": "make plain columns of it",
}


def _kind_text(kind: ColumnKind) -> str:
    return "is neither number, truth value, text nor moment" if kind == "other" else f"is of kind {kind}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TableSchema:
    """The columns of a dataset's table, after its `types`; texts are categories."""

    columns: Mapping[str, ColumnKind]


def check_data(manifest: Manifest, tables: Mapping[str, TableSchema]) -> list[Problem]:
    """Every column that the manifest names and the data does not have, or has in a kind that cannot be.

    In the order of the file. A dataset that is not in `tables` is not checked.
    """
    check = _Check(manifest, tables)
    for dataset in manifest.datasets.values():
        check.dataset(dataset)
    for model in manifest.models.values():
        check.model(model)
    check.groups()
    return check.problems.in_order()


def _task(model: Model) -> str:
    return metric_facts(model.metrics[0], model.own_metrics).task


class _Check:
    """One pass over a manifest and its tables."""

    def __init__(self, manifest: Manifest, tables: Mapping[str, TableSchema]) -> None:
        self.problems = Problems(str(manifest.file))
        self._manifest = manifest
        self._tables = tables

    def dataset(self, dataset: Dataset) -> None:
        """Note what is wrong with the columns that a dataset names."""
        path = f"datasets.{dataset.name}"
        for position, column in enumerate(dataset.key):
            self._kind(dataset.name, column, f"{path}.key[{position}]")
        for column in dataset.types:
            self._kind(dataset.name, column, child_path(f"{path}.types", column))
        if dataset.group is not None:
            self._kind(dataset.name, dataset.group, f"{path}.group")
        scheme = self._manifest.schemes[dataset.name]
        used = any(model.dataset == dataset.name for model in self._manifest.models.values())
        if isinstance(scheme, FoldScheme) and scheme.column and used:
            self._kind(dataset.name, scheme.column, f"{path}.validation.column", "validation.column")
        for field, moment in (("time", dataset.time), ("ingested", dataset.ingested)):
            if moment is not None:
                self._moment(dataset.name, moment, f"{path}.{field}")

    def model(self, model: Model) -> None:
        """Note what is wrong with the columns that a model names."""
        path = f"models.{model.name}"
        for position, column in enumerate(model.partition_by):
            at = f"partition_by[{position}]"
            kind = self._kind(model.dataset, column, f"{path}.{at}", f"defaults.{at}")
            if kind in _MOMENTS:
                found = f"`{column}` is a {kind}, of which every value would be a model of its own"
                self._add(found, "partition by a category", f"{path}.{at}", f"defaults.{at}")
        self._target(model, f"{path}.target")
        self._training(model, path)
        for position, column in enumerate(model.gate.slices):
            at = f"gate.slices[{position}]"
            if self._kind(model.dataset, column, f"{path}.{at}", f"defaults.{at}") == "other":
                found = f"the slice `{column}` {_kind_text('other')}"
                self._add(found, "make plain columns of it", f"{path}.{at}", f"defaults.{at}")
        for position, column in enumerate(model.features):
            self._feature(model, column, f"{path}.features[{position}]")
        for edge in model.inputs:
            self._match(model, edge, f"{path}.inputs.{edge.upstream}")
            self._class_columns(model, edge, f"{path}.inputs.{edge.upstream}")

    def groups(self) -> None:
        """Groups of datasets that models connect by folds must be of one kind."""
        for model in self._manifest.models.values():
            for edge in model.inputs:
                source = self._manifest.models[edge.models[0]].dataset
                if source == model.dataset or not isinstance(self._manifest.schemes[source], FoldScheme):
                    continue
                kinds = [self._group_kind(name) for name in (source, model.dataset)]
                if None not in kinds and kinds[0] != kinds[1]:
                    found = (
                        f"`group` is a {kinds[0]} in dataset `{source}` and a {kinds[1]} in "
                        f"`{model.dataset}`, so one group would fall into different folds"
                    )
                    self._add(
                        found, "give both the same type under `types`", f"datasets.{model.dataset}.group"
                    )

    def _group_kind(self, dataset: str) -> ColumnKind | None:
        table = self._tables.get(dataset)
        group = self._manifest.datasets[dataset].group
        return table.columns.get(group) if table and group else None

    def _target(self, model: Model, path: str) -> None:
        column = model.target.column
        kind = self._kind(model.dataset, column, f"{path}.column", path)
        classification = _task(model) == "classification"
        if kind in _MOMENTS or kind == "other":
            found = f"the target `{column}` {_kind_text(kind)}; a label is a number, truth value or category"
            self._add(found, "make a number or a category of it", f"{path}.column", path)
        elif kind is not None and kind != "number" and not classification:
            found = f"the target `{column}` is of kind {kind}, and {model.estimator.type} predicts numbers"
            step = "use a classifier, or a target of numbers"
            if kind == "category":
                step += "; list texts that mean a missing value (NA) under `missing` of the dataset"
            self._add(found, step, f"{path}.column", path)
        if model.target.known_at is not None:
            self._moment(model.dataset, model.target.known_at, f"{path}.known_at")

    def _training(self, model: Model, path: str) -> None:
        """Note what is wrong with the columns of weights and of `train_where`."""
        wanted = (
            ("weight", model.weight.column, "number", "a weight is a number"),
            ("train_where", model.train_where, "bool", "it must be a truth value"),
        )
        for field, column, expected, what in wanted:
            places = [f"{root}.{field}{end}" for root in (path, "defaults") for end in (".column", "")]
            kind = None if column is None else self._kind(model.dataset, column, *places)
            if kind is not None and kind != expected:
                step = (
                    f"write types: {{{column}: {'float' if expected == 'number' else 'bool'}}} in the dataset"
                )
                self._add(f"`{column}` of `{model.dataset}` is of kind {kind}; {what}", step, *places)

    def _feature(self, model: Model, column: str, path: str) -> None:
        kind = self._kind(model.dataset, column, path)
        if kind is None:
            return
        if kind not in _FEATURES:
            found = (
                f"the feature `{column}` {_kind_text(kind)}; a feature is a number, truth value or category"
            )
            self._add(found, _STEPS[kind], path)
        elif kind == "category" and model.preprocess == "none" and not is_own(model.estimator.type):
            found = f"the feature `{column}` is a category, and `preprocess: none` leaves it as it is"
            self._add(found, "write preprocess: auto, or give the column numbers", path)

    def _match(self, model: Model, edge: Input, path: str) -> None:
        source = self._manifest.models[edge.models[0]].dataset
        at = f"{path}.as_of.match" if edge.as_of else f"{path}.match"
        for position, (theirs, own) in enumerate(edge.match):
            places = (child_path(at, theirs), f"{at}[{position}]")
            upper = self._kind(source, theirs, *places)
            lower = self._kind(model.dataset, own, *places)
            if upper is not None and lower is not None and upper != lower:
                found = f"`{theirs}` of `{source}` is a {upper}, and `{own}` of `{model.dataset}` a {lower}"
                self._add(found, "give both the same type under `types`", *places)

    def _class_columns(self, model: Model, edge: Input, path: str) -> None:
        """A classifier's columns are named `name.class`; a feature of such a name could be one of them."""
        tasks = {name: _task(self._manifest.models[name]) for name in edge.models}
        if len(set(tasks.values())) > 1:
            listed_tasks = ", ".join(f"`{name}` does {task}" for name, task in tasks.items())
            self._add(f"`from` unites models of one task: {listed_tasks}", "write two inputs", f"{path}.from")
            return
        if "regression" in tasks.values():
            return
        taken = [name for name in model.features if name.startswith(f"{edge.column}.")]
        if taken:
            found = f"the feature `{taken[0]}` is named like a class column of the input `{edge.upstream}`"
            self._add(found, "give the input another name with `as`", path)

    def _moment(self, dataset: str, column: str, path: str) -> None:
        kind = self._kind(dataset, column, path)
        if kind is not None and kind not in _MOMENTS:
            found = f"`{column}` of `{dataset}` is of kind {kind}; a moment is a timestamp or date"
            self._add(found, f"write types: {{{column}: timestamp}} in the dataset", path)

    def _kind(self, dataset: str, column: str, *paths: str) -> ColumnKind | None:
        """The column's kind; None where the table is unknown, or after noting that it has no such column."""
        table = self._tables.get(dataset)
        if table is None or column in table.columns:
            return table.columns[column] if table else None
        step = self.problems.suggestion(column, table.columns, f"columns: {listed(table.columns)}")
        self._add(f"dataset `{dataset}` has no column `{column}`", step, *paths)
        return None

    def _add(self, message: str, next_step: str, *paths: str) -> None:
        place = locate(self._manifest.places, str(self._manifest.file), *paths)
        self.problems.add((place.line, place.column), place.path, message, next_step)
