"""Same row, key, as of, aggregate and union edges: served as they were learnt, from a store and from an export."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from retraining.errors import DataError
from retraining.operations.run import RunOptions, run
from retraining.prediction.predictor import Release
from retraining.prediction.releases import open_store
from tests.prediction.test_recorded_columns import blocks_of, recorded, recorded_blocks

START = pd.Timestamp("2024-01-01", tz="UTC")
AS_OF = "2024-02-29T12:00:00Z"
WEEKS = 10

MANIFEST = """\
manifest: 1
name: fleet
store: ./store
validation: {scheme: time, blocks: 1w, holdout: 1, min_train: {rows: 30, blocks: 1}}
datasets:
  checks: {path: checks.parquet, key: [device, at], time: at}
  trips: {path: trips.parquet, key: [id], time: at}
  days: {path: days.parquet, key: [site, day], time: day}
models:
  wear:                                  # read as of a moment, by trips of the same device
    dataset: checks
    target: {column: worn, known_after: 1d}
    features: [heat, noise]
    estimator: Ridge
  short:
    dataset: trips
    partition_by: [kind]
    partitions: {only: [short]}
    target: {column: minutes, known_after: 1d}
    features: [distance]
    inputs: {wear: {as_of: {match: [device], tolerance: 7d}, coverage: 50%}}
    estimator: Ridge
  other:
    dataset: trips
    partition_by: [kind]
    partitions: {only: [long]}
    target: {column: minutes, known_after: 1d}
    features: [distance]
    inputs: {wear: {as_of: {match: [device], tolerance: 7d}, coverage: 50%}}
    estimator: {type: XGBRegressor, parameters: {n_estimators: 10, max_depth: 3}}
  any:                                   # a node of all rows beside the others
    dataset: trips
    partition_by: [kind]
    partitions: {min_rows: 60, small: pool}
    target: {column: minutes, known_after: 1d}
    features: [distance]
    inputs: {wear: {as_of: {match: [device], tolerance: 7d}, coverage: 50%}}
    estimator: {type: XGBRegressor, parameters: {n_estimators: 10, max_depth: 3}}
  late:                                  # the union of both, row by row
    dataset: trips
    target: {column: late, known_after: 1d}
    features: [distance]
    inputs: {minutes_ahead: {from: [short, other], coverage: 50%}}
    estimator: {type: LogisticRegression, parameters: {max_iter: 300}}
  busy:                                  # all trips of the day before
    dataset: days
    target: {column: load, known_after: 1d}
    features: [weekday]
    inputs: {late: {aggregate: [mean, count], match: {before: day}, coverage: 50%}}
    estimator: Ridge
"""


def tables() -> dict[str, pd.DataFrame]:
    random = np.random.default_rng(8)
    days = WEEKS * 7
    checks = pd.DataFrame(
        [
            (f"d{device}", START + pd.Timedelta(days=3 * step, hours=device))
            for device in range(12)
            for step in range(days // 3)
        ],
        columns=["device", "at"],
    )
    checks["heat"], checks["noise"] = random.normal(size=len(checks)), random.normal(size=len(checks))
    checks["worn"] = 2 * checks["heat"] - checks["noise"] + random.normal(0, 0.2, len(checks))
    n = 1100
    trips = pd.DataFrame({"id": np.arange(n)})
    trips["at"] = START + pd.to_timedelta(np.sort(random.integers(0, days * 24 * 60, n)), unit="min")
    trips["device"] = [f"d{device}" for device in random.integers(0, 14, n)]  # two were never checked
    trips["kind"] = random.choice(["short", "long", "rare", "odd"], n, p=[0.5, 0.42, 0.05, 0.03])
    trips["distance"] = random.integers(1, 40, n).astype(float)
    trips["minutes"] = trips["distance"] * 1.5 + random.normal(0, 2, n)
    trips["late"] = trips["minutes"] > 30
    trips["site"] = random.choice(["n", "s"], n)
    trips["before"] = trips["at"].dt.floor("D") + pd.Timedelta(days=1)
    table = pd.DataFrame(
        [(site, START + pd.Timedelta(days=day)) for site in ("n", "s") for day in range(days)],
        columns=["site", "day"],
    )
    table["weekday"] = table["day"].dt.day_of_week.astype(float)
    table["load"] = 3 * table["weekday"] + random.normal(size=len(table))
    return {"checks": checks, "trips": trips, "days": table}


def until(frames: dict[str, pd.DataFrame], end: pd.Timestamp) -> dict[str, pd.DataFrame]:
    moments = {"checks": "at", "trips": "at", "days": "day"}
    return {name: frame[frame[moments[name]] <= end] for name, frame in frames.items()}


def newest(home: str) -> dict[str, pd.DataFrame]:
    """The block of the run's moment of one table, and of the others all that existed: joins reach back."""
    end = pd.Timestamp(AS_OF)
    begin = end.normalize() - pd.Timedelta(days=end.day_of_week)
    frames = until(tables(), end)
    moment = "day" if home == "days" else "at"
    frames[home] = frames[home][frames[home][moment] >= begin].reset_index(drop=True)
    return frames


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Release:
    folder: Path = tmp_path_factory.mktemp("fleet")
    (folder / "fleet.yaml").write_text(MANIFEST)
    for name, frame in tables().items():
        frame.to_parquet(folder / f"{name}.parquet")
    outcome = run(folder / "fleet.yaml", as_of=AS_OF, options=RunOptions(backend="serial"))
    assert outcome.exit_code == 0, outcome.outcomes
    assert {word for word, _ in outcome.outcomes.values()} == {"promoted"}, outcome.outcomes
    return open_store(str(folder / "store")).current()


HOMES = {
    "wear": "checks",
    "short[kind=short]": "trips",
    "other[kind=long]": "trips",
    "any[kind=long]": "trips",
    "any[*]": "trips",
    "late": "trips",
    "busy": "days",
}
KEYS = {"checks": ["device", "at"], "trips": ["id"], "days": ["site", "day"]}
MOMENTS = {"checks": "at", "trips": "at", "days": "day"}
CUT = int(blocks_of(pd.Series([pd.Timestamp(AS_OF)]))[0])


def url_of(release: Release) -> str:
    return release.url.removeprefix("file://")


def test_the_graph_has_every_edge_and_a_pool(fleet: Release) -> None:
    assert fleet.nodes == (
        *("any[*]", "any[kind=long]", "any[kind=short]"),
        *("busy", "late", "other[kind=long]", "short[kind=short]", "wear"),
    )


@pytest.mark.parametrize("node", HOMES)
def test_one_call_gives_the_recorded_column_bit_for_bit(fleet: Release, node: str) -> None:
    expected = recorded(url_of(fleet), 1, node)
    frames = newest(HOMES[node])
    key = KEYS[HOMES[node]]
    frames[HOMES[node]] = frames[HOMES[node]].sort_values(key, ignore_index=True)
    found = fleet.predict(node, frames)
    assert len(expected) == len(found) > (1 if node == "busy" else 5)
    assert np.isfinite(expected).any()
    np.testing.assert_array_equal(found.outputs, expected)
    # upstream rows from before their model's cut were read on the way, and none of them as the released model has it
    assert node == "wear" or sum(rows.recorded for rows in found.earlier.values()) > 5
    assert sum(rows.shipped for rows in found.earlier.values()) == 0


@pytest.mark.parametrize("node", HOMES)
def test_one_call_gives_every_recorded_block_bit_for_bit(fleet: Release, node: str) -> None:
    expected = recorded_blocks(url_of(fleet), 1, node)
    home, key = HOMES[node], KEYS[HOMES[node]]
    frames = until(tables(), pd.Timestamp(AS_OF))
    frames[home] = frames[home].sort_values(key, ignore_index=True)
    found = fleet.predict(node, frames)
    rows = frames[home].merge(found.to_pandas()[key], on=key)
    assert len(rows) == len(found)
    blocks = blocks_of(rows["day" if home == "days" else "at"])
    for block, values in expected.items():
        np.testing.assert_array_equal(found.outputs[blocks == block], values)
    assert len(expected) >= (6 if node in ("wear", "short[kind=short]", "late") else 2)


@pytest.mark.parametrize("node", HOMES)
def test_in_other_batches_both_sides_of_the_cut_are_the_same(fleet: Release, node: str) -> None:
    home, key = HOMES[node], KEYS[HOMES[node]]
    frames = until(tables(), pd.Timestamp(AS_OF))
    whole = fleet.predict(node, frames)
    keys = whole.to_pandas()[key].reset_index(drop=True)
    rows = frames[home].merge(keys.reset_index(), on=key)
    random = np.random.default_rng(3)
    before = blocks_of(rows[MOMENTS[home]]) < CUT
    old, new = np.flatnonzero(before), np.flatnonzero(~before)
    for chosen in (random.choice(old, 3), random.choice(new, 2), [*old[-2:], *new[:2]]):
        batch = rows.iloc[np.unique(chosen)]
        found = fleet.predict(node, {**frames, home: batch.drop(columns="index")})
        np.testing.assert_allclose(found.outputs, whole.outputs[batch["index"]], rtol=0, atol=1e-9)


@pytest.mark.parametrize("target", ["wear", "short[kind=short]", "any[*]", "any[kind=long]", "late", "busy"])
def test_an_export_has_the_past_with_it(fleet: Release, target: str) -> None:
    frames = until(tables(), pd.Timestamp(AS_OF))
    home, kind = HOMES[target], target.partition("kind=")[2].rstrip("]")
    if kind:
        frames[home] = frames[home][frames[home]["kind"] == kind]
    elif target == "any[*]":
        frames[home] = frames[home][~frames[home]["kind"].isin(["short", "long"])]
    expected = fleet.predict(target, frames)
    found = fleet.export(target).answer(frames)
    np.testing.assert_array_equal(found.outputs, expected.outputs)
    assert found.earlier == expected.earlier
    assert any(rows.recorded for rows in found.earlier.values())
    small = fleet.export(target, history="shipped")
    np.testing.assert_allclose(
        small.answer(frames).outputs,
        fleet.predict(target, frames, history="shipped").outputs,
        rtol=0,
        atol=1e-9,
    )


@pytest.mark.parametrize("target", ["wear", "short", "other", "any", "late", "busy"])
def test_an_export_predicts_the_bits_of_the_store(fleet: Release, target: str) -> None:
    home = "days" if target == "busy" else "checks" if target == "wear" else "trips"
    frames = newest(home)
    if target in ("short", "other"):
        frames["trips"] = frames["trips"][
            frames["trips"]["kind"] == {"short": "short", "other": "long"}[target]
        ]
    expected = fleet.predict(target, frames)
    model = fleet.export(target)
    np.testing.assert_array_equal(model.answer(frames).outputs, expected.outputs)
    order = np.random.default_rng(2).permutation(len(frames[home]))
    frames[home] = frames[home].iloc[order]
    np.testing.assert_allclose(model.answer(frames).outputs, expected.outputs[order], rtol=0, atol=1e-9)


def test_values_without_a_node_go_to_the_pool(fleet: Release) -> None:
    frames = newest("trips")
    trips = frames["trips"]
    frames["trips"] = trips.assign(kind=["never seen", "odd", None, *trips["kind"][3:]])
    found = fleet.predict("any", frames)
    assert found.predicted == len(trips)
    nodes = np.array(found.table["node"].to_pylist())
    own = frames["trips"]["kind"].isin(["short", "long"]).to_numpy()
    assert set(nodes[~own]) == {"any[*]"}
    assert set(nodes[own]) == {"any[kind=short]", "any[kind=long]"}
    pool = fleet.predict("any[*]", frames)
    np.testing.assert_array_equal(pool.outputs[~own], found.outputs[~own])
    np.testing.assert_array_equal(fleet.export("any").predict(frames), found.outputs[:, 0])
    lone = fleet.export("any[*]").predict(
        {**frames, "trips": frames["trips"][~own].drop(columns=["kind", "id"])}
    )
    np.testing.assert_allclose(lone, found.outputs[~own, 0], rtol=1e-9)


def test_a_newest_prediction_counts_until_it_is_too_old_and_from_the_moment_it_was_made(
    fleet: Release,
) -> None:
    when = pd.Timestamp("2024-02-20", tz="UTC")
    checks = pd.DataFrame(
        {
            "device": ["d1", "d1", "d1"],
            "at": [when - pd.Timedelta(days=8), when - pd.Timedelta(days=2), when + pd.Timedelta(minutes=1)],
            "heat": [0.0, 1.0, 9.0],
            "noise": [0.0, 0.0, 0.0],
        }
    )
    trips = pd.DataFrame({"id": [1, 2, 3], "device": "d1", "kind": "short", "distance": 10.0})
    trips["at"] = [when, when + pd.Timedelta(minutes=1), when - pd.Timedelta(days=2, minutes=1)]

    def at(rows: pd.DataFrame, known: pd.DataFrame) -> float:
        return float(fleet.predict("short", {"trips": rows, "checks": known}).outputs[0, 0])

    both = fleet.predict("short", {"trips": trips, "checks": checks}).outputs[:, 0]
    assert both[0] == pytest.approx(at(trips.iloc[[0]], checks.iloc[[1]]))  # two days old, not eight
    assert both[1] == pytest.approx(at(trips.iloc[[1]], checks.iloc[[2]]))  # made at that very moment
    assert both[2] == pytest.approx(at(trips.iloc[[2]], checks.iloc[[0]]))  # the later ones did not exist yet
    none = fleet.predict("short", {"trips": trips.assign(device="d99"), "checks": checks})
    assert none.missing == {"wear": 3}


@pytest.mark.parametrize("target", ["short", "other", "any", "late", "busy"])
def test_tables_without_rows_give_no_predictions_and_no_failure(fleet: Release, target: str) -> None:
    home = "days" if target == "busy" else "trips"
    frames = newest(home)
    if target in ("short", "other"):
        frames["trips"] = frames["trips"][
            frames["trips"]["kind"] == {"short": "short", "other": "long"}[target]
        ]
    for name in frames:
        emptied = {**frames, name: frames[name].iloc[:0]}
        found = fleet.predict(target, emptied)
        assert len(found) == (0 if name == home else len(frames[home]))
        assert fleet.export(target).predict(emptied).shape == (len(found),)


def test_a_series_is_not_a_table(fleet: Release) -> None:
    with pytest.raises(DataError, match="a Series is not a table"):
        fleet.predict("wear", tables()["checks"].iloc[0])


def test_infinite_values_are_named(fleet: Release) -> None:
    with pytest.raises(DataError, match="infinite values in heat"):
        fleet.predict("wear", newest("checks")["checks"].assign(heat=np.inf))


def test_moments_are_the_same_in_any_zone(fleet: Release) -> None:
    frames = newest("trips")
    expected = fleet.predict("late", frames).outputs
    zone = dt.timezone(dt.timedelta(hours=5))
    moved = {**frames, "trips": frames["trips"].assign(at=frames["trips"]["at"].dt.tz_convert(zone))}
    np.testing.assert_array_equal(fleet.predict("late", moved).outputs, expected)
