"""What helps after a node failed, told from its error."""

from __future__ import annotations

__all__ = ["known_remedy", "next_step"]

_KNOWN = (
    ("infinite values in", "make these values finite or missing in the data, then run again"),
    ("missing values in", "`preprocess: auto` fills them; else fill them in the data"),
    ("InvalidParameterError", "mend `parameters` of its `estimator`, then run again"),
    ("MemoryError", "give its fits more memory (`resources`) or fewer rows (`window`), then run again"),
    ("must not contain infs", "look for values too large to be squared, then run again"),
)


def next_step(outcome: str, because: str) -> str:
    """What to do about an outcome, '' where its sentence says so itself: only failures leave it open."""
    if outcome != "failed":
        return ""
    return (
        known_remedy(because) or "`retrain explain NODE` shows all that is known; the next run tries it again"
    )


def known_remedy(because: str) -> str:
    """What helps against an error that we know by its words, else ''."""
    return next((step for sign, step in _KNOWN if sign in because), "")
