"""Lines for people fit the width of who reads them."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from retraining.reporting.fitting import fitted

words = st.text(st.sampled_from("ab[=]…,"), min_size=1, max_size=30)
lines = st.builds(
    lambda indent, parts: " " * indent + "  ".join(parts), st.integers(0, 12), st.lists(words, min_size=1)
)


@given(st.lists(lines, min_size=1).map("\n".join), st.integers(20, 90))
def test_nothing_is_lost_and_only_what_has_no_blank_is_wider(text, width):
    told = fitted(text, width)
    assert told.split() == text.split()
    for line in told.split("\n"):
        assert len(line) <= width or len(line.split()) == 1


def test_a_line_goes_on_below_itself():
    told = fitted("error: this is too long\n  next: and so is this", 16)
    assert told == "error: this is\n  too long\n  next: and so\n    is this"
    assert fitted("  a  b   c\n\nd", 10) == "  a  b   c\n\nd"


def test_colours_take_no_room():
    painted = "\x1b[31mbad\x1b[0m news \x1b[1mhere\x1b[0m"
    assert fitted(painted, 13) == painted
    assert [re.sub("\x1b.*?m", "", line) for line in fitted(painted, 12).split("\n")] == [
        "bad news",
        "  here",
    ]
