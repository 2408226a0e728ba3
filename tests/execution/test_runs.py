"""Whole runs that go wrong: failing estimators, stops, kills. What was finished is never done twice."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from oracle.trips import MANIFEST, trips

from retraining.errors import InterruptedRunError
from retraining.operations.run import Watcher

FAILING = """
datasets: {d: {path: d.parquet, key: [id]}}
defaults: {gate: {refit_shift: 100}}
models:
  good: {dataset: d, target: y, features: [x], estimator: {type: Ridge}}
  bad: {dataset: d, target: count, features: [x], estimator: {type: PoissonRegressor}}
  reader: {dataset: d, target: y, features: [x], estimator: {type: Ridge}, inputs: {bad: {}}}
  both: {dataset: d, target: y, features: [x], estimator: {type: Ridge}, inputs: {reader: {}, good: {}}}
  apart: {dataset: d, target: y, features: [x], estimator: {type: Ridge}, inputs: {good: {}}}
"""
AS_OF = "2024-05-01T00:00:00Z"


def counts(n=150, negative=0):
    """Rows whose counts a Poisson regression takes, but for some that it refuses."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"id": np.arange(n), "x": rng.normal(size=n)})
    frame["y"] = frame["x"] + rng.normal(size=n)
    frame["count"] = rng.poisson(np.exp(frame["x"].clip(-2, 2))).astype(float)
    frame.loc[: negative - 1, "count"] = -1.0
    return frame


def outcomes(outcome):
    return {node: word for node, (word, _) in outcome.outcomes.items()}


def test_a_node_whose_training_raises_fails_alone_and_what_needs_it_is_blocked(bench):
    bench.write(FAILING, d=counts(negative=30))
    first = bench.run()
    assert outcomes(first) == {
        "good": "promoted", "bad": "failed", "reader": "blocked", "both": "blocked", "apart": "promoted",
    }  # fmt: skip
    assert first.exit_code == 1
    assert "PoissonRegressor" in first.outcomes["bad"][1]
    assert "bad" in first.outcomes["reader"][1]
    assert "reader" in first.outcomes["both"][1]
    again = bench.run()
    # only what is missing is tried, and nothing that worked is made again
    assert outcomes(again) == {
        "good": "kept",
        "bad": "failed",
        "reader": "blocked",
        "both": "blocked",
        "apart": "kept",
    }
    assert (again.exit_code, again.fits_made) == (1, 0)
    bench.write(FAILING, d=counts())
    mended = bench.run()
    assert outcomes(mended) == {
        "good": "kept",
        "bad": "promoted",
        "reader": "promoted",
        "both": "promoted",
        "apart": "kept",
    }
    assert mended.exit_code == 0
    # the same release as a store that never saw the failure
    assert bench.run(store="other").after.logical() == mended.after.logical()


def test_a_failed_challenger_keeps_its_champion_and_its_readers_go_on_with_it(bench):
    bench.write(FAILING, d=counts())
    released = bench.run()
    assert released.exit_code == 0
    champion = bench.state("bad").version
    bench.write(FAILING, d=counts(negative=30))
    failed = bench.run(force=("bad",))
    assert outcomes(failed)["bad"] == "failed"
    assert failed.exit_code == 1
    assert {word for node, word in outcomes(failed).items() if node != "bad"} == {"kept"}
    assert bench.state("bad").version == champion
    assert failed.after.release == released.after.release
    assert {n: s.version for n, s in failed.after.nodes.items()} == {
        n: s.version for n, s in released.after.nodes.items()
    }
    # a reader that is due on its own account learns from the champion's column
    both = FAILING.replace("inputs: {bad: {}}", "inputs: {bad: {}}, gate: {margin: {absolute: 5}}").replace(
        "reader: {dataset: d, target: y, features: [x], estimator: {type: Ridge}",
        "reader: {dataset: d, target: y, features: [x], estimator: {type: Ridge, parameters: {alpha: 2.0}}",
    )
    bench.write(both, d=counts(negative=30))
    due = bench.run(force=("bad",))
    assert outcomes(due)["bad"] == "failed"
    assert outcomes(due)["reader"] in ("promoted", "rejected", "waiting")


def test_a_stopped_run_keeps_every_finished_fit_and_the_next_one_ends_like_an_undisturbed_one(bench):
    hours, frame = trips(n=500, days=120)
    bench.write(MANIFEST, hours=hours, trips=frame)
    undisturbed = bench.run(AS_OF, store="undisturbed")
    asked = 0

    def stop_asked():
        nonlocal asked
        asked += 1
        return asked > 30

    with pytest.raises(InterruptedRunError, match="every finished fit is kept"):
        bench.run(AS_OF, watcher=Watcher(stop_asked=stop_asked))
    assert bench.store().read_head().nodes == {}
    resumed = bench.run(AS_OF)
    assert resumed.after.logical() == undisturbed.after.logical()
    assert 0 < resumed.fits_made < undisturbed.fits_made
    assert bench.run(AS_OF).fits_made == 0


@pytest.mark.parametrize("after", [1, *(pytest.param(after, marks=pytest.mark.slow) for after in (6, 14))])
def test_a_killed_run_is_resumed_by_running_again(bench, after):
    hours, frame = trips(n=500, days=120)
    bench.write(MANIFEST, hours=hours, trips=frame)
    undisturbed = bench.run(AS_OF, store="undisturbed")
    killed = f"""
import os, signal, sys
from retraining.operations.run import RunOptions, Watcher, run
seen = []
def progress(now):
    seen.append(now)
    if len(seen) > {after}:
        os.kill(os.getpid(), signal.SIGKILL)
options = RunOptions(backend="serial")
run(sys.argv[1], store=sys.argv[2], as_of="{AS_OF}", options=options, watcher=Watcher(progress=progress))
"""
    arguments = [sys.executable, "-c", killed, str(bench.folder / "m.yaml"), str(bench.folder / "store")]
    assert subprocess.run(arguments, check=False, capture_output=True).returncode == -9
    resumed = bench.run(AS_OF)
    assert resumed.after.logical() == undisturbed.after.logical()
    assert 0 < resumed.fits_made < undisturbed.fits_made


def test_a_damaged_pack_of_a_killed_run_is_a_miss_and_not_the_end(bench):
    hours, frame = trips(n=500, days=120)
    bench.write(MANIFEST, hours=hours, trips=frame)
    undisturbed = bench.run(AS_OF, store="undisturbed")
    asked = iter(range(10_000))
    with pytest.raises(InterruptedRunError):
        bench.run(AS_OF, watcher=Watcher(stop_asked=lambda: next(asked) > 30))
    for segment in (bench.folder / "store" / "results").rglob("*"):
        segment.unlink()
    packs = sorted(path for path in (bench.folder / "store" / "packs").rglob("*") if path.is_file())
    packs[0].write_bytes(packs[0].read_bytes()[:-7])
    assert bench.run(AS_OF).after.logical() == undisturbed.after.logical()


@pytest.mark.ray
@pytest.mark.usefixtures("ray_session")
def test_a_stop_on_ray_keeps_finished_fits_and_a_failure_there_is_the_same_failure(bench):
    bench.write(FAILING, d=counts(negative=30))
    serial = bench.run()
    on_ray = bench.run(store="ray", backend="ray")
    assert on_ray.outcomes == serial.outcomes
    assert on_ray.after.logical() == serial.after.logical()
    hours, frame = trips(n=500, days=120)
    bench.write(MANIFEST, hours=hours, trips=frame)
    undisturbed = bench.run(AS_OF, store="undisturbed")
    asked = iter(range(10_000))
    with pytest.raises(InterruptedRunError):
        bench.run(AS_OF, store="stopped", backend="ray", watcher=Watcher(stop_asked=lambda: next(asked) > 12))
    resumed = bench.run(AS_OF, store="stopped", backend="ray")
    assert resumed.after.logical() == undisturbed.after.logical()
    assert resumed.fits_made < undisturbed.fits_made


def test_a_description_and_words_for_the_machine_retrain_nothing_and_commit_nothing(bench):
    bench.write(FAILING.replace("  good: {", "  good: {description: one, tags: [x], "), d=counts())
    first = bench.run()
    other = FAILING.replace("  good: {", "  good: {description: other, owner: me, resources: {cpus: 2}, ")
    other = other.replace("type: PoissonRegressor", "type: PoissonRegressor, parameters: {verbose: 1}")
    bench.write(other, d=counts())
    second = bench.run()
    assert set(outcomes(second).values()) == {"kept"}
    assert (second.fits_made, second.after.sequence) == (0, first.after.sequence)


def test_the_run_record_is_plain_json_that_names_every_node(bench):
    bench.write(FAILING, d=counts(negative=30))
    outcome = bench.run()
    text = json.dumps(dict(outcome.record), allow_nan=False)
    assert all(f'"{node}"' in text for node in outcome.outcomes)
