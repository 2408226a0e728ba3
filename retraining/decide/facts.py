"""What a decision about a node is made from, and the decision itself, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from retraining.decide.fits import LeftOut
from retraining.decide.reasons import Reason
from retraining.decide.recipes import Recipe
from retraining.decide.signals import Signals
from retraining.decide.snapshots import NodeData
from retraining.graph.graph import Graph
from retraining.manifest.values import Json, Rule, UpstreamPolicy
from retraining.release.values import NodeState

#: How the note of a champion ends that stays below upstreams which may hand down another column.
TO_BE_CHECKED = ", to be checked with new upstream columns"

Action: TypeAlias = Literal["retrain", "rescore", "keep", "blocked"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """What the last attempt (or the champion) was made from, as its document records it.

    `waits_for` has, for each node that a waiting attempt waits for, whether its run could not train it, and the name
    of its champion's column then.
    """

    definition: Mapping[str, Any]
    data: NodeData
    wiring: Mapping[str, str]
    waits_for: Mapping[str, tuple[bool, str | None]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """All that a decision about one node is made from."""

    recipe: Recipe
    data: NodeData
    state: NodeState | None
    baseline: Baseline | None
    rule: Rule
    signals: Signals


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What will be done with a node, and every reason.

    `conditional`: only if an upstream column changes. `fits` is (least, most); `seconds` the estimate
    from what the node's fits have cost (None: never fitted). `first_predicted` is the first block
    with an honest prediction (time scheme), `rows` the rows in each of `decide.states.STATES`, and
    `gate_until` the moment (ISO, UTC) of the newest row that the gate fit learns from. A `fixed` node
    is not trained whatever happens above it. With `resumes` the node's waiting
    challenger is tried for release again, as it is. Of a `compared` node somebody asked what each input brings:
    `comparisons` are the fits that it takes. `cursors` are where the node's cursors stand after a run has acted on
    it, or has found it due with nothing to do; those alone that move.
    """

    node: str
    action: Action
    reasons: tuple[Reason, ...] = ()
    conditional: bool = False
    note: str = ""
    direct: bool = True
    fits: tuple[int, int] = (0, 0)
    comparisons: int = 0
    seconds: float | None = None
    first_predicted: str | None = None
    fixed: bool = False
    rows: Mapping[str, int] = field(default_factory=dict)
    gate_until: str | None = None
    resumes: bool = False
    compared: bool = False
    cursors: Mapping[str, int] = field(default_factory=dict)

    @property
    def consumes(self) -> Mapping[str, int]:
        """The cursors that move although nothing is done: the node is due, and nothing changed."""
        return self.cursors if self.action in ("keep", "rescore") and self.reasons else {}

    def to_json(self) -> dict[str, Json]:
        """The decision as a document."""
        return {
            "node": self.node,
            "action": self.action,
            "conditional": self.conditional,
            "direct": self.direct,
            "reasons": [reason.to_json() for reason in self.reasons],
            "note": self.note,
            "fits": list(self.fits),
            "comparisons": self.comparisons,
            "seconds": self.seconds,
            "first_predicted": self.first_predicted,
            "fixed": self.fixed,
            "rows": dict(self.rows),
            "gate_until": self.gate_until,
            "resumes": self.resumes,
            "compared": self.compared,
            "cursors": dict(self.cursors),
        }


def shipped_left_out(recipe: Recipe, data: NodeData) -> LeftOut:
    """What the fit that would ship leaves out."""
    return data.shipped(recipe.ship)


def edge_policies(node: str, graph: Graph, recipe: Recipe) -> dict[str, UpstreamPolicy]:
    """What a new column of each upstream makes of a node's champion; the strongest word where it is read twice."""
    written = {item.column: item.on_upstream_change for item in recipe.inputs}
    found: dict[str, UpstreamPolicy] = {}
    for edge in graph.edges_into(node):
        words = (written.get(edge.column, "retrain"), found.get(edge.upstream, "ignore"))
        found[edge.upstream] = min(words, key=("retrain", "rescore", "ignore").index)
    return found
