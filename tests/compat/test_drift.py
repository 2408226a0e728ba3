"""Numbers are compared as in the document; samples and tables with chance accounted for."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2

from retraining.compat import DriftMonitor
from retraining.errors import InputError

RNG = np.random.default_rng(11)
BEFORE = RNG.normal(size=500)
SHIFTED = RNG.normal(loc=1.0, size=400)
SAME = RNG.normal(size=400)
COLOURS = np.array(["red", "green", "blue"])
COLOURS_BEFORE = COLOURS[RNG.choice(3, size=500, p=[0.6, 0.3, 0.1])]
COLOURS_NOW = COLOURS[RNG.choice(3, size=400, p=[0.2, 0.3, 0.5])]
monitor = DriftMonitor()

numbers = st.floats(-1e6, 1e6)
settings.register_profile("drift", derandomize=True, max_examples=50, deadline=None)
few = settings.get_profile("drift")


@few
@given(numbers, numbers, st.floats(0, 1e6))
def test_two_numbers_differ_by_more_than_the_threshold(now: float, before: float, threshold: float) -> None:
    expected = abs(now - before) > threshold
    found = DriftMonitor(threshold).detect_drift(now, before)
    assert expected is found
    assert expected is DriftMonitor(threshold=threshold).detect_drift(np.float64(now), np.array(before))


def test_numbers_may_be_of_any_kind() -> None:
    assert monitor.detect_drift(Decimal("0.8"), 1)
    assert not monitor.detect_drift(np.int64(3), 3)
    assert not monitor.detect_drift({"mean": 0.5, "share": 0.2}, {"share": 0.2, "mean": 0.45})
    assert monitor.detect_drift({"mean": 0.5, "share": 0.2}, {"share": 0.4, "mean": 0.45})


def as_list(values: Any) -> Any:
    return values.tolist()


CONTAINERS = [as_list, tuple, np.asarray, pd.Series, pa.array, lambda values: (value for value in values)]


@pytest.mark.parametrize(
    "container", CONTAINERS, ids=["list", "tuple", "array", "series", "arrow", "generator"]
)
def test_a_sample_comes_in_any_container(container: Any) -> None:
    for before, now, same in ((BEFORE, SHIFTED, SAME), (COLOURS_BEFORE, COLOURS_NOW, COLOURS_BEFORE[:300])):
        assert monitor.detect_drift(container(now), container(before)) is True
        assert monitor.detect_drift(container(same), container(before)) is False


def test_a_sample_does_not_drift_from_itself_in_any_order() -> None:
    for values in (BEFORE, COLOURS_BEFORE, np.zeros(20), np.array([1.0, np.nan] * 10)):
        (found,) = DriftMonitor(0).measure(RNG.permutation(values), values)
        assert (found.value, found.drifted) == (0.0, False)


@pytest.mark.parametrize(
    ("now", "before"),
    [
        ([10, 11, 12, 13, 14], [1, 2, 3, 4, 5]),
        ([-10, -11, -12, -13, -14, -15], [1, 2, 3, 4, 5, 6]),
        ([1.0] * 50, [0.0] * 50),
        ([True] * 40 + [False] * 10, [True] * 10 + [False] * 40),
        ([None] * 30 + [1, 2, 3] * 10, [1, 2, 3] * 20),
        ([math.nan] * 30, [1, 2, 3] * 10),
        (["new"] * 20, ["old"] * 20),
        (["new"] * 20 + ["old"] * 80, ["old"] * 100),
    ],
    ids=["small", "below", "constant", "bools", "missing", "all missing", "texts", "new text"],
)
def test_a_plain_change_is_seen(now: list[Any], before: list[Any]) -> None:
    assert monitor.detect_drift(now, before)
    assert monitor.detect_drift(before, now)


@pytest.mark.parametrize(("n_now", "n_before"), [(5, 5), (20, 20), (200, 200), (50, 5000), (5000, 50)])
def test_chance_alone_is_rarely_called_drift(n_now: int, n_before: int) -> None:
    rng = np.random.default_rng(5)
    texts = np.array([f"c{index}" for index in range(40)])
    shares = 1 / np.arange(1, 41) / np.sum(1 / np.arange(1, 41))
    draws: list[Any] = [
        lambda size: rng.normal(size=size),
        lambda size: rng.poisson(2, size=size),
        lambda size: texts[rng.choice(40, size=size, p=shares)],
    ]
    for draw in draws:
        alarms = sum(DriftMonitor(0).detect_drift(draw(n_now), draw(n_before)) for _ in range(100))
        assert alarms <= 6  # 1 expected


def test_many_columns_are_no_reason_for_more_false_alarms() -> None:
    rng = np.random.default_rng(6)
    tables = [rng.normal(size=(150, 60)) for _ in range(40)]
    pairs = zip(tables[::2], tables[1::2], strict=True)
    assert sum(DriftMonitor(0).detect_drift(now, before) for now, before in pairs) <= 4  # 12 at 1 % a column


def test_the_limit_of_chance_is_the_chi_squared_quantile() -> None:
    (found,) = DriftMonitor(0).measure(SAME, BEFORE)
    bins = 10 + sum((SAME.min() < BEFORE.min(), SAME.max() > BEFORE.max()))
    assert chi2.isf(0.01, bins - 1) * (1 / 400 + 1 / 500) == pytest.approx(found.limit, rel=0.01)
    (large,) = DriftMonitor(0.1).measure(np.tile(SAME, 10), np.tile(BEFORE, 10))
    assert large.limit == 0.1


def test_the_index_is_the_textbook_s_with_half_a_row_in_each_bin() -> None:
    (found,) = monitor.measure(["a"] * 30 + ["b"] * 70, ["a"] * 60 + ["b"] * 40)
    p, q = np.array([30.5, 70.5]) / 101, np.array([60.5, 40.5]) / 101
    assert np.sum((p - q) * np.log(p / q)) == pytest.approx(found.value)


FRAME_BEFORE = pd.DataFrame({"x": BEFORE, "colour": COLOURS_BEFORE})
FRAME_NOW = pd.DataFrame({"colour": COLOURS_BEFORE[:400], "x": SHIFTED})


@pytest.mark.parametrize(
    "form",
    [
        lambda frame: frame,
        lambda frame: frame.to_dict("records"),
        lambda frame: frame.to_dict("list"),
        lambda frame: {name: frame[name] for name in frame},
        pa.Table.from_pandas,
        lambda frame: [
            {"features": {"x": x}, "label": c} for x, c in zip(frame["x"], frame["colour"], strict=True)
        ],
    ],
    ids=["frame", "rows", "columns", "series", "arrow", "training data"],
)
def test_a_table_comes_in_any_form_and_says_which_column_drifted(form: Any) -> None:
    now, before = form(FRAME_NOW), form(FRAME_BEFORE)
    assert monitor.detect_drift(now, before) is True
    measured = monitor.measure(now, before)
    assert [column.column for column in measured if column.drifted] == ["x"]
    assert measured[0].column == "x"
    assert monitor.explain(now, before).startswith("x: drifted, psi 0.92")
    assert monitor.detect_drift(before, before) is False


def test_rows_by_position_are_a_table() -> None:
    before = RNG.normal(size=(300, 2))
    now = before + np.array([0.0, 2.0])
    assert [(c.column, c.drifted) for c in monitor.measure(now, before)] == [("x1", True), ("x0", False)]
    assert monitor.detect_drift(now.tolist(), before.tolist())


BAD_COMPARISONS: list[tuple[Any, Any, str]] = [
    (math.nan, 0.5, "the current distribution is nan"),
    (0.5, math.inf, "the previous distribution is inf"),
    (0.5, None, "the previous distribution is None"),
    ("now.csv", "before.csv", "load_training_data"),
    (0.5, [1.0] * 10, "the current distribution is a number, the previous one a sample"),
    ([1.0] * 10, {"x": [1.0] * 10}, "is a sample, the previous one a table"),
    ({"x": 0.5}, 0.5, "a mapping of names to numbers, the previous one a number"),
    ([], [], "has 0 value(s)"),
    ([1, 2, 3], [10, 11, 12], "a sample needs at least 5"),
    ({}, {"a": 1}, "is empty"),
    ({"a": 1, "b": [1] * 9}, {"a": 1}, "'a' of the current distribution is a int"),
    ({"a": [1] * 9, "b": "text"}, {"a": 1}, "'b' of the current distribution is a str"),
    ({"a": 0.5}, {"b": 0.5}, "'a' is only in the current one, 'b' is only in the previous one"),
    (FRAME_NOW, FRAME_BEFORE[["x"]], "'colour' is only in the current one"),
    (np.zeros((9, 2)), np.zeros((9, 3)), "'x2' is only in the previous one"),
    ([1] * 9, ["a"] * 9, "holds numbers now and held texts before"),
    ([1, 2, 3, 4, "five"], [1] * 9, "row 1 holds a number and row 5 the text 'five'"),
    ([1, 2, 3, 4, math.inf], [1] * 9, "row 5 holds inf"),
    (pd.Series(pd.date_range("2024-01-01", periods=9)), [1] * 9, "row 1 holds"),
    (FRAME_NOW[[]], FRAME_BEFORE[[]], "table without columns"),
]


@pytest.mark.parametrize(("now", "before", "message"), BAD_COMPARISONS)
def test_what_cannot_be_compared_is_refused(now: Any, before: Any, message: str) -> None:
    with pytest.raises(InputError) as caught:
        monitor.detect_drift(now, before)
    assert message in str(caught.value)


@pytest.mark.parametrize("threshold", [-0.1, math.nan, "0.1", None, True])
def test_a_threshold_that_is_no_size_is_refused(threshold: Any) -> None:
    with pytest.raises(InputError, match="the threshold is"):
        DriftMonitor(threshold)
