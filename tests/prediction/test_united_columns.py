"""The column that the nodes of one upstream model make together, whatever classes each of them knows."""

from __future__ import annotations

import numpy as np

from retraining.data.columns import unite

NAN = np.nan


def test_rows_without_a_node_are_missing() -> None:
    parts = [(np.array([2, 0]), np.array([[5.0], [6.0]]), ())]
    np.testing.assert_array_equal(unite(4, "regression", (), parts), [[6.0], [NAN], [5.0], [NAN]])


def test_two_classes_hand_down_the_second() -> None:
    parts = [(np.array([1]), np.array([[0.25, 0.75]]), ("a", "b"))]
    np.testing.assert_array_equal(unite(2, "classification", ("a", "b"), parts), [[NAN], [0.75]])


def test_a_node_that_does_not_know_a_class_gives_it_nothing() -> None:
    parts = [
        (np.array([0]), np.array([[0.2, 0.3, 0.5]]), ("a", "b", "c")),
        (np.array([1, 2]), np.array([[0.4, 0.6], [NAN, NAN]]), ("a", "c")),
    ]
    expected = [[0.2, 0.3, 0.5], [0.4, 0.0, 0.6], [NAN, NAN, NAN]]
    np.testing.assert_array_equal(unite(3, "classification", ("a", "b", "c"), parts), expected)


def test_a_class_that_only_an_older_node_knows_is_left_out() -> None:
    parts = [(np.array([0]), np.array([[0.2, 0.3, 0.5]]), ("a", "b", "c"))]
    np.testing.assert_array_equal(unite(1, "classification", ("a", "b"), parts), [[0.3]])
