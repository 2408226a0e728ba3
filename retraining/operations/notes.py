"""What is allowed and probably not meant: a number column with texts, a target of one class, a holdout too short.

Notes stop nothing. They are told by `validate`, `plan` and `run`, each with what would silence it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from retraining.data.labels import Classes
from retraining.data.tables import Column, Table
from retraining.decide.calendar import Calendar
from retraining.decide.snapshots import NodeData
from retraining.decide.wording import counted
from retraining.manifest.own import estimator_facts_of
from retraining.manifest.values import Dataset, Manifest, Model, TimeScheme

#: Fewer different numbers than this are rather codes than measurements.
_MANY_NUMBERS = 10
_NUMBER = re.compile(r"[+-]?(\d{1,3}([,' ]\d{3})+|\d*)([.,]\d+|\d\.?)([eE][+-]?\d+)?")
_PLAIN = re.compile(r"[^,' ]*")


def notes_of(
    manifest: Manifest,
    tables: Mapping[str, Table],
    classes: Mapping[str, Classes],
    nodes: Mapping[str, Iterable[NodeData]],
    as_of: int,
) -> tuple[str, ...]:
    """The notes on a manifest and its data as of a moment, each once.

    `classes` and `nodes` are of each model that has nodes.
    """
    found: list[str] = []
    for model in manifest.models.values():
        dataset, table = manifest.datasets[model.dataset], tables[model.dataset]
        found += _numbers_in_text(dataset, table, model.features)
        found += _few_classes(model, classes)
        found += _labels_too_late(manifest, model, nodes.get(model.name, ()), as_of)
    found += _short_holdouts(manifest)
    return tuple(dict.fromkeys(found))


def _numbers_in_text(dataset: Dataset, table: Table, names: Iterable[str]) -> list[str]:
    return [
        f"{dataset.name}.{name} is a category, {what}: list texts that mean a missing value under `missing`, "
        f"mend the numbers, or write types: {{{name}: category}} if this is meant"
        for name in names
        if name not in dataset.types and (what := _told_numbers(table.columns[name]))
    ]


def _told_numbers(column: Column) -> str:
    """Which values of a category look like numbers, where most do; '' for codes of digits and for words."""
    numbers = [text for text in column.categories if _NUMBER.fullmatch(text)]
    others = [text for text in column.categories if not _NUMBER.fullmatch(text)]
    if len(numbers) < _MANY_NUMBERS or len(numbers) < len(others):
        return ""
    if others:
        return f"though {len(numbers):,} of its {len(column.categories):,} values are numbers (not {others[0]!r})"
    odd = next((text for text in numbers if not _PLAIN.fullmatch(text)), None)
    return "" if odd is None else f"though its values are numbers written like {odd!r}"


def _few_classes(model: Model, classes: Mapping[str, Classes]) -> list[str]:
    found = classes.get(model.name)
    if found is None or len(found) > 1 or estimator_facts_of(model).task != "classification":
        return []
    what = f"one class so far ({found[0]})" if found else "no class so far"
    when = "there are two" + (", or `classes` names them" if model.degenerate == "prior" else "")
    return [f"the target {model.target.column} of {model.name} has {what}: it is trained when {when}"]


def _labels_too_late(manifest: Manifest, model: Model, nodes: Iterable[NodeData], as_of: int) -> list[str]:
    """Late labels that were known after all rows ended: their moment is rather that of the adding than their own."""
    scheme = manifest.schemes[model.dataset]
    if not isinstance(scheme, TimeScheme):
        return []
    calendar = Calendar(manifest.timezone, scheme.block_days)
    today = calendar.block_at(as_of)
    ended = [one for one in nodes if one.next_block is not None and one.next_block < today]
    waiting = sum(count.waiting for one in ended for count in one.feedback)
    if not waiting:
        return []
    ends = calendar.date(max(one.next_block or 0 for one in ended)).isoformat()
    return [
        f"{counted(waiting, 'late label')} of {model.name} {'was' if waiting == 1 else 'were'} known only after "
        f"{ends}, where its rows end: no fit learns from them before newer rows come; if they were known "
        "earlier, say when (`retrain feedback add --known-at`)"
    ]


def _short_holdouts(manifest: Manifest) -> list[str]:
    short: dict[tuple[int, int], list[str]] = {}
    for model in manifest.models.values():
        scheme = manifest.schemes[model.dataset]
        if model.gate.on_insufficient == "ship_if_limits":
            continue
        if isinstance(scheme, TimeScheme) and scheme.holdout * scheme.block_days < model.gate.min_clusters:
            key = (scheme.holdout * scheme.block_days, model.gate.min_clusters)
            short.setdefault(key, []).append(model.name)
    return [
        f"the holdout of {', '.join(models)} has at most {counted(days, 'day')}, and min_clusters asks for {asked}: "
        "nothing can replace a first version; raise `holdout` or lower `min_clusters`"
        for (days, asked), models in short.items()
    ]
