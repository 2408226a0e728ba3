"""The label of a key is a pure function of the set of records; what is given is compared with what is known."""

from __future__ import annotations

import random

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retraining.data.cells import describe
from retraining.data.conversion import from_column
from retraining.data.drafting import Given, draft_of
from retraining.data.feedback import current, records_of, with_feedback
from retraining.data.rows import node_rows
from retraining.data.tables import NO_MOMENT, Column, Table
from retraining.errors import DataError
from retraining.manifest.values import Dataset, FoldScheme

from .test_rows import recipe

DATASET = Dataset(name="d", path="d.csv", key=("id",))
CITIES = Dataset(name="d", path="d.csv", key=("city", "day"))


def numbers(values, dtype=np.float64) -> Column:
    return Column(kind="number", values=np.array(values, dtype))


def table(labels, ids=None) -> Table:
    ids = list(range(len(labels))) if ids is None else ids
    return Table(
        dataset="d",
        key=("id",),
        columns={
            "id": numbers(ids, np.int64),
            "x": numbers(range(len(labels))),
            "y": numbers([np.nan if v is None else v for v in labels]),
        },
        n_rows=len(labels),
    )


def batch(rows) -> pa.Table:
    """Rows of (id, label, known, revision, op)."""
    return pa.table(
        {
            "id": pa.array([row[0] for row in rows], pa.int64()),
            "y": pa.array([row[1] for row in rows], pa.float64()),
            "feedback.known_at": pa.array([row[2] for row in rows], pa.timestamp("us", "UTC")),
            "feedback.revision": pa.array([row[3] for row in rows], pa.int64()),
            "feedback.op": [row[4] for row in rows],
            "feedback.source": pa.nulls(len(rows), pa.string()),
            "feedback.was.y": pa.nulls(len(rows), pa.float64()),
        }
    )


def expected(rows, as_of):
    """A dict's answer: the label and its moment by key."""
    best = {}
    for number, row in rows:
        key, label, known, revision, op = row
        if known <= as_of and (key not in best or best[key][0] <= (revision, number)):
            best[key] = ((revision, number), None if op == "retract" else label, known)
    return {key: (label, known) for key, (_, label, known) in best.items()}


def a_row(key: int):
    return st.tuples(
        st.just(key),
        st.integers(0, 3).map(float),
        st.integers(0, 6),
        st.integers(1, 3),
        st.sampled_from(["upsert", "upsert", "retract"]),
    )


BATCHES = st.lists(
    st.sets(st.integers(0, 4), min_size=1).flatmap(lambda keys: st.tuples(*map(a_row, sorted(keys)))),
    min_size=1,
    max_size=5,
)


@settings(max_examples=40, derandomize=True, deadline=None)
@given(BATCHES, st.integers(0, 7), st.randoms(use_true_random=False))
def test_the_labels_are_those_of_a_dict_whatever_the_order_and_however_often_records_came(
    batches, as_of, rng
):
    own = table([9.0, None, 9.0, None])  # key 4 is in no row
    numbered = [(n + 1, row) for n, rows in enumerate(batches) for row in rows]
    want = expected(numbered, as_of)
    digests = set()
    for _ in range(3):
        mixed = numbered + rng.sample(numbered, k=rng.randint(0, len(numbered)))
        random.Random(rng.random()).shuffle(mixed)
        records = records_of(DATASET, [(n, batch([row])) for n, row in mixed])
        seen = with_feedback(own, records, as_of)
        late = seen.late.get("y")
        for key, base in enumerate([9.0, None, 9.0, None]):
            label, known = want.get(key, (base, int(NO_MOMENT)))
            found = seen.label("y").values[key]
            assert (found == label) if label is not None else np.isnan(found)
            assert (NO_MOMENT if late is None else late.known[key]) == known
        one = recipe(FoldScheme(folds=2))
        digests.add(describe(one, seen, node_rows(one, seen, DATASET, as_of, ()), ()).cells)
    assert len(digests) == 1


def test_a_feature_of_the_same_column_is_what_it_was():
    seen = with_feedback(table([1.0, 2.0]), records_of(DATASET, [(1, batch([(0, 7.0, 0, 1, "upsert")]))]), 5)
    assert seen.columns["y"].values.tolist() == [1.0, 2.0]
    assert seen.label("y").values.tolist() == [7.0, 2.0]
    assert seen.take(np.array([0])).label("y").values.tolist() == [7.0]


@pytest.mark.parametrize(
    ("column", "label", "found"),
    [
        (
            Column(kind="category", values=np.array([0, -1]), categories=("no",)),
            pa.array(["yes"]),
            ["yes", None],
        ),
        (Column(kind="bool", values=np.array([1.0, np.nan])), pa.array([False]), [False, None]),
        (numbers([3, 4], np.int64), pa.array([7], pa.int64()), [7, 4]),
        (numbers([3, 4], np.int64), pa.array([2.5]), [2.5, 4.0]),
        # a column without a value is of the kind that its late labels have
        (Column(kind="category", values=np.array([-1, -1])), pa.array([2.5]), [2.5, None]),
    ],
)
def test_labels_of_every_kind_are_laid_over_the_tables(column, label, found):
    own = Table(dataset="d", key=("id",), columns={"id": numbers([0, 1], np.int64), "y": column}, n_rows=2)
    rows = batch([(0, None, 0, 1, "upsert")])
    rows = rows.set_column(1, "y", label).drop_columns("feedback.was.y")
    seen = with_feedback(own, records_of(DATASET, [(1, rows)]), 0)
    assert from_column(seen.label("y")).to_pylist() == found


def test_labels_of_another_kind_than_the_tables_are_refused():
    own = Table(
        dataset="d",
        key=("id",),
        columns={
            "id": numbers([0], np.int64),
            "y": Column(kind="category", values=np.array([0]), categories=("no",)),
        },
        n_rows=1,
    )
    with pytest.raises(DataError, match="feedback holds labels of the kind number"):
        with_feedback(own, records_of(DATASET, [(1, batch([(0, 1.0, 0, 1, "upsert")]))]), 0)
    texts = batch([(0, None, 0, 1, "upsert")]).set_column(1, "y", pa.array(["a"]))
    with pytest.raises(DataError, match="hold y as category and as number"):
        records_of(DATASET, [(1, batch([(0, 1.0, 0, 1, "upsert")])), (2, texts)])


def test_a_key_of_two_columns_is_matched_by_both():
    rows = pa.table(
        {
            "city": ["a", "b"],
            "day": pa.array([2, 2], pa.int64()),
            "y": [5.0, 6.0],
            "feedback.known_at": pa.array([0, 0], pa.timestamp("us", "UTC")),
            "feedback.revision": pa.array([1, 1], pa.int64()),
            "feedback.op": ["upsert", "upsert"],
        }
    )
    own = Table(
        dataset="d",
        key=("city", "day"),
        columns={
            "city": Column(kind="category", values=np.array([0, 0, 1]), categories=("a", "c")),
            "day": numbers([1, 2, 2], np.int64),
            "y": numbers([1.0, 2.0, 3.0]),
        },
        n_rows=3,
    )
    assert with_feedback(own, records_of(CITIES, [(1, rows)]), 0).label("y").values.tolist() == [
        1.0,
        5.0,
        3.0,
    ]


# What is given


def given_rows(*rows) -> Given:
    """Rows of (id, label, known or None, revision or 0, op)."""
    return Given(
        what="late.csv",
        dataset="d",
        key={"id": numbers([row[0] for row in rows], np.int64)},
        labels={"y": numbers([np.nan if row[1] is None else row[1] for row in rows])},
        known=np.array([NO_MOMENT if row[2] is None else row[2] for row in rows], np.int64),
        revision=np.array([row[3] for row in rows], np.int64),
        retract=np.array([row[4] == "retract" for row in rows]),
        source=Column(kind="category", values=np.full(len(rows), -1, np.int32)),
    )


class Log:
    """The batches of a dataset, and what was added to it."""

    def __init__(self, own: Table) -> None:
        self.own = own
        self.batches: list[tuple[int, pa.Table]] = []

    def add(self, *rows, now=100):
        found = draft_of(given_rows(*rows), records_of(DATASET, self.batches), self.own, now)
        if found.table is not None:
            self.batches.append((len(self.batches) + 1, found.table))
        return found

    def labels(self, as_of=10**9):
        seen = with_feedback(self.own, records_of(DATASET, self.batches), as_of)
        return [None if np.isnan(value) else value for value in seen.label("y").values.tolist()]


def test_a_row_without_a_revision_gets_the_next_and_says_nothing_where_it_is_known_already():
    log = Log(table([1.0, None, 3.0]))
    found = log.add(
        (0, 1.0, None, 0, "upsert"),
        (1, 5.0, None, 0, "upsert"),
        (2, 4.0, 50, 0, "upsert"),
        (7, 8.0, None, 0, "upsert"),
    )
    assert (found.came, found.corrected, found.retracted, found.unchanged, found.unknown) == (2, 1, 0, 1, 1)
    assert found.table.column("feedback.revision").to_pylist() == [1, 1, 1]
    assert log.labels() == [1.0, 5.0, 4.0]
    assert log.labels(as_of=60) == [1.0, None, 4.0]
    found = log.add((1, 5.0, 7, 0, "upsert"), (2, None, None, 0, "retract"), (7, None, None, 0, "retract"))
    assert (found.corrected, found.retracted, found.unchanged) == (0, 2, 1)
    assert found.table.column("feedback.revision").to_pylist() == [2, 2]
    assert found.table.column("feedback.was.y").to_pylist() == [4.0, 8.0]
    assert log.labels() == [1.0, 5.0, None]
    assert log.add((2, None, None, 0, "retract")).table is None
    assert log.add((2, 4.0, None, 0, "upsert")).came == 1
    assert log.labels() == [1.0, 5.0, 4.0]


def test_the_same_revision_may_repeat_itself_and_not_say_something_else():
    log = Log(table([None, None]))
    log.add((0, 5.0, 10, 3, "upsert"), (1, 6.0, 10, 1, "upsert"))
    assert log.add((0, 5.0, 10, 3, "upsert"), (1, 6.0, None, 1, "upsert")).table is None
    for other in [(0, 6.0, 10, 3, "upsert"), (0, None, 10, 3, "retract"), (0, 5.0, 11, 3, "upsert")]:
        with pytest.raises(
            DataError, match=r"late\.csv, row 2 \(id=0\): revision 3 of y is in batch 1 already"
        ):
            log.add((1, 9.0, 10, 2, "upsert"), other)
    # an older revision that comes late is kept, and changes nothing
    log.add((0, 4.0, 5, 2, "upsert"))
    assert log.labels() == [5.0, 6.0]
    assert log.labels(as_of=7) == [4.0, None]
    assert log.add((0, 7.0, None, 0, "upsert")).table.column("feedback.revision").to_pylist() == [4]


def test_the_digest_of_what_is_given_does_not_hang_on_the_order_of_rows():
    rows = [(n, float(n % 3), None, 0, "upsert") for n in range(6)]
    assert given_rows(*rows).content() == given_rows(*reversed(rows)).content()
    others = [rows[:5], [*rows[:5], (5, 0.0, None, 0, "upsert")], [*rows[:5], (5, 2.0, 9, 0, "upsert")]]
    others += [[*rows[:5], (5, 2.0, None, 2, "upsert")], [*rows[:5], (5, 2.0, None, 0, "retract")]]
    assert len({given_rows(*each).content() for each in [rows, *others]}) == 6


def test_current_counts_one_record_for_each_key():
    records = records_of(
        DATASET, [(1, batch([(0, 1.0, 5, 2, "upsert")])), (2, batch([(0, 2.0, 1, 1, "upsert")]))]
    )
    assert current(records, "y").rows.tolist() == [0]
    assert current(records, "y", 3).rows.tolist() == [1]
    assert current(records, "y", 0).rows.tolist() == []
