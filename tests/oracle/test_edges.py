"""As-of, aggregate and union edges against pandas and the naive loop, in training and in serving."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score
from sklearn.model_selection import PredefinedSplit, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from retraining.data.rows import folds_of
from retraining.data.tables import Column, Table
from retraining.errors import DataError
from retraining.manifest.values import Dataset, FoldScheme
from retraining.prediction.releases import open_store

from .workbench import numbers

AS_OF = "2024-05-01T18:00:00Z"
DAYS = 120
MANIFEST = """
datasets:
  devices: {{path: devices.parquet, key: [device, day], time: day, ingested: seen}}
  sales: {{path: sales.parquet, key: [id], time: t}}
  days: {{path: days.parquet, key: [day], time: {moment}}}
defaults: {{gate: {{refit_shift: 100}}, estimator: {{type: Ridge}}}}
validation: {{scheme: time, blocks: 1w, holdout: 2, min_train: {{rows: 20, blocks: 2}}}}
models:
  risk: {{dataset: devices, target: {{column: losses, known_after: 1d}}, features: [a, b]}}
  amount:
    dataset: sales
    target: {{column: amount, known_after: 1d}}
    features: [x]
    inputs: {{risk: {{as_of: {{match: [device], tolerance: 4d}}, missing: drop, coverage: 50%}}}}
  total:
    dataset: days
    target: {{column: total, known_after: 1d}}
    features: [weekday]
    inputs: {{amount: {{aggregate: [mean, sum, max, count], match: [date], {more}}}}}
    estimator: {{type: HistGradientBoostingRegressor, parameters: {{max_iter: 30}}}}
"""


def shop(seed=0):
    """(devices, sales, days): devices are rated on most days, some ratings late; a day's total is of all its sales."""
    rng = np.random.default_rng(seed)
    first = pd.Timestamp("2024-01-01", tz="UTC")
    dates = pd.date_range(first, periods=DAYS, freq="D")
    devices = pd.DataFrame([(d, day) for day in dates for d in range(6)], columns=["device", "day"])
    devices = devices[rng.random(len(devices)) < 0.6].reset_index(drop=True)
    devices["seen"] = devices["day"] + pd.to_timedelta(
        np.where(rng.random(len(devices)) < 0.2, rng.integers(1, 5, len(devices)), 0), "D"
    )
    devices["a"], devices["b"] = rng.normal(size=(2, len(devices)))
    devices["losses"] = devices["a"] + 0.5 * devices["b"] + rng.normal(size=len(devices)) * 0.2
    n = 1500
    day = rng.integers(0, DAYS, n)
    mood = rng.normal(size=DAYS) * 2
    sales = pd.DataFrame({"id": rng.permutation(n), "device": rng.integers(0, 7, n), "x": rng.normal(size=n)})
    sales["x"] += mood[day]
    sales["date"] = dates[day]
    sales["t"] = sales["date"] + pd.to_timedelta(rng.integers(0, 24 * 60, n), "min")
    sales["amount"] = sales["x"] + rng.normal(size=n) * 0.3
    days = pd.DataFrame({"date": dates, "day": dates, "weekday": np.arange(DAYS) % 7})
    days["noon"], days["end"] = dates + pd.Timedelta("12h"), dates + pd.Timedelta("1D")
    means = sales.groupby("date")["amount"].mean().reindex(dates).fillna(0).to_numpy()
    days["total"] = means + rng.normal(size=DAYS) * 0.2
    return devices, sales, days


def run(bench, moment="noon", more="coverage: 50%"):
    devices, sales, days = shop()
    bench.write(MANIFEST.format(moment=moment, more=more), devices=devices, sales=sales, days=days)
    return bench.run(AS_OF), devices, sales, days


def recorded(version, block, width=1):
    cut = version.document["cut_block"]
    found = np.full((len(block), width), np.nan)
    for b in sorted(set(block)):
        fit = f"<{min(b, cut)}"
        if fit in version.fits:
            pieces = version.column(fit)
            if b in pieces:
                found[block == b] = pieces[b]
    return found


def week(moments):
    return ((moments - pd.Timestamp("1970-01-05", tz="UTC")) // pd.Timedelta("7D")).to_numpy()


def visible(frame, moment, key):
    return frame[frame[moment] <= AS_OF].sort_values(key, ignore_index=True)


def ridge():
    return make_pipeline(StandardScaler(), Ridge())


def test_as_of_reads_what_merge_asof_finds_and_trains_on_it(bench):
    outcome, devices, sales, _ = run(bench)
    assert outcome.outcomes["amount"][0] == "promoted", outcome.outcomes
    ratings = devices[devices["seen"] <= AS_OF].sort_values(["device", "day"], ignore_index=True)
    ratings["risk"] = recorded(bench.version("risk"), week(ratings["day"]))[:, 0]
    rows = visible(sales, "t", "id")
    # merge_asof knows one moment: rows that arrive late are judged one by one
    newest = []
    for sale in rows.itertuples():
        mine = ratings[
            (ratings["device"] == sale.device) & (ratings["seen"] <= sale.t) & ratings["risk"].notna()
        ]
        last = mine.iloc[-1] if len(mine) else None
        fresh = last is not None and sale.t - last["day"] <= pd.Timedelta("4D")
        newest.append(last["risk"] if fresh else np.nan)
    handed = np.array(newest)
    on_time = ratings[ratings["seen"] == ratings["day"]]
    merged = pd.merge_asof(
        rows.sort_values("t"), on_time.sort_values("day"), left_on="t", right_on="day", by="device",
        tolerance=pd.Timedelta("4D"),
    ).sort_values("id")  # fmt: skip
    agree = np.isclose(merged["risk"], handed, equal_nan=True)
    assert 0.6 < agree.mean() < 1.0  # the late ratings are what makes the difference
    assert 0 < np.isnan(handed).mean() < 0.6
    version = bench.version("amount")
    cut, block = version.document["cut_block"], week(rows["t"])
    known = week(rows["t"] + pd.Timedelta("1D") - pd.Timedelta("1us")) + 1
    x, able = np.column_stack([handed, rows["x"]]), ~np.isnan(handed)
    column = recorded(version, block)[:, 0]
    for b in sorted(set(block)):
        train = np.flatnonzero(able & (known <= min(b, cut)))
        if f"<{min(b, cut)}" not in version.fits or not (able & (block == b)).any():
            continue
        train = train[np.lexsort((block[train], known[train]))]
        expected = ridge().fit(x[train], rows["amount"][train]).predict(x[able & (block == b)])
        assert np.allclose(column[able & (block == b)], expected, rtol=1e-10)
        assert np.isnan(column[~able & (block == b)]).all()


def test_an_aggregate_reads_the_sales_made_before_noon_and_serving_gives_the_same(bench):
    outcome, devices, sales, days = run(bench)
    assert outcome.outcomes["total"][0] == "promoted", outcome.outcomes
    rows = visible(sales, "t", "id")
    rows["amount_hat"] = recorded(bench.version("amount"), week(rows["t"]))[:, 0]
    own = visible(days, "noon", "day")
    morning = rows[(rows["t"] <= rows["date"] + pd.Timedelta("12h")) & rows["amount_hat"].notna()]
    table = morning.groupby("date")["amount_hat"].agg(["mean", "sum", "max", "count"]).reindex(own["date"])
    version = bench.version("total")
    names = ("amount.mean", "amount.sum", "amount.max", "amount.count", "weekday")
    shipped = version.model(f"<{version.document['cut_block']}")
    assert shipped.names == names
    holdout = version.document["data"]["holdout"]
    gate = version.model(f"<{holdout[0]}")
    at = np.isin(week(own["noon"]), holdout)
    x = np.column_stack([table.to_numpy(), own["weekday"]])
    assert np.allclose(gate.predict(numbers(x[at], list(names)))[:, 0], gate_of(version, own, at))
    served = (
        open_store(str(bench.folder / "store"))
        .current()
        .predict("total", {"devices": devices, "sales": sales, "days": days[days["noon"] <= AS_OF]})
    )
    last = week(own["noon"]) == week(own["noon"]).max()
    fresh = shipped.predict(numbers(x[last], list(names)))[:, 0]
    by_day = served.table.to_pandas().set_index("day")["prediction"]
    assert np.allclose(by_day.reindex(own["day"][last]), fresh, rtol=1e-9)


def gate_of(version, own, at):
    """What the gate fit predicted for the holdout, by day."""
    pieces = version.column(f"<{version.document['data']['holdout'][0]}")
    block = week(own["noon"])
    return np.concatenate([pieces[b][:, 0] for b in sorted(set(block[at]))])


def test_the_average_of_a_days_own_predictions_is_refused_when_the_day_begins(bench):
    outcome, *_ = run(bench, moment="day")
    word, because = outcome.outcomes["total"]
    assert word == "blocked"
    assert "amount" in because


def test_the_look_ahead_of_the_same_day_is_gone_even_where_nothing_must_be_covered(bench):
    outcome, _, sales, days = run(bench, moment="day", more="coverage: 0%, missing: nan")
    rows = visible(sales, "t", "id")
    rows["amount_hat"] = recorded(bench.version("amount"), week(rows["t"]))[:, 0]
    own = visible(days, "day", "day")
    leaked = rows.groupby("date")["amount_hat"].mean().reindex(own["date"]).to_numpy()
    late = own["day"] > "2024-03-01"
    fit = np.polyfit(leaked[late], own["total"][late], 1)
    # the leak is there to be found: with the whole day the total is nearly known
    assert r2_score(own["total"][late], np.polyval(fit, leaked[late])) > 0.6
    if outcome.outcomes["total"][0] == "promoted":
        version = bench.version("total")
        challenger = version.verdict["challenger"]["mean_squared_error"]
        at = np.isin(week(own["day"]), version.document["data"]["holdout"])
        assert 1 - challenger / np.var(own["total"][at]) < 0.15
    else:
        assert outcome.outcomes["total"][0] == "blocked"


UNION = """
datasets: {{d: {{path: d.parquet, key: [id], time: t}}}}
defaults: {{gate: {{refit_shift: 100}}, estimator: {{type: Ridge}}}}
validation: {{scheme: time, blocks: 1w, holdout: 2, min_train: {{rows: 20, blocks: 2}}}}
models:
{models}
  top:
    {{dataset: d, target: {{column: y, known_after: 1d}}, features: [z], inputs: {{{edge}}}}}
"""
NODE = "target: {column: y, known_after: 1d}, features: [x]"
ONE = f"  base: {{dataset: d, partition_by: [k], partitions: {{min_rows: 1}}, {NODE}}}"
TWO = f"""\
  one: {{dataset: d, partition_by: [k], partitions: {{only: [a, b], min_rows: 1}}, {NODE}}}
  two: {{dataset: d, partition_by: [k], partitions: {{only: [c], min_rows: 1}}, {NODE}}}"""


def union_rows():
    rng = np.random.default_rng(1)
    n = 900
    frame = pd.DataFrame({"id": np.arange(n), "k": rng.choice(list("abc"), n), "x": rng.normal(size=n)})
    frame["z"] = rng.normal(size=n)
    frame["t"] = pd.Timestamp("2024-01-01", tz="UTC") + pd.to_timedelta(rng.integers(0, DAYS * 24, n), "h")
    frame["y"] = frame["x"] * frame["k"].map({"a": 1.0, "b": -1.0, "c": 3.0}) + rng.normal(size=n) * 0.1
    return frame


def test_a_union_of_models_is_the_column_that_one_partitioned_model_would_give(bench):
    frame = union_rows()
    bench.write(UNION.format(models=ONE, edge="base: {coverage: 50%}"), d=frame).run(AS_OF, store="one")
    bench.write(UNION.format(models=TWO, edge="base: {from: [one, two], coverage: 50%}"), d=frame)
    outcome = bench.run(AS_OF, store="two")
    assert outcome.outcomes["top"][0] == "promoted", outcome.outcomes
    whole, united = bench.version("top", "one"), bench.version("top", "two")
    block = week(visible(frame, "t", "id")["t"])
    assert np.array_equal(recorded(whole, block), recorded(united, block), equal_nan=True)
    assert set(united.document["wiring"]) == {"one[k=a]", "one[k=b]", "two[k=c]"}
    answers = [
        open_store(str(bench.folder / name)).current().predict("top", frame).table["prediction"].to_numpy()
        for name in ("one", "two")
    ]
    # what was recorded is served again: early rows have nothing there
    assert np.array_equal(*answers, equal_nan=True)


def test_two_models_of_one_union_that_predict_one_row_are_refused(bench):
    text = UNION.format(models=TWO.replace("[c]", "[b, c]"), edge="base: {from: [one, two]}")
    bench.write(text, d=union_rows())
    with pytest.raises(DataError, match="both predict"):
        bench.run(AS_OF)


def test_more_partitions_than_max_are_refused_and_as_many_are_not(bench):
    limited = ONE.replace("min_rows: 1", "min_rows: 1, max: 2")
    bench.write(UNION.format(models=limited, edge="base: {coverage: 50%}"), d=union_rows())
    with pytest.raises(DataError, match="3 partitions of k would become nodes, and `max` is 2"):
        bench.run(AS_OF)
    bench.write(UNION.format(models=limited.replace("max: 2", "max: 3"), edge="base: {coverage: 50%}"))
    assert bench.run(AS_OF).exit_code == 0


FOLDS = """
datasets:
  rows: {path: rows.parquet, key: [id], group: person}
  people: {path: people.parquet, key: [person], group: person}
validation: {scheme: folds, folds: 5}
defaults: {gate: {refit_shift: 100}, estimator: {type: Ridge}}
models:
  base: {dataset: rows, target: y, features: [x0, x1]}
  top: {dataset: people, target: y, features: [z], inputs: {base: {aggregate: [mean, max], match: [person]}}}
"""


def test_an_aggregate_by_folds_is_the_groupby_of_out_of_fold_predictions(bench):
    rng = np.random.default_rng(2)
    person = np.repeat(np.arange(60), 5)
    rows = pd.DataFrame(rng.normal(size=(300, 2)), columns=["x0", "x1"])
    rows.insert(0, "id", np.arange(300))
    rows["person"] = person
    rows["y"] = rows["x0"] + rng.normal(size=300) * 0.3
    people = pd.DataFrame({"person": np.arange(60), "z": rng.normal(size=60)})
    people["y"] = rows.groupby("person")["y"].mean() + people["z"]
    bench.write(FOLDS, rows=rows, people=people)
    outcome = bench.run()
    assert outcome.outcomes["top"][0] == "promoted", outcome.outcomes
    table = Table(
        dataset="p",
        key=("person",),
        n_rows=60,
        columns={"person": Column(kind="number", values=np.arange(60))},
    )
    fold = folds_of(table, Dataset(name="p", path="", key=("person",)), FoldScheme(folds=5), 0)
    x = np.ascontiguousarray(rows[["x0", "x1"]].to_numpy())
    leaf = cross_val_predict(ridge(), x, rows["y"], cv=PredefinedSplit(fold[person]))
    grouped = pd.Series(leaf).groupby(person).agg(["mean", "max"])
    features = np.column_stack([grouped, people["z"]])
    expected = ridge().fit(features, people["y"]).predict(features)
    shipped = bench.version("top").model("-")
    assert shipped.names == ("base.mean", "base.max", "z")
    assert np.allclose(shipped.predict(numbers(features, list(shipped.names)))[:, 0], expected, rtol=1e-10)
