"""The grammar of the condition `performance`: how a champion does on data that came after it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from retraining.manifest.catalog import METRIC_HINTS, METRICS, MetricInfo, canonical_metric
from retraining.manifest.nodes import MappingNode, Node, ScalarNode, describe
from retraining.manifest.own import is_own
from retraining.manifest.problems import Problems
from retraining.manifest.records import Field, Reading, Record
from retraining.manifest.scores import LimitName
from retraining.manifest.shapes import Definitions, Number, Schema, Shape
from retraining.manifest.values import Json, PerformanceCondition

__all__ = ["PerformanceShape", "Performances", "check_performance", "performance_readings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Yes(Shape[bool]):
    """The word true: a setting that is there or not."""

    def read(self, node: Node, path: str, problems: Problems) -> bool | None:
        """True."""
        if isinstance(node, ScalarNode) and node.value is True:
            return True
        problems.add(
            node, path, f"expected true; found {describe(node)}", "write true, or leave the field out"
        )
        return None

    def schema(self, definitions: Definitions) -> Schema:
        """The constant true."""
        return {"const": True}


class Performances:
    """The fields of `performance`."""

    METRIC: Final = Field(
        name="metric",
        shape=LimitName(
            options=tuple(METRICS),
            also=tuple(f"neg_{name}" for name, info in METRICS.items() if not info.greater_is_better),
            hints=METRIC_HINTS,
        ),
        about="Which metric, in its natural sign",
        default="the model's first",
    )
    MAX: Final = Field(name="max", shape=Number(), about="Due above this value")
    MIN: Final = Field(name="min", shape=Number(), about="Due below this value")
    WORSE_THAN_GATE: Final = Field(
        name="worse_than_gate",
        shape=_Yes(),
        about="true: due when it is surely worse than on the gate's holdout by more than the gate's margin",
    )
    BOUNDS: Final = (MAX, MIN, WORSE_THAN_GATE)
    RECORD: Final = Record(
        name="performance_condition", what="`performance`", fields=(METRIC, *BOUNDS), minimum=1
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PerformanceShape(Shape[PerformanceCondition]):
    """A metric, and exactly one of `max`, `min` and `worse_than_gate`."""

    def read(self, node: Node, path: str, problems: Problems) -> PerformanceCondition | None:
        """The condition."""
        before = len(problems)
        reading = Performances.RECORD.read(node, path, problems)
        if reading is None or len(problems) > before:
            return None
        written = [bound.name for bound in Performances.BOUNDS if reading.has(bound)]
        if len(written) != 1:
            found = " and ".join(f"`{name}`" for name in written) or "none of them"
            text = f"`performance` takes one of max, min and worse_than_gate; found {found}"
            problems.add(
                node, path, text, "keep one" if written else "write max: 0.2, or worse_than_gate: true"
            )
            return None
        metric = reading.value(Performances.METRIC)
        return PerformanceCondition(
            metric=None if metric is None else metric if is_own(metric) else canonical_metric(metric),
            max=reading.value(Performances.MAX),
            min=reading.value(Performances.MIN),
            worse_than_gate=reading.has(Performances.WORSE_THAN_GATE),
        )

    def schema(self, definitions: Definitions) -> Schema:
        """An object with one of the three."""
        one: list[Json] = [{"required": [bound.name]} for bound in Performances.BOUNDS]
        return {**Performances.RECORD.schema(definitions), "oneOf": one}


def performance_readings(rule: Node, path: str) -> Iterator[tuple[Reading, PerformanceCondition]]:
    """The performance conditions within a rule that was read without problems, with their places."""
    shape, ignored = PerformanceShape(), Problems("")
    if isinstance(rule, ScalarNode):
        return
    inner = (
        [(f"{path}.{entry.key.text}", entry.key.text, entry.node) for entry in rule.entries]
        if isinstance(rule, MappingNode)
        else [(f"{path}[{at}]", "", item) for at, item in enumerate(rule.items)]
    )
    for place, name, node in inner:
        if name != "performance":
            yield from performance_readings(node, place)
            continue
        reading = Performances.RECORD.read(node, place, ignored)
        condition = shape.read(node, place, ignored)
        if reading is not None and condition is not None:
            yield reading, condition


def check_performance(
    reading: Reading,
    condition: PerformanceCondition,
    info: MetricInfo,
    deciding: MetricInfo,
    folds: bool,
    problems: Problems,
) -> None:
    """Note what cannot be meant: a bound on the good side, or a gate's margin where it says nothing.

    `info` is the condition's metric, `deciding` the one by which the gate decides; `folds`: the fold scheme.
    """
    name = info.name
    good = Performances.MAX if info.greater_is_better else Performances.MIN
    if reading.has(good):
        other = Performances.MIN if info.greater_is_better else Performances.MAX
        better = "higher" if info.greater_is_better else "lower"
        found = f"{name} is better the {better} it is, so `{good.name}` would make a good champion due"
        problems.add(reading.where(good), reading.at(good), found, f"write {other.name}")
    if not condition.worse_than_gate:
        return
    spot = reading.where(Performances.WORSE_THAN_GATE), reading.at(Performances.WORSE_THAN_GATE)
    if folds:
        found = (
            "folds have no order in time: rows that came later are not told from those that the gate judged, "
            "so nothing can be worse than the gate said"
        )
        bound = "min: 0.8" if info.greater_is_better else "max: 0.2"
        problems.add(
            *spot, found, f"write a bound such as {bound}, or validate by time", once="worse by folds"
        )
    elif name != deciding.name:
        found = f"the gate's margin is of {deciding.name}, by which it decides, and says nothing of {name}"
        step = f"leave `metric` out, or bound {name} by {'min' if info.greater_is_better else 'max'}"
        problems.add(*spot, found, step)
