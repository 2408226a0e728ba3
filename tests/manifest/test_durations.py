"""Durations and shares: exactly the written forms, and back."""

from __future__ import annotations

import datetime as dt
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retraining.manifest.durations import (
    DAYS_PATTERN,
    DURATION_PATTERN,
    SHARE_PATTERN,
    duration_text,
    parse_days,
    parse_duration,
    parse_share,
)


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("2w", dt.timedelta(days=14)),
        ("14d", dt.timedelta(days=14)),
        ("12h", dt.timedelta(hours=12)),
        ("30m", dt.timedelta(minutes=30)),
        ("0d", dt.timedelta(0)),
        ("0", dt.timedelta(0)),
        ("", None),
        ("2", None),
        ("2 w", None),
        ("-2d", None),
        ("1.5d", None),
        ("2W", None),
        ("2s", None),
        ("2d\n", None),
        ("9999999w", None),
        ("٢d", None),
    ],
)
def test_a_duration_is_a_whole_number_and_a_unit(text, duration):
    assert parse_duration(text) == duration


@settings(derandomize=True, max_examples=200)
@given(st.integers(0, 99_999), st.sampled_from("mhdw"))
def test_a_duration_is_written_in_the_largest_unit_that_fits(number, unit):
    duration = parse_duration(f"{number}{unit}")
    assert duration is not None
    assert parse_duration(duration_text(duration)) == duration
    assert len(duration_text(duration)) <= len(f"{number}{unit}")


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("5%", 0.05),
        ("0%", 0.0),
        ("100%", 1.0),
        ("2.5%", 0.025),
        ("101%", None),
        ("5 %", None),
        ("%", None),
        ("5", None),
    ],
)
def test_a_share_is_a_percentage_up_to_a_hundred(text, share):
    assert parse_share(text) == share


@pytest.mark.parametrize(
    ("text", "days"),
    [("1d", 1), ("2w", 14), ("0d", None), ("0", None), ("24h", None), ("000d", None), ("x", None)],
)
def test_whole_days_are_written_in_days_or_weeks(text, days):
    assert parse_days(text) == (None if days is None else dt.timedelta(days=days))
    assert bool(re.search(DAYS_PATTERN, text)) == (days is not None)


@settings(derandomize=True, max_examples=200)
@given(st.text("0123456789.%mhdw -", max_size=8))
def test_the_patterns_of_the_schema_accept_what_is_parsed(text):
    assert bool(re.search(DURATION_PATTERN, text)) == (parse_duration(text) is not None and text != "0")
    if parse_share(text) is not None:
        assert re.search(SHARE_PATTERN, text)
