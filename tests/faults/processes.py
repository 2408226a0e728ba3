"""Signals and deaths of real processes: seconds to stop, nothing left behind, and a clear text."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from oracle.trips import MANIFEST, trips

from .conftest import AS_OF, PROGRAM, ROOT, below, retrain

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
