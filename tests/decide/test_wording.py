"""Numbers inside sentences: four digits, commas, no exponent where a person would not write one."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retraining.decide.wording import counted, number, signed


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (-0.0, "0"),
        (17.1099, "17.11"),
        (12730.4, "12,730"),
        (1_234_567.8, "1,234,568"),
        (0.024356, "0.02436"),
        (5.0, "5"),
        (0.00001234, "1.234e-05"),
        (math.inf, "inf"),
        (math.nan, "nan"),
    ],
)
def test_a_number_is_written_as_a_person_would(value: float, text: str) -> None:
    assert number(value) == text


@settings(derandomize=True, max_examples=200)
@given(st.floats(min_value=1e-4, max_value=1e11))
def test_a_number_reads_back_within_its_four_digits(value: float) -> None:
    assert float(number(value).replace(",", "")) == pytest.approx(value, rel=1e-3)
    assert "e" not in number(value)


def test_a_difference_has_its_sign_and_a_count_its_noun() -> None:
    assert [signed(value) for value in (22.42, -0.003931, 0.0)] == ["+22.42", "-0.003931", "0"]
    assert [counted(1, "row"), counted(12890, "row")] == ["1 row", "12,890 rows"]
