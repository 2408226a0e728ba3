"""What cannot be predicted is refused with the name of what is wrong and the next step."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

from retraining.errors import DataError, InputError, NotFoundError
from retraining.prediction.predictor import Release
from retraining.prediction.releases import Releases, open_store
from retraining.store.log import open_store as open_log
from tests.prediction.commuters import SECOND_RUN, newest_week


@pytest.fixture
def frames() -> dict[str, pd.DataFrame]:
    return newest_week(SECOND_RUN)


def refusal(release: Release, target: str, frames: object, kind: type[InputError] = DataError) -> str:
    with pytest.raises(InputError) as caught:
        release.predict(target, frames)
    assert type(caught.value) is kind
    assert caught.value.next_step
    return str(caught.value)


@pytest.mark.parametrize(
    ("target", "hints"),
    [
        ("dely", ["no model dely", "crowd, delay, late, strict", "did you mean `delay`?"]),
        ("Delay", ["did you mean `delay`?"]),
        ("nothing-like-it", ["no model nothing-like-it", "name one of them"]),
        ("delay[line=3]", ["no node delay[line=3]", "delay[line=1], delay[line=2]"]),
        ("crowd[site=north]", ["no node", "of crowd it has crowd"]),
        ("delay[line=1", ["never closed"]),
        ("", ["expected the name of a model"]),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest(
    current: Release, frames: dict[str, pd.DataFrame], target: str, hints: list[str]
) -> None:
    with pytest.raises(InputError) as caught:
        current.predict(target, frames)
    assert all(hint in str(caught.value) for hint in hints), str(caught.value)


def test_every_missing_column_of_every_dataset_is_named_at_once(
    current: Release, frames: dict[str, pd.DataFrame]
) -> None:
    frames = {
        "hours": frames["hours"].drop(columns="weather"),
        "trips": frames["trips"].drop(columns=["distance", "at"]),
    }
    text = refusal(current, "delay[line=1]", frames)
    assert "hours lacks weather" in text
    assert "trips lacks at, distance" in text


def test_a_missing_key_or_partition_column_is_named_with_all_others(
    current: Release, frames: dict[str, pd.DataFrame]
) -> None:
    text = refusal(
        current, "delay", {**frames, "trips": frames["trips"].drop(columns=["line", "id", "site"])}
    )
    assert "trips lacks id, line, site" in text


def test_a_column_of_another_spelling_is_suggested(current: Release, frames: dict[str, pd.DataFrame]) -> None:
    renamed = frames["hours"].rename(columns={"weather": "Weather"})
    assert "rename `Weather` to `weather`" in refusal(current, "crowd", renamed)


def test_labels_and_unused_columns_are_not_needed(current: Release, frames: dict[str, pd.DataFrame]) -> None:
    hours = frames["hours"][["site", "hour", "temperature", "weather"]]
    trips = frames["trips"].drop(columns=["minutes", "lateness"]).assign(minutes="unknown yet")
    found = current.predict("late", {"hours": hours, "trips": trips})
    expected = current.predict("late", frames)
    assert found.table.equals(expected.table)
    assert found.predicted > 0


def test_values_of_another_type_name_the_column(current: Release, frames: dict[str, pd.DataFrame]) -> None:
    hours = frames["hours"].assign(temperature="warm")
    assert "column temperature is not float" in refusal(current, "crowd", hours)
    nested = frames["hours"].assign(temperature=[[1.0]] * len(frames["hours"]))
    assert "column temperature is not float" in refusal(current, "crowd", nested)


def test_moments_that_are_none_name_the_column(current: Release, frames: dict[str, pd.DataFrame]) -> None:
    trips = frames["trips"].assign(at="yesterday")
    assert "column at does not hold moments" in refusal(current, "strict", {**frames, "trips": trips})
    trips = frames["trips"].assign(at=pd.NaT)
    assert "the time column at is missing" in refusal(current, "strict", {**frames, "trips": trips})


def test_repeated_and_missing_keys_are_refused(current: Release, frames: dict[str, pd.DataFrame]) -> None:
    hours = frames["hours"]
    assert "1 row repeats the key" in refusal(current, "crowd", pd.concat([hours, hours.iloc[:1]]))
    assert "key column site is missing in" in refusal(current, "crowd", hours.assign(site=None))


def test_partitions_without_a_node_are_counted_or_null(
    current: Release, frames: dict[str, pd.DataFrame]
) -> None:
    trips = frames["trips"].copy()
    trips.loc[trips.index[:3], "line"] = None
    strangers = int((trips["line"] == "night").sum())
    text = refusal(current, "delay", {**frames, "trips": trips})
    assert f"line=night ({strangers} rows)" in text
    assert "line=(missing) (3 rows)" in text
    found = current.predict("delay", {**frames, "trips": trips}, unknown="null")
    assert found.unknown == {"line=night": strangers, "line=(missing)": 3}
    nobodys = found.to_pandas().set_index("id").loc[trips["id"][~trips["line"].isin(["1", "2"])]]
    assert nobodys[["prediction", "node"]].isna().all(axis=None)
    assert found.predicted == len(trips) - strangers - 3


def test_a_node_that_is_asked_predicts_its_own_rows(
    current: Release, frames: dict[str, pd.DataFrame]
) -> None:
    own = frames["trips"]["line"] == "1"
    found = current.predict('delay[line="1"]', frames)
    assert found.table["id"].to_pylist() == frames["trips"]["id"][own].tolist()
    assert found.left_out == int((~own).sum())
    none = {**frames, "trips": frames["trips"][~own]}
    assert "belongs to delay[line=1]" in refusal(current, "delay[line=1]", none)


def test_tables_are_asked_for_by_name(current: Release, frames: dict[str, pd.DataFrame]) -> None:
    text = refusal(current, "late", frames["trips"], InputError)
    assert "needs 2 datasets (hours, trips)" in text
    assert "--data hours=FILE --data trips=FILE" in text
    text = refusal(current, "late", {"trip": frames["trips"], "hours": frames["hours"]}, InputError)
    assert "did you mean `trips`?" in text
    assert "a dict is not a table" in refusal(current, "crowd", {"hours": {"site": ["north"]}})
    twice = pa.table([["north"], ["south"]], names=["site", "site"])
    assert "more than one column site" in refusal(current, "crowd", twice)


def test_tables_that_are_not_needed_are_ignored(current: Release, frames: dict[str, pd.DataFrame]) -> None:
    assert len(current.predict("crowd", {**frames, "other": "nowhere.csv"})) == len(frames["hours"])


def test_no_rows_give_no_predictions(current: Release, frames: dict[str, pd.DataFrame]) -> None:
    for target in ("delay", "late", "delay[line=1]"):
        found = current.predict(target, {name: frame.iloc[:0] for name, frame in frames.items()})
        assert len(found) == 0
        assert found.table.schema.equals(current.predict(target, frames, unknown="null").table.schema)


def test_a_store_without_a_release_says_how_to_make_one(tmp_path: Path) -> None:
    open_log(str(tmp_path / "store"), create=True)
    with pytest.raises(NotFoundError, match="there is no release yet"):
        open_store(str(tmp_path / "store")).current()
    with pytest.raises(NotFoundError):
        open_store(str(tmp_path / "nowhere"))


def test_a_release_that_is_not_there_names_those_that_are(releases: Releases) -> None:
    with pytest.raises(NotFoundError, match="the releases are 1 to 2"):
        releases.release(9)


def test_what_is_no_number_of_a_release_and_no_policy_is_refused(
    releases: Releases, frames: dict[str, pd.DataFrame]
) -> None:
    with pytest.raises(InputError, match="release '1' is no whole number"):
        releases.release("1")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="unknown='skip'; expected 'error' or 'null'"):
        releases.current().predict("delay", frames, unknown="skip")  # type: ignore[arg-type]


def test_rows_that_an_estimator_cannot_predict_name_the_column_and_what_to_do(
    current: Release, frames: dict[str, pd.DataFrame]
) -> None:
    hours = frames["hours"].assign(temperature=float("inf"))
    assert "infinite values in temperature" in refusal(current, "crowd", {**frames, "hours": hours})


def test_needs_names_the_columns_that_are_read(current: Release) -> None:
    assert current.needs("crowd") == {"hours": ("hour", "site", "temperature", "weather")}
    assert current.needs("late") == {
        "hours": ("hour", "site", "temperature", "weather"),
        "trips": ("at", "distance", "hour", "id", "line", "site", "weekday"),
    }
