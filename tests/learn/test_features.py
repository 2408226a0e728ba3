from __future__ import annotations

import numpy as np
import pytest

from retraining.learn.features import Features

from .samples import mixed


@pytest.mark.parametrize("rows", [np.array([3, 0, 3]), np.arange(240) % 7 == 0, slice(5, 50, 3)])
def test_taken_rows_are_those_rows_in_that_order_as_one_c_block(rows):
    table = mixed()
    taken = table.take(rows)
    np.testing.assert_array_equal(taken.values, table.values[rows])
    assert taken.values.flags.c_contiguous
    assert (taken.names, taken.categories) == (table.names, table.categories)


def test_a_matrix_that_does_not_match_its_names_is_refused():
    with pytest.raises(ValueError, match="for 1 names"):
        Features(names=("a",), values=np.zeros((2, 2)), categories={})
    with pytest.raises(ValueError, match="expected float64"):
        Features(names=("a",), values=np.zeros((2, 1), dtype=np.float32), categories={})
