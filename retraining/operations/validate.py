"""Everything that is wrong with a manifest and its data, found before anything runs.

The manifest's own problems come first, all at once; then every dataset is looked at, so that two missing
files are told together; then the rules that need the whole.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from retraining.data.conversion import column_kind
from retraining.data.files import DataFile, find_files
from retraining.data.reading import read_schema, read_table
from retraining.decide.calendar import micros
from retraining.decide.recipes import recipe_of
from retraining.errors import DataError, ManifestError, Problem
from retraining.execution.work import estimator_spec
from retraining.graph.graph import Graph
from retraining.learn.estimators import FitError, build_estimator
from retraining.learn.own import own_callable
from retraining.learn.permitted import permitted
from retraining.learn.storable import check_storable
from retraining.manifest import TableSchema, check_data, load_manifest, locate
from retraining.manifest.own import estimator_facts_of
from retraining.manifest.permissions import Permissions
from retraining.manifest.values import Dataset, Json, Manifest
from retraining.operations.arguments import parse_moment
from retraining.operations.code import callables, check_callables, problem_at, raise_all
from retraining.operations.files import find_dataset_files
from retraining.operations.observe import observe
from retraining.operations.partitions import Skipped

__all__ = ["Checked", "validate"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """A manifest and data without a problem: its graph, rows by dataset, partitions that are no nodes, notes."""

    manifest: Manifest
    graph: Graph
    rows: Mapping[str, int]
    skipped: tuple[Skipped, ...]
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Json]:
        """What was checked, as a document (format 1)."""
        return {
            "format": 1,
            "valid": True,
            "manifest": self.manifest.name,
            "datasets": dict(self.rows),
            "models": len(self.manifest.models),
            "nodes": len(self.graph),
            "edges": len(self.graph.edges),
            "skipped_partitions": [
                {"model": one.model, "partition": one.partition, "rows": one.rows, "why": one.why}
                for one in self.skipped
            ],
            "notes": list(self.notes),
        }


def validate(
    manifest: Path,
    data: Mapping[str, str],
    as_of: str | None,
    now: dt.datetime,
    permissions: Permissions | None = None,
) -> Checked:
    """What was checked, where all is well; raises ManifestError or DataError with every problem found.

    Callables of the user's own must be allowed by `permissions` (None: by the environment); they are imported,
    and estimators are built.
    """
    read = load_manifest(manifest)
    allowed = permitted() if permissions is None else permissions
    check_callables(read, allowed)
    raise_all([*_broken_callables(read, allowed)])
    moment = parse_moment(as_of, read.timezone) if as_of else now
    rows = _check_datasets(read, data)
    seen = observe(read, micros(moment), None, find_dataset_files(read, data or {}))
    return Checked(manifest=read, graph=seen.graph, rows=rows, skipped=seen.skipped, notes=seen.notes)


def _broken_callables(manifest: Manifest, permissions: Permissions) -> Iterator[Problem]:
    """What is wrong with each callable, as far as it shows before there is data."""
    for one in callables(manifest):
        model = manifest.models[one.model]
        try:
            if one.name in model.own_metrics:
                own_callable(one.name, permissions)
                continue
            classes = (0, 1) if estimator_facts_of(model).task == "classification" else ()
            recipe = recipe_of(
                manifest, model, one.model, ("",) * len(model.partition_by), estimator_facts_of(model)
            )
            spec = estimator_spec(recipe, classes)
            estimator = build_estimator(spec, present=range(len(classes)), seed=0, permissions=permissions)
            check_storable(one.name, estimator, permissions)
        except FitError as error:
            yield problem_at(manifest, one, error.message, error.next_step)


def _check_datasets(manifest: Manifest, data: Mapping[str, str]) -> dict[str, int]:
    """The rows of each dataset; raises ManifestError with every dataset's problems."""
    problems: list[Problem] = []
    files: dict[str, tuple[DataFile, ...]] = {}
    schemas: dict[str, TableSchema] = {}
    for name, dataset in manifest.datasets.items():
        try:
            files[name] = find_files(dataset, manifest.directory, data.get(name))
            fields = read_schema(dataset, files[name])
            schemas[name] = TableSchema(columns={f.name: column_kind(f.type) for f in fields})  # type: ignore[misc]
        except DataError as error:
            problems.append(_problem(manifest, name, error))
    problems += check_data(manifest, schemas)
    rows: dict[str, int] = {}
    for name in schemas:
        dataset = manifest.datasets[name]
        if any(f"{problem.path}.".startswith(f"datasets.{name}.") for problem in problems):
            continue
        try:
            rows[name] = read_table(dataset, files[name], _identifying(dataset), manifest.timezone).n_rows
        except DataError as error:
            problems.append(_problem(manifest, name, error))
    if problems:
        raise ManifestError(sorted(problems, key=lambda problem: (problem.line, problem.column)))
    return rows


def _identifying(dataset: Dataset) -> set[str]:
    """The columns without which a dataset's rows cannot be told apart or put in time."""
    return {*dataset.key, *filter(None, (dataset.time, dataset.ingested))}


def _problem(manifest: Manifest, dataset: str, error: DataError) -> Problem:
    """A dataset's error, at the place where the manifest declares it."""
    path = f"datasets.{dataset}"
    place = locate(manifest.places, str(manifest.file), f"{path}.path", path)
    return Problem(
        file=place.file,
        line=place.line,
        column=place.column,
        path=path,
        message=error.message,
        next_step=error.next_step,
    )
