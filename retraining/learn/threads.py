"""One thread for BLAS and OpenMP, so that results do not depend on the machine's cores.

Invariant: inside the block no library that `fit` and `predict` use runs a second thread.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["one_thread"]


@contextmanager
def one_thread() -> Iterator[None]:
    """A block in which BLAS and OpenMP use one thread in this thread of Python.

    Imports scikit-learn and XGBoost first: a library that is loaded inside the block would not be limited.
    Entering costs about 3 ms, so enter once around many fits. (`n_jobs` is 1 in every fit anyway.)
    """
    for name in ("scipy.linalg", "sklearn.tree", "sklearn.utils._openmp_helpers", "xgboost"):
        importlib.import_module(name)
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1):
        yield
