"""Partition values that other tools take for something else are nodes, pools and routes as they are written."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from retraining.prediction.releases import open_store

TEXTS = ["NO", "007", "a,b", "*", "", "ünï", 'x"y', "a=b", "[*]", None]
KINDS = {
    "texts": np.array(TEXTS, dtype=object),
    "categories": pd.Categorical(["on", "off", "~", "null", "yes", "1", "1.0", "nan", "None", None]),
    "numbers": np.array([0.0, -0.0, 1.0, 2.5, 1e20, -3.0, np.nan, 7.0, 8.0, 9.0]),
    "truth": np.array([True, False] * 5),
}
MANIFEST = """
datasets: {d: {path: d.parquet, key: [id]}}
defaults: {estimator: Ridge}
models:
  m: {dataset: d, target: y, features: [x], partition_by: [p], partitions: {min_rows: 60, small: pool}}
  r: {dataset: d, target: y, features: [x], inputs: {m: {}}}
"""


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_row_is_served_by_its_node_or_the_pool(bench, kind):
    rng = np.random.default_rng(0)
    places = np.concatenate([np.full(70, 0), np.full(70, 1), np.arange(2, 10).repeat(20)])
    table = pd.DataFrame({"id": np.arange(len(places)), "x": rng.normal(size=len(places))})
    table["p"] = pd.Series(KINDS[kind]).take(places).to_numpy()
    table["y"] = 2 * table["x"] + rng.normal(size=len(table)) * 0.1
    bench.write(MANIFEST, d=table)
    outcomes = bench.run().outcomes
    assert {word for word, _ in outcomes.values()} == {"promoted"}
    release = open_store(str(bench.folder / "store")).current()
    found = release.predict("m", table)
    assert found.predicted == len(table)
    nodes = pd.Series(found.table["node"].to_pylist())
    frequent = table["p"].map(table["p"].value_counts(dropna=True)).fillna(0) >= 60
    assert ((nodes != "m[*]") == frequent.to_numpy()).all()
    assert release.predict("r", table).predicted == len(table)
    for node in set(nodes) - {"m[*]"}:
        alone = release.predict(node, table)
        np.testing.assert_array_equal(alone.outputs, found.outputs[(nodes == node).to_numpy()])
