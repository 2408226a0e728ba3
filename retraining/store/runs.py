"""The names of runs and of what a run writes under `runs/`."""

from __future__ import annotations

__all__ = ["new_run_id", "outcome_key", "run_key"]

_MILLISECONDS_DIGITS = 13


def new_run_id(now_ms: int, random_bytes: bytes) -> str:
    """A run's name: milliseconds since 1970 in UTC (13 digits), then 8 hex digits of randomness.

    `random_bytes` is 4 bytes long. Names sort by time; ValueError outside the years 2001 to 2286.
    """
    if len(str(now_ms)) != _MILLISECONDS_DIGITS or len(random_bytes) != 4:
        raise ValueError(f"a run id needs 13 digits of milliseconds and 4 random bytes, not {now_ms}")
    return f"{now_ms}-{random_bytes.hex()}"


def run_key(run: str) -> str:
    """The key of the document that says who started a run, with what."""
    return f"runs/{run}/run.json"


def outcome_key(run: str) -> str:
    """The key of the document that says what became of a run."""
    return f"runs/{run}/outcome.json"
