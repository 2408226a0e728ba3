"""The rows of nodes in each state of docs/design.md 1, as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from retraining.decide.facts import Decision
from retraining.decide.states import STATES
from retraining.reporting.grouping import wrapped
from retraining.reporting.paint import Paint
from retraining.reporting.text import plural

__all__ = ["states_of_each", "states_text"]


def states_text(rows: Mapping[str, int], *, empty: bool = False) -> str:
    """`1,234 rows: 1,000 train the gate fit, 234 judged on`; '' for none. `empty`: name also empty states."""
    total = sum(rows.get(state, 0) for state in STATES)
    if not total:
        return ""
    parts = [f"{rows.get(state, 0):,} {words}" for state, words in STATES.items() if empty or rows.get(state)]
    served = f" (serves {rows['served']:,})" if "served" in rows else ""
    return f"{plural(total, 'row')}{served}: {', '.join(parts)}"


def states_of_each(decisions: Sequence[Decision], paint: Paint) -> list[str]:
    """Every node with its rows in all states, as lines."""
    lines = []
    for decision in decisions:
        lines.append(f"  {paint('name', decision.node)}")
        lines += wrapped(states_text(decision.rows, empty=True) or "no rows", "    ", "      ")
    return lines
