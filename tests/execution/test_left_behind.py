"""Upstreams that left the manifest or the data: their reader is retrained, and compared where it can be."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pytest

pytestmark = pytest.mark.slow

FIRST, SECOND = dt.datetime(2024, 4, 24, tzinfo=dt.UTC), dt.datetime(2024, 5, 8, tzinfo=dt.UTC)
UP = "up: {dataset: e, target: {column: y, known_after: 1d}, features: [a], partition_by: [g], estimator: Ridge}"
DOWN = (
    "down: {dataset: d, target: {column: z, known_after: 1d}, features: [u%s]%s, estimator: Ridge,"
    " gate: {margin: {absolute: 0.1}}}"
)


def trips(rows=1200):
    draw = np.random.default_rng(0)
    table = pd.DataFrame({name: draw.normal(size=rows) for name in "au"})
    table["t"] = pd.Timestamp("2024-01-01") + pd.to_timedelta(np.arange(rows) * 130 / rows, unit="D")
    table["id"], table["g"] = np.arange(rows), draw.choice(["x", "y"], rows)
    table["y"] = table.a + draw.normal(size=rows) * 0.1
    table["z"] = table.y + table.u
    return table


def manifest(*models, datasets="d"):
    files = ", ".join(f"{name}: {{path: {name}.parquet, key: [id], time: t}}" for name in datasets)
    return f"datasets: {{{files}}}\nmodels:\n" + "\n".join(f"  {model}" for model in models)


READS = ", inputs: {up: {match: [id], missing: drop, coverage: 10%}}"
BEFORE = manifest(UP, DOWN % ("", READS), datasets="de")


@pytest.mark.parametrize(
    ("after", "kept", "kind", "outcome"),
    [
        # a partition that is no node any more: its champion still feeds the reader's, which is compared
        (BEFORE.replace("[g]", "[g], partitions: {except: [x]}"), "xy", "refresh", "promoted"),
        (BEFORE, "y", "refresh", "promoted"),
        # the model left: without its column the challenger is worse
        (manifest(DOWN % ("", ""), datasets="de"), "xy", "recipe", "rejected"),
        # the upstream's table left too: nothing to compare with
        (manifest(DOWN % (", a", "")), "xy", "incomparable", "promoted"),
    ],
    ids=["except", "rows gone", "model gone", "dataset gone"],
)
def test_a_reader_goes_on_without_an_upstream_that_left(bench, after, kept, kind, outcome):
    table = trips()
    bench.write(BEFORE, d=table, e=table)
    assert {what for what, _ in bench.run(FIRST).outcomes.values()} == {"promoted"}
    bench.write(after, e=table[table.g.isin([*kept])])
    ran = bench.run(SECOND)
    assert ran.outcomes["down"][0] == outcome, ran.outcomes
    verdict = bench.version("down", attempt=True).verdict
    assert verdict["comparison"] == kind
    # what nobody reads any more can be forgotten
    pruned = bench.run(SECOND, prune=True).pruned
    assert ("up[g=x]" in pruned) == (outcome == "promoted")
