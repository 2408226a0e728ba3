"""What `fit_rows` gives is what was trained on: plain scikit-learn makes every model of a release again from it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import RandomForestRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import retraining
from retraining.errors import DataError, NotFoundError

from .test_edges import AS_OF as SHOP_AS_OF
from .test_edges import MANIFEST as SHOP
from .test_edges import shop
from .test_weights import WEIGHTED, weighted_trips
from .trips import MANIFEST, trips
from .workbench import Bench, numbers

pytestmark = pytest.mark.slow

AS_OF = "2024-05-20T12:00:00Z"


def linear(kind):
    return lambda: make_pipeline(SimpleImputer(strategy="median"), StandardScaler(), kind())


def forest():
    return RandomForestRegressor(n_estimators=5, max_depth=4, random_state=1)


def made_again(bench: Bench, node: str, fit: str, make):
    """(a model of our own from the rows of a fit, the stored one, some rows to predict, the rows)."""
    rows = retraining.fit_rows(bench.folder / "m.yaml", node, fit, store=str(bench.folder / "store"))
    x = np.ascontiguousarray(rows.features.to_pandas().to_numpy(np.float64))
    own = make()
    weights = {} if rows.weights is None else {"sample_weight": rows.weights.to_numpy()}
    own.fit(x, rows.target.to_pandas().to_numpy(), **weights)
    stored = bench.version(node).model(rows.fit)
    assert stored.names == tuple(rows.features.column_names)
    probe = np.nan_to_num(x[:50], nan=0.3)
    return own, stored.predict(numbers(probe, list(stored.names))), probe, rows


CASES = [
    ("weather", "shipped", linear(Ridge)),
    ("weather", "gate", linear(Ridge)),
    ("base", "shipped", forest),
    ("base", "gate", forest),
    ("top", "shipped", linear(LogisticRegression)),
]


@pytest.fixture
def released(bench: Bench) -> Bench:
    hours, frame = trips()
    bench.write(MANIFEST, hours=hours, trips=frame)
    bench.run(AS_OF)
    return bench


def test_each_model_of_two_edges_in_time_is_made_again_from_its_rows(released):
    for node, fit, make in CASES:
        own, found, probe, rows = made_again(released, node, fit, make)
        expected = own.predict_proba(probe) if node == "top" else own.predict(probe)[:, None]
        assert np.array_equal(found, expected), (node, fit)
        assert len(rows.keys) == len(rows.features) == len(rows.target) > 50
    # in canonical order: a slice begins with the slice of any earlier fit
    gate, shipped = (
        retraining.fit_rows(released.folder / "m.yaml", "base", fit, store=str(released.folder / "store"))
        for fit in ("gate", "shipped")
    )
    assert shipped.keys.slice(0, len(gate.keys)).equals(gate.keys)
    assert len(shipped.keys) > len(gate.keys)


def test_weights_windows_and_rows_that_are_left_out_are_as_the_fit_had_them(bench: Bench):
    hours, frame = weighted_trips()
    bench.write(WEIGHTED, hours=hours, trips=frame)
    bench.run(AS_OF)
    own, found, probe, rows = made_again(bench, "base", "shipped", forest)
    assert np.array_equal(found, own.predict(probe)[:, None])
    assert rows.weights is not None
    keys = rows.keys.column("id").to_pylist()
    assert frame.set_index("id").loc[keys, "seen"].all()


def test_as_of_and_aggregate_columns_are_those_that_were_learnt_from(bench: Bench):
    devices, sales, days = shop()
    bench.write(SHOP.format(moment="noon", more="coverage: 50%"), devices=devices, sales=sales, days=days)
    bench.run(SHOP_AS_OF)
    own, found, probe, rows = made_again(bench, "amount", "shipped", linear(Ridge))
    assert np.array_equal(found, own.predict(probe)[:, None])
    assert rows.features.column_names == ["risk", "x"]
    rows = retraining.fit_rows(bench.folder / "m.yaml", "total", store=str(bench.folder / "store"))
    assert rows.features.column_names[:4] == ["amount.mean", "amount.sum", "amount.max", "amount.count"]
    assert rows.keys.column("day").to_pandas().is_monotonic_increasing
    table = rows.features.to_pandas()
    read = table[table["amount.count"].notna()]
    assert len(read) > 50
    assert np.allclose(read["amount.sum"], read["amount.mean"] * read["amount.count"])


def test_every_fit_of_the_lattice_is_made_again_from_its_rows(bench: Bench):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(120, 3)), columns=["x0", "x1", "y"])
    frame["id"] = rng.permutation(120)
    bench.write(
        """
validation: {scheme: folds, folds: 4}
datasets: {d: {path: d.parquet, key: [id]}}
defaults: {gate: {refit_shift: 100}, estimator: {type: Ridge}}
models:
  a: {dataset: d, target: y, features: [x0, x1]}
  b: {dataset: d, target: y, features: [x0, x1], inputs: {a: {}}}
  c: {dataset: d, target: y, features: [x0, x1], inputs: {b: {}}}
""",
        d=frame,
    )
    bench.run()
    plain = lambda: make_pipeline(StandardScaler(), Ridge())  # noqa: E731
    for node in "abc":
        fits = [name for name, fit in bench.version(node).document["fits"].items() if fit["model"]]
        assert len(fits) >= 5
        for fit in fits:
            own, found, probe, rows = made_again(bench, node, fit, plain)
            assert np.array_equal(found, own.predict(probe)[:, None]), (node, fit)
            assert rows.fit == fit


def test_changed_data_is_an_error_and_an_unknown_fit_names_those_there_are(released):
    with pytest.raises(NotFoundError, match="no fit '<7'") as caught:
        retraining.fit_rows(released.folder / "m.yaml", "base", "<7", store=str(released.folder / "store"))
    assert "shipped, gate" in caught.value.next_step
    with pytest.raises(NotFoundError, match="no version of nobody"):
        retraining.fit_rows(released.folder / "m.yaml", "nobody", store=str(released.folder / "store"))
    frame = pd.read_parquet(released.folder / "trips.parquet")
    frame.iloc[40:].to_parquet(released.folder / "trips.parquet", index=False)
    with pytest.raises(DataError, match="no longer those"):
        retraining.fit_rows(released.folder / "m.yaml", "base", store=str(released.folder / "store"))
