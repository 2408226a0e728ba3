from __future__ import annotations

import subprocess
import sys

from threadpoolctl import threadpool_info

from retraining.learn.threads import one_thread

PROGRAM = """
from threadpoolctl import threadpool_info
from retraining.learn.threads import one_thread
with one_thread():
    import sklearn.ensemble, sklearn.svm, sklearn.cluster, scipy.linalg, xgboost, numpy.linalg
    print(sorted({library["num_threads"] for library in threadpool_info()}))
    print({library["user_api"] for library in threadpool_info()} >= {"blas", "openmp"})
"""


def test_inside_the_block_every_library_has_one_thread_even_where_it_was_imported_later():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["[1]", "True"]


def test_the_block_can_be_entered_again_inside_itself():
    with one_thread(), one_thread():
        assert {library["num_threads"] for library in threadpool_info()} == {1}
