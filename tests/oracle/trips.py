"""Two small datasets with two edges between three models, and the naive loop that the time scheme must equal."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd

ZONE = "America/New_York"
DAYS = 14
EMBARGO = pd.Timedelta("1D")
MANIFEST = """
timezone: America/New_York
datasets:
  hours: {path: hours.parquet, key: [place, at], time: at}
  trips: {path: trips.parquet, key: [id], time: t}
validation: {scheme: time, blocks: 2w, holdout: 1, embargo: 1d, min_train: {rows: 40, blocks: 2}}
models:
  weather:
    dataset: hours
    target: {column: load, known_after: 1d}
    features: [wind, heat]
    estimator: {type: Ridge}
  base:
    dataset: trips
    target: {column: delay, known_at: landed}
    features: [x1]
    inputs: {weather: {match: {place: place, at: day}, coverage: 50%}}
    estimator: {type: RandomForestRegressor, parameters: {n_estimators: 5, max_depth: 4, random_state: 1}}
  top:
    dataset: trips
    target: {column: late, known_after: 3d}
    features: [x2]
    inputs: {base: {coverage: 50%}}
    metrics: [log_loss, roc_auc]
    estimator: {type: LogisticRegression}
"""


def trips(n=700, days=150, seed=0):
    """(hours, trips): three places, one weather row a day, trips at any minute; times are aware, in UTC."""
    rng = np.random.default_rng(seed)
    first = pd.Timestamp("2024-01-08", tz=ZONE)
    # midnights of the zone: 23 or 25 hours apart where the clocks change
    midnights = pd.date_range(first, periods=days, freq="D")
    hours = pd.DataFrame([(place, at) for at in midnights for place in "abc"], columns=["place", "at"])
    hours["wind"] = rng.normal(size=len(hours))
    hours["heat"] = rng.normal(size=len(hours))
    hours.loc[rng.random(len(hours)) < 0.05, "heat"] = np.nan
    hours["load"] = 2 * hours["wind"] - hours["heat"].fillna(0) + rng.normal(size=len(hours))
    hours.loc[rng.random(len(hours)) < 0.03, "load"] = np.nan
    at = rng.integers(0, days, n)
    frame = pd.DataFrame(
        {"id": rng.permutation(n) * 3, "place": rng.choice(list("abcz"), n, p=[0.4, 0.3, 0.25, 0.05])}
    )
    frame["day"] = midnights[at]
    frame["t"] = frame["day"] + pd.to_timedelta(rng.integers(0, 22 * 60, n), "min")
    frame["x1"], frame["x2"] = rng.normal(size=n), rng.normal(size=n)
    load = (
        hours.set_index(["place", "at"])["load"]
        .reindex(list(zip(frame["place"], frame["day"], strict=True)))
        .fillna(0)
        .to_numpy()
    )
    frame["delay"] = load + frame["x1"] + rng.normal(size=n)
    frame["landed"] = frame["t"] + pd.to_timedelta(rng.exponential(3.0, n), "D").round("s")
    frame["late"] = np.where(frame["delay"] + frame["x2"] + rng.normal(size=n) > 0.5, "late", "on time")
    frame.loc[rng.random(n) < 0.04, ["delay", "late"]] = [np.nan, None]
    in_utc = {"hours": ["at"], "trips": ["day", "t", "landed"]}
    for table, columns in ((hours, in_utc["hours"]), (frame, in_utc["trips"])):
        for column in columns:
            table[column] = table[column].dt.tz_convert("UTC")
    return hours.sample(frac=1, random_state=seed), frame.sample(frac=1, random_state=seed)


def block_of(moments: pd.Series) -> np.ndarray:
    """The block of each moment, by local dates."""
    return np.array([(day - dt.date(1970, 1, 5)).days // DAYS for day in moments.dt.tz_convert(ZONE).dt.date])


def begin(block: int) -> pd.Timestamp:
    """The first moment of a block."""
    return pd.Timestamp(dt.date(1970, 1, 5) + dt.timedelta(days=int(block) * DAYS)).tz_localize(ZONE)


def naive(
    rows, time, known, label, x, able, make, cut, predict="predict",
    *, trained=None, weight=None, window=None, half_life=None,
):  # fmt: skip
    """Each block predicted by a model of what was known before it began (NaN before the first), and the models.

    `able` is False for rows without an upstream prediction: they are neither learnt from nor predicted;
    `trained` is False for rows that are only predicted. A weighted model is `make()` with `sample_weight`.
    """
    trained = np.ones(len(rows), bool) if trained is None else trained
    block, borders = block_of(rows[time]), [begin(b) for b in range(1400, 1600)]
    first = 1400 + np.searchsorted(borders, list((known + EMBARGO).fillna(borders[-1])))
    labelled, fits, out = (rows[label].notna() & known.notna()).to_numpy(), {}, None
    for b in sorted(set(block)):
        end = min(b, cut)
        recent = (
            np.ones(len(rows), bool) if window is None else (rows[time] >= begin(end) - window).to_numpy()
        )
        train = np.flatnonzero(labelled & able & trained & recent & (first <= end))
        if len(train) >= 40 and len(set(block[train])) >= 2:
            train = train[np.lexsort((block[train], first[train]))]
            more = {}
            if weight is not None:
                age = (begin(end) - rows[time].iloc[train]) / half_life
                more = {"sample_weight": weight[train] * 0.5 ** age.to_numpy()}
            fits[end] = make().fit(x[train], rows[label].to_numpy()[train], **more)
            at = (block == b) & able
            found = getattr(fits[end], predict)(x[at])
            out = np.full((len(rows), *found.shape[1:]), np.nan) if out is None else out
            out[at] = found
    return out, fits
