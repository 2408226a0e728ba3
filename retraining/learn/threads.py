"""One thread for BLAS and OpenMP, so that results do not depend on the machine's cores.

Invariant: inside the block no library that `fit` and `predict` use runs a second thread.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController

__all__ = ["one_thread"]


@contextmanager
def one_thread() -> Iterator[None]:
    """A block in which BLAS and OpenMP use one thread in this thread of Python.

    Imports scikit-learn and XGBoost first: a library that is loaded inside the block would not be limited.
    (`n_jobs` is 1 in every fit anyway.)
    """
    for name in ("scipy.linalg", "sklearn.tree", "sklearn.utils._openmp_helpers", "xgboost"):
        importlib.import_module(name)
    with _controller(len(sys.modules)).limit(limits=1):
        yield


@lru_cache(maxsize=1)
def _controller(modules: int) -> ThreadpoolController:
    """The libraries that are loaded, looked for again (3 to 13 ms) when a module was imported since."""
    del modules
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
