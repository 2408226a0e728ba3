"""Which partition values of a model become nodes, and what its classes and slices may be."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retraining.data.labels import Classes
from retraining.data.rows import available_from
from retraining.data.tables import Table
from retraining.errors import DataError
from retraining.graph.nodes import node_name, pool_name
from retraining.manifest.own import estimator_facts_of, metric_facts
from retraining.manifest.values import Dataset, Model

#: The most values of a column of slices: more could not be told from chance by one gate.
MOST_SLICES = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """A partition that is no node, and why; a pool may serve its rows all the same."""

    model: str
    partition: str
    rows: int
    why: str


def partitions_of(
    model: Model, table: Table, dataset: Dataset, as_of: int
) -> tuple[list[tuple[str, ...]], list[Skipped]]:
    """The partition values that are nodes, `()` for the pool, and those that are not."""
    if not model.partition_by:
        return [()], []
    exists = available_from(table, dataset)
    visible = np.ones(table.n_rows, bool) if exists is None else exists <= as_of
    counts = _count_partitions(model, table, visible)
    rule = model.partitions
    chosen: list[tuple[str, ...]] = []
    skipped: list[Skipped] = []

    def skip(values: tuple[str, ...], rows: int, why: str) -> None:
        text = node_name(model.name, model.partition_by, values)[len(model.name) + 1 : -1]
        why += f": served by {pool_name(model.name)}" if rule.small == "pool" and rows else ""
        skipped.append(Skipped(model=model.name, partition=text, rows=rows, why=why))

    for values, rows in sorted(counts.items()):
        named = rule.only is None or values in rule.only
        if not named or values in rule.except_:
            if rule.small == "pool":
                skip(values, rows, "not among `only`" if not named else "under `except`")
        elif rows < rule.min_rows:
            skip(values, rows, f"{rows} rows, and min_rows is {rule.min_rows}")
        else:
            chosen.append(values)
    for values in rule.only or ():
        if values not in counts:
            skip(values, 0, "no rows have this value")
    small = [one for one in skipped if one.rows]
    if small and rule.small == "error":
        raise DataError(
            f"model {model.name}: partition {small[0].partition} has {small[0].rows} rows, and min_rows is "
            f"{rule.min_rows}" + (f" ({len(small) - 1} more are as small)" if len(small) > 1 else ""),
            "lower min_rows, name the partition under `except`, or write `small: skip` or `small: pool`",
        )
    if not chosen and rule.small != "pool":
        listed = ", ".join(",".join(values) for values in sorted(counts)[:8]) or "none"
        raise DataError(
            f"model {model.name}: no partition of {', '.join(model.partition_by)} becomes a node "
            f"(the data has {listed})",
            "mend `only`, or lower `min_rows`",
        )
    if len(chosen) > rule.max:
        raise DataError(
            f"model {model.name}: {len(chosen):,} partitions of {', '.join(model.partition_by)} would become nodes, "
            f"and `max` is {rule.max:,}",
            "raise `max` under `partitions` if that is meant; else raise `min_rows`, or partition by fewer columns",
        )
    return [()] * (rule.small == "pool") + chosen, skipped


def _count_partitions(model: Model, table: Table, visible: NDArray[np.bool_]) -> dict[tuple[str, ...], int]:
    codes, texts = zip(*(table.columns[name].texts() for name in model.partition_by), strict=True)
    stacked = np.stack([code[visible] for code in codes], axis=1)
    stacked = stacked[(stacked >= 0).all(axis=1)]
    distinct, sizes = np.unique(stacked, axis=0, return_counts=True)
    return {
        tuple(texts[i][int(code)] for i, code in enumerate(row)): int(size)
        for row, size in zip(distinct, sizes, strict=True)
    }


def check_slices(model: Model, table: Table) -> None:
    """Raises `DataError` where a column of `gate.slices` has more values than can be told apart."""
    for column in model.gate.slices:
        found = table.columns[column]
        _, texts = found.texts()
        if len(texts) > MOST_SLICES:
            number = found.kind in ("number", "timestamp")
            raise DataError(
                f"model {model.name}: the slice {column} has {len(texts):,} values, such as {texts[0]}; "
                f"at most {MOST_SLICES} can be judged",
                f"put a column of ranges of {column} into the table, and slice by that"
                if number
                else "slice by a coarser column",
            )


def check_classes(model: Model, classes: Classes) -> None:
    """Raises `DataError` where a classifier's target has values or metrics that are none of classes."""
    info = estimator_facts_of(model)
    if info.task != "classification":
        return
    names = (*model.metrics, *model.retrain_when.measured_metrics)
    binary = [name for name in names if metric_facts(name, model.own_metrics).binary_only]
    if binary and len(classes) > 2:
        raise DataError(
            f"model {model.name}: the metric {binary[0]} is for two classes, and the target "
            f"{model.target.column} has {len(classes)}",
            "name log_loss, accuracy, f1_macro or roc_auc_ovr instead",
        )
    if len(classes) > 1000 or any(isinstance(value, float) for value in classes):
        raise DataError(
            f"model {model.name}: the target {model.target.column} has {len(classes)} distinct values such as "
            f"{classes[0]!r}, which look like numbers and not like classes",
            f"name a regressor instead of {model.estimator.type}, or make classes of the target",
        )
