from __future__ import annotations

import datetime as dt
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retraining.data.columns import (
    UpstreamColumn,
    column_digests,
    handed_down,
    output_names,
    usable_rows,
)
from retraining.data.edges import check_folds, link_rows, linked_pairs
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
    found = link_rows(EDGE, reader, reader_set, upstream, upstream_set)
    for i, (key, decided) in enumerate(own):
        expected = [
            j for j, (other, at, seen) in enumerate(theirs) if other == key and max(at, seen) <= decided
        ]
        assert found[i] == (expected[0] if expected else -1)


def test_several_upstream_rows_of_one_key_are_refused():
    reader, reader_set = side("r", "id", id=number([0.0]), f=texts(["a"]))
    upstream, upstream_set = side("u", "id", id=number([0.0, 1.0, 2.0]), k=texts(["a", "a", None]))
    with pytest.raises(DataError, match="1 rows of u repeat another row's k"):
        link_rows(EDGE, reader, reader_set, upstream, upstream_set)


def test_missing_keys_match_nothing_and_may_repeat():
    reader, reader_set = side("r", "id", id=number([0.0, 1.0]), f=texts([None, "a"]))
    upstream, upstream_set = side("u", "id", id=number([0.0, 1.0, 2.0]), k=texts([None, "a", None]))
    assert link_rows(EDGE, reader, reader_set, upstream, upstream_set).tolist() == [-1, 1]


def test_moments_matched_with_text_are_refused_with_the_type_to_write():
    reader, reader_set = side("r", "id", id=number([0.0]), f=texts(["2024-01-01T00:00:00Z"]))
    upstream, upstream_set = side("u", "id", id=number([0.0]), k=moments(["2024-01-01T00:00:00"]))
    with pytest.raises(DataError, match=r"f of r is of kind category") as caught:
        link_rows(EDGE, reader, reader_set, upstream, upstream_set)
    assert "types: {f: timestamp}" in caught.value.next_step


def test_an_edge_between_rows_of_different_folds_is_refused_unless_they_share_a_leak_group():
    n = 40
    reader, reader_set = side("r", "id", id=number(list(range(n))), f=number([i % 5 for i in range(n)]))
    upstream, upstream_set = side("u", "k", k=number(list(range(5))))
    join = link_rows(EDGE, reader, reader_set, upstream, upstream_set)
    schemes = (FoldScheme(), FoldScheme())
    with pytest.raises(DataError, match="in another fold"):
        check_folds(EDGE, join, (reader, upstream), (reader_set, upstream_set), schemes, 0)
    grouped = tuple(
        Dataset(name=d.name, path="", key=d.key, group=g) for d, g in ((reader_set, "f"), (upstream_set, "k"))
    )
    check_folds(EDGE, join, (reader, upstream), grouped, schemes, 0)


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
    digests = column_digests(values, part, known).cells
    assert set(digests) == set(zip(part.tolist(), known.tolist(), strict=True))
    for cell, digest in digests.items():
        own = (part == cell[0]) & (known == cell[1])
        assert column_digests(values[own] * 1.0 + 0.0, part[own], known[own]).cells == {cell: digest}
        changed = values.copy()
        changed[np.flatnonzero(own)[0]] = 9.0
        assert column_digests(changed, part, known).cells[cell] != digest


AS_OF = Input(upstream="up", column="up", match=(("k", "f"),), as_of=True)
GROUP = Input(
    upstream="up", column="up", match=(("k", "f"),), aggregate=("sum", "mean", "min", "max", "count")
)
ROWS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 9)), min_size=1, max_size=12)
UPSTREAM = st.lists(
    st.tuples(
        st.integers(0, 3),
        st.integers(0, 9),
        st.integers(0, 12),
        st.one_of(st.none(), st.floats(-9, 9, allow_nan=False)),
    ),
    min_size=1,
    max_size=14,
)


def sides(own, theirs):
    reader = side(
        "r",
        "id",
        time="t",
        id=number(list(range(len(own)))),
        f=number([row[0] for row in own]),
        t=ticks([row[1] for row in own]),
    )
    upstream = side(
        "u",
        "id",
        time="t",
        id=number(list(range(len(theirs)))),
        k=number([row[0] for row in theirs]),
        t=ticks([row[1] for row in theirs]),
        s=ticks([row[2] for row in theirs]),
    )
    return *reader, *upstream


@SETTINGS
@given(ROWS, UPSTREAM, st.one_of(st.none(), st.integers(0, 6)))
def test_as_of_reads_the_newest_prediction_of_those_that_exist_and_is_not_too_old(own, theirs, tolerance):
    age = None if tolerance is None else dt.timedelta(microseconds=tolerance)
    link = link_rows(replace(AS_OF, tolerance=age), *sides(own, theirs))
    found = link.pick(np.array([row[3] is not None for row in theirs]))
    for i, (key, decided) in enumerate(own):
        exist = [
            (at, j)
            for j, (other, at, seen, value) in enumerate(theirs)
            if other == key and max(at, seen) <= decided and value is not None
        ]
        newest = max(exist, default=None)
        if newest is not None and tolerance is not None and decided - newest[0] > tolerance:
            newest = None
        assert found[i] == (-1 if newest is None else newest[1])


@SETTINGS
@given(ROWS, UPSTREAM)
def test_an_aggregate_is_over_the_predictions_of_the_group_that_exist(own, theirs):
    values = np.array([[np.nan if row[3] is None else row[3]] for row in theirs])
    groups = link_rows(GROUP, *sides(own, theirs))
    found = groups.aggregate(values, GROUP.aggregate)
    for i, (key, decided) in enumerate(own):
        read = [
            value
            for other, at, seen, value in theirs
            if other == key and max(at, seen) <= decided and value is not None
        ]
        if not read:
            assert np.isnan(found[i]).all()
        else:
            expected = [sum(read), np.mean(read), min(read), max(read), len(read)]
            assert np.allclose(found[i], expected, rtol=1e-12, atol=1e-12)


@SETTINGS
@given(ROWS, UPSTREAM)
def test_what_a_row_aggregates_depends_to_the_last_bit_on_its_group_alone(own, theirs):
    values = np.array([[np.nan if row[3] is None else row[3] / 3] for row in theirs])
    whole = link_rows(GROUP, *sides(own, theirs)).aggregate(values, GROUP.aggregate)
    for key in {row[0] for row in own}:
        mine = [i for i, row in enumerate(own) if row[0] == key]
        kept = [j for j, row in enumerate(theirs) if row[0] == key]
        if kept:
            part = link_rows(GROUP, *sides([own[i] for i in mine], [theirs[j] for j in kept]))
            assert np.array_equal(part.aggregate(values[kept], GROUP.aggregate), whole[mine], equal_nan=True)


@SETTINGS
@given(ROWS, UPSTREAM, st.randoms(use_true_random=False))
def test_linked_pairs_are_the_nodes_that_share_a_row(own, theirs, random):
    upper = np.array([random.randint(-1, 2) for _ in theirs])
    lower = np.array([random.randint(-1, 1) for _ in own])
    link = link_rows(GROUP, *sides(own, theirs))
    expected = {
        (int(upper[j]), int(lower[i]))
        for i, (key, decided) in enumerate(own)
        for j, (other, at, seen, _) in enumerate(theirs)
        if other == key and max(at, seen) <= decided and upper[j] >= 0 and lower[i] >= 0
    }
    assert {tuple(pair) for pair in linked_pairs(link, upper, lower).tolist()} == expected


@SETTINGS
@given(ROWS, UPSTREAM, st.one_of(st.none(), st.integers(0, 6)), st.randoms(use_true_random=False))
def test_linked_pairs_as_of_are_the_nodes_that_share_a_row_which_may_be_read(own, theirs, tolerance, random):
    upper = np.array([random.randint(-1, 2) for _ in theirs])
    lower = np.array([random.randint(-1, 1) for _ in own])
    age = None if tolerance is None else dt.timedelta(microseconds=tolerance)
    link = link_rows(replace(AS_OF, tolerance=age), *sides(own, theirs))
    expected = {
        (int(upper[j]), int(lower[i]))
        for i, (key, decided) in enumerate(own)
        for j, (other, at, seen, _) in enumerate(theirs)
        if other == key
        and max(at, seen) <= decided
        and (tolerance is None or decided - at <= tolerance)
        and upper[j] >= 0
        and lower[i] >= 0
    }
    assert {tuple(pair) for pair in linked_pairs(link, upper, lower).tolist()} == expected


def test_an_aggregate_over_several_folds_is_refused_and_one_within_a_leak_group_is_not():
    n = 60
    reader, reader_set = side("r", "id", id=number(list(range(n))), f=number([i // 3 for i in range(n)]))
    upstream, upstream_set = side("u", "id", id=number(list(range(n))), k=number([i // 3 for i in range(n)]))
    schemes = (FoldScheme(folds=5), FoldScheme(folds=5))
    groups = link_rows(GROUP, reader, reader_set, upstream, upstream_set)
    with pytest.raises(DataError, match="rows of r read a row of u in another fold"):
        check_folds(GROUP, groups, (reader, upstream), (reader_set, upstream_set), schemes, 0)
    grouped = (replace(reader_set, group="f"), replace(upstream_set, group="k"))
    check_folds(GROUP, groups, (reader, upstream), grouped, schemes, 0)
