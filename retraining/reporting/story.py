"""What is known of one node, as a value: what it is, its champion, its last attempt, what would happen now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from retraining.decide.drift import Finding
from retraining.decide.facts import Decision
from retraining.manifest.values import Json
from retraining.release.values import Pin
from retraining.reporting.view import EdgeView, NodeView

__all__ = ["Comparison", "Making", "Story"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Making:
    """One version of the node as its document records it: the champion, or an attempt to replace it.

    `view` has the verdict, the edges, the rows and the decision; `time` and `run` say when and by which
    run it was made; `document` is the record itself, without the list of its cells.
    """

    view: NodeView
    outcome: str
    because: str
    time: str
    run: str
    document: Mapping[str, Json] = field(default_factory=dict)

    def to_json(self) -> dict[str, Json]:
        """The version as a document."""
        return {
            "outcome": self.outcome,
            "because": self.because,
            "time": self.time,
            "run": self.run,
            "document": dict(self.document),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What the inputs of a champion that stayed bring, as a run found because somebody asked it."""

    edges: tuple[EdgeView, ...]
    time: str
    run: str
    record: tuple[Mapping[str, Json], ...] = ()

    def to_json(self) -> dict[str, Json]:
        """The comparison as a document."""
        return {"run": self.run, "time": self.time, "edges": [dict(edge) for edge in self.record]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """One node's story. `reads` maps an input's column to the nodes that feed it; moments are told in `timezone`.

    `attempt` is None where the last attempt made the champion; `compared` is the last comparison of its inputs
    that somebody asked for. `decision` is what `plan` would do now, None where no manifest was read.
    `model_format` is that of the released model. `no_node` says why a partition is no node; then all else is empty.
    `performance` is how the champion does on blocks that came after it, where a rule asks (`operations.performance`).
    `drift` is what the scan says of the columns that its conditions look at.
    """

    node: str
    description: str = ""
    owner: str = ""
    tags: tuple[str, ...] = ()
    estimator: str = ""
    dataset: str = ""
    target: str = ""
    features: tuple[str, ...] = ()
    reads: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    readers: tuple[str, ...] = ()
    rows: Mapping[str, int] = field(default_factory=dict)
    champion: Making | None = None
    attempt: Making | None = None
    compared: Comparison | None = None
    decision: Decision | None = None
    as_of: str = ""
    timezone: str = "UTC"
    orphaned: bool = False
    pin: Pin | None = None
    model_format: str = ""
    no_node: str = ""
    performance: Mapping[str, Json] | None = None
    drift: tuple[Finding, ...] = ()

    def to_json(self) -> dict[str, Json]:
        """The story as a document."""
        reads: dict[str, Json] = {column: list(names) for column, names in self.reads.items()}
        return {
            "node": self.node,
            "description": self.description,
            "owner": self.owner,
            "tags": list(self.tags),
            "estimator": self.estimator,
            "dataset": self.dataset,
            "target": self.target,
            "features": list(self.features),
            "reads": reads,
            "readers": list(self.readers),
            "rows": dict(self.rows),
            "champion": None if self.champion is None else self.champion.to_json(),
            "last_attempt": None if self.attempt is None else self.attempt.to_json(),
            "compared": None if self.compared is None else self.compared.to_json(),
            "now": None if self.decision is None else {"as_of": self.as_of, **self.decision.to_json()},
            "orphaned": self.orphaned,
            "model_format": self.model_format or None,
            "pin": None if self.pin is None else self.pin.to_json(),
            "no_node": self.no_node or None,
            "performance": None if self.performance is None else dict(self.performance),
            "drift": [one.to_json() for one in self.drift],
        }
