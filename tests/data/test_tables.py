from __future__ import annotations

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from retraining.data.tables import Column, key_hash, match_codes

from .samples import moments, number, texts

SETTINGS = settings(max_examples=60, derandomize=True, deadline=None)
WORDS = st.sampled_from(["NO", "7", "007", "", "ä", "a", None])
WHOLE = st.integers(-3, 3)
FLOATS = st.sampled_from([0.0, -0.0, 1.5, 7.0, float("nan"), -2.0])


def columns(draw, kinds, n):
    made = []
    for kind in kinds:
        if kind == "text":
            made.append(texts(draw(st.lists(WORDS, min_size=n, max_size=n))))
        elif kind == "whole":
            made.append(
                Column(
                    kind="number", values=np.array(draw(st.lists(WHOLE, min_size=n, max_size=n)), np.int64)
                )
            )
        else:
            made.append(
                Column(kind="number", values=np.array(draw(st.lists(FLOATS, min_size=n, max_size=n))))
            )
    return made


@st.composite
def two_tables(draw):
    kinds = draw(st.lists(st.sampled_from(["text", "whole", "float"]), min_size=1, max_size=3))
    other = [draw(st.sampled_from(["whole", "float"])) if kind != "text" else kind for kind in kinds]
    return columns(draw, kinds, draw(st.integers(0, 8))), columns(draw, other, draw(st.integers(0, 8)))


def plain(column):
    if column.kind == "category":
        return [column.categories[code] if code >= 0 else None for code in column.values.tolist()]
    return [None if value != value else float(value) for value in column.values.tolist()]


@SETTINGS
@given(two_tables())
def test_rows_match_as_a_merge_matches_them_and_missing_matches_nothing(tables):
    left, right = tables
    codes_left, codes_right = match_codes(left, right)
    found = {(i, j) for i, a in enumerate(codes_left) for j, b in enumerate(codes_right) if a == b and a >= 0}
    names = [f"k{i}" for i in range(len(left))]
    frames = [
        pd.DataFrame(
            {name: pd.Series(plain(c), dtype=object) for name, c in zip(names, side, strict=True)}
        ).assign(row=range(len(side[0].values)))
        for side in (left, right)
    ]
    merged = frames[0].dropna(subset=names).merge(frames[1].dropna(subset=names), on=names)
    assert found == set(zip(merged["row_x"], merged["row_y"], strict=True))


def test_a_number_in_one_table_and_its_text_in_the_other_match_as_written():
    left, right = match_codes([number([7.0, 8.5, -1.0])], [texts(["-1", "8.5", "7", "007"])])
    assert [right.tolist().index(code) for code in left.tolist()] == [2, 1, 0]
    assert right.tolist()[3] not in left.tolist()


def test_big_whole_numbers_match_exactly():
    big = 2**53
    left, right = match_codes([number(np.array([big + 1, big]))], [number(np.array([big, big + 2]))])
    assert (left[:, None] == right).tolist() == [[False, False], [True, False]]


@SETTINGS
@given(st.lists(WORDS, min_size=1, max_size=8), st.lists(WORDS, max_size=8))
def test_the_words_of_a_text_depend_on_the_text_alone(values, others):
    alone = texts(values).words()
    assert np.array_equal(texts(values + others).words()[: len(values)], alone)
    assert [bool(word) for word in alone] == [value is not None for value in values]
    assert len({*alone.tolist()}) == len({*values})


def test_equal_numbers_have_equal_words_in_every_width():
    whole = Column(kind="number", values=np.array([3, -4, 0], np.int64))
    assert np.array_equal(whole.words(), number([3.0, -4.0, -0.0]).words())
    nans = np.array([np.nan, -np.nan]).view(np.uint64)
    nans[1] |= np.uint64(7)
    assert len(set(number(nans.view(np.float64)).words().tolist())) == 1


@SETTINGS
@given(two_tables())
def test_equal_keys_have_equal_hashes_in_any_table(tables):
    left, right = tables
    codes_left, codes_right = match_codes(left, right)
    hash_left, hash_right = key_hash(left), key_hash(right)
    for i, a in enumerate(codes_left):
        for j, b in enumerate(codes_right):
            if a >= 0 and b >= 0:
                assert (a == b) == (hash_left[i] == hash_right[j])


def test_texts_are_as_a_user_writes_them_in_a_manifest():
    assert number([1.0, 2.5, float("nan")]).texts()[1] == ("1", "2.5")
    assert texts(["NO", None, "007"]).texts()[1] == ("007", "NO")
    assert Column(kind="bool", values=np.array([1.0, 0.0, np.nan])).texts()[1] == ("false", "true")
    codes, words = moments(["2024-01-01T00:00:00", None]).texts()
    assert (codes.tolist(), words) == ([0, -1], ("2024-01-01T00:00:00.000000",))
    big = Column(kind="number", values=np.array([2**53 + 1, 2**53], np.int64))
    assert big.texts()[1] == (str(2**53), str(2**53 + 1))


def test_neighbouring_big_numbers_have_their_own_words():
    big = Column(
        kind="number", values=np.array([2**53, 2**53 + 1, 2**53 + 2, -(2**53) - 1, -(2**53)], np.int64)
    )
    assert len(set(big.words().tolist())) == 5
