"""What a run did, as a value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from retraining.manifest.values import Json
from retraining.store.entries import Head

__all__ = ["RunOutcome"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOutcome:
    """What a run did: each node's outcome, the head after it, and the run's record (format 1).

    `pruned` are nodes that were forgotten, `stay` says why another one that left the manifest or the data was not.
    """

    run: str
    outcomes: Mapping[str, tuple[str, str]]
    before: Head
    after: Head
    record: Mapping[str, Json]
    exit_code: int
    seconds: float
    fits_made: int = 0
    fits_reused: int = 0
    fits_again: int = 0
    counts: Mapping[str, int] = field(default_factory=dict)
    pruned: tuple[str, ...] = ()
    stay: Mapping[str, str] = field(default_factory=dict)
