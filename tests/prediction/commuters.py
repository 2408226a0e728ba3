"""A small graph in the time scheme: crowds at hours feed delays of lines by key, delays feed lateness by row."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import pandas as pd

from retraining.operations.run import RunOptions, run

START = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
FIRST_RUN = "2024-02-29T12:00:00Z"
SECOND_RUN = "2024-03-07T12:00:00Z"

MANIFEST = """\
manifest: 1
name: commuters
store: ./store
validation: {scheme: time, blocks: 1w, holdout: 1, min_train: {rows: 40, blocks: 2}}
datasets:
  hours: {path: hours.parquet, key: [site, hour], time: hour}
  trips: {path: trips.parquet, key: [id], time: at}
models:
  crowd:
    dataset: hours
    target: {column: people, known_after: 1d}
    features: [temperature, weather]
    estimator: {type: Ridge}
  delay:
    dataset: trips
    partition_by: [line]
    partitions: {except: [night]}
    target: {column: minutes, known_after: 1d}
    features: [distance]
    inputs: {crowd: {match: {site: site, hour: hour}, coverage: 50%}}
    estimator: {type: XGBRegressor, parameters: {n_estimators: 15, max_depth: 3}}
  late:
    dataset: trips
    target: {column: lateness, known_after: 1d}
    features: [distance, weekday]
    inputs: {delay: {missing: drop, coverage: 50%}}
    estimator: {type: LogisticRegression, parameters: {max_iter: 500}}
  strict:
    dataset: trips
    target: {column: minutes, known_after: 1d}
    features: [weekday]
    inputs: {crowd: {match: {site: site, hour: hour}, coverage: 50%}}
    estimator: {type: Ridge}
"""


def hours() -> pd.DataFrame:
    """Each third hour of ten weeks at two sites, with gaps in the temperature."""
    random = np.random.default_rng(3)
    moments = [START + dt.timedelta(hours=3 * step) for step in range(10 * 7 * 8)]
    frame = pd.DataFrame(
        [(site, hour) for site in ("north", "south") for hour in moments], columns=["site", "hour"]
    )
    frame["temperature"] = random.normal(10, 5, len(frame))
    frame.loc[random.random(len(frame)) < 0.1, "temperature"] = np.nan
    frame["weather"] = random.choice(["sun", "rain", "NA"], len(frame))
    rain = frame["weather"] == "rain"
    frame["people"] = frame["temperature"].fillna(10) * 3 + rain * 9 + random.normal(size=len(frame))
    return frame


def trips() -> pd.DataFrame:
    """Twelve hundred trips of three lines, each some minutes after its hour; the label has three classes."""
    random = np.random.default_rng(4)
    crowded = hours()
    chosen = crowded.iloc[np.sort(random.choice(len(crowded), 1100, replace=False))].reset_index(drop=True)
    frame = pd.DataFrame(
        {"id": np.arange(len(chosen)) * 7 + 10**15, "site": chosen["site"], "hour": chosen["hour"]}
    )
    frame["at"] = frame["hour"] + pd.to_timedelta(random.integers(0, 180, len(frame)), unit="min")
    frame["line"] = random.choice(["1", "2", "night"], len(frame), p=[0.45, 0.45, 0.1])
    frame["distance"] = random.integers(1, 30, len(frame))
    frame["weekday"] = frame["at"].dt.day_of_week < 5
    frame["minutes"] = chosen["people"] / 4 + frame["distance"] * 0.3 + random.normal(size=len(frame))
    names = np.array(["early", "good", "late"])
    frame["lateness"] = names[np.searchsorted([9, 14], frame["minutes"])]
    return frame


def write(folder: Path, text: str = MANIFEST) -> Path:
    """The manifest with its data in a folder."""
    hours().to_parquet(folder / "hours.parquet")
    trips().to_parquet(folder / "trips.parquet")
    path = folder / "commuters.yaml"
    path.write_text(text)
    return path


def release_twice(folder: Path) -> str:
    """The URL of a store with two releases, one week apart."""
    path = write(folder)
    for as_of in (FIRST_RUN, SECOND_RUN):
        outcome = run(path, as_of=as_of, options=RunOptions(backend="serial"))
        assert outcome.exit_code == 0, outcome.outcomes
    assert outcome.after.release == 2, outcome.outcomes
    return str(folder / "store")


def until(as_of: str) -> dict[str, pd.DataFrame]:
    """All rows that exist at a run's moment, as a caller might have them: in any order."""
    end = pd.Timestamp(as_of)
    frames = {"hours": (hours(), "hour"), "trips": (trips(), "at")}
    return {
        name: frame[frame[column] <= end].sample(frac=1.0, random_state=6).reset_index(drop=True)
        for name, (frame, column) in frames.items()
    }


def newest_week(as_of: str) -> dict[str, pd.DataFrame]:
    """The rows of the block that `as_of` lies in, as far as they exist then."""
    end = pd.Timestamp(as_of)
    begin = end.normalize() - pd.Timedelta(days=end.day_of_week)
    frames = {"hours": (hours(), "hour"), "trips": (trips(), "at")}
    return {
        name: frame[(frame[column] >= begin) & (frame[column] <= end)].reset_index(drop=True)
        for name, (frame, column) in frames.items()
    }
