"""The condition `performance`: whether a champion does badly on mature blocks that came after its cut."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from retraining.decide.evidence import LEVEL
from retraining.decide.reasons import Reason
from retraining.decide.wording import counted, finite_or_none, number
from retraining.decide.worth import Worth
from retraining.manifest.values import Json, PerformanceCondition

__all__ = ["Track", "performance_cursor", "performance_reason", "why_not_compared"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """What measures say of one champion.

    `worth` is None where nothing since its cut is mature, or measured yet. `through` is how far it was looked at: the
    end of the newest mature block in microseconds since 1970 (UTC), by folds the number of labelled rows. `since` is
    the first day of the first of those blocks (None by folds). `deciding` is the metric by which the gate decides,
    `min_clusters` the days that it asks for. `pending` counts blocks that are not measured yet, and `error` says why
    the champion could not be measured.
    """

    deciding: str
    min_clusters: int
    worth: Worth | None = None
    through: int | None = None
    since: str | None = None
    pending: int = 0
    error: str | None = None


def performance_cursor(condition: PerformanceCondition, track: Track | None) -> Mapping[str, int]:
    """Where the condition's cursor stands once what it looked at is consumed; empty where it saw nothing."""
    if track is None or track.worth is None or track.through is None:
        return {}
    return {_name(condition, track): track.through}


def performance_reason(
    condition: PerformanceCondition, track: Track | None, cursors: Mapping[str, int]
) -> Reason | None:
    """Why the node is due; None where it is not, or where nothing is newer than what was consumed before."""
    if track is None or track.worth is None or track.through is None:
        return None
    if track.through <= cursors.get(_name(condition, track), track.through - 1):
        return None
    metric, worth = condition.metric or track.deciding, track.worth
    if condition.worse_than_gate:
        return _worse(worth, track)
    value = worth.values.get(metric, math.nan)
    above = condition.max is not None and value > condition.max
    below = condition.min is not None and value < condition.min
    if not (above or below):
        return None
    bound = condition.max if above else condition.min
    assert bound is not None
    side = "above" if above else "below"
    before = worth.gate.get(metric, math.nan)
    gate = f", {number(before)} when it was judged" if math.isfinite(before) else ""
    return Reason(
        kind="performance",
        text=f"{metric} of the champion is {number(value)} {_where(worth, track)}, {side} {number(bound)}{gate}",
        evidence={
            "metric": metric,
            "value": value,
            "max": condition.max,
            "min": condition.min,
            "gate": finite_or_none(before),
            **_evidence(worth, track),
        },
    )


def why_not_compared(track: Track) -> str:
    """Why it cannot be told whether the champion is worse than its gate said, or ''."""
    worth = track.worth
    if worth is None:
        return ""
    found = worth.worsening
    if found is None:
        return "" if worth.gate else "the predictions that its gate judged are no longer in the store"
    for days, when in zip(found.clusters, ("when it was judged", "since"), strict=True):
        if days < track.min_clusters:
            return f"{counted(days, 'day')} {when}, and min_clusters asks for {track.min_clusters}"
    return "" if math.isfinite(found.lower) else f"{found.metric} has no bounds on these days"


def _worse(worth: Worth, track: Track) -> Reason | None:
    found = worth.worsening
    if found is None or why_not_compared(track) or not found.lower > found.margin:
        return None
    return Reason(
        kind="performance",
        text=f"{found.metric} of the champion is {number(found.after)} {_where(worth, track)}, "
        f"{number(found.before)} when it was judged: worse by more than the margin of {number(found.margin)}",
        evidence={"level": LEVEL, **found.to_json(), **_evidence(worth, track)},
    )


def _where(worth: Worth, track: Track) -> str:
    if track.since is None:
        return f"on {counted(worth.rows, 'row')}"
    return f"on {counted(worth.days, 'day')} since {track.since}"


def _evidence(worth: Worth, track: Track) -> dict[str, Json]:
    return {"rows": worth.rows, "days": worth.days, "blocks": len(worth.parts), "since": track.since}


def _name(condition: PerformanceCondition, track: Track) -> str:
    return f"performance {condition.metric or track.deciding}"
