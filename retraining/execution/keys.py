"""The keys of what the flows of a run compute and wait for (`execution.flows`)."""

from __future__ import annotations

from dataclasses import dataclass

from retraining.decide.fits import Context
from retraining.execution.candidates import Side


@dataclass(frozen=True, slots=True, kw_only=True)
class Settle:
    """Key: the node is judged, and its column is there if somebody reads it."""

    node: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenge:
    """Key: the challenger of a node that is judged with others of its model is scored, or there is none.

    `late` as in `PoolOf`.
    """

    node: str
    late: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolOf:
    """Key: the verdicts on the nodes of a model that are judged together, by kind of comparison.

    `late` are those that became due in the middle of the run.
    """

    model: str
    late: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """Key: what became of the plan's decision on a node that is judged with others of its model."""

    node: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Again:
    """Key: what became of a node that its lost pair check made due (`Study.late`)."""

    node: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StayOf:
    """Key: what becomes of those nodes of a model that keep their champions below new versions, by node."""

    model: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ship:
    """Key: the promoted node's shipped fit is made and checked."""

    node: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PairOf:
    """Key: whether by its own numbers a champion may be served with what the challengers `new` above it hand down."""

    node: str
    new: frozenset[str]


@dataclass(frozen=True, slots=True)
class Chosen:
    """Key: which winners are released together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnOf:
    """Key: the honest predictions of a node's version, in one context."""

    node: str
    side: Side
    context: Context


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasureOf:
    """Key: a champion is measured as `World.orders` asks; the value is an error or None."""

    node: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfilesOf:
    """Key: the inputs of a champion are profiled as `World.profiled` asks; the value is an error or None."""

    node: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """Key: a task's result."""

    task: str
