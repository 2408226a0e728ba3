"""What `plan` shows beside decisions: rows by state, edges that change, nodes that vanish, and too many fits."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from retraining.decide.states import STATES
from retraining.errors import InputError
from retraining.operations.plan import plan

pytestmark = pytest.mark.slow

FIRST, SECOND = "2024-03-15", "2024-04-26"
MANIFEST = """
datasets:
  trips: {path: trips.parquet, key: [id], time: t, ingested: seen}
defaults: {gate: {refit_shift: 100, min_clusters: 5}, estimator: Ridge}
validation: {scheme: time, blocks: 1w, min_train: {rows: 20, blocks: 2}}
models:
  speed:
    dataset: trips
    partition_by: [town]
    partitions: {min_rows: 25}
    target: {column: speed, known_at: told}
    train_where: counts
    features: [x]
  delay:
    dataset: trips
    target: {column: delay, known_after: 2d}
    features: [x]
    inputs: {speed: {coverage: 10%}}
"""


def trips(towns=("A", "B", "late"), seed=0):
    """Daily trips; `late` begins in April, some rows are seen late, and some have no label or do not count."""
    rng = np.random.default_rng(seed)
    n = 700
    table = pd.DataFrame({"id": np.arange(n), "x": rng.normal(size=n)})
    day = rng.integers(0, 119, n)
    table["t"] = pd.Timestamp("2024-01-01", tz="UTC") + pd.to_timedelta(day, "D")
    table["town"] = np.where(day < 90, rng.choice(["A", "B"], n), rng.choice(list(towns), n))
    table.loc[rng.random(n) < 0.1, "town"] = "rare"
    table["seen"] = table["t"] + pd.to_timedelta(np.where(rng.random(n) < 0.1, 40, 0), "D")
    table["told"] = table["t"] + pd.to_timedelta(rng.integers(0, 20, n), "D")
    table["counts"] = rng.random(n) < 0.9
    table["speed"] = np.where(rng.random(n) < 0.1, np.nan, table["x"] * 2)
    table["delay"] = table["x"] * 3
    return table


@pytest.mark.parametrize("as_of", [FIRST, SECOND, "2024-02-05"])
def test_rows_of_all_states_add_up_to_all_rows(bench, as_of):
    table = trips()
    bench.write(MANIFEST, trips=table)
    document = plan(bench.folder / "m.yaml", store=str(bench.folder / "store"), as_of=as_of).to_json()
    for decision in document["decisions"]:
        assert set(decision["rows"]) == set(STATES)
    whole = next(one["rows"] for one in document["decisions"] if one["node"] == "delay")
    assert sum(whole.values()) == len(table)
    assert whole["unseen"] == (table[["t", "seen"]].max(axis=1) > as_of).sum()
    assert document["rows"] == {
        state: sum(one["rows"][state] for one in document["decisions"]) for state in STATES
    }


def test_a_run_finds_the_rows_that_the_plan_foresaw(bench):
    bench.write(MANIFEST, trips=trips())
    foreseen = plan(bench.folder / "m.yaml", store=str(bench.folder / "store"), as_of=SECOND)
    bench.run(SECOND)
    for decision in foreseen.decisions:
        counts = bench.version(decision.node, attempt=True).document["counts"]
        rows = decision.rows
        assert rows["no_upstream"] == counts["no_upstream"]
        assert rows["judged"] == counts["judged"]
        assert sum(rows.values()) - rows["unseen"] == counts["total"]
    assert foreseen["delay"].rows["no_upstream"] > 50


def test_edges_that_come_and_nodes_that_vanish_are_told(bench):
    bench.write(MANIFEST, trips=trips())
    bench.run(FIRST)

    def planned(as_of):
        return plan(bench.folder / "m.yaml", store=str(bench.folder / "store"), as_of=as_of)

    assert (planned(FIRST).edges_new, planned(FIRST).edges_gone, planned(FIRST).vanished) == ((), (), ())
    assert planned(SECOND).edges_new == (("speed[town=late]", "delay"),)
    table = trips()
    table["town"] = table["town"].replace("B", "C")
    bench.write(MANIFEST, trips=table)
    gone = planned(FIRST)
    assert gone.edges_new == (("speed[town=C]", "delay"),)
    assert gone.edges_gone == (("speed[town=B]", "delay"),)
    assert gone.vanished == ("speed[town=B]",)
    assert gone.to_json()["edges_gone"] == [{"upstream": "speed[town=B]", "downstream": "delay"}]


def test_a_plan_of_too_many_fits_is_refused_before_anything_starts(bench):
    bench.write(MANIFEST, trips=trips())
    most = plan(bench.folder / "m.yaml", store=str(bench.folder / "store"), as_of=FIRST).fits[1]
    with pytest.raises(InputError, match=f"{most} fits, and {most - 1} are allowed") as refused:
        bench.run(FIRST, max_fits=most - 1)
    assert f"--max-fits {most}" in refused.value.next_step
    assert not (bench.folder / "store").exists()
    assert bench.run(FIRST, max_fits=most).exit_code == 0


def test_two_thousand_partitions_ask_for_max_fits(bench):
    table = pd.DataFrame({"id": np.arange(8000), "p": np.arange(8000) % 2000, "x": 1.0, "y": 2.0})
    text = """
datasets: {d: {path: d.parquet, key: [id]}}
models:
  m: {dataset: d, target: y, features: [x], estimator: Ridge, partition_by: [p],
    partitions: {min_rows: 2, max: 3000}}
"""
    bench.write(text, d=table)
    shown = plan(bench.folder / "m.yaml", store=str(bench.folder / "store")).to_json()
    assert (shown["fits"], shown["asks_for_max_fits"]) == ([12_000, 12_000], 12_000)
    with pytest.raises(InputError, match="12,000 fits, and 10,000 are allowed"):
        bench.run()
