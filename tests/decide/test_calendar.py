from __future__ import annotations

import datetime as dt
import itertools
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retraining.decide.calendar import ANCHOR, Calendar, micros, moment

ZONES = [
    "UTC",
    "America/New_York",
    "Europe/Berlin",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "America/Sao_Paulo",
]
MOMENTS = st.integers(-(10**8), 3 * 10**9).map(lambda value: dt.datetime.fromtimestamp(value, dt.UTC))
SETTINGS = settings(max_examples=150, derandomize=True, deadline=None)


@SETTINGS
@given(st.sampled_from(ZONES), st.integers(1, 40), MOMENTS)
def test_a_block_holds_the_moments_whose_local_dates_are_in_it(zone, days, value):
    calendar = Calendar(zone, days)
    local = value.astimezone(ZoneInfo(zone)).date()
    block = (local - ANCHOR).days // days
    at = np.array([micros(value)])
    assert calendar.blocks_of(at).tolist() == [block] == [calendar.block_at(micros(value))]
    assert calendar.days_of(at).tolist() == [(local - dt.date(1970, 1, 1)).days]
    assert calendar.start(block) <= micros(value) < calendar.start(block + 1)
    assert calendar.date(block) <= local < calendar.date(block + 1)


@SETTINGS
@given(st.sampled_from(ZONES), st.integers(1, 40), st.lists(MOMENTS, max_size=6))
def test_the_first_block_from_a_moment_on_begins_at_or_after_it(zone, days, values):
    calendar = Calendar(zone, days)
    at = np.array([micros(value) for value in values], np.int64)
    for block, value in zip(calendar.first_from(at).tolist(), at.tolist(), strict=True):
        assert calendar.start(block - 1) < value <= calendar.start(block)


@pytest.mark.parametrize("zone", ZONES)
def test_blocks_cover_time_without_gap_where_clocks_change(zone):
    calendar = Calendar(zone, 1)
    begin = calendar.block_at(micros(dt.datetime(2011, 1, 1, tzinfo=dt.UTC)))
    starts = [calendar.start(block) for block in range(begin, begin + 800)]
    lengths = {(b - a) // 3_600_000_000 for a, b in itertools.pairwise(starts)}
    # the day that Apia left out has no length; elsewhere days have 23 to 25 hours
    assert lengths <= {0, 23, 24, 25}
    borders = np.array(starts)
    assert calendar.first_from(borders).tolist() == calendar.blocks_of(borders).tolist() or 0 in lengths


@SETTINGS
@given(MOMENTS)
def test_a_moment_survives_microseconds(value):
    assert moment(micros(value)) == value
