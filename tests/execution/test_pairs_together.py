"""The pair check of a model whose nodes are judged as one: the losses of all that stay are added up."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from retraining.learn.comparison import compare

from .pair_bench import AS_OF, FIRST, block_of, chained, outcomes, predicted, rows

pytestmark = pytest.mark.slow

TEXT = """
datasets: {{d: {{path: d.parquet, key: [id]{time}}}}}
validation: {validation}
defaults: {{estimator: {{type: Ridge}}, gate: {{refit_shift: 100}}}}
models:
  a: {{dataset: d, target: {{column: {a_target}{known}}}, features: {a_features}, {a}}}
  b: {{dataset: d, partition_by: [side], partitions: {{min_rows: 30}}, target: {{column: z{known}}}, features: [x3],
      inputs: {{a: {{}}}}, retrain_when: definition, gate: {{refit_shift: 100, by: {by}{gate}}}}}
"""
#: `small` has two rows every other day: too few days of the holdout to show anything by itself.
SIDES = ("left", "right", "small")


def manifest(by="model", a="", a_target="y", a_features="[x1]", gate="", scheme="time"):
    folds = scheme == "folds"
    return TEXT.format(
        by=by, a=a, a_target=a_target, a_features=a_features, gate=gate,
        time="" if folds else ", time: t",
        known="" if folds else ", known_after: 1h",
        validation="{scheme: folds, folds: 4}"
        if folds
        else "{scheme: time, blocks: 1w, holdout: 2, min_train: {rows: 30, blocks: 2}}",
    )  # fmt: skip


def sided() -> pd.DataFrame:
    frame = rows(a_day=24)
    frame["side"] = np.where(frame["x4"] > 0, "left", "right")
    frame.loc[frame["id"] % 48 < 2, "side"] = "small"
    return frame


def release(bench, frame=None, store="store", **more):
    frame = sided() if frame is None else frame
    bench.write(manifest(**more), d=frame)
    assert set(outcomes(bench.run(AS_OF, store=store)).values()) == {"promoted"}
    return frame


def fed_by_hand(frame: pd.DataFrame, new: np.ndarray) -> pd.DataFrame:
    """The rows of the holdout with what each side's champion predicts `before` and `after`, on the new column."""
    _, old = chained(frame, ["x1"], "y")
    found = []
    for side in SIDES:
        part = (frame["side"] == side).to_numpy()
        models, _ = chained(frame[part], ["x3"], "z", old[part])
        first = block_of(frame).max() - 1
        at = {first: models[first], first + 1: models[first]}
        fed = {
            name: predicted(at, frame[part], ["x3"], column[part])
            for name, column in (("before", old), ("after", new))
        }
        found.append(frame[part].assign(**fed)[block_of(frame[part]) >= first])
    return pd.concat(found)


def test_a_small_node_that_can_show_nothing_by_itself_passes_with_its_model(bench):
    for by, a, small in (("node", "waiting", "insufficient"), ("model", "promoted", "kept")):
        frame = release(bench, store=by, by=by)
        bench.write(manifest(by=by, a_features="[x1, x2]"))
        found = outcomes(bench.run(AS_OF, store=by))
        assert (found["a"], found["b[side=small]"]) == (a, small)
    assert {word for node, word in found.items() if node != "a"} == {"kept"}
    held = fed_by_hand(frame, chained(frame, ["x1", "x2"], "y")[1])
    days = ((held["t"] - FIRST) // pd.Timedelta("1D")).to_numpy()
    z, before, after = (held[name].to_numpy() for name in ("z", "before", "after"))
    by_hand = compare(
        "mean_squared_error", z, after[:, None], before[:, None], days, resamples=20_000, seed=5
    )
    for side in SIDES:
        (check,) = bench.version(f"b[side={side}]", "model").document["checks"]
        pool = check["pool"]
        assert (pool["model"], pool["nodes"], pool["passed"]) == ("b", 3, True)
        assert check["because"].startswith("with 3 nodes of b: not worse")
        numbers = pool["difference"]
        assert (numbers["rows"], numbers["clusters"]) == (len(held), 14)
        assert numbers["value"] == pytest.approx(by_hand.difference, rel=1e-9)
        assert numbers["upper"] == pytest.approx(by_hand.upper, rel=0.05)
        assert numbers["margin"] == pytest.approx(0.02 * by_hand.champion, rel=1e-9)
        own = held[held["side"] == side]
        error = ((own["z"] - own["before"]) ** 2).mean()
        assert check["before"]["mean_squared_error"] == pytest.approx(error, rel=1e-9)


@pytest.mark.parametrize("scheme", ["time", "folds"])
def test_where_the_check_of_a_model_fails_all_its_nodes_become_due_and_are_judged_together(bench, scheme):
    release(bench, scheme=scheme)
    bench.write(manifest(a_target="y60", scheme=scheme))
    found = bench.run(AS_OF)
    assert set(outcomes(found).values()) == {"promoted"}
    for side in SIDES:
        document = bench.version(f"b[side={side}]").document
        (reason,) = document["decision"]["reasons"]
        assert reason["kind"] == "pair check"
        assert reason["evidence"]["pool"]["nodes"] == 3
        assert document["verdict"]["pooled"]["nodes"] == 3
    assert [pool["nodes"] for pool in found.record["pools"]] == [3]
    again = bench.run(AS_OF)
    assert (again.exit_code, again.after.release, again.fits_made) == (0, 2, 0)


def test_a_model_that_can_neither_bear_a_column_nor_follow_keeps_it_waiting(bench):
    release(bench)
    bench.write(manifest(a_target="y60", gate=", limits: {mean_squared_error: {max: 0.001}}"))
    found = bench.run(AS_OF)
    assert set(outcomes(found).values()) == {"waiting", "rejected"}
    assert "b[side=left] (was rejected and its champion" in found.outcomes["a"][1]
    assert found.after.release == 1


def test_a_node_without_labels_in_its_holdout_goes_with_its_model(bench):
    frame = sided()
    frame.loc[(frame["side"] == "small") & (frame["t"] >= FIRST + pd.Timedelta("70D")), "z"] = np.nan
    for by, a in (("node", "waiting"), ("model", "promoted")):
        bench.write(manifest(by=by), d=frame)
        assert set(outcomes(bench.run("2024-03-11T06:00:00Z", store=by)).values()) == {"promoted"}
        bench.write(manifest(by=by, a_features="[x1, x2]"))
        found = bench.run(AS_OF, store=by)
        assert outcomes(found)["a"] == a
    (check,) = bench.version("b[side=small]", "model").document["checks"]
    assert check["because"].startswith("the holdout has no labelled rows; with 2 nodes of b: not worse")


PARTED = """
datasets: {d: {path: d.parquet, key: [id], time: t}}
validation: {scheme: time, blocks: 1w, holdout: 2, min_train: {rows: 30, blocks: 2}}
defaults: {estimator: {type: Ridge}, gate: {refit_shift: 100}}
models:
  a: {dataset: d, partition_by: [side], target: {column: %s, known_after: 1h}, features: [%s]}
  b: {dataset: d, partition_by: [side], target: {column: z, known_after: 1h}, features: [x3],
      inputs: {a: {on_upstream_change: ignore}}, retrain_when: definition, gate: {refit_shift: 100, by: model}}
"""


def test_of_what_feeds_a_model_only_the_harmful_part_waits(bench):
    frame = rows(a_day=12)
    frame["side"] = np.array(["k", "l", "m"])[frame["id"] % 3]
    frame["y_"] = frame["y"]
    bench.write(PARTED % ("y_", "x1"), d=frame)
    assert set(outcomes(bench.run(AS_OF)).values()) == {"promoted"}
    # the labels of one side are in another unit now: its reader, which was not told, cannot read them
    frame.loc[frame["side"] == "l", "y_"] *= 60
    bench.write(PARTED % ("y_", "x1, x2"), d=frame)
    found = outcomes(bench.run(AS_OF))
    assert {side: found[f"a[side={side}]"] for side in "klm"} == {
        "k": "promoted",
        "l": "waiting",
        "m": "promoted",
    }
    (check,) = bench.version("b[side=k]").document["checks"]
    assert (check["pool"]["nodes"], check["pool"]["passed"]) == (2, True)
    assert "checks" not in bench.version("b[side=l]").document
