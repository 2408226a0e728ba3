"""Runs and jobs on a real cluster of several raylets on this machine: the same release, whatever happens to nodes.

Run by `.ci/verbs cluster` and by `.ci/run`: minutes, and not collected by plain pytest.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
from oracle.trips import MANIFEST, trips
from oracle.workbench import Bench

from .conftest import AS_OF, ROOT, nodes_here, retrain

SLOW = MANIFEST.replace("n_estimators: 5", "n_estimators: 200")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with nodes_here(tmp_path_factory.mktemp("nodes"), nodes=2) as found:
        yield found


@pytest.fixture
def work(bench):
    return slow_work(bench)


@pytest.fixture
def small(bench):
    return small_work(bench)


def slow_work(bench):
    hours, frame = trips(n=300, days=120)
    return bench.write(SLOW, hours=hours, trips=frame)


def small_work(bench):
    hours, frame = trips(n=120, days=60)
    return bench.write(MANIFEST, hours=hours, trips=frame)


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The digest of what one process releases, by the manifest's text."""
    found = {}
    for write in (slow_work, small_work):
        bench = write(Bench(tmp_path_factory.mktemp("alone")))
        found[(bench.folder / "m.yaml").read_text()] = bench.run(AS_OF).after.logical()
    return lambda work: found[(work.folder / "m.yaml").read_text()]


def run(work, cluster, *more, store="store", **environment):
    arguments = ["run", "m.yaml", "--address", cluster.address, "--store", store, "--as-of", AS_OF, *more]
    return retrain(arguments, cwd=work.folder, environment=cluster.environment | environment)


def submit(work, cluster, *more):
    shared = ["--store", "store", "--shared", str(work.folder / "store"), "--as-of", AS_OF]
    arguments = ["submit", "m.yaml", "--address", cluster.job_server, *shared, *more]
    return retrain(arguments, cwd=work.folder, environment=cluster.environment)


def wait_for_packs(work, running, count):
    folder = work.folder / "store" / "packs"
    end = time.monotonic() + 120
    while running.poll() is None and time.monotonic() < end:
        if folder.exists() and sum(path.is_file() for path in folder.rglob("*")) >= count:
            return
        time.sleep(0.02)


def ask(cluster, code):
    """What Ray says of the cluster to a process of its own."""
    program = (
        f"import ray; from ray._raylet import GcsClient; gcs = GcsClient(address={cluster.address!r})\n{code}"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env=cluster.environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def wait_for_nodes(cluster, count):
    """Until Ray has so many living nodes: it needs seconds to notice that one was killed."""
    code = (
        f"import time; ray.init(address={cluster.address!r}, logging_level='ERROR')\n"
        f"while sum(node['Alive'] for node in ray.nodes()) != {count}: time.sleep(0.2)"
    )
    ask(cluster, code)


def test_a_cluster_gives_the_release_that_one_process_gives(work, cluster, alone):
    with run(work, cluster, "--format", "json") as running:
        out, said = running.communicate(timeout=180)
    assert running.returncode == 0, said
    assert json.loads(out)["exit_code"] == 0
    assert work.store().read_head().logical() == alone(work)
    # nothing of the look at the nodes is left
    assert not list(work.store().objects.list("probes/"))


def test_a_node_that_is_killed_and_one_that_joins_change_nothing_but_the_time(work, cluster):
    text = (work.folder / "m.yaml").read_text()
    # long enough for a node to start and to be noticed
    (work.folder / "m.yaml").write_text(text.replace("n_estimators: 200", "n_estimators: 1500"))
    number = cluster.command("add").strip()
    with run(work, cluster, "--format", "json") as running:
        wait_for_packs(work, running, 2)
        cluster.command("kill", number)
        cluster.command("add")
        out, said = running.communicate(timeout=400)
    assert running.returncode == 0, said
    assert "was lost: " in said
    assert "joined: " in said
    assert json.loads(out)["counts"].get("failed") is None
    assert work.store().read_head().logical() == work.run(AS_OF, store="alone").after.logical()


def test_a_node_that_has_other_code_or_none_is_named_before_any_work_is_done(small, cluster, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(ROOT / "retraining", other / "retraining")
    (other / "retraining" / "errors.py").open("a").write("# another version\n")
    none = tmp_path / "none"
    (none / "retraining").mkdir(parents=True)
    (none / "retraining" / "__init__.py").write_text("raise ImportError('no such package')")
    numbers = [
        cluster.command("add", environment={"PYTHONPATH": str(path)}).strip() for path in (other, none)
    ]
    try:
        with run(small, cluster) as running:
            out, said = running.communicate(timeout=120)
    finally:
        for number in numbers:
            cluster.command("kill", number)
        wait_for_nodes(cluster, 4)
    assert (running.returncode, out) == (3, "")
    assert "2 of the cluster's 5 nodes cannot take work" in said
    assert "is other code" in said
    assert "it has no retraining (no such package" in said
    assert "next: install retraining" in said
    assert not list(small.store().objects.list("packs/"))


def test_a_folder_that_is_another_one_on_the_nodes_is_no_store(small, cluster):
    # a process's own working folder: the run and the nodes see different folders under one path
    place = "/proc/self/cwd/store"
    with run(small, cluster, store=place) as running:
        out, said = running.communicate(timeout=120)
    assert (running.returncode, out) == (3, "")
    assert "nodes cannot take work" in said
    assert "it cannot use the store" in said
    assert "a shared file system" in said
    assert not list(small.store().objects.list("packs/"))


def test_what_no_node_has_is_refused_or_waited_for_and_asked_of_the_autoscaler(small, cluster, alone):
    text = (small.folder / "m.yaml").read_text()
    (small.folder / "m.yaml").write_text(f"{text}\ndefaults: {{resources: {{custom: {{fpga: 1}}}}}}\n")
    with run(small, cluster) as running:
        out, said = running.communicate(timeout=120)
    assert (running.returncode, out) == (3, "")
    assert "asks for 1 fpga (the largest node has 0 fpga)" in said
    asked = "print(gcs.internal_kv_get(b'autoscaler_resource_request', namespace=None))"
    with run(small, cluster, "--wait-for-nodes", "10m") as running:
        end = time.monotonic() + 60
        while "fpga" not in ask(cluster, asked) and time.monotonic() < end:
            assert running.poll() is None, running.communicate()
        cluster.command("add", "--resources", '{"fpga": 1}')  # as an autoscaler would
        out, said = running.communicate(timeout=120)
    assert running.returncode == 0, said
    assert ask(cluster, asked) == "b'[]'"
    (small.folder / "m.yaml").write_text(text)
    assert small.store().read_head().logical() == alone(small)


def test_without_the_token_the_cluster_is_not_used(small, cluster, tmp_path):
    arguments = ["submit", "m.yaml", "--address", cluster.job_server, "--store", "s3://models/none"]
    wrong = {"RAY_AUTH_TOKEN_PATH": "", "RAY_AUTH_TOKEN": "0" * 64, "HOME": str(tmp_path)}
    with retrain(arguments, cwd=small.folder, environment=cluster.environment | wrong) as running:
        out, said = running.communicate(timeout=60)
    assert (running.returncode, out) == (3, "")
    assert "give the cluster's token" in said
    assert "Traceback" not in said


def test_a_job_releases_what_a_run_releases_and_has_its_exit_code(small, cluster, alone):
    with submit(small, cluster, "--format", "json") as running:
        out, said = running.communicate(timeout=180)
    assert running.returncode == 0, said
    document = json.loads(out)
    assert (document["status"], document["exit_code"]) == ("succeeded", 0)
    assert document["run"]["release"] == {"before": None, "after": 1}
    assert small.store().read_head().logical() == alone(small)
    assert "uploads 3 files" in said
    assert "first release" in said  # what the run said of its nodes
    assert "trap" not in said
    with submit(small, cluster, "--select", "none") as running:
        out, said = running.communicate(timeout=180)
    assert (running.returncode, out) == (2, "")
    assert "no model is named 'none'" in said


def test_a_job_goes_on_when_nobody_follows_it_and_can_be_followed_again(small, cluster):
    with submit(small, cluster, "--job", "mine") as running:
        line = running.stderr.readline() + running.stderr.readline()
        assert "job mine on" in line
        running.send_signal(signal.SIGINT)
        _, said = running.communicate(timeout=60)
    assert running.returncode == 130, said
    assert "job mine goes on" in said
    following = ["submit", "--follow", "mine", "--address", cluster.job_server]
    with retrain(following, cwd=small.folder, environment=cluster.environment) as running:
        out, said = running.communicate(timeout=180)
    assert running.returncode == 0, said
    assert out.startswith("release 1 is the first")
    with submit(small, cluster, "--job", "mine") as running:
        _, said = running.communicate(timeout=60)
    assert running.returncode == 2
    assert "has a job mine already" in said


def test_a_job_that_is_stopped_keeps_what_it_finished_and_the_next_continues(work, cluster, alone):
    with submit(work, cluster, "--stop-on-interrupt") as running:
        wait_for_packs(work, running, 3)
        running.send_signal(signal.SIGINT)
        _, said = running.communicate(timeout=60)
    assert running.returncode == 130, said
    assert "was stopped; every finished fit is kept" in said
    with submit(work, cluster, "--format", "json") as running:
        out, said = running.communicate(timeout=240)
    assert running.returncode == 0, said
    assert json.loads(out)["run"]["fits"]["reused"] > 0
    assert work.store().read_head().logical() == alone(work)


def test_a_lost_head_ends_the_run_with_a_clear_error(work, tmp_path_factory):
    text = (work.folder / "m.yaml").read_text()
    # a run that is over within half a minute ends well without the head
    (work.folder / "m.yaml").write_text(text.replace("n_estimators: 200", "n_estimators: 3000"))
    with nodes_here(tmp_path_factory.mktemp("doomed"), nodes=1) as doomed, run(work, doomed) as running:
        wait_for_packs(work, running, 2)
        pid = int(ask(doomed, "print(gcs.internal_kv_get(b'gcs_pid', namespace=None).decode())"))
        # what watches over the head would end its raylet too, and with it a run that sits there
        os.kill(json.loads((doomed.folder / "cluster.json").read_text())["nodes"][0], signal.SIGSTOP)
        os.kill(pid, signal.SIGKILL)
        out, said = running.communicate(timeout=120)
    assert (running.returncode, out) == (3, "")
    assert "was lost" in said
    assert "Traceback" not in said
