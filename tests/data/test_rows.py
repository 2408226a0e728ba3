"""The life of a row against a naive reading of the state table of docs/design.md 1, for random rows."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from retraining.data.cells import describe
from retraining.data.rows import classes_of, node_rows
from retraining.data.states import gate_until, row_states
from retraining.data.tables import NO_MOMENT, Column, Table
from retraining.decide.calendar import NEVER
from retraining.decide.fits import Before, Folds
from retraining.decide.recipes import Recipe
from retraining.decide.states import STATES
from retraining.manifest.values import Dataset, FoldScheme, Target, TimeScheme

from .samples import micros, number, texts

SETTINGS = settings(max_examples=80, derandomize=True, deadline=None)
ZONE = "America/New_York"
HOUR = 3_600_000_000
#: Around the change of clocks of 2024-03-10, at block borders and beside them.
FIRST = micros("2024-03-04T05:00:00")
MOMENTS = st.integers(0, 6 * 7 * 24 * 2).map(lambda half_hours: FIRST + half_hours * HOUR // 2)


def recipe(scheme, *, known_at=None, known_after=None, task="regression", **more):
    return Recipe(
        node="m", model="m", dataset="d", partition=more.pop("partition", ()),
        target=Target(column="y", known_at=known_at, known_after=known_after),
        features=("x",), inputs=(), estimator="Ridge", module="sklearn.linear_model", parameters={}, version=None,
        task=task, preprocess="auto", accepts_nan=False, needs_scaling=True, probabilities=False, scheme=scheme,
        timezone=ZONE, seed=0, ship="refit",
    )  # fmt: skip


@st.composite
def worlds(draw):
    n = draw(st.integers(1, 25))
    decided = np.array(draw(st.lists(MOMENTS, min_size=n, max_size=n)), np.int64)
    delays = draw(st.lists(st.sampled_from([0, 1, 30, 100, 400, None]), min_size=n, max_size=n))
    known = np.array(
        [NO_MOMENT if d is None else t + d * HOUR for t, d in zip(decided, delays, strict=True)], np.int64
    )
    seen = np.array([t + draw(st.sampled_from([-50, 0, 40, 500])) * HOUR for t in decided], np.int64)
    label = [draw(st.sampled_from([1.0, 2.5, None])) for _ in range(n)]
    return {
        "decided": decided,
        "known": known,
        "seen": seen,
        "label": label,
        "as_of": draw(MOMENTS) + draw(st.integers(-HOUR, 4 * 168 * HOUR)),
        "embargo": draw(st.sampled_from([0, 1, 26])),
        "days": draw(st.sampled_from([1, 7, 14])),
        "holdout": draw(st.integers(1, 2)),
        "by_column": draw(st.booleans()),
        "after": draw(st.sampled_from([0, 12, 200])),
        "ingested": draw(st.booleans()),
    }


def block_of(moment, days):
    day = (
        (dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(microseconds=int(moment)))
        .astimezone(ZoneInfo(ZONE))
        .date()
    )
    return (day - dt.date(1970, 1, 5)).days // days


def begin(block, days):
    day = dt.date(1970, 1, 5) + dt.timedelta(days=block * days)
    return micros(dt.datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(ZONE)))


def looked_at(world):
    """What the data room says."""
    n = len(world["decided"])
    columns = {
        "id": Column(kind="number", values=np.arange(n, dtype=np.int64)),
        "x": number(np.linspace(0, 1, n)),
        "y": number([np.nan if value is None else value for value in world["label"]]),
        "t": Column(kind="timestamp", values=world["decided"]),
        "k": Column(kind="timestamp", values=world["known"]),
        "s": Column(kind="timestamp", values=world["seen"]),
    }
    table = Table(dataset="d", key=("id",), columns=columns, n_rows=n)
    dataset = Dataset(name="d", path="", key=("id",), time="t", ingested="s" if world["ingested"] else None)
    scheme = TimeScheme(
        block_days=world["days"], holdout=world["holdout"], embargo=dt.timedelta(hours=world["embargo"])
    )
    known = {"known_at": "k"} if world["by_column"] else {"known_after": dt.timedelta(hours=world["after"])}
    one = recipe(scheme, **known)
    return one, table, node_rows(one, table, dataset, world["as_of"], ())


def naive(world):
    """The state table of docs/design.md 1, row by row."""
    as_of, days = world["as_of"], world["days"]
    rows = []
    for i, decided in enumerate(world["decided"].tolist()):
        seen = world["seen"][i] if world["ingested"] else decided
        if max(seen, decided) > as_of:
            continue
        known = world["known"][i] if world["by_column"] else decided + world["after"] * HOUR
        labelled = world["label"][i] is not None and known != NO_MOMENT
        known = max(int(known), int(seen)) if labelled else None
        rows.append({"row": i, "block": block_of(decided, days), "known": known, "decided": decided})
    now = block_of(as_of, days)
    newest = max((row["block"] for row in rows), default=now)
    return rows, min(now, newest + 1)


def learnable(row, block, world):
    """Known before the block began; what is decided and known at its very begin belongs to the block."""
    embargo = world["embargo"] * HOUR
    known = row["known"] is not None and row["known"] + embargo <= begin(block, world["days"])
    return known and row["block"] < block


def holdout_of(world, rows):
    delay = world["after"] * HOUR
    if world["by_column"]:
        waits = sorted(
            row["known"] - row["decided"]
            for row in rows
            if row["known"] is not None and row["known"] <= world["as_of"]
        )
        if not waits:
            return ()
        delay = max(waits[int(np.ceil(0.98 * (len(waits) - 1)))], 0)
    mature = sorted(
        {r["block"] for r in rows if begin(r["block"] + 1, world["days"]) + delay <= world["as_of"]}
    )
    return tuple(mature[-world["holdout"] :]) if len(mature) >= world["holdout"] else ()


@SETTINGS
@given(worlds())
def test_each_row_is_in_the_state_that_the_manifest_says(world):
    one, table, found = looked_at(world)
    rows, next_block = naive(world)
    assert found.rows.tolist() == [row["row"] for row in rows]
    assert found.part.tolist() == [row["block"] for row in rows]
    assert found.next_block == next_block
    assert found.labelled.tolist() == [row["known"] is not None for row in rows]
    assert found.known_now.tolist() == [
        row["known"] is not None and row["known"] <= world["as_of"] for row in rows
    ]
    holdout = holdout_of(world, rows)
    assert found.holdout == holdout
    every = np.ones(len(rows), bool)
    for block in {next_block, *found.part.tolist(), *holdout}:
        trained = {row["row"] for row in rows if learnable(row, block, world)}
        chosen = found.training(Before(block), every)
        assert {rows[i]["row"] for i in chosen} == trained
        # canonical order: a slice begins with the slice of any earlier block
        earlier = found.training(Before(block - 1), every)
        assert chosen[: len(earlier)].tolist() == earlier.tolist()
    data = describe(one, table, found, ())
    assert data.counts["trained"] == sum(learnable(r, next_block, world) for r in rows)
    if holdout:
        judged = [
            r
            for r in rows
            if r["block"] in holdout and r["known"] is not None and r["known"] <= world["as_of"]
        ]
        assert data.counts["judged"] == len(judged)
        purged = [
            r
            for r in rows
            if r["block"] < holdout[0] and r["known"] is not None and not learnable(r, holdout[0], world)
        ]
        assert data.counts["purged"] == len(purged)


@SETTINGS
@given(worlds(), st.data())
def test_every_row_is_in_one_of_seven_states(world, data):
    """The table of docs/design.md 1, its lines in the order 1, 7, 6, 2 to 5."""
    _, _, found = looked_at(world)
    rows, _ = naive(world)
    usable = np.array([data.draw(st.booleans()) for _ in rows], bool)
    holdout = holdout_of(world, rows)
    expected = dict.fromkeys(STATES, 0)
    expected["unseen"] = len(world["decided"]) - len(rows)
    newest = []
    for row, able in zip(rows, usable, strict=True):
        mature = bool(holdout) and row["block"] <= holdout[-1]
        known_now = row["known"] is not None and row["known"] <= world["as_of"]
        before = bool(holdout) and row["block"] < holdout[0]
        if holdout and able and learnable(row, holdout[0], world):
            newest.append(row["decided"])
        if not able:
            state = "no_upstream"
        elif mature and (row["known"] is None or (not before and not known_now)):
            state = "unlabelled"
        elif holdout and learnable(row, holdout[0], world):
            state = "gate"
        else:
            state = "purged" if before else "judged" if mature else "later"
        expected[state] += 1
    assert row_states(found, usable) == expected
    assert sum(expected.values()) == len(world["decided"])
    assert gate_until(found, usable) == max(newest, default=None)


def test_a_label_that_is_known_when_its_block_begins_trains_no_fit_that_predicts_it():
    at_midnight = begin(block_of(FIRST, 7) + 1, 7)
    world = {
        "decided": np.array([at_midnight], np.int64),
        "known": np.array([at_midnight], np.int64),
        "seen": np.array([at_midnight], np.int64),
        "label": [1.0],
        "as_of": at_midnight + 1000 * HOUR,
        "embargo": 0,
        "days": 7,
        "holdout": 1,
        "by_column": False,
        "after": 0,
        "ingested": False,
    }
    _, _, found = looked_at(world)
    (block,) = found.part.tolist()
    assert not found.learnable(Before(block)).any()
    assert found.learnable(Before(block + 1)).all()


@SETTINGS
@given(worlds())
def test_nothing_changes_before_the_moment_that_is_announced(world):
    one, table, found = looked_at(world)
    before = describe(one, table, found, ())
    horizon = found.changes_at if found.changes_at is not None else world["as_of"] + 400 * 24 * HOUR
    for moment in {horizon - 1, (world["as_of"] + horizon) // 2}:
        if moment < world["as_of"]:
            continue
        later = {**world, "as_of": moment}
        appeared = [
            max(int(s) if world["ingested"] else 0, int(t))
            for s, t in zip(world["seen"], world["decided"], strict=True)
        ]
        if any(world["as_of"] < value <= moment for value in appeared):
            continue  # new rows are announced by the dataset, not by the node
        _, _, after = looked_at(later)
        assert describe(one, table, after, ()) == before


@SETTINGS
@given(worlds(), st.data())
def test_later_rows_and_labels_change_no_cell_of_an_earlier_slice(world, data):
    one, table, found = looked_at(world)
    old = describe(one, table, found, ())
    later = {**world, "as_of": world["as_of"] + data.draw(st.integers(0, 60)) * 24 * HOUR}
    _, _, after = looked_at(later)
    new = describe(one, table, after, ())
    hidden = [
        r for r in range(len(world["decided"])) if r in set(after.rows.tolist()) - set(found.rows.tolist())
    ]
    for block in range(found.next_block - 2, found.next_block + 1):
        start = begin(block, world["days"])
        # a row that was ingested late is new for fits whose cut its label precedes: there is none, known >= seen
        assert all(
            after.known[after.rows.tolist().index(r)] > block or start > world["as_of"] for r in hidden
        )
        if start <= world["as_of"]:
            assert old.slice_digest(Before(block)) == new.slice_digest(Before(block))


def fold_table(n=60, group=None):
    rng = np.random.default_rng(0)
    columns = {
        "id": Column(kind="number", values=np.arange(n, dtype=np.int64)),
        "x": number(rng.normal(size=n)),
        "y": number(np.where(rng.random(n) < 0.1, np.nan, rng.normal(size=n))),
        "g": texts([f"g{i % 7}" for i in range(n)]),
    }
    return Table(dataset="d", key=("id",), columns=columns, n_rows=n), Dataset(
        name="d", path="", key=("id",), group=group
    )


def test_a_fold_is_a_function_of_the_row_alone():
    table, dataset = fold_table()
    one = recipe(FoldScheme(folds=5))
    every = node_rows(one, table, dataset, 0, ())
    some = np.arange(0, 60, 3)
    few = node_rows(one, table.take(some), dataset, 0, ())
    assert np.array_equal(every.part[some], few.part)
    assert np.array_equal(every.known[some], few.known)
    assert set(every.part.tolist()) == set(range(5))


def test_rows_of_one_leak_group_share_their_fold_and_their_cluster():
    table, dataset = fold_table(group="g")
    found = node_rows(recipe(FoldScheme(folds=3)), table, dataset, 0, ())
    for group in range(7):
        assert len(set(found.part[group::7].tolist())) == 1
        assert len(set(found.cluster[group::7].tolist())) == 1


def test_folds_train_on_all_labelled_rows_but_their_own_in_the_order_of_the_key():
    table, dataset = fold_table()
    found = node_rows(recipe(FoldScheme(folds=4)), table, dataset, 0, ())
    usable = np.arange(60) % 5 != 0
    chosen = found.training(Folds(frozenset({1, 3})), usable)
    expected = [i for i in range(60) if found.labelled[i] and usable[i] and found.part[i] not in (1, 3)]
    assert chosen.tolist() == expected


def test_classes_are_those_of_all_nodes_of_a_model_that_exist_now():
    n = 6
    columns = {
        "id": Column(kind="number", values=np.arange(n, dtype=np.int64)),
        "x": number(np.zeros(n)),
        "y": texts(["b", "a", None, "c", "b", "z"]),
        "p": texts(["u", "u", "u", "v", "v", "w"]),
        "t": Column(kind="timestamp", values=np.array([1, 2, 3, 4, 90, 5], np.int64)),
    }
    table = Table(dataset="d", key=("id",), columns=columns, n_rows=n)
    dataset = Dataset(name="d", path="", key=("id",), time="t")
    after = {"known_after": dt.timedelta(0), "task": "classification"}
    nodes = [recipe(TimeScheme(), partition=(("p", value),), **after) for value in "uv"]
    assert classes_of(nodes, table, dataset, 50) == ("a", "b", "c")
    found = node_rows(nodes[1], table, dataset, 50, ("a", "b", "c"))
    assert (found.rows.tolist(), found.target.tolist()) == ([3], [2])


def test_whole_numbers_and_booleans_stay_what_they_are_as_classes():
    _, dataset = fold_table()
    for values, expected in (([2.0, -1.0, np.nan], (-1, 2)), ([1.0, 0.0, np.nan], (0, 1))):
        table = Table(
            dataset="d",
            key=("id",),
            columns={"id": number([0, 1, 2]), "y": number(values), "x": number([0, 0, 0])},
            n_rows=3,
        )
        assert classes_of([recipe(FoldScheme(), task="classification")], table, dataset, 0) == expected
    flags = Column(kind="bool", values=np.array([1.0, 0.0, np.nan]))
    table = Table(
        dataset="d",
        key=("id",),
        columns={"id": number([0, 1, 2]), "y": flags, "x": number([0, 0, 0])},
        n_rows=3,
    )
    one = recipe(FoldScheme(), task="classification")
    assert classes_of([one], table, dataset, 0) == (False, True)
    assert node_rows(one, table, dataset, 0, (False, True)).target.tolist() == [1, 0, -1]
    assert NEVER > 10**6
