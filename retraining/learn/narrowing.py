"""Which classes a fit knows: those among its own rows, so that a class that appears later changes no earlier fit."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retraining.learn.estimators import EstimatorSpec, written_form

__all__ = ["narrowed"]


def narrowed(spec: EstimatorSpec, target: NDArray[Any]) -> tuple[EstimatorSpec, NDArray[Any]]:
    """The spec with the classes that the target `(n_rows,)` has, and the target as positions among these.

    Classes to which a written `class_weight` gives a weight stay, too.
    """
    written = spec.parameters.get("class_weight")
    named = written.keys() if isinstance(written, dict) else ()
    present = set(np.unique(target).tolist())
    kept = [
        code for code, value in enumerate(spec.classes) if code in present or written_form(value) in named
    ]
    if len(kept) == len(spec.classes):
        return spec, target
    codes = np.searchsorted(np.array(kept, np.int64), target)
    return replace(spec, classes=tuple(spec.classes[code] for code in kept)), codes
