"""Runs on a real cluster of several raylets on this machine: the same release, whatever happens to nodes.

Run by `.ci/verbs cluster` and by `.ci/run`: minutes, and not collected by plain pytest.
"""

from __future__ import annotations

import json
import time

import pytest
from oracle.trips import MANIFEST, trips

from .conftest import AS_OF, nodes_here, retrain

SLOW = MANIFEST.replace("n_estimators: 5", "n_estimators: 300")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with nodes_here(tmp_path_factory.mktemp("nodes"), nodes=2) as found:
        yield found


@pytest.fixture
def work(bench):
    hours, frame = trips(n=300, days=120)
    bench.write(SLOW, hours=hours, trips=frame)
    return bench


def run(work, cluster, *more, store="store"):
    arguments = ["run", "m.yaml", "--address", cluster.address, "--store", store, "--as-of", AS_OF, *more]
    return retrain(arguments, cwd=work.folder, environment=cluster.environment)


def packs(work):
    folder = work.folder / "store" / "packs"
    return sum(path.is_file() for path in folder.rglob("*")) if folder.exists() else 0


def wait_for_packs(work, running, count):
    end = time.monotonic() + 120
    while running.poll() is None and time.monotonic() < end:
        if packs(work) >= count:
            return
        time.sleep(0.02)


def test_a_cluster_gives_the_release_that_one_process_gives(work, cluster):
    with run(work, cluster, "--format", "json") as running:
        out, said = running.communicate(timeout=180)
    assert running.returncode == 0, said
    assert json.loads(out)["exit_code"] == 0
    assert work.store().read_head().logical() == work.run(AS_OF, store="alone").after.logical()
    # nothing of the look at the nodes is left
    assert not list(work.store().objects.list("probes/"))


def test_a_node_that_is_killed_and_one_that_joins_change_nothing_but_the_time(work, cluster):
    number = cluster.command("add").strip()
    with run(work, cluster, "--format", "json") as running:
        wait_for_packs(work, running, 2)
        cluster.command("kill", number)
        cluster.command("add")
        out, said = running.communicate(timeout=240)
    assert running.returncode == 0, said
    assert "was lost" in said
    assert "joined: " in said
    assert json.loads(out)["counts"].get("failed") is None
    assert work.store().read_head().logical() == work.run(AS_OF, store="alone").after.logical()
