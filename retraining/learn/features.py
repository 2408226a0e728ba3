"""A table of features as one matrix, before anything was learned from it.

Invariant: nothing here depends on which rows are fitted, so rows may be taken in any order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Features"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Features:
    """Rows of features before encoding.

    `values` has shape (n_rows, n_features), float64, C order; missing is NaN. A column that is a key of
    `categories` holds codes, positions in that tuple of texts, which need be neither sorted nor minimal.
    """

    names: tuple[str, ...]
    values: NDArray[np.float64]
    categories: Mapping[int, tuple[str, ...]]

    def __post_init__(self) -> None:
        if self.values.ndim != 2 or self.values.shape[1] != len(self.names):
            raise ValueError(f"values of shape {self.values.shape} for {len(self.names)} names")
        if self.values.dtype != np.float64:
            raise ValueError(f"values of dtype {self.values.dtype}, expected float64")

    def __len__(self) -> int:
        return int(self.values.shape[0])

    def take(self, rows: NDArray[Any] | slice) -> Features:
        """These rows, in the order given: positions, a boolean mask, or a slice."""
        values = np.ascontiguousarray(self.values[rows])
        return Features(names=self.names, values=values, categories=self.categories)
