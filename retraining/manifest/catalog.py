"""Interface sketch (to be filled in): names that a manifest may use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class EstimatorInfo:
    """What the engine must know of an estimator class without importing it."""

    name: str
    module: str
    task: Literal["regression", "classification"]
    parameters: tuple[str, ...]
    accepts_nan: bool
    needs_scaling: bool
    probabilities: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricInfo:
    """What a metric needs and how it is read.

    `needs`: 'value' (regression), 'labels' (predicted classes) or 'probabilities'.
    `mean_over_rows`: it is the (weighted) mean of a loss of each row.
    """

    name: str
    task: Literal["regression", "classification"]
    needs: Literal["value", "labels", "probabilities"]
    greater_is_better: bool
    mean_over_rows: bool
