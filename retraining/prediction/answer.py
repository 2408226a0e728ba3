"""The answer of one call: a table of predictions in the caller's order, and what was left unpredicted and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from retraining.data.labels import Classes
from retraining.errors import InputError
from retraining.manifest.values import Json
from retraining.prediction.evaluation import NodeValues
from retraining.prediction.frames import ServedTable
from retraining.prediction.past import PastRows
from retraining.prediction.routing import Routing, counted
from retraining.prediction.versions import ServedVersion

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Prediction:
    """Predictions of one released model or node.

    `table` has the key columns, `prediction` (a value, or the class of the highest probability; null
    where there is none), `probability` of the positive class (the last) or `probability.CLASS` for each of
    more than two, `node`, and `release`. A column of these whose name a key column has ends in `_`.
    `outputs` are the numbers behind it, `(n_rows, n_outputs)`: values, or probabilities in the order of
    `classes`. `nodes` counts the predicted rows by node, `missing` the rows without an upstream column,
    `unusable` those that therefore have no prediction, `unknown` those of partitions that are no node,
    and `left_out` those of other partitions than the node that was asked. `earlier` says by node how rows from
    before its cut were predicted: of an asked node its own, of an upstream those that may have been read.
    """

    target: str
    release: int
    table: pa.Table
    outputs: Floats
    classes: Classes
    nodes: Mapping[str, int]
    missing: Mapping[str, int] = field(default_factory=dict)
    unusable: int = 0
    unknown: Mapping[str, int] = field(default_factory=dict)
    left_out: int = 0
    earlier: Mapping[str, PastRows] = field(default_factory=dict)

    def __len__(self) -> int:
        return int(self.table.num_rows)

    @property
    def predicted(self) -> int:
        """The number of rows that have a prediction."""
        return sum(self.nodes.values())

    def to_pandas(self) -> pd.DataFrame:
        """`table` as a pandas DataFrame."""
        frame: pd.DataFrame = self.table.to_pandas()
        return frame

    def to_json(self) -> dict[str, Json]:
        """The counts as JSON values."""
        return {
            "target": self.target,
            "release": self.release,
            "rows": len(self),
            "predicted": self.predicted,
            "nodes": dict(self.nodes),
            "missing_upstream": dict(self.missing),
            "unusable": self.unusable,
            "unknown_partitions": dict(self.unknown),
            "left_out": self.left_out,
            "earlier": {node: rows.to_json() for node, rows in self.earlier.items()},
        }

    def summary(self) -> str:
        """The counts in a line or two for people."""
        nodes = f" by {len(self.nodes)} nodes" if len(self.nodes) > 1 else ""
        lines = [
            f"{self.target} of release {self.release}: {self.predicted:,} of {len(self):,} rows predicted{nodes}"
        ]
        if self.unusable:
            columns = ", ".join(f"{name} in {count:,}" for name, count in self.missing.items() if count)
            lines.append(f"  {self.unusable:,} without, since an upstream prediction is missing ({columns})")
        elif any(self.missing.values()):
            columns = ", ".join(f"{name} in {count:,}" for name, count in self.missing.items() if count)
            lines.append(f"  predicted without an upstream column: {columns} rows")
        if self.unknown:
            rows = sum(self.unknown.values())
            lines.append(
                f"  {rows:,} of partitions that the release has no node for: {counted(self.unknown)}"
            )
        if self.left_out:
            lines.append(f"  {self.left_out:,} rows of other partitions are left out")
        return "\n".join([*lines, *self._earlier()])

    def _earlier(self) -> list[str]:
        """What is to be said of rows from before a cut."""
        lines = []
        own = [rows for node, rows in self.earlier.items() if node in self.nodes]
        then, now = sum(one.recorded + one.block_fit for one in own), sum(one.shipped for one in own)
        if then:
            lines.append(f"  {then:,} rows from before the cut have their predictions of that time")
        if now:
            lines.append(
                f"  {now:,} rows from before the cut are predicted by the released model, which may have learnt from "
                f"them: no prediction of that time is recorded{_changed(own)}"
            )
        read = {node: rows for node, rows in self.earlier.items() if node not in self.nodes and rows.shipped}
        if read:
            counts = {node: rows.shipped for node, rows in read.items()}
            lines.append(
                f"  {sum(counts.values()):,} upstream rows from before a cut are predicted by the released model, as "
                f"no prediction of that time is recorded{_changed(read.values())}: {counted(counts)}"
            )
        return lines


def _changed(rows: Iterable[PastRows]) -> str:
    changed = sum(one.changed for one in rows)
    return f" ({changed:,} of them are new or have changed since)" if changed else ""


def compose(
    release: int,
    served: ServedTable,
    routing: Routing,
    found: Mapping[str, NodeValues],
    earlier: Mapping[str, PastRows],
) -> Prediction:
    """The answer for the caller's rows, in the caller's order; `found` has what each of `routing.nodes` predicts.

    Its columns follow from the nodes that were asked, so that they are the same for any rows.
    """
    classes = _common_classes(routing)
    outputs, usable = _scatter(routing, found, classes)
    place = np.empty(len(routing.owner), np.intp)
    place[served.order] = np.arange(len(place))  # the table's row of each of the caller's rows
    kept = np.arange(len(place)) if routing.whole else np.flatnonzero(routing.owner[place] >= 0)
    at = place[kept]
    owner, outputs, usable = routing.owner[at], outputs[at], usable[at]
    columns = _answer_columns(routing.asked, classes, owner, outputs, usable)
    columns["release"] = pa.array(np.full(len(at), release, np.int64))
    counts = np.bincount(owner[usable], minlength=len(routing.asked))
    missing: Counter[str] = Counter()
    for values in found.values():
        missing.update(values.missing)
    return Prediction(
        target=routing.target,
        release=release,
        table=_with_keys(served.keys.take(kept), columns),
        outputs=outputs,
        classes=classes,
        nodes={one.node: int(counts[index]) for index, one in enumerate(routing.asked) if one.node in found},
        missing=dict(missing),
        unusable=int(((owner >= 0) & ~usable).sum()),
        unknown=routing.unknown,
        left_out=len(place) - len(kept),
        earlier=dict(sorted(earlier.items())),
    )


def _common_classes(routing: Routing) -> Classes:
    """Every class that one of the asked nodes knows, in the order of the first that knows it; none for regression.

    Nodes of one model learnt the same classes, unless one was kept from before they changed.
    """
    tasks = {version.recipe.task: version.node for version in routing.asked}
    if len(tasks) > 1:
        raise InputError(
            f"the released nodes of {routing.target} answer different questions: "
            + ", ".join(f"{node} by {task}" for task, node in sorted(tasks.items())),
            "ask for one node at a time",
        )
    newest = sorted(routing.asked, key=lambda version: version.made, reverse=True)
    return tuple(dict.fromkeys(value for version in newest for value in version.classes))


def _scatter(
    routing: Routing, found: Mapping[str, NodeValues], classes: Classes
) -> tuple[Floats, NDArray[np.bool_]]:
    """The outputs of every row of the table, NaN without a prediction, and whether it has one."""
    outputs = np.full((len(routing.owner), len(classes) or 1), np.nan)
    usable = np.zeros(len(routing.owner), bool)
    for index, version in enumerate(routing.asked):
        if version.node not in found:
            continue
        node = found[version.node]
        own = node.usable & (routing.owner[node.rows] == index)
        at = node.rows[own]
        outputs[at] = 0.0  # the probability of a class that this node has never seen
        columns = [classes.index(value) for value in version.classes] or [0]
        outputs[np.ix_(at, columns)] = node.values[own]
        usable[at] = True
    return outputs, usable


def _answer_columns(
    asked: Sequence[ServedVersion],
    classes: Classes,
    owner: NDArray[np.intp],
    outputs: Floats,
    usable: NDArray[np.bool_],
) -> dict[str, pa.Array]:
    columns: dict[str, pa.Array] = {}
    if not classes:
        columns["prediction"] = pa.array(outputs[:, 0], mask=~usable)
    else:
        best = np.argmax(np.where(usable[:, None], outputs, 0.0), axis=1)
        columns["prediction"] = _taken(classes, best, usable)
        graded = np.array([version.graded for version in asked])
        shown = usable & graded[owner]
        if graded.any():
            columns |= {
                name: pa.array(outputs[:, index], mask=~shown) for name, index in _probabilities(classes)
            }
    columns["node"] = _taken([version.node for version in asked], owner, owner >= 0)
    return columns


def _probabilities(classes: Classes) -> list[tuple[str, int]]:
    if len(classes) == 2:
        return [("probability", 1)]
    return [(f"probability.{value}", index) for index, value in enumerate(classes)]


def _taken(values: Sequence[object], at: NDArray[np.intp], valid: NDArray[np.bool_]) -> pa.Array:
    """The values at some positions, null where not valid; values of several types become texts."""
    same = len({type(value) for value in values}) == 1
    known = pa.array(values if same else [str(value) for value in values])
    return known.take(pa.array(np.where(valid, at, 0), mask=~valid))


def _with_keys(keys: pa.Table, columns: Mapping[str, pa.Array]) -> pa.Table:
    table = keys
    for name, values in columns.items():
        free = name
        while free in table.column_names:
            free += "_"
        table = table.append_column(free, values)
    return table
