"""The condition `drift`: which findings of a scan make a node due, and how far its cursor has looked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from retraining.decide.drift import Finding, ranked, told
from retraining.decide.reasons import Reason
from retraining.manifest.values import DriftColumn, DriftCondition, Json

__all__ = [
    "DEFAULT_FLOORS",
    "Drift",
    "after_day",
    "drift_cursor",
    "drift_cursor_name",
    "drift_reasons",
    "floor_of",
]

#: What the scan says of the columns that a node's conditions look at.
Drift = Mapping[DriftColumn, Sequence[Finding]]

#: The smallest effect that counts where a condition says nothing: an index; a loss has its gate's margin.
DEFAULT_FLOORS: Mapping[DriftColumn, float] = {"loss": 0.0, "prediction": 0.2, "inputs": 0.2}
_MICROS_A_DAY = 86_400_000_000


def floor_of(condition: DriftCondition) -> float:
    """The smallest effect that the condition counts."""
    return DEFAULT_FLOORS[condition.column] if condition.psi is None else condition.psi


def drift_reasons(condition: DriftCondition, drift: Drift) -> tuple[Reason, ...]:
    """One reason where a column drifts by as much as the condition asks for, with the evidence of the largest."""
    floor = floor_of(condition)
    found = [one for one in ranked(drift.get(condition.column, ())) if one.reaches(floor)]
    if not found:
        return ()
    more = f", and {len(found) - 1} more" if len(found) > 1 else ""
    evidence: dict[str, Json] = {
        **found[0].to_json(),
        "floor": floor,
        "columns": [one.column for one in found],
    }
    del evidence["strip"]
    return (Reason(kind="drift", text=told(found[0]) + more, evidence=evidence),)


def drift_cursor_name(column: DriftColumn) -> str:
    """The name of the cursor of conditions on these columns."""
    return f"drift {column}"


def drift_cursor(condition: DriftCondition, drift: Drift) -> dict[str, int]:
    """Where the condition's cursor stands when what it saw is consumed: the newest day that it looked at.

    In microseconds since 1970, of that date's midnight in UTC; `after_day` is the inverse.
    """
    ends = [one.window[1] for one in drift.get(condition.column, ()) if one.window is not None]
    return {drift_cursor_name(condition.column): max(ends) * _MICROS_A_DAY} if ends else {}


def after_day(column: DriftColumn, cursors: Mapping[str, int]) -> int | None:
    """The day after which a node's conditions on these columns look; None where nothing was consumed yet."""
    stands = cursors.get(drift_cursor_name(column))
    return None if stands is None else stands // _MICROS_A_DAY
