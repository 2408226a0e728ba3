"""What `state:WORD` selects: nodes by what became of them, and by what a plan would do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from retraining.decide.facts import Facts
from retraining.decide.plan import make_plan
from retraining.learn.environment import environment_digest
from retraining.operations.observe import Observation
from retraining.release.values import NodeState

__all__ = ["selection_states"]


def selection_states(
    observation: Observation, facts: Mapping[str, Facts], states: Mapping[str, NodeState]
) -> dict[str, frozenset[str]]:
    """The nodes that each `state:WORD` selects."""
    names: Sequence[str] = [node.name for node in observation.graph.nodes]
    released = {name for name in names if name in states and states[name].version is not None}

    def by_outcome(*words: str) -> frozenset[str]:
        return frozenset(
            n for n in names if (s := states.get(n)) and s.attempt and s.attempt.outcome in words
        )

    modified = {
        name
        for name in released
        if (parts := states[name].parts) is not None and parts.recipe != facts[name].recipe.digest()
    }
    everything = make_plan(
        observation.graph,
        facts,
        states,
        as_of="",
        environment=environment_digest(),
        selected=frozenset(names),
    )
    return {
        "new": frozenset(names) - released,
        "released": frozenset(released),
        "modified": frozenset(modified),
        "due": frozenset(d.node for d in everything.active if not d.conditional),
        "failed": by_outcome("failed"),
        "rejected": by_outcome("rejected"),
        "insufficient": by_outcome("insufficient"),
        "waiting": by_outcome("waiting"),
        "pending": by_outcome("pending"),
        "pinned": frozenset(n for n in names if (s := states.get(n)) and s.pin is not None),
    }
