"""False discoveries: probabilities adjusted for how many were looked at (Benjamini and Hochberg, 1995)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = ["FALSE_DISCOVERIES", "adjusted"]

#: The share of what is called a discovery that may be one by chance.
FALSE_DISCOVERIES = 0.05


def adjusted(probabilities: Sequence[float]) -> tuple[float, ...]:
    """For each p-value its q-value, in their order: what is called at most 5 % false has q at most 0.05."""
    found = np.asarray(probabilities, np.float64)
    order = np.argsort(found, kind="stable")
    scaled = found[order] * len(found) / np.arange(1, len(found) + 1)
    out = np.empty_like(found)
    out[order] = np.minimum.accumulate(scaled[::-1])[::-1]
    return tuple(np.minimum(out, 1.0).tolist())
