"""Sixteen runs at once on one store: on disjoint parts all land and nothing is lost, on the same part one does."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest

from retraining.errors import ReleaseConflictError
from retraining.operations.run import RunOptions, Watcher, run
from retraining.store.log import open_store

pytestmark = pytest.mark.slow

N = 16
NAMES = [f"m{number:02}" for number in range(N)]
MANIFEST = """
datasets: {d: {path: d.parquet, key: [id]}}
validation: {scheme: folds, folds: 2}
models:
""" + "".join(
    f"  {name}:\n"
    "    {dataset: d, target: y, features: [x], estimator: {type: Ridge, parameters: {alpha: %d}}}\n"
    % (number + 1)
    for number, name in enumerate(NAMES)
)


def numbers() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"id": range(60), "x": rng.normal(size=60)})
    return frame.assign(y=frame["x"] + rng.normal(size=60))


@pytest.fixture(params=["folder", "s3"])
def url(request, bench) -> str:
    return request.getfixturevalue("s3_url") if request.param == "s3" else str(bench.folder / "store")


@pytest.fixture
def ready(bench):
    return bench.write(MANIFEST, d=numbers())


def together(bench, url, selections):
    """What becomes of a run for each selection, in threads that all have their plan before any goes on."""
    barrier = threading.Barrier(len(selections))

    def one(select):
        try:
            return run(
                bench.folder / "m.yaml",
                store=url,
                select=(select,),
                options=RunOptions(backend="serial"),
                watcher=Watcher(planned=lambda _: barrier.wait(60)),
            )
        except ReleaseConflictError as error:
            return error
        except Exception:
            barrier.abort()
            raise

    with ThreadPoolExecutor(len(selections)) as pool:
        futures = [pool.submit(one, select) for select in selections]
    broken = [future.exception() for future in futures if future.exception() is not None]
    for error in sorted(broken, key=lambda error: isinstance(error, threading.BrokenBarrierError)):
        raise error
    return [future.result() for future in futures]


def test_runs_on_disjoint_parts_all_land_each_in_a_release_of_its_own(ready, url):
    outcomes = together(ready, url, NAMES)
    assert sorted(outcome.after.release for outcome in outcomes) == list(range(1, N + 1))
    store = open_store(url)
    head = store.read_head()
    assert (head.release, head.sequence) == (N, N)
    # no update lost: every node stands as its own run left it
    for name, outcome in zip(NAMES, outcomes, strict=True):
        assert outcome.outcomes[name][0] == "promoted"
        assert head.nodes[name] == outcome.after.nodes[name]
    alone = run(
        ready.folder / "m.yaml", store=str(ready.folder / "alone"), options=RunOptions(backend="serial")
    )
    assert head.logical() == alone.after.logical()
    print(f"{N} runs at once on disjoint parts: {head.release} releases")


def test_of_runs_on_the_same_part_exactly_one_wins_and_the_others_say_so(ready, url):
    outcomes = together(ready, url, ["m00"] * N)
    lost = [outcome for outcome in outcomes if isinstance(outcome, ReleaseConflictError)]
    assert len(lost) == N - 1
    assert {error.exit_code for error in lost} == {4}
    assert all("m00" in error.message and "run again" in error.next_step for error in lost)
    (won,) = (outcome for outcome in outcomes if not isinstance(outcome, ReleaseConflictError))
    head = open_store(url).read_head()
    assert (head.release, head.sequence, head.logical()) == (1, 1, won.after.logical())
    assert [entry.run for entry in open_store(url).entries()] == [won.run]
    print(f"{N} runs at once on the same part: 1 won, {len(lost)} were told so")
