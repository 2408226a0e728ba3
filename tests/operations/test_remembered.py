"""A plan without work is remembered; whatever could change it makes the next one anew."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from oracle.trips import MANIFEST, trips
from oracle.workbench import Bench
from store.places import InterceptedObjects

import retraining.store.log
from retraining import plan
from retraining.cli.entry import run_command
from retraining.operations.run import RunOptions, run

AS_OF, LATER = "2024-05-01T00:00:00Z", "2024-07-01T00:00:00Z"
FOLDS = """
datasets: {d: {path: d.parquet, key: [id]}}
validation: {scheme: folds, folds: 3}
models:
  a:
    dataset: d
    partition_by: [place]
    partitions: {min_rows: 25}
    target: y
    features: [x]
    estimator: {type: Ridge}
  b: {dataset: d, target: y, features: [z], estimator: {type: Ridge}, inputs: {a: {}}}
"""


def rows(n=120, seed=0):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"id": range(n), "x": rng.normal(size=n), "z": rng.normal(size=n)})
    frame["place"] = np.where(frame["id"] < 5, "few", np.where(frame["id"] % 2, "p", "q"))
    return frame.assign(y=frame["x"] + frame["z"] ** 2)


def aged(bench):
    """Files old enough to be known again by their metadata."""
    for path in bench.folder.glob("*.parquet"):
        os.utime(path, (1.7e9, 1.7e9))


@pytest.fixture(scope="module", params=["folds", "time"])
def first(request, tmp_path_factory):
    """A folder with a manifest and its release; to be read only."""
    bench = Bench(tmp_path_factory.mktemp(request.param))
    if request.param == "folds":
        bench.write(FOLDS, d=rows())
    else:
        hours, frame = trips(n=300, days=80)
        bench.write(MANIFEST, hours=hours, trips=frame)
    aged(bench)
    bench.run(AS_OF)
    return bench.folder


@pytest.fixture
def released(first, tmp_path):
    """A bench in a copy of it, to be written to."""
    return Bench(Path(shutil.copytree(first, tmp_path / "released")))


@pytest.fixture
def keys(monkeypatch):
    """The keys that are read from here on."""
    seen = []
    real = retraining.store.log.open_objects

    def opened(url, *, create=False):
        def around(name, arguments, call):
            seen.append(str(arguments[0]) if arguments else name)
            return call()

        return InterceptedObjects(real(url, create=create), around)

    monkeypatch.setattr(retraining.store.log, "open_objects", opened)
    return seen


def made(bench, as_of=AS_OF, **more):
    """The plan as it is made without help."""
    for hint in (bench.folder / "store" / "hints").rglob("bench"):
        hint.unlink()
    return now(bench, as_of, **more)


def now(bench, as_of=AS_OF, **more):
    return plan(bench.folder / "m.yaml", store=str(bench.folder / "store"), as_of=as_of, **more)


def remembered(bench):
    path = bench.folder / "store/hints/plans/bench"
    return path.read_bytes() if path.exists() else None


def test_a_remembered_plan_is_the_plan_and_reads_neither_data_nor_nodes(released, keys):
    first = made(released)
    assert remembered(released)
    assert {decision.action for decision in first.decisions} <= {"keep", "blocked"}
    keys.clear()
    assert now(released) == first
    assert set(keys) == {
        "store.json",
        "log/_hint",
        "log/",
        "log/00000000000000000001.json",
        "feedback/",
        "hints/plans/bench",
    }


def test_every_output_is_the_same_and_a_run_does_nothing_too(released, monkeypatch, capsys, keys):
    monkeypatch.chdir(released.folder)
    for words in (["plan"], ["plan", "--all"], ["plan", "--format", "json"], ["run", "--no-progress"]):
        said = []
        for _ in range(3):
            if not said:
                made(released)
            keys.clear()
            assert run_command([*words, "m.yaml", "--store", "store", "--as-of", AS_OF]) == 0
            said.append(
                capsys.readouterr().out.rpartition(";")[0]
            )  # the end of a run's last line is its seconds
        assert said[0] == said[1] == said[2], words
        assert "hints/plans/bench" in keys
    outcome = run("m.yaml", store="store", as_of=AS_OF, options=RunOptions(backend="serial"))
    assert outcome.before.logical() == outcome.after.logical() == released.store().read_head().logical()
    assert set(outcome.outcomes) == set(released.store().read_head().nodes)


@pytest.mark.parametrize(
    "change", ["manifest", "data", "selection", "release", "damage", "time", "environment"]
)
def test_what_could_change_a_plan_makes_it_anew(released, change, monkeypatch):
    before = made(released)
    kept = remembered(released)
    as_of, asked = AS_OF, {}
    if change == "manifest":
        text = (released.folder / "m.yaml").read_text()
        (released.folder / "m.yaml").write_text(
            text.replace("type: Ridge}", "type: Ridge, parameters: {alpha: 2}}")
        )
    elif change == "data":
        for path in released.folder.glob("[dt]*.parquet"):
            frame = pd.read_parquet(path)
            pd.concat([frame, frame.tail(40).assign(id=frame["id"].max() + 1 + np.arange(40))]).to_parquet(
                path
            )
        aged(released)
    elif change == "selection":
        asked = {"force": ("state:released",)}
    elif change == "release":
        released.run(AS_OF, force=("*",))
    elif change == "damage":
        body = bytearray(kept)
        body[len(body) // 2] ^= 1
        (released.folder / "store/hints/plans/bench").write_bytes(body)
    elif change == "time":
        as_of = LATER
    else:
        monkeypatch.setattr("retraining.operations.session.environment_digest", lambda: "sha256:another")
    found = now(released, as_of, **asked)
    assert found == made(released, as_of, **asked)
    if change in ("manifest", "data", "selection"):
        assert found.active
    if change == "environment":
        assert found != before


def test_files_that_were_just_written_are_not_trusted(bench):
    bench.write(FOLDS, d=rows())
    bench.run()
    # a moment that no slow machine leaves behind
    for path in bench.folder.glob("*.parquet"):
        os.utime(path, (time.time() + 3600,) * 2)
    now(bench)
    assert remembered(bench) is None
