"""`small: pool` against the naive loop: each row by its own node as soon as that has a fit, else by the pool."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import Ridge
from sklearn.model_selection import PredefinedSplit, cross_val_predict

from retraining.prediction.releases import open_store

from .workbench import folds_by_key

FIRST, SECOND = "2024-03-12T00:00:00Z", "2024-04-26T00:00:00Z"
ROWS, BLOCKS = 20, 2
MANIFEST = f"""
datasets: {{sales: {{path: sales.parquet, key: [id], time: t}}}}
defaults: {{gate: {{refit_shift: 100, min_clusters: 5, margin: {{absolute: 100}}}}, preprocess: none}}
validation: {{scheme: time, blocks: 1w, holdout: 1, min_train: {{rows: {ROWS}, blocks: {BLOCKS}}}}}
models:
  item:
    dataset: sales
    partition_by: [name]
    partitions: {{min_rows: 40, small: pool}}
    target: {{column: sold, known_after: 1d}}
    features: [x]
    estimator: {{type: Ridge}}
  total:
    dataset: sales
    target: {{column: total, known_after: 1d}}
    features: [x]
    inputs: {{item: {{}}}}
    estimator: {{type: HistGradientBoostingRegressor, parameters: {{max_iter: 20}}}}
    preprocess: auto
  last:
    dataset: sales
    target: {{column: total, known_after: 1d}}
    inputs: {{total: {{}}}}
    estimator: {{type: Ridge}}
"""
#: name -> (rows, first day, last day): `late` becomes a node between the runs, `*` and `None` never do.
NAMES = {
    "NO": (300, 0, 119),
    "007": (200, 0, 119),
    "late": (150, 58, 119),
    "*": (25, 0, 119),
    "": (20, 0, 119),
}


def sales(seed=0):
    """Daily rows; each name has a slope of its own, and some rows have no name."""
    rng = np.random.default_rng(seed)
    parts = []
    for number, (name, (rows, first, last)) in enumerate([*NAMES.items(), (None, (30, 0, 119))]):
        part = pd.DataFrame({"name": [name] * rows, "day": rng.integers(first, last, rows)})
        part["x"] = rng.normal(size=rows)
        part["sold"] = (number + 1) * part["x"] + rng.normal(size=rows) * 0.1
        parts.append(part)
    table = pd.concat(parts, ignore_index=True)
    table["id"] = rng.permutation(len(table))
    table["t"] = pd.Timestamp("2024-01-01", tz="UTC") + pd.to_timedelta(table["day"] * 24 + 6, "h")
    table["total"] = 2 * table["sold"] + rng.normal(size=len(table)) * 0.1
    return table.sort_values("id", ignore_index=True)


def week(moments):
    return ((moments - pd.Timestamp("1970-01-05", tz="UTC")) // pd.Timedelta("7D")).to_numpy()


def start(block):
    return pd.Timestamp("1970-01-05", tz="UTC") + pd.Timedelta("7D") * block


def chained(rows, x, y, cut):
    """The honest column of the rows: block by block, by a Ridge of what was known when the block began."""
    block = week(rows["t"])
    known = rows["t"] + pd.Timedelta("1D")
    found = np.full(len(rows), np.nan)
    for b in sorted(set(block)):
        learnt = (known <= start(min(b, cut))).to_numpy()
        if learnt.sum() >= ROWS and len(set(block[learnt])) >= BLOCKS:
            model = Ridge().fit(x[learnt], y[learnt])
            found[block == b] = model.predict(x[block == b])
    return found


def expected_column(rows, nodes, cut):
    x, y = rows[["x"]].to_numpy(), rows["sold"].to_numpy()
    column = np.full(len(rows), np.nan)
    for name in nodes:
        own = (rows["name"] == name).to_numpy()
        column[own] = chained(rows[own], x[own], y[own], cut)
    pool = chained(rows, x, y, cut)
    return np.where(np.isnan(column), pool, column)


def recorded_matrix(bench, as_of):
    """What the reader `total` learns from, taken from the store: by each node's recorded pieces."""
    rows = sales()
    rows = rows[rows["t"] <= as_of].reset_index(drop=True)
    block = week(rows["t"])
    column = np.full(len(rows), np.nan)
    states = bench.store().read_head().nodes
    nodes = sorted((n for n in states if n.startswith("item[")), key=lambda n: n == "item[*]")
    for node in nodes:
        version = bench.version(node)
        own = np.arange(len(rows))
        if node != "item[*]":
            ((_, text),) = version.document["recipe"]["definition"]["partition"]
            own = np.flatnonzero(rows["name"] == text)
        for fit in version.fits:
            for part, values in version.column(fit).items():
                if int(fit[1:]) == min(part, version.document["cut_block"]):
                    at = own[block[own] == part]
                    at, values = at[np.isnan(column[at])], values[np.isnan(column[at]), 0]
                    column[at] = values
    return rows, column


@pytest.mark.parametrize(("as_of", "nodes"), [(FIRST, ["007", "NO"]), (SECOND, ["007", "NO", "late"])])
def test_each_row_comes_from_its_own_node_or_the_pool(bench, as_of, nodes):
    bench.write(MANIFEST, sales=sales())
    outcome = bench.run(as_of)
    assert outcome.outcomes == {
        name: ("promoted", outcome.outcomes[name][1])
        for name in ["item[*]", *(f"item[name={name}]" for name in nodes), "total", "last"]
    }
    rows, column = recorded_matrix(bench, as_of)
    cut = bench.version("item[*]").document["cut_block"]
    np.testing.assert_allclose(column, expected_column(rows, nodes, cut), rtol=1e-9, atol=1e-9)
    reader = bench.version("total").document
    assert reader["sources"] == {"item": ["item[*]", *(f"item[name={name}]" for name in nodes)]}
    assert reader["coverage"]["item"] == 1.0


def test_the_pool_learns_from_all_rows_and_serves_what_has_no_node(bench):
    bench.write(MANIFEST, sales=sales())
    bench.run(FIRST)
    rows = sales()
    fresh = rows[rows["t"] > FIRST].head(80)
    found = open_store(str(bench.folder / "store")).current().predict("item", fresh)
    learnt = rows[rows["t"] + pd.Timedelta("1D") <= start(week(pd.Series([pd.Timestamp(FIRST)]))[0])]
    everything = Ridge().fit(learnt[["x"]].to_numpy(), learnt["sold"])
    own = {name: Ridge().fit(part[["x"]].to_numpy(), part["sold"]) for name, part in learnt.groupby("name")}
    expected = [
        (own[name] if name in ("NO", "007") else everything).predict([[x]])[0]
        for name, x in zip(fresh["name"], fresh["x"], strict=True)
    ]
    np.testing.assert_allclose(found.outputs[:, 0], expected, rtol=1e-9)
    named = ["item[name=" + n + "]" if n in ("NO", "007") else "item[*]" for n in fresh["name"]]
    assert found.table["node"].to_pylist() == named
    assert sum(found.nodes.values()) == len(fresh)
    assert found.unknown == {}
    alone = open_store(str(bench.folder / "store")).current().predict("item[*]", fresh)
    np.testing.assert_allclose(alone.outputs[:, 0], everything.predict(fresh[["x"]].to_numpy()), rtol=1e-9)


def test_a_value_that_becomes_a_node_changes_no_fit_of_the_pool_and_no_old_fit_of_a_reader(bench):
    bench.write(MANIFEST, sales=sales())
    bench.run(FIRST)
    before = {name: bench.version(name).fits for name in ("item[*]", "total")}
    bench.run(SECOND)
    for name, fits in before.items():
        now = bench.version(name).fits
        kept = {fit: digest for fit, digest in fits.items() if fit in now}
        assert len(kept) > 3
        assert {fit: now[fit] for fit in kept} == kept
    assert "item[name=late]" in bench.version("total").document["sources"]["item"]


def test_serving_a_reader_of_a_pool_gives_its_recorded_column(bench):
    bench.write(MANIFEST, sales=sales())
    bench.run(SECOND)
    version = bench.version("total")
    cut = version.document["cut_block"]
    rows = sales()
    rows = rows[(rows["t"] <= SECOND) & (week(rows["t"]) == cut)]
    found = open_store(str(bench.folder / "store")).current().predict("total", rows)
    np.testing.assert_allclose(found.outputs, version.column(f"<{cut}")[cut], rtol=0, atol=1e-9)


def test_by_folds_the_pool_serves_small_values_from_fits_that_left_their_fold_out(bench):
    table = sales().drop(columns="t")
    bench.write(
        """
datasets: {sales: {path: sales.parquet, key: [id]}}
defaults: {gate: {refit_shift: 100}, preprocess: none, estimator: {type: Ridge}}
models:
  item:
    dataset: sales
    partition_by: [name]
    partitions: {min_rows: 200, small: pool}
    target: sold
    features: [x]
  total: {dataset: sales, target: total, features: [x], inputs: {item: {}}}
""",
        sales=table,
    )
    outcome = bench.run()
    assert {name for name, (word, _) in outcome.outcomes.items() if word == "promoted"} == {
        "item[*]",
        "item[name=007]",
        "item[name=NO]",
        "total",
    }
    folds = folds_by_key(table["id"].to_numpy(), 5)
    x = table[["x"]].to_numpy()
    column = cross_val_predict(Ridge(), x, table["sold"], cv=PredefinedSplit(folds))
    for name in ("NO", "007"):
        own = (table["name"] == name).to_numpy()
        column[own] = cross_val_predict(Ridge(), x[own], table["sold"][own], cv=PredefinedSplit(folds[own]))
    shipped = Ridge().fit(np.column_stack([column, x]), table["total"])
    served = open_store(str(bench.folder / "store")).current().predict("total", table)
    full = Ridge().fit(x, table["sold"]).predict(x)
    for name in ("NO", "007"):
        own = (table["name"] == name).to_numpy()
        full[own] = Ridge().fit(x[own], table["sold"][own]).predict(x[own])
    np.testing.assert_allclose(served.outputs[:, 0], shipped.predict(np.column_stack([full, x])), rtol=1e-9)


def test_a_model_may_be_its_pool_alone(bench):
    table = sales()
    bench.write(MANIFEST.replace("min_rows: 40", "min_rows: 4000"), sales=table)
    assert set(bench.run(FIRST).outcomes) == {"item[*]", "total", "last"}
