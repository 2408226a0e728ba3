"""Whole runs whose store is a bucket of a real server: the same releases as in a folder, and few requests."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from oracle.trips import MANIFEST, trips
from store.flaky_proxy import flaky_proxy
from store.s3_server import SECRET

from retraining.cli.entry import run_command
from retraining.operations.run import RunOptions, Watcher, run
from retraining.prediction.exported import load_exported
from retraining.store.log import open_store
from retraining.store.objects import open_objects

AS_OF = "2024-05-01T00:00:00Z"
SERIAL = RunOptions(backend="serial")


@pytest.fixture
def manifest(bench) -> Path:
    hours, frame = trips(n=400, days=100)
    bench.write(MANIFEST, hours=hours, trips=frame)
    return bench.folder / "m.yaml"


@pytest.fixture
def expected(bench, manifest) -> str:
    """What the release must be: that of a run with a local store."""
    return bench.run(AS_OF, store="local").after.logical()


def started(manifest: Path, url: str, watcher: Watcher | None = None):
    return run(manifest, store=url, as_of=AS_OF, options=SERIAL, watcher=watcher)


def every_fourth(number, method, path):
    return None if number % 4 else ("lost", "spoiled")[number // 4 % 2]


def count(proxy, some) -> Counter:
    """The requests that `some()` made, by method."""
    before = len(proxy.requests)
    some()
    return Counter(method for method, _ in proxy.requests[before:])


def budget(proxy) -> float:
    """The requests that a run may make (docs/design.md 11), with one shard of the node table; no time is added."""
    batches = len({path for method, path in proxy.requests if method == "PUT" and "/packs/" in path})
    assert batches >= 5
    return 40 + 1.2 * batches + 1


def test_a_run_with_a_bucket_releases_the_same_and_stays_under_its_budget(
    s3_server, s3_url, monkeypatch, manifest, expected
):
    with flaky_proxy(s3_server.endpoint) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        outcomes = []
        first = count(proxy, lambda: outcomes.append(started(manifest, s3_url)))
        outcome = outcomes[0]
        assert outcome.after.logical() == expected
        assert first.total() <= budget(proxy)

        again = count(proxy, lambda: outcomes.append(started(manifest, s3_url)))
        assert (outcomes[1].fits_made, outcomes[1].after) == (0, outcome.after)
        assert again.total() <= 10
        # what is learnt about files that are seconds old is not kept, so their hint is written again
        assert again["PUT"] <= 1
        assert set(again) <= {"GET", "PUT"}


def test_every_verb_reads_from_a_bucket(s3_url, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run_command(["init"]) == 0
    assert run_command(["run", "--backend", "serial", "--no-progress", "--store", s3_url]) == 0
    assert "release 1" in capsys.readouterr().out
    for words, said in [
        (["plan", "diabetes.yaml"], "nothing"),
        (["status"], s3_url),
        (["releases"], "1"),
        (["explain", "progression"], "progression"),
        (["predict", "progression", "--data", "diabetes.csv"], "release"),
        (["report", "-o", "page.html"], "page.html"),
        (["export", "-o", "release.zip"], "3 nodes"),
        (["export", "progression", "-o", "progression"], "progression of release 1"),
        (["ls", "diabetes.yaml"], "progression"),
        (["verify"], "everything is as its record says"),
        (["gc"], "dry run"),
        (["gc", "--grace", "0", "--yes"], "kept"),
        (["gc", "--grace", "0", "--yes"], "kept"),
        (["verify"], "everything is as its record says"),
    ]:
        assert run_command([*words, "--store", s3_url]) == 0, words
        assert said in capsys.readouterr().out, words
    model = load_exported(tmp_path / "release.zip", "progression")
    expected = model.predict(tmp_path / "diabetes.csv")
    np.testing.assert_array_equal(load_exported(tmp_path / "progression").predict("diabetes.csv"), expected)
    assert run_command(["export", "--store", s3_url, "-o", f"{s3_url}/release.zip"]) == 2
    assert "an export is a folder or a .zip here" in capsys.readouterr().err
    assert s3_url in (tmp_path / "page.html").read_text().replace("<wbr>", "")
    assert not (tmp_path / "store").exists()


def test_no_secret_reaches_the_store_or_a_stream(s3_url, manifest, capfd):
    started(manifest, s3_url)
    objects = open_objects(s3_url)
    bodies = [objects.get(info.key) for info in objects.list("")]
    assert len(bodies) > 5
    streams = capfd.readouterr()
    for text in [*bodies, streams.out.encode(), streams.err.encode()]:
        assert SECRET.encode() not in text
        assert b"testkey" not in text


@pytest.mark.ray
def test_workers_of_ray_build_their_own_client_and_release_the_same_with_few_requests(
    s3_server, s3_url, manifest, expected
):
    # a socket's path has room for 107 characters
    folder = Path(tempfile.mkdtemp(prefix="r", dir="/tmp"))
    root = Path(__file__).parents[2]
    with flaky_proxy(s3_server.endpoint) as proxy:
        environment = {
            **os.environ,
            "PYTHONPATH": str(root),
            "RAY_TMPDIR": str(folder),
            "AWS_ENDPOINT_URL": proxy.endpoint,
        }
        done = subprocess.run(
            [
                sys.executable, "-c", "from retraining.cli import main; main()", "run", str(manifest),
                "--store", s3_url, "--as-of", AS_OF, "--workers", "2", "--format", "json",
            ],
            capture_output=True, text=True, timeout=180, env=environment,
        )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["fits"]["made"] > 5
    assert open_store(s3_url).read_head().logical() == expected
    # one more for each worker: each opens the store for itself
    assert len(proxy.requests) <= budget(proxy) + 2
    written = [path.read_bytes() for path in folder.rglob("*") if path.is_file()]
    shutil.rmtree(folder)
    for text in [done.stdout.encode(), done.stderr.encode(), *written]:
        assert SECRET.encode() not in text


def test_a_run_ends_the_same_when_the_server_dies_and_returns(s3_server, s3_url, manifest, expected):
    if not s3_server.folder:
        pytest.skip("RETRAINING_TEST_S3_FOLDER does not say where the server's process is")
    seen: list[object] = []
    returns: list[threading.Thread] = []

    def progress(now):
        seen.append(now)
        if len(seen) in (3, 8):
            s3_server.gateway("kill")
            returns.append(threading.Thread(target=s3_server.gateway, args=("start",)))
            returns[-1].start()

    outcome = started(manifest, s3_url, Watcher(progress=progress))
    for thread in returns:
        thread.join()
    assert len(returns) == 2
    assert outcome.after.logical() == expected
    assert started(manifest, s3_url).fits_made == 0


def test_a_run_ends_the_same_when_every_fourth_answer_is_lost(
    s3_server, s3_url, monkeypatch, manifest, expected
):
    with flaky_proxy(
        s3_server.endpoint,
        every_fourth,
    ) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        outcome = started(manifest, s3_url)
        assert proxy.faults > 10
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server.endpoint)
    assert outcome.after.logical() == expected
    assert [entry.release for entry in open_store(s3_url).entries()] == [1]


def test_a_bucket_that_does_not_exclude_is_refused_before_anything_is_trained(
    s3_server, manifest, bench, capsys
):
    s3_server.make_bucket("versioned-runs", versioned=True)
    words = ["run", str(manifest), "--as-of", AS_OF, "--backend", "serial", "--no-progress"]
    assert run_command([*words, "--store", "s3://versioned-runs/x"]) == 3
    said = capsys.readouterr().err
    assert "two runs could both believe that their release won" in said
    assert "without versioning" in said
    keys = [info.key for info in open_objects("s3://versioned-runs/x").list("")]
    assert keys == ["store.json"]
