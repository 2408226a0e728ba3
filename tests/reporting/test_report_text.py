from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retraining.reporting.text import (
    format_change,
    format_day,
    format_duration,
    format_moment,
    format_number,
    format_share,
    format_signed,
    join_words,
    plural,
    shorten,
)

checked = settings(derandomize=True, max_examples=200, deadline=None)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "unknown"),
        (float("nan"), "unknown"),
        (0, "0 s"),
        (0.0004, "1 ms"),
        (0.04, "40 ms"),
        (0.0996, "0.1 s"),
        (3.21, "3.2 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.7, "1 min"),
        (170.2, "2 min 50 s"),
        (3599.6, "1 h"),
        (3900, "1 h 5 min"),
        (86399, "1 d"),
        (187200, "2 d 4 h"),
        (-3.2, "-3.2 s"),
    ],
)
def test_a_duration_is_told_in_its_two_largest_units(seconds, text):
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "unknown"),
        (float("nan"), "not a number"),
        (float("-inf"), "-infinite"),
        (0.0, "0"),
        (1502.1, "1,502"),
        (336776.0, "336,776"),
        (0.0309999, "0.031"),
        (0.995, "0.995"),
        (12.3456, "12.35"),
        (9.99999, "10"),
        (-0.000123456, "-0.0001235"),
        (0.00000012, "1.200e-07"),
        (2000, "2,000"),
    ],
)
def test_a_number_has_four_significant_digits_and_whole_ones_stay_whole(value, text):
    assert format_number(value) == text


@checked
@given(st.floats(allow_nan=False, allow_infinity=False, min_value=-1e15, max_value=1e15))
def test_a_formatted_number_reads_back_within_its_digits(value):
    assert float(format_number(value).replace(",", "")) == pytest.approx(value, rel=6e-4, abs=1e-300)


@pytest.mark.parametrize(
    ("fraction", "text"),
    [
        (0.0, "0%"),
        (0.0321, "3.2%"),
        (0.995, "99.5%"),
        (1.0, "100%"),
        (0.00004, "<0.1%"),
        (0.99996, ">99.9%"),
        (12.0, "1,200%"),
        (-0.031, "-3.1%"),
        (None, "unknown"),
    ],
)
def test_a_share_is_told_in_percent(fraction, text):
    assert format_share(fraction) == text


@checked
@given(st.floats(min_value=0, max_value=1))
def test_a_share_rounds_to_nothing_or_all_only_if_it_is(fraction):
    assert (format_share(fraction) == "0%") == (fraction == 0)
    assert (format_share(fraction) == "100%") == (fraction == 1)


@pytest.mark.parametrize(
    ("fraction", "text"),
    [(0.023, "+2.3%"), (-0.085, "-8.5%"), (0.0001, "0%"), (-0.0, "0%"), (None, "unknown")],
)
def test_a_change_always_has_its_sign(fraction, text):
    assert format_change(fraction) == text


def test_a_signed_number_has_a_plus():
    assert [format_signed(value) for value in (0.03111, -12.14, 0.0)] == ["+0.0311", "-12.1", "0"]


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        ("2013-12-30", "2013-12-30"),
        ("2026-11-23T14:00:00Z", "2026-11-23 14:00 UTC"),
        ("2026-11-23T14:00:05.5+02:00", "2026-11-23 12:00:05 UTC"),
        ("2026-11-23T14:00:00", "2026-11-23 14:00"),
        ("0001-01-01T00:00:00+14:00", "0001-01-01T00:00:00+14:00"),
        ("block 7", "block 7"),
        ("", ""),
    ],
)
def test_a_moment_is_told_in_utc_and_anything_else_as_it_is(moment, text):
    assert format_moment(moment) == text


@pytest.mark.parametrize(
    ("zone", "text", "day"),
    [
        ("America/New_York", "2013-07-08 00:00 EDT", "2013-07-08"),
        ("Europe/Berlin", "2013-07-08 06:00 CEST", "2013-07-08"),
        ("America/Sao_Paulo", "2013-07-08 01:00 UTC-03", "2013-07-08"),
        ("America/Los_Angeles", "2013-07-07 21:00 PDT", "2013-07-07"),
        ("No/Where", "2013-07-08 04:00 UTC", "2013-07-08"),
    ],
)
def test_a_moment_is_told_in_the_manifests_zone_which_is_named(zone, text, day):
    moment = "2013-07-08T04:00:00Z"
    assert (format_moment(moment, zone), format_day(moment, zone)) == (text, day)


@pytest.mark.parametrize("text", ["2013-12-30", "block 7", "", "0001-01-01T00:00:00+14:00"])
def test_a_day_that_is_no_moment_stays_as_it_is(text):
    assert format_day(text, "Asia/Tokyo") == text


def test_counts_agree_with_their_noun():
    assert [plural(n, "fit") for n in (0, 1, 1204)] == ["0 fits", "1 fit", "1,204 fits"]
    assert plural(2, "entry", "entries") == "2 entries"


def test_words_are_listed_as_in_a_sentence():
    assert [join_words(words) for words in ([], ["a"], ["a", "b"], ["a", "b", "c"])] == [
        "",
        "a",
        "a and b",
        "a, b and c",
    ]
    assert join_words(list("abcdef"), most=2) == "a, b and 4 more"


def test_shortened_text_fits():
    assert shorten("abcdef", 6) == "abcdef"
    assert shorten("abcdefg", 6) == "abcde…"
