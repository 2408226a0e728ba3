"""What is to be measured of champions before a plan is made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from retraining.decide.profiles import Bins

__all__ = ["InputOrder", "Order"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is to be measured of one champion; blocks (or folds) are as `decide.measures.Measured` has them.

    `metrics` are all that are measured, `compared` is the one that is held against the gate's (None: none).
    `reference` and `since` map each block to the fingerprint of its measure, of which the store lacks `missing`.
    `bins` are those of the champion's predictions (None: to be made and stored as `bins_key`), `worth` is the
    fingerprint of what it is worth.
    """

    metrics: tuple[str, ...]
    compared: str | None
    reference: Mapping[int, str]
    judged: frozenset[int]
    since: Mapping[int, str]
    missing: frozenset[int]
    bins: Bins | None
    bins_key: str
    worth: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InputOrder:
    """What is to be profiled of one champion's features.

    `records` maps each block before and since the champion's cut to the fingerprint of its profiles, of which the
    store lacks `missing`; `reference` are those from which it could learn. `bins` are by feature (None: to be made and
    stored as `bins_key`).
    """

    records: Mapping[int, str]
    reference: frozenset[int]
    missing: frozenset[int]
    bins: Mapping[str, Bins] | None
    bins_key: str
