"""The release end to end: for every leaf that changed, what it scored before and what it scores as it is served now.

A leaf is a released node that no other released node reads. A new version was scored by its gate, fed with the very
columns that it is released with, and a champion by the check of the columns that it gets; so the numbers are there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from retraining.decide.pairs import PairCheck
from retraining.execution.study import NodeResult, ReleaseSet
from retraining.manifest.values import Json
from retraining.release.values import NodeState

__all__ = ["leaf_scores", "pair_of"]


def leaf_scores(
    results: Mapping[str, NodeResult], chosen: ReleaseSet, states: Mapping[str, NodeState]
) -> list[dict[str, Json]]:
    """One entry for each leaf whose version or columns the release changes, sorted by node."""
    read: set[str] = set()
    for node, state in states.items():
        if state.version is not None and not state.orphaned and node not in chosen.new:
            read |= state.wiring.keys()
    for node in chosen.new:
        read |= results[node].wiring.keys()
    changed = sorted({*chosen.new, *chosen.rewired} - read)
    return [
        _checked(node, chosen.rewired[node].check) if node in chosen.rewired else _judged(results[node])
        for node in changed
    ]


def pair_of(result: NodeResult, chosen: ReleaseSet) -> PairCheck | None:
    """The check that a champion is released with; else the one of this run that it did not pass."""
    rewired = chosen.rewired.get(result.node)
    return rewired.check if rewired is not None else result.pair


def _judged(result: NodeResult) -> dict[str, Json]:
    document: dict[str, Any] = {} if result.verdict is None else result.verdict.to_json()
    metric = document.get("metric")
    champion, challenger = document.get("champion") or {}, document.get("challenger") or {}
    return {
        "node": result.node,
        "by": "gate",
        "comparison": document.get("comparison"),
        "metric": metric,
        "before": champion.get(metric),
        "after": challenger.get(metric),
        "difference": document.get("difference"),
        "holdout": document.get("holdout", {}),
        "because": result.because,
    }


def _checked(node: str, check: PairCheck) -> dict[str, Json]:
    document: dict[str, Any] = check.to_json()
    difference = document["difference"]
    metric = difference["metric"] if difference is not None else None
    before, after = document["before"] or {}, document["after"] or {}
    return {
        "node": node,
        "by": "pair check",
        "comparison": None,
        "metric": metric,
        "before": before.get(metric),
        "after": after.get(metric),
        "difference": difference,
        "holdout": document["holdout"],
        "because": check.because,
    }
