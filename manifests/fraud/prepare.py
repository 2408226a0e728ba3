"""Writes the tables of the fraud example: card payments, the devices they came from, and cases, generated.

Run it once, `python manifests/fraud/prepare.py`; it writes `data/payments.parquet`, `data/device_days.parquet`
and `data/cases.parquet` beside itself, and `data/chargebacks.csv`: complaints that came later still, for
`retrain feedback add`. Real payments are nobody's to publish, so these are drawn at random,
the same for the same options: devices are taken over for some days, and payments from them are often fraud.

Whether a payment was fraud is known 30 days later, when no complaint can come any more. Payments that a fixed
rule stopped at once never get a label worth learning from: `outcome_observed` is false for them.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

FIRST_DAY = pd.Timestamp("2024-01-08", tz="UTC")
COUNTRIES = ("DE", "FR", "NL", "NO", "PL")
SHOPS = ("fashion", "games", "grocery", "travel")


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the three tables and the late complaints."""
    options = argparse.ArgumentParser(description="Generate the data of the fraud example.")
    options.add_argument("--days", type=int, default=364, help="days of history (default: 364)")
    options.add_argument("--payments", type=int, default=120, help="payments a day (default: 120)")
    options.add_argument("--out", type=Path, default=Path(__file__).resolve().parent / "data")
    chosen = options.parse_args(arguments)
    payments = payments_table(chosen.days, chosen.payments)
    tables = {
        "payments": payments,
        "device_days": device_days_table(payments),
        "cases": cases_table(payments),
    }
    chosen.out.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        table.to_parquet(chosen.out / f"{name}.parquet", index=False)
        print(f"{name}.parquet: {len(table):,} rows, {len(table.columns)} columns")
    late = chargebacks_table(payments)
    late.to_csv(chosen.out / "chargebacks.csv", index=False)
    print(f"chargebacks.csv: {len(late):,} rows, {len(late.columns)} columns")
    return 0


def payments_table(days: int, daily: int) -> pd.DataFrame:
    """One row for each payment, with what is known when it is made, and whether it was fraud."""
    random = np.random.default_rng(30)
    n_rows, n_accounts, n_devices = days * daily, daily, daily // 2
    # a device is taken over for about ten days, once or twice a year
    begins = random.uniform(0, days, (n_devices, 2))
    begins[random.random((n_devices, 2)) < 0.5] = np.inf
    ends = begins + random.gamma(4.0, 2.5, begins.shape)

    moment = np.sort(random.uniform(0, days, n_rows))
    account = random.integers(0, n_accounts, n_rows)
    # an account pays from a device or two of its own
    device = (account // 2 + random.integers(0, 2, n_rows)) % n_devices
    taken = ((begins[device] <= moment[:, None]) & (moment[:, None] < ends[device])).any(axis=1)
    fraud = random.random(n_rows) < np.where(taken, 0.35, 0.004)
    hour = np.where(fraud & (random.random(n_rows) < 0.5), random.integers(0, 6, n_rows), (moment % 1) * 24)
    amount = np.round(random.lognormal(np.where(fraud, 4.4, 3.5), 0.9), 2)
    table = pd.DataFrame(
        {
            "payment": np.arange(n_rows),
            "paid_at": FIRST_DAY + pd.to_timedelta(np.floor(moment) * 24 + hour, unit="h").round("s"),
            "account": [f"A{number:04d}" for number in account],
            "device": [f"D{number:04d}" for number in device],
            "country": np.array(COUNTRIES)[account % len(COUNTRIES)],
            "shop": np.array(SHOPS)[random.integers(0, len(SHOPS), n_rows)],
            "amount": amount,
            "hour": np.floor(hour).astype("int64"),
            "fraud": fraud.astype("int64"),
            # the rule stops what is large and comes at night
            "outcome_observed": ~((amount > 150) & (hour < 5)),
        }
    )
    table["day"] = table["paid_at"].dt.floor("D")
    return table.sort_values(["paid_at", "payment"], ignore_index=True)


def device_days_table(payments: pd.DataFrame) -> pd.DataFrame:
    """One row for each device and day with payments, decided when the day is over."""
    table = payments.groupby(["device", "day"]).agg(
        payments=("payment", "size"),
        accounts=("account", "nunique"),
        amount_mean=("amount", "mean"),
        amount_max=("amount", "max"),
        at_night=("hour", lambda hours: float((hours < 6).mean())),
        bad=("fraud", "max"),
    )
    table = table.reset_index()
    table["closed_at"] = table["day"] + pd.Timedelta(days=1)
    return table.sort_values(["closed_at", "device"], ignore_index=True)


def cases_table(payments: pd.DataFrame) -> pd.DataFrame:
    """One row for each account and day with payments, decided when it is over: whether somebody should look into it."""
    table = payments.groupby(["account", "day"]).agg(
        country=("country", "first"),
        payments=("payment", "size"),
        amount_sum=("amount", "sum"),
        confirmed=("fraud", "max"),
    )
    table = table.reset_index()
    table["opened_at"] = table["day"] + pd.Timedelta(days=1)
    return table.sort_values(["opened_at", "account"], ignore_index=True)


def chargebacks_table(payments: pd.DataFrame) -> pd.DataFrame:
    """Payments that passed for honest after 30 days and were not: what late complaints say, and when they came.

    They are some of those that a device made on the days of its other frauds.
    """
    random = np.random.default_rng(31)
    taken = payments.groupby(["device", "day"])["fraud"].transform("max") == 1
    passed = payments[taken & (payments["fraud"] == 0) & payments["outcome_observed"]]
    chosen = passed[random.random(len(passed)) < 0.1]
    days = pd.to_timedelta(np.floor(random.uniform(35, 60, len(chosen))), unit="D")
    return pd.DataFrame(
        {
            "payment": chosen["payment"],
            "fraud": 1,
            "known_at": (chosen["day"] + days).dt.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "source": "chargebacks",
        }
    )


if __name__ == "__main__":
    raise SystemExit(main())
