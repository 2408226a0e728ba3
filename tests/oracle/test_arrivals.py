"""What a run does as blocks arrive: one or two fits for a due model, none for what did not change."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import retraining
from retraining.errors import RetrainingError
from retraining.operations.run import Watcher

from .workbench import Bench

TEXT = """
datasets: {d: {path: d.parquet, key: [id], time: t}}
validation: {scheme: time, blocks: 2w, holdout: 1, min_train: {rows: 40, blocks: 2}}
models:
  area:
    dataset: d
    partition_by: [place]
    target: {column: y, known_after: 1d}
    features: [x]
    estimator: {type: Ridge}
  all:
    dataset: d
    target: {column: late, known_after: 0d}
    features: [x, place]
    inputs: {area: {}}
    estimator: {type: RandomForestClassifier, parameters: {n_estimators: 5, max_depth: 4}}
"""
START = pd.Timestamp("2024-01-08", tz="UTC")


def rows(n=1500, weeks=24, seed=0):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"id": rng.permutation(n), "place": rng.choice(["NO", "007", "ü, [x]"], n)})
    frame["t"] = START + pd.to_timedelta(np.sort(rng.integers(0, weeks * 7 * 24 * 60, n)), "min")
    frame["x"] = rng.normal(size=n)
    frame["y"] = frame["x"] * (1 + (frame["place"] == "NO")) + rng.normal(size=n)
    frame["late"] = rng.random(n) < 1 / (1 + np.exp(-frame["y"]))
    return frame


def at(weeks):
    return (START + pd.Timedelta(weeks=weeks, days=2)).isoformat()


def test_a_new_block_costs_a_leaf_one_fit_and_rows_inside_a_block_cost_nothing(bench: Bench):
    bench.write(TEXT, d=rows())
    first = bench.run(at(12))
    assert first.exit_code == 0
    assert len(first.outcomes) == 4
    inside = bench.run((START + pd.Timedelta(weeks=13, days=6)).isoformat())
    assert (inside.fits_made, inside.after.sequence) == (0, first.after.sequence)
    before = {node: set(bench.version(node).fits.values()) for node in first.outcomes}
    later = bench.run(at(14))
    assert {word for word, _ in later.outcomes.values()} <= {"promoted", "rejected", "waiting"}
    for node in first.outcomes:
        new = set(bench.version(node, attempt=True).fits.values()) - before[node]
        assert 1 <= len(new) <= 2, node
    leaf = next(node for node in first.outcomes if "NO" in node)
    verdict = bench.version(leaf, attempt=True).verdict
    # today's gate fit is the fit that was shipped two weeks ago
    assert verdict["comparison"] == "same recipe"
    assert verdict["difference"]["value"] == 0


def test_a_release_is_followed_by_an_empty_plan_at_the_same_moment(bench: Bench):
    bench.write(TEXT, d=rows())
    bench.run(at(12))
    again = bench.run(at(12))
    assert again.run == ""
    assert {word for word, _ in again.outcomes.values()} == {"kept"}


def test_what_was_released_does_not_depend_on_the_store_that_it_was_made_in(bench: Bench):
    bench.write(TEXT, d=rows(n=700))
    one, other = bench.run(at(14), store="one"), bench.run(at(14), store="other")
    assert one.after.logical() == other.after.logical()


@pytest.mark.ray
@pytest.mark.usefixtures("ray_session")
def test_partitions_and_folds_on_ray_give_the_same_release_as_serial(bench: Bench):
    folds = TEXT.replace(", time: t}", "}").replace(
        "{scheme: time, blocks: 2w, holdout: 1, min_train: {rows: 40, blocks: 2}}",
        "{scheme: folds, folds: 3}",
    )
    folds = folds.replace("{column: y, known_after: 1d}", "y").replace(
        "{column: late, known_after: 0d}", "late"
    )
    bench.write(folds, d=rows(n=400))
    serial, on_ray = bench.run(), bench.run(store="ray", backend="ray")
    assert serial.exit_code == 0
    assert on_ray.after.logical() == serial.after.logical()


@pytest.mark.parametrize("weeks", [-3, 0, 1, 3, 4, 5])
def test_too_early_is_insufficient_or_an_error_that_says_so(bench: Bench, weeks):
    text = TEXT.replace("    partition_by: [place]\n", "")
    bench.write(text, d=rows())
    if weeks < 0:
        with pytest.raises(RetrainingError) as caught:
            bench.run(at(weeks))
        assert caught.value.next_step
        return
    outcome = bench.run(at(weeks))
    assert {word for word, _ in outcome.outcomes.values()} <= {"insufficient", "blocked", "promoted"}
    assert bench.run(at(weeks)).fits_made == 0


def test_a_target_of_one_class_waits_alone_for_the_second(bench: Bench):
    frame = rows()
    frame["late"] = frame["t"] > START + pd.Timedelta(weeks=9)
    frame.loc[frame.index % 3 == 0, "late"] = False
    text = f"""{TEXT}
  below:
    dataset: d
    target: {{column: y, known_after: 0d}}
    inputs: {{all: {{}}}}
    estimator: {{type: Ridge}}
"""
    bench.write(text, d=frame)
    early = bench.run(at(8)).outcomes
    assert {word for node, (word, _) in early.items() if node.startswith("area")} == {"promoted"}
    assert early["all"] == (
        "insufficient",
        "the target has one class so far (False), and a classifier needs two",
    )
    assert early["below"][0] == "blocked"
    # fits of the blocks before the second class cannot be made, and those after it can
    later = bench.run(at(16))
    assert [later.outcomes[node][0] for node in ("all", "below")] == ["promoted", "promoted"]


def test_a_first_run_makes_the_fits_that_were_planned(bench: Bench):
    bench.write(TEXT, d=rows())
    # in the middle of a block: its rows are predicted by the fit that ships, which is made once
    outcome = bench.run((START + pd.Timedelta(weeks=13, days=3)).isoformat())
    planned = []
    bench.run(
        (START + pd.Timedelta(weeks=13, days=3)).isoformat(),
        store="other",
        watcher=Watcher(planned=lambda session: planned.append(session.plan)),
    )
    comparisons = sum(decision.comparisons for decision in planned[0].decisions)
    assert (outcome.fits_made - comparisons,) * 2 == planned[0].fits


def test_a_class_that_appears_late_is_a_column_of_zeros_before(bench: Bench):
    frame = rows()
    frame["late"] = np.where(
        frame["t"] > START + pd.Timedelta(weeks=9), "new", frame["late"].map({True: "yes", False: "no"})
    )
    text = (
        TEXT.replace("    inputs: {area: {}}\n", "")
        + """
  after:
    dataset: d
    target: {column: y, known_after: 0d}
    features: [x]
    inputs: {all: {}}
    estimator: {type: Ridge}
"""
    )
    bench.write(text, d=frame)
    outcome = bench.run(at(14))
    assert outcome.outcomes["all"][0] in ("promoted", "rejected")
    version = bench.version("all", attempt=True)
    assert version.document["data"]["classes"] == ["new", "no", "yes"]
    block = sorted(int(name[1:]) for name in version.fits)[0]
    early = version.column(f"<{block}")[block]
    assert early.shape[1] == 3
    assert np.all(early[:, 0] == 0.0)
    assert np.allclose(early.sum(axis=1), 1.0)
    read = retraining.fit_rows(bench.folder / "m.yaml", "after", store=str(bench.folder / "store"))
    table = read.features.to_pandas()
    assert table.columns.tolist() == ["all.new", "all.no", "all.yes", "x"]
    before = table["all.new"] == 0.0
    assert 0.3 < before.mean() < 1.0
    known = table["all.no"].notna()
    assert np.allclose(table.loc[known, ["all.new", "all.no", "all.yes"]].sum(axis=1), 1.0)


def test_a_class_that_appears_changes_no_earlier_fit_and_no_earlier_prediction(bench: Bench):
    text = TEXT.replace("    inputs: {area: {}}\n", "").replace(
        "min_train: {rows: 40", "min_train: {rows: 20"
    )
    frame = rows().assign(late=lambda f: f["late"].map({True: "yes", False: "no"}))
    text += """
  below:
    dataset: d
    target: {column: y, known_after: 0d}
    features: [x]
    inputs: {all: {}}
    estimator: {type: Ridge}
"""
    now = START + pd.Timedelta(weeks=12, days=2)
    bench.write(text, d=frame[frame["t"] <= now])
    first = bench.run(now.isoformat())
    before = bench.version("all")
    late = frame["t"] > now
    frame.loc[late & (frame.index % 3 == 0), "late"] = "maybe"
    bench.write(text, d=frame)
    second = bench.run(at(20))
    after = bench.version("all", attempt=True)
    assert before.document["data"]["classes"] == ["no", "yes"]
    assert after.document["data"]["classes"] == ["maybe", "no", "yes"]
    shared = set(before.fits) & set(after.fits)
    assert len(shared) >= 4
    assert {name: before.fits[name] for name in shared} == {name: after.fits[name] for name in shared}
    for name in shared:
        for block, column in before.column(name).items():
            if block < before.document["data"]["next_block"]:  # later ones have more rows now
                assert np.array_equal(column, after.column(name)[block][:, 1:])  # "maybe" comes first
                assert not after.column(name)[block][:, 0].any()
    assert second.fits_made < first.fits_made
    # and it is what a store would hold that has seen it all at once
    fresh = bench.run(at(20), store="fresh")
    assert fresh.outcomes["all"][0] == "promoted"
    again = bench.version("all", "fresh")
    assert {name: again.fits[name] for name in shared} == {name: before.fits[name] for name in shared}


def test_rows_that_lack_an_upstream_column_are_not_told_as_trained_on(bench: Bench):
    text = TEXT.replace("{area: {}}", "{area: {missing: drop, coverage: 10%}}").replace(
        "partition_by: [place]", 'partition_by: [place]\n    partitions: {except: ["NO"]}'
    )
    frame = rows()
    bench.write(text, d=frame)
    bench.run(at(20))
    document = bench.version("all").document
    counts, known = document["counts"], document["data"]["counts"]["trained"]
    assert counts["no_upstream"] >= (frame["place"] == "NO").sum() / 2
    assert 0 < counts["trained"] <= counts["total"] - counts["no_upstream"] < known
