"""The pair check: whether a champion may be served with other upstream columns than it learnt from (docs/design.md 4).

The champion as it is predicts the holdout twice, fed with the columns that it has and with the new ones.
It passes as a refresh does: not worse by more than the reader's own margin, by the upper end of a paired
bootstrap. What cannot be shown does not pass. Nodes of a model with `gate: {by: model}` are checked together: the
sums of their losses pass or do not.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from retraining.decide.evidence import Difference
from retraining.decide.gates import allowed
from retraining.decide.losses import ClusterLosses
from retraining.decide.wording import counted, number, numbers, signed
from retraining.manifest.values import GateRules, Json

__all__ = ["PairCheck", "PairPool", "judge_pair", "judge_pair_in_pool"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PairPool:
    """The check of several nodes of a model together: how many were compared, and what came of all their rows."""

    model: str
    nodes: int
    passed: bool
    because: str
    difference: Difference
    margin: float

    def to_json(self) -> dict[str, Json]:
        """The pool as a part of a node's check."""
        return {
            "model": self.model,
            "nodes": self.nodes,
            "passed": self.passed,
            "difference": self.difference.to_json("pair check", self.margin),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class PairCheck:
    """One champion with the new columns that would reach it, and every number of the comparison.

    `columns` maps each upstream whose column would be another to the names (before, after). `new` are the
    challengers that these come from. `before` and `after` are metrics in natural sign on the same rows; they and
    `difference` are None where nothing had to be compared (the column is the same) or could be. `lost` counts
    judged rows that would no longer get a prediction. `learnt` are those of `columns` that hold what the champion
    learnt from, on all its training rows: they are no news to it.

    Where the nodes of the model are checked together `losses` are what they are added up from, `lacking` is True for
    a node that has nothing to compare and goes with the others, and `pool` says what came of them.
    """

    node: str
    new: tuple[str, ...]
    columns: Mapping[str, tuple[str, str]]
    passed: bool
    because: str
    before: Mapping[str, float] | None = None
    after: Mapping[str, float] | None = None
    difference: Difference | None = None
    margin: float | None = None
    holdout: Mapping[str, Json] = field(default_factory=dict)
    lost: int = 0
    learnt: tuple[str, ...] = ()
    losses: ClusterLosses | None = None
    lacking: bool = False
    pool: PairPool | None = None

    @property
    def harm(self) -> float:
        """How much worse the loss may be: the upper bound of the difference, infinite where it is unknown.

        For a node that is checked with others it is what it adds to the losses of all.
        """
        if self.pool is not None:
            return (
                0.0 if self.losses is None else sum(self.losses.challenger) - sum(self.losses.champion or ())
            )
        if self.difference is None or not math.isfinite(self.difference.upper):
            return 0.0 if self.passed else math.inf
        return self.difference.upper

    def to_json(self) -> dict[str, Json]:
        """The check as a document."""
        difference = self.difference
        return {
            "node": self.node,
            "new": list(self.new),
            "columns": {
                name: {"before": before, "after": after} for name, (before, after) in self.columns.items()
            },
            "passed": self.passed,
            "because": self.because,
            "before": None if self.before is None else numbers(self.before),
            "after": None if self.after is None else numbers(self.after),
            "difference": None if difference is None else difference.to_json("pair check", self.margin),
            "holdout": dict(self.holdout),
            "lost_rows": self.lost,
            "pool": None if self.pool is None else self.pool.to_json(),
        }


def judge_pair_in_pool(own: PairCheck, pool: PairPool) -> PairCheck:
    """The check of one node whose losses were added to those of others: the pool's; its own numbers stay on record."""
    said = f"{own.because}; " if own.lacking else ""
    because = f"{said}with {counted(pool.nodes, 'node')} of {pool.model}: {pool.because}"
    return replace(own, passed=pool.passed, because=because, pool=pool)


def judge_pair(difference: Difference, rules: GateRules, cluster: str) -> tuple[bool, str, float]:
    """Whether the champion passes with the new columns, why in words, and the margin that was allowed.

    `cluster` is what the bootstrap draws: day or group.
    """
    margin = allowed(rules, difference.champion_loss)
    told = (
        f"{difference.metric}: difference in loss {signed(difference.value)}, "
        f"95% bound {signed(difference.upper)}"
    )
    if difference.clusters < rules.min_clusters:
        found = counted(difference.clusters, cluster)
        return False, f"the holdout has {found}, and min_clusters asks for {rules.min_clusters}", margin
    if difference.upper < margin:
        return True, f"not worse by more than the margin of {number(margin)} ({told})", margin
    return False, f"may be worse by more than the margin of {number(margin)} ({told})", margin
