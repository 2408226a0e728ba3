from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

import retraining
from retraining.operations.run import RunOptions

from .examples import example, load_prepare

SERIAL = RunOptions(backend="serial")


@pytest.fixture(scope="module")
def sold() -> pd.DataFrame:
    table: pd.DataFrame = load_prepare("demand").weekly_sales(2, 4, 30)
    return table


def test_a_forecast_knows_only_what_finished_weeks_sold(sold: pd.DataFrame) -> None:
    prepare = load_prepare("demand")
    later = sold.copy()
    monday = later["week"].unique()[20]
    later.loc[later["week"] >= monday, "units"] += 1000.0
    key = ["store", "item", "made_on", "horizon"]
    features = [*key, "last_week", "last_month", "price", "promotion", "season_sin", "season_cos"]
    before, after = prepare.sales_table(sold), prepare.sales_table(later)
    known = before["made_on"] <= monday
    pd.testing.assert_frame_equal(before.loc[known, features], after.loc[known, features])
    assert not before[features].equals(after[features])


def test_a_category_is_the_sum_of_its_series(sold: pd.DataFrame) -> None:
    prepare = load_prepare("demand")
    sales = prepare.sales_table(sold)
    categories = prepare.categories_table(sales)
    assert not categories.duplicated(["category", "week", "made_on"]).any()
    assert categories["units"].sum() == sales["units"].sum()


def test_the_same_options_make_the_same_sales() -> None:
    prepare = load_prepare("demand")
    pd.testing.assert_frame_equal(prepare.weekly_sales(2, 3, 20), prepare.weekly_sales(2, 3, 20))


def test_the_first_run_releases_every_node_and_the_pool(tmp_path: Path) -> None:
    manifest = example("demand", tmp_path, ["--stores", "2", "--items", "8"])
    outcome = retraining.run(manifest, options=SERIAL)
    assert {word for word, _ in outcome.outcomes.values()} == {"promoted"}
    assert "units[*]" in outcome.outcomes
    assert sum(name.startswith("units[store") for name in outcome.outcomes) == 14


@pytest.mark.slow
def test_one_flaky_series_blocks_nobody(tmp_path: Path) -> None:
    manifest = example("demand", tmp_path, ["--stores", "2", "--items", "8", "--flaky"])
    first = retraining.run(manifest, as_of="2023-08-01", options=SERIAL)
    assert {word for word, _ in first.outcomes.values()} == {"promoted"}
    second = retraining.run(manifest, options=SERIAL)
    words = {name: word for name, (word, _) in second.outcomes.items()}
    failed = {name for name, word in words.items() if word == "failed"}
    assert failed == {"units[*]", "units[store=S01,item=bakery-01]"}
    assert "blocked" not in words.values()
    assert {words[name] for name in words if name.startswith("category")} <= {"promoted", "rejected"}
