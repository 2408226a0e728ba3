from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

import retraining
from retraining.operations.run import RunOptions

from .examples import example, load_prepare

SERIAL = RunOptions(backend="serial")


def test_a_day_is_decided_when_it_is_over_and_about_its_payments_alone() -> None:
    prepare = load_prepare("fraud")
    payments = prepare.payments_table(20, 30)
    assert payments["payment"].is_unique
    days, cases = prepare.device_days_table(payments), prepare.cases_table(payments)
    for table, moment, owner in ((days, "closed_at", "device"), (cases, "opened_at", "account")):
        joined = payments.merge(table, on=[owner, "day"], validate="many_to_one", suffixes=("", "_own"))
        assert len(joined) == len(payments)
        assert (joined["paid_at"] < joined[moment]).all()
    assert days["bad"].sum() > 0


def test_the_same_options_make_the_same_payments() -> None:
    prepare = load_prepare("fraud")
    pd.testing.assert_frame_equal(prepare.payments_table(5, 10), prepare.payments_table(5, 10))


def test_late_complaints_are_about_payments_that_passed_for_honest_and_come_after_a_month(
    tmp_path: Path,
) -> None:
    manifest = example("fraud", tmp_path, ["--payments", "80"])
    late = tmp_path / "data" / "chargebacks.csv"
    done = retraining.add_feedback(manifest, late, dataset="payments")
    rows = pd.read_csv(late, parse_dates=["known_at"])
    assert (done.corrected, done.came, done.unchanged, done.unknown) == (len(rows), 0, 0, 0)
    payments = pd.read_parquet(tmp_path / "data" / "payments.parquet").merge(rows, on="payment")
    assert (payments["known_at"] - payments["paid_at"]).min() > pd.Timedelta(days=30)


@pytest.mark.slow
def test_the_first_run_releases_all_nodes_although_people_approve_what_replaces_them(tmp_path: Path) -> None:
    manifest = example("fraud", tmp_path, ["--payments", "80"])
    words = {name: word for name, (word, _) in retraining.run(manifest, options=SERIAL).outcomes.items()}
    assert words == {"device_risk": "promoted", "payment": "promoted", "case": "promoted"}
