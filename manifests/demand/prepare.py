"""Writes the tables of the demand example: weekly sales of the items of some stores, generated.

Run it once, `python manifests/demand/prepare.py`; it writes `data/sales.parquet` and `data/categories.parquet`
beside itself. No real sales of this shape may be shipped with a package, so these are drawn at random, the
same for the same options: level, season, promotions and prices of each store and item, and Poisson counts.

`--stores 100 --items 50` makes the 5,000 series of a chain. `--flaky` spoils the last weeks of one series: they
count returns as negative sales, which a Poisson model refuses to learn from. Its node and the one that learns
from all series fail then; they keep their champions, and the others go on.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

FIRST_MONDAY = pd.Timestamp("2021-01-25", tz="UTC")
WEEKS = 160
HORIZONS = (1, 2)
CATEGORIES = ("bakery", "dairy", "drinks", "frozen")
FLAKY_WEEKS = 24
NEW_WEEKS = 40
"""How long the youngest items have been sold: too short for a model of their own."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Write both tables."""
    options = argparse.ArgumentParser(description="Generate the data of the demand example.")
    options.add_argument("--stores", type=int, default=10, help="number of stores (default: 10)")
    options.add_argument("--items", type=int, default=8, help="items of each store (default: 8)")
    options.add_argument("--weeks", type=int, default=WEEKS, help=f"weeks of history (default: {WEEKS})")
    options.add_argument("--flaky", action="store_true", help="spoil the last weeks of one series")
    options.add_argument("--out", type=Path, default=Path(__file__).resolve().parent / "data")
    chosen = options.parse_args(arguments)
    sold = weekly_sales(chosen.stores, chosen.items, chosen.weeks, flaky=chosen.flaky)
    sales = sales_table(sold)
    chosen.out.mkdir(parents=True, exist_ok=True)
    for name, table in (("sales", sales), ("categories", categories_table(sales))):
        table.to_parquet(chosen.out / f"{name}.parquet", index=False)
        print(f"{name}.parquet: {len(table):,} rows, {len(table.columns)} columns")
    return 0


def weekly_sales(stores: int, items: int, weeks: int, *, flaky: bool = False) -> pd.DataFrame:
    """One row for each store, item and week in which it was sold: units, price, promotion."""
    random = np.random.default_rng(2021)
    week = np.arange(weeks)
    parts = []
    for number in range(stores * items):
        store, item = divmod(number, items)
        category = CATEGORIES[item % len(CATEGORIES)]
        # each category has its season, each series its level, trend and price
        season = 0.25 * np.sin(2 * np.pi * (week / 52 + item % len(CATEGORIES) / len(CATEGORIES)))
        promotion = random.random(weeks) < 0.12
        price = np.round(random.uniform(1, 9) * (1 - 0.2 * promotion), 2)
        level = random.normal(3.2, 0.5) + random.normal(0, 0.15) * week / 52
        mean = np.exp(level + season + 0.5 * promotion + random.normal(0, 0.08, weeks))
        units = random.poisson(mean).astype("float64")
        # every ninth series is new in the range
        first = weeks - NEW_WEEKS + random.integers(0, 10) if number % 9 == 4 else 0
        series = pd.DataFrame(
            {
                "store": f"S{store + 1:02d}",
                "item": f"{category}-{item + 1:02d}",
                "category": category,
                "week": FIRST_MONDAY + pd.to_timedelta(7 * week, unit="D"),
                "units": units,
                "price": price,
                "promotion": promotion.astype("int64"),
            }
        )
        parts.append(series.iloc[first:])
    if flaky:
        parts[0].loc[parts[0].index[-FLAKY_WEEKS:], "units"] -= 100.0
    return pd.concat(parts, ignore_index=True)


def sales_table(sold: pd.DataFrame) -> pd.DataFrame:
    """One row for each series, Monday and horizon: what is known on the Monday, and the week's units.

    A forecast made on a Monday morning for horizon 1 is of the week that begins, for horizon 2 of the next.
    Prices and promotions of both weeks are planned by then; of units it knows those of finished weeks.
    """
    series = sold.groupby(["store", "item"], sort=False)["units"]
    known = sold.assign(
        made_on=sold["week"],
        last_week=series.shift(1),
        last_month=series.transform(lambda units: units.shift(1).rolling(4, min_periods=1).mean()),
    )[["store", "item", "made_on", "last_week", "last_month"]]
    forecasts = []
    for horizon in HORIZONS:
        target = sold.assign(made_on=sold["week"] - pd.Timedelta(days=7 * (horizon - 1)), horizon=horizon)
        forecasts.append(target.merge(known, on=["store", "item", "made_on"]))
    table = pd.concat(forecasts, ignore_index=True)
    # the week's units are known when it is over
    table["target_date"] = table["week"] + pd.Timedelta(days=7)
    angle = 2 * np.pi * table["week"].dt.day_of_year / 365.25
    table["season_sin"], table["season_cos"] = np.sin(angle), np.cos(angle)
    return table.sort_values(["made_on", "store", "item", "horizon"], ignore_index=True)


def categories_table(sales: pd.DataFrame) -> pd.DataFrame:
    """One row for each category, Monday and week: what all stores together sold."""
    groups = sales.groupby(["category", "week", "made_on"])
    table = groups.agg(
        horizon=("horizon", "first"),
        target_date=("target_date", "first"),
        season_sin=("season_sin", "first"),
        season_cos=("season_cos", "first"),
        promoted=("promotion", "mean"),
        last_week=("last_week", "sum"),
        units=("units", "sum"),
    ).reset_index()
    return table.sort_values(["made_on", "category", "horizon"], ignore_index=True)


if __name__ == "__main__":
    raise SystemExit(main())
