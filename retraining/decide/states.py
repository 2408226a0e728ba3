"""The seven states of a row at one moment (docs/design.md 1), as words: what it trains, and what it is judged on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

#: In the order in which a row goes through them; every row is in exactly one.
STATES: Mapping[str, str] = MappingProxyType(
    {
        "unseen": "not there yet",
        "gate": "for the gate fit",
        "purged": "purged",
        "judged": "judged on",
        "later": "after the holdout",
        "unlabelled": "without a label",
        "no_upstream": "without an upstream",
    }
)


def add_states(all_rows: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """The rows of several nodes in each state, in the order of `STATES`."""
    found = list(all_rows)
    return {state: sum(rows.get(state, 0) for rows in found) for state in STATES}
