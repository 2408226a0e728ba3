"""A tree of nodes -> a `Manifest`: defaults merged, names resolved, every problem raised at once.

The grammar is read first, then what the fields say about each other is checked; values are made
only of a manifest without problems.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from retraining.manifest.build import build_dataset, build_model, kept_models
from retraining.manifest.catalog import EstimatorInfo, gives_probabilities
from retraining.manifest.composites import Item
from retraining.manifest.connections import check_connections
from retraining.manifest.grammar import Datasets, Models, Top
from retraining.manifest.including import Joined
from retraining.manifest.models import check_model
from retraining.manifest.nodes import MappingNode
from retraining.manifest.parameters import estimator_info, written_parameters
from retraining.manifest.places import record_places
from retraining.manifest.problems import Problems, listed
from retraining.manifest.readings import ModelReading
from retraining.manifest.records import Reading
from retraining.manifest.values import FoldScheme, Manifest, Scheme, TimeScheme

__all__ = ["resolve"]


def resolve(joined: Joined, file: Path, catalog: Mapping[str, EstimatorInfo], problems: Problems) -> Manifest:
    """The manifest that the tree of its files says; raises ManifestError with every problem."""
    top = Top.RECORD.read(joined.root, "", problems)
    if top is None:
        problems.raise_any()
        raise AssertionError("a refused manifest has a problem")
    tables = top.value(Top.DATASETS) or {}
    datasets = _readings(tables)
    schemes = _schemes(top, datasets, problems)
    items = top.value(Top.MODELS) or {}
    defaults = top.value(Top.DEFAULTS)
    models = {
        name: ModelReading(name=name, own=reading, defaults=defaults)
        for name, reading in _readings(items).items()
    }
    _check_letters("datasets", tables, problems)
    _check_letters("models", items, problems)
    infos = _check_models(models, top, datasets, schemes, catalog, problems)
    check_connections(models, _names(top, Top.MODELS.name), datasets, schemes, problems)
    problems.raise_any()
    return Manifest(
        name=top.value(Top.NAME) or "",
        file=file,
        digest=joined.digest,
        included=joined.files,
        datasets={
            name: build_dataset(name, reading, joined.folders.get(tables[name].key.line, ""))
            for name, reading in datasets.items()
        },
        models={
            name: build_model(model, schemes[model.value(Models.DATASET) or ""], infos[name])
            for name, model in models.items()
        },
        schemes=schemes,
        store=top.value(Top.STORE),
        timezone=top.value(Top.TIMEZONE) or "UTC",
        seed=top.value(Top.SEED) or 0,
        keep_fits=kept_models(top.value(Top.KEEP_FITS)),
        places=record_places(joined.root, problems.sources),
    )


def _readings(items: Mapping[str, Item[Reading]]) -> dict[str, Reading]:
    return {name: item.value for name, item in items.items() if item.value is not None}


def _names(top: Reading, section: str) -> list[str]:
    """Every name in a section, also those that were refused: to use one is not another mistake."""
    node = top.nodes.get(section)
    return [entry.key.text for entry in node.entries] if isinstance(node, MappingNode) else []


def _check_letters(kind: str, items: Mapping[str, Item[Reading]], problems: Problems) -> None:
    """Names that differ only in case would share a folder where file systems ignore case."""
    seen: dict[str, Item[Reading]] = {}
    for name, item in items.items():
        first = seen.setdefault(name.casefold(), item)
        if first is not item:
            place = problems.sources.place(first.key)
            found = f"`{name}` differs only in case from `{first.key.text}` at {place}"
            problems.add(item.key, f"{kind}.{name}", found, "give one of the two another name")


def _schemes(top: Reading, datasets: Mapping[str, Reading], problems: Problems) -> dict[str, Scheme]:
    """The scheme of each dataset for which it is known."""
    shared = top.value(Top.VALIDATION)
    timed = any(reading.has(Datasets.TIME) or not reading.complete for reading in datasets.values())
    refused = top.refused(Top.VALIDATION)
    if isinstance(shared, TimeScheme) and datasets and not timed:
        refused = True
        found = "`scheme: time`, but no dataset has `time`"
        step = "give a dataset `time: COLUMN`, or write scheme: folds"
        problems.add(top.where(Top.VALIDATION), top.at(Top.VALIDATION), found, step)
    schemes: dict[str, Scheme] = {}
    for name, reading in datasets.items():
        scheme = _scheme(reading, shared, refused=refused)
        may_be_misspelt = not reading.complete and not reading.has(Datasets.TIME)
        if scheme is None or may_be_misspelt:
            continue
        if isinstance(scheme, TimeScheme) and not reading.has(Datasets.TIME):
            found = f"`scheme: time`, but dataset `{name}` has no `time`"
            where, path = reading.where(Datasets.VALIDATION), reading.at(Datasets.VALIDATION)
            problems.add(where, path, found, "add `time: COLUMN`, or write scheme: folds")
        else:
            schemes[name] = scheme
    return schemes


def _scheme(reading: Reading, shared: Scheme | None, *, refused: bool) -> Scheme | None:
    """The dataset's own scheme, else the manifest's where it can apply, else the default; None if refused."""
    if reading.has(Datasets.VALIDATION):
        return reading.value(Datasets.VALIDATION)
    if refused:
        return None
    timed = reading.has(Datasets.TIME)
    if shared is None:
        return TimeScheme() if timed else FoldScheme()
    return FoldScheme() if isinstance(shared, TimeScheme) and not timed else shared


def _check_models(
    models: Mapping[str, ModelReading],
    top: Reading,
    datasets: Mapping[str, Reading],
    schemes: Mapping[str, Scheme],
    catalog: Mapping[str, EstimatorInfo],
    problems: Problems,
) -> dict[str, EstimatorInfo]:
    """Check each model by itself; return the estimators that are known."""
    named = _names(top, Top.DATASETS.name)
    infos: dict[str, EstimatorInfo] = {}
    for name, model in models.items():
        dataset = model.value(Models.DATASET)
        if dataset is not None and named and dataset not in named:
            where, path = model.spot(Models.DATASET)
            step = problems.suggestion(dataset, named, f"datasets: {listed(named)}")
            problems.add(where, path, f"there is no dataset `{dataset}`", step)
        info = estimator_info(model, catalog, problems)
        if info is not None:
            infos[name] = info
        check_model(
            model,
            datasets.get(dataset or ""),
            schemes.get(dataset or ""),
            info,
            probabilities=info is not None and gives_probabilities(info, written_parameters(model)),
            problems=problems,
        )
    return infos
