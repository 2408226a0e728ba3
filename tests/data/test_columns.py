from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retraining.data.columns import (
    UpstreamColumn,
    check_groups,
    column_digests,
    handed_down,
    join_rows,
    output_names,
    usable_rows,
)
from retraining.data.tables import Column, Table
from retraining.errors import DataError
from retraining.manifest.values import Dataset, FoldScheme, Input

from .samples import moments, number, texts

SETTINGS = settings(max_examples=60, derandomize=True, deadline=None)
EDGE = Input(upstream="up", column="up", match=(("k", "f"),))


def side(name, key, time=None, **columns):
    n = len(next(iter(columns.values())).values)
    table = Table(dataset=name, key=(key,), columns=columns, n_rows=n)
    return table, Dataset(name=name, path="", key=(key,), time=time, ingested="s" if "s" in columns else None)


def ticks(values):
    return Column(kind="timestamp", values=np.array(values, np.int64))


@SETTINGS
@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 9)), max_size=15),
    st.lists(
        st.tuples(st.integers(0, 5), st.integers(0, 9), st.integers(0, 12)),
        max_size=6,
        unique_by=lambda row: row[0],
    ),
)
def test_a_row_reads_the_row_of_its_key_if_that_prediction_existed_when_its_own_was_made(own, theirs):
    if not own or not theirs:
        return
    reader, reader_set = side(
        "r",
        "id",
        time="t",
        id=number(list(range(len(own)))),
        f=number([r[0] for r in own]),
        t=ticks([r[1] for r in own]),
    )
    keys, decided_at, seen_at = zip(*theirs, strict=True)
    upstream, upstream_set = side("u", "k", time="t", k=number(keys), t=ticks(decided_at), s=ticks(seen_at))
    found = join_rows(EDGE, reader, reader_set, upstream, upstream_set)
    for i, (key, decided) in enumerate(own):
        expected = [
            j for j, (other, at, seen) in enumerate(theirs) if other == key and max(at, seen) <= decided
        ]
        assert found[i] == (expected[0] if expected else -1)


def test_several_upstream_rows_of_one_key_are_refused():
    reader, reader_set = side("r", "id", id=number([0.0]), f=texts(["a"]))
    upstream, upstream_set = side("u", "id", id=number([0.0, 1.0, 2.0]), k=texts(["a", "a", None]))
    with pytest.raises(DataError, match="1 rows of u repeat another row's k"):
        join_rows(EDGE, reader, reader_set, upstream, upstream_set)


def test_missing_keys_match_nothing_and_may_repeat():
    reader, reader_set = side("r", "id", id=number([0.0, 1.0]), f=texts([None, "a"]))
    upstream, upstream_set = side("u", "id", id=number([0.0, 1.0, 2.0]), k=texts([None, "a", None]))
    assert join_rows(EDGE, reader, reader_set, upstream, upstream_set).tolist() == [-1, 1]


def test_moments_matched_with_text_are_refused_with_the_type_to_write():
    reader, reader_set = side("r", "id", id=number([0.0]), f=texts(["2024-01-01T00:00:00Z"]))
    upstream, upstream_set = side("u", "id", id=number([0.0]), k=moments(["2024-01-01T00:00:00"]))
    with pytest.raises(DataError, match=r"f of r is of kind category") as caught:
        join_rows(EDGE, reader, reader_set, upstream, upstream_set)
    assert "types: {f: timestamp}" in caught.value.next_step


def test_an_edge_between_rows_of_different_folds_is_refused_unless_they_share_a_leak_group():
    n = 40
    reader, reader_set = side("r", "id", id=number(list(range(n))), f=number([i % 5 for i in range(n)]))
    upstream, upstream_set = side("u", "k", k=number(list(range(5))))
    join = join_rows(EDGE, reader, reader_set, upstream, upstream_set)
    schemes = (FoldScheme(), FoldScheme())
    with pytest.raises(DataError, match="in another fold"):
        check_groups(EDGE, join, (reader, upstream), (reader_set, upstream_set), schemes, 0)
    grouped = tuple(
        Dataset(name=d.name, path="", key=d.key, group=g) for d, g in ((reader_set, "f"), (upstream_set, "k"))
    )
    check_groups(EDGE, join, (reader, upstream), grouped, schemes, 0)


def test_rows_without_a_prediction_are_missing_and_dropped_by_policy():
    values = np.array([[0.5], [np.nan], [1.5]])
    rows = np.array([0, 1, 2, 3])
    join = np.array([2, 1, -1, 0])
    for policy, usable in (
        ("drop", [True, False, False, True]),
        ("refuse", [True, False, False, True]),
        ("nan", [True] * 4),
    ):
        column = UpstreamColumn(values=values, join=join, names=("up",), policy=policy)
        assert np.array_equal(column.at(rows)[:, 0], [1.5, np.nan, np.nan, 0.5], equal_nan=True)
        assert usable_rows(rows, [column]).tolist() == usable


def test_what_is_handed_down_is_one_column_or_one_for_each_of_three_classes():
    two, three = np.array([[0.2, 0.8]]), np.array([[0.2, 0.3, 0.5]])
    assert handed_down(two, "classification", 2).tolist() == [[0.8]]
    assert handed_down(three, "classification", 3).tolist() == [[0.2, 0.3, 0.5]]
    assert handed_down(two[:, :1], "regression", 0).tolist() == [[0.2]]
    assert output_names("up", "classification", ("a", "b")) == ("up",)
    assert output_names("up", "classification", ("a", "b", 3)) == ("up.a", "up.b", "up.3")


@SETTINGS
@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.integers(0, 2), st.sampled_from([0.0, 1.5, float("nan")])),
        max_size=12,
    )
)
def test_the_digest_of_a_cell_depends_on_the_values_of_its_rows_alone(rows):
    part = np.array([row[0] for row in rows], np.int32)
    known = np.array([row[1] for row in rows], np.int32)
    values = np.array([row[2] for row in rows]).reshape(-1, 1)
    digests = column_digests(values, part, known)
    assert set(digests) == set(zip(part.tolist(), known.tolist(), strict=True))
    for cell, digest in digests.items():
        own = (part == cell[0]) & (known == cell[1])
        assert column_digests(values[own] * 1.0 + 0.0, part[own], known[own]) == {cell: digest}
        changed = values.copy()
        changed[np.flatnonzero(own)[0]] = 9.0
        assert column_digests(changed, part, known)[cell] != digest
