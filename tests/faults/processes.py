"""Signals and deaths of real processes: seconds to stop, nothing left behind, and a clear text.

Run by `.ci/verbs faults` and by `.ci/run`: minutes, and not collected by plain pytest.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from oracle.trips import MANIFEST, trips
from store.places import SimulatedCrash, crashing

from retraining.store.log import open_store
from retraining.store.packs import read_footer

from .conftest import AS_OF, PROGRAM, ROOT, below, retrain
from .memory import MemoryBench, check_readable, memory, stored_fits
from .test_concurrent_runs import MANIFEST as SIXTEEN
from .test_concurrent_runs import numbers

SLOW = MANIFEST.replace("n_estimators: 5", "n_estimators: 400")


def wait_for(running, word, seconds=90.0):
    """The processes below a run, as soon as one of them has this word in its command line."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and running.poll() is None:
        found = below(running.pid)
        if any(word in line for line in found.values()):
            return found
        time.sleep(0.05)
    pytest.fail(f"no process with {word!r}: {running.communicate(timeout=5)}")


def alive(processes):
    """Those of these processes that are still what they were."""
    left = set()
    for pid in processes:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if state not in "ZX":
            left.add(pid)
    return left


def gone(processes, seconds=5.0):
    end = time.monotonic() + seconds
    while alive(processes) and time.monotonic() < end:
        time.sleep(0.1)
    return not alive(processes)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_modules_are_imported_is_one_line_and_exit_code_130(bench, number):
    slow = "import sys, time\nwith open('began', 'w') as file: pass\ntime.sleep(20)\n"
    for name in ("click", "yaml"):  # the first thing that the command imports, and a later one
        folder = bench.folder / name
        folder.mkdir()
        (folder / f"{name}.py").write_text(slow)
        with subprocess.Popen(
            [*PROGRAM, "validate", "none.yaml"],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)])},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as running:
            while not (folder / "began").exists():
                assert running.poll() is None, running.communicate()
                time.sleep(0.02)
            running.send_signal(number)
            out, said = running.communicate(timeout=15)
        assert (running.returncode, out) == (130, "")
        assert "Traceback" not in said


def test_a_signal_that_the_caller_ignores_stays_ignored(tmp_path):
    code = "import os\nfrom retraining.cli.signals import EarlyStop\nEarlyStop().install()\nos.kill(os.getpid(), 2)"
    done = subprocess.run(
        ["sh", "-c", 'trap "" INT; exec "$@"', "sh", sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert done.returncode == 0


@pytest.mark.ray
def test_ctrl_c_while_ray_starts_does_not_wait_for_it_and_leaves_nothing(bench):
    hours, frame = trips(n=300, days=120)
    bench.write(MANIFEST, hours=hours, trips=frame)
    with retrain(bench) as running:
        processes = wait_for(running, "gcs_server")
        os.killpg(running.pid, signal.SIGINT)
        out, said = running.communicate(timeout=20)
    assert (running.returncode, out) == (130, "")
    assert "Traceback" not in said
    assert "raylet" not in said
    assert gone(processes)


@pytest.mark.ray
@pytest.mark.parametrize("victim", ["gcs_server", "raylet/raylet"])
def test_a_lost_ray_ends_the_run_with_a_clear_error_and_the_next_run_continues(bench, victim):
    hours, frame = trips(n=300, days=120)
    bench.write(SLOW, hours=hours, trips=frame)
    with retrain(bench) as running:
        processes = wait_for(running, "ray::fit:base")
        os.kill(next(pid for pid, line in processes.items() if victim in line), signal.SIGKILL)
        out, said = running.communicate(timeout=60)
    assert (running.returncode, out) == (3, "")
    assert "error: Ray was lost: its" in said
    assert "Traceback" not in said
    assert gone(processes)
    resumed = bench.run(AS_OF)
    assert resumed.after.logical() == bench.run(AS_OF, store="undisturbed").after.logical()
    assert resumed.fits_reused > 0


@pytest.mark.ray
def test_a_killed_worker_costs_its_batch_only(bench):
    hours, frame = trips(n=300, days=120)
    bench.write(SLOW, hours=hours, trips=frame)
    with retrain(bench) as running:
        processes = wait_for(running, "ray::fit:base")
        os.kill(next(pid for pid, line in processes.items() if "ray::fit" in line), signal.SIGKILL)
        out, said = running.communicate(timeout=120)
    assert running.returncode == 0, said
    assert out.startswith("release 1")
    assert bench.store().read_head().logical() == bench.run(AS_OF, store="undisturbed").after.logical()


def finished_fits(bench):
    """The fits in the packs of a store, each as often as it was stored."""
    objects = bench.store().objects
    footers = [read_footer(objects, info.key) for info in objects.list("packs/")]
    return [record.fingerprint for records in footers for record in records if record.action == "fit"]


def wait_for_packs(bench, running, more):
    """Wait until a run has stored so many packs, or ended."""
    folder = bench.folder / "store" / "packs"
    begun = sum(path.is_file() for path in folder.rglob("*")) if folder.exists() else 0
    end = time.monotonic() + 120
    while running.poll() is None and time.monotonic() < end:
        if folder.exists() and sum(path.is_file() for path in folder.rglob("*")) >= begun + more:
            return
        time.sleep(0.01)


@pytest.mark.ray
def test_a_run_that_is_killed_five_times_ends_as_if_nothing_had_happened(bench):
    hours, frame = trips(n=700, days=240)
    bench.write(SLOW, hours=hours, trips=frame)
    undisturbed = bench.run(AS_OF, store="undisturbed")
    chance = random.Random(20240501)
    kills = 0
    for _ in range(5):
        with retrain(bench, "--workers", "2") as running:
            wait_for_packs(bench, running, chance.randint(0, 2))
            time.sleep(chance.random() / 2)
            if running.poll() is not None:
                break
            processes = below(running.pid)
            os.kill(running.pid, signal.SIGKILL)
            kills += 1
            # what workers still store after the driver's death is kept too
            for pid in processes if not gone(processes, 20.0) else ():
                if pid in alive({pid}):
                    os.kill(pid, signal.SIGKILL)
    before = finished_fits(bench)
    with retrain(bench, "--workers", "2", "--format", "json") as running:
        out, said = running.communicate(timeout=180)
    assert running.returncode == 0, said
    fits = json.loads(out)["fits"]
    print(f"{kills} kills: {len(before)} fits had been stored; then {fits}")
    assert kills == 5
    assert bench.store().read_head().logical() == undisturbed.after.logical()
    after = finished_fits(bench)
    assert len(after) == len(set(after)) == undisturbed.fits_made  # nothing stored was made again
    assert fits["made"] == undisturbed.fits_made - len(before)
    assert 0 <= fits["again"] <= fits["made"]


def test_a_crash_raised_inside_every_call_of_a_run_is_survived(bench, monkeypatch):
    worked = MemoryBench(bench, monkeypatch)
    worked.write()
    undisturbed = memory({})
    outcome = worked.run(undisturbed)
    tried = 0
    for after in (False, True):
        for call in range(200):
            left = memory({})
            dying, made = crashing(left, call, after=after)
            try:
                worked.run(dying)
            except SimulatedCrash:
                tried += 1
            else:
                assert len(made) <= call
                break
            had = set(stored_fits(left.bodies))
            again = worked.run(left)
            assert again.fits_made == outcome.fits_made - len(had)
            head = check_readable(left).read_head()
            assert (head.sequence, head.logical()) == (1, outcome.after.logical())
            assert max(stored_fits(left.bodies).values()) == 1
    print(f"{tried} crashes, before and after every call")
    assert tried >= 70


@pytest.mark.parametrize("same", [False, True])
def test_four_runs_as_processes_on_a_real_server(bench, s3_url, same):
    bench.write(SIXTEEN, d=numbers())
    command = [
        *PROGRAM,
        "run",
        "m.yaml",
        "--store",
        s3_url,
        "--backend",
        "serial",
        "--format",
        "json",
        "--no-progress",
    ]
    selections = ["m00"] * 4 if same else ["m00", "m01", "m02 m03", "m04+"]
    processes = [
        subprocess.Popen(
            [*command, "--select", select],
            cwd=bench.folder,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for select in selections
    ]
    ended = [(process.communicate(timeout=180), process.returncode) for process in processes]
    assert all("Traceback" not in said for (_, said), _ in ended)
    codes = [code for _, code in ended]
    releases = {json.loads(out)["release"]["after"] for (out, _), code in ended if code == 0}
    print(f"exit codes {codes}, releases {sorted(releases)}")
    head = open_store(s3_url).read_head()
    if same:
        # who came late found it done; who was beaten says so
        assert set(codes) <= {0, 4}
        assert (head.release, releases) == (1, {1})
    else:
        assert codes == [0, 0, 0, 0]
        assert (head.release, releases) == (4, {1, 2, 3, 4})
        assert {"m00", "m01", "m02", "m03", "m04"} <= set(head.nodes)
