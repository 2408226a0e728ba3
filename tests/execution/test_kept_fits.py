"""`keep_fits`: of which fits the models are kept; columns always are, and nothing else changes."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

pytestmark = pytest.mark.slow

AS_OF = "2024-04-26"
MANIFEST = """
keep_fits: KEPT
datasets: {d: {path: d.parquet, key: [id], time: t}}
defaults: {estimator: Ridge, gate: {min_clusters: 3, refit_shift: 100, margin: {absolute: 100}}}
validation: {scheme: time, blocks: 1w, min_train: {rows: 20, blocks: 2}}
models:
  a: {dataset: d, target: {column: y, known_after: 1d}, features: [x]}
  b: {dataset: d, target: {column: z, known_after: 1d}, features: [x], inputs: {a: {}}}
"""


def table():
    rng = np.random.default_rng(0)
    rows = pd.DataFrame({"id": np.arange(500), "x": rng.normal(size=500)})
    rows["t"] = pd.Timestamp("2024-01-01", tz="UTC") + pd.to_timedelta(np.arange(500) * 24 // 4, "h")
    rows["y"] = rows["x"] + rng.normal(size=500) * 0.1
    rows["z"] = rows["y"] + rng.normal(size=500) * 0.1
    return rows


def kept(bench, node):
    fits = bench.version(node).document["fits"]
    return sorted(int(name[1:]) for name, fit in fits.items() if fit["model"] is not None)


def made(bench, node):
    return sorted(int(name[1:]) for name in bench.version(node).document["fits"])


@pytest.mark.parametrize("setting", ["none", "all", "{last: 2}", "{last: 5}"])
def test_the_newest_fits_keep_their_models(bench, setting):
    bench.write(MANIFEST.replace("KEPT", setting), d=table())
    bench.run(AS_OF)
    fits = made(bench, "a")
    gate, shipped = fits[-2:]  # the holdout is the week before this one
    newest = {"none": [], "all": fits, "{last: 2}": fits[-2:], "{last: 5}": fits[-5:]}[setting]
    assert len(fits) > 8
    assert {gate, shipped} <= set(kept(bench, "a"))
    assert set(kept(bench, "a")) == {gate, shipped, *newest}


def test_another_setting_makes_no_fit_again_and_the_same_release(bench):
    bench.write(MANIFEST.replace("KEPT", "none"), d=table())
    first = bench.run(AS_OF)
    bench.write(MANIFEST.replace("KEPT", "all"))
    again = bench.run(AS_OF)
    assert (again.fits_made, again.after.sequence) == (0, first.after.sequence)
    other = bench.run(AS_OF, store="other")
    assert other.after.logical() == first.after.logical()
    assert other.fits_made == first.fits_made


def test_a_fit_whose_model_was_not_kept_is_made_again_when_its_block_gets_more_rows(bench):
    rows = table()
    late = rows["id"] == 203
    bench.write(MANIFEST.replace("KEPT", "none"), d=rows[~late])
    bench.run(AS_OF)
    before = bench.version("a").fits
    bench.write(MANIFEST.replace("KEPT", "none"), d=rows)
    outcome = bench.run(AS_OF)
    assert {word for word, _ in outcome.outcomes.values()} == {"promoted"}
    now = bench.version("a").fits
    (block,) = {int(name[1:]) for name in before if before[name] == now.get(name)} & {
        max(int(name[1:]) for name in before if before[name] == now.get(name))
    }
    assert all(before[name] == now[name] for name in before if int(name[1:]) <= block)
    alone = bench.run(AS_OF, store="alone")
    assert alone.after.nodes["a"].version == outcome.after.nodes["a"].version
