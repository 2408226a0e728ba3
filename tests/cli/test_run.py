"""`run`: what is told while it runs and at its end, its exit codes, and how it is stopped."""

from __future__ import annotations

import io
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from oracle.workbench import records
from rich.console import Console

from retraining.cli.live import LiveView
from retraining.execution.driver import Progress
from retraining.store.log import open_store
from tests.cli.conftest import PROGRAM, Type, environment

LONG = """\
manifest: 1
name: long
store: ./store
datasets:
  patients: {path: diabetes.csv, key: [patient]}
models:
  quick: {dataset: patients, target: progression, features: [bmi], estimator: {type: Ridge}}
  slow:
    dataset: patients
    target: progression
    features: [bmi, bp]
    inputs: {quick: {}}
    estimator: {type: RandomForestRegressor, parameters: {n_estimators: 100000}}
"""


def test_a_run_with_nothing_to_do_says_why_and_counts(in_released: Path, type_: Type) -> None:
    answer = type_("run")
    assert answer.code == 0
    lines = answer.out.splitlines()
    assert lines[0] == "release 1 stays"
    assert "kept" in lines[1]
    assert lines[2].strip() == "nothing changed"
    assert lines[-1].startswith("3 nodes: 3 kept; 0 fits made, 0 reused; ")


def test_a_run_is_one_document_with_json_and_lines_on_stderr(own_copy: Path, type_: Type) -> None:
    answer = type_("run", "--backend", "serial", "--force", "progression", "--format", "json")
    assert answer.document["counts"] == {"kept": 2, "promoted": 1}
    assert answer.document["fits"]["made"] > 0
    assert [line for line in answer.err.splitlines() if " won " in line and "progression" in line]


def _changed(old: str, new: str) -> None:
    manifest = Path("diabetes.yaml")
    text = manifest.read_text()
    assert old in text
    manifest.write_text(text.replace(old, new))


def test_a_rejected_challenger_is_handled_unless_it_should_fail(own_copy: Path, type_: Type) -> None:
    _changed("max: 4500", "max: 10")
    _changed("features: [age, sex]\n", "features: [age]\n")
    again = own_copy.parent / "again"
    shutil.copytree(own_copy, again)
    answer = type_("run", "--backend", "serial", "--select", "progression")
    assert answer.code == 0
    assert "rejected" in answer.out
    assert "limit missed" in answer.out
    os.chdir(again)
    assert (
        type_("run", "--backend", "serial", "--select", "progression", "--fail-on", "waiting,rejected").code
        == 1
    )
    standing = type_("status")
    assert "needs a look" in standing.out
    assert "last attempt: rejected" in type_("explain", "progression").out


def test_a_failure_ends_with_1_and_its_error_is_told_once(own_copy: Path, type_: Type) -> None:
    _changed(
        "estimator: {type: Ridge}\n\n",
        "estimator: {type: Ridge, parameters: {solver: svd, positive: true}}\n\n",
    )
    answer = type_("run", "--backend", "serial")
    assert answer.code == 1
    assert "failed" in answer.out
    assert "ValueError" in answer.out
    plan = type_("plan").out
    assert "failed before: the last attempt failed" in plan
    assert type_("status", "--format", "json").document["release"] == 1


def _stopped(folder: Path, number: signal.Signals, until: str, *arguments: str) -> tuple[int, str]:
    """Starts a run, sends a signal once `until` was said, and gives the code with which it ended, and stderr."""
    with subprocess.Popen(
        [*PROGRAM, "run", *arguments],
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as running:
        assert running.stderr is not None
        said = ""
        for line in running.stderr:
            said += line
            if until in line:
                break
        time.sleep(0.5)
        running.send_signal(number)
        said += running.stderr.read()
        return running.wait(timeout=40), said


def _only_the_quick_fits_were_finished(type_: Type) -> bool:
    """Whether the long fit, which takes minutes, was left and not waited for, and what was finished was kept."""
    finished = {record.parts["node"] for record in records(open_store("store")) if record.action == "fit"}
    again = type_("run", "--backend", "serial", "--select", "quick", "--format", "json").document
    return finished == {"quick"} and (again["fits"]["made"], again["counts"]["promoted"]) == (0, 1)


@pytest.mark.slow
def test_ctrl_c_leaves_a_long_fit_and_keeps_what_is_finished(own_copy: Path, type_: Type) -> None:
    shutil.rmtree("store")
    Path("diabetes.yaml").unlink()
    Path("long.yaml").write_text(LONG)
    code, said = _stopped(own_copy, signal.SIGINT, " won ", "--backend", "serial")
    assert code == 130
    assert "run the same command again" in said
    assert _only_the_quick_fits_were_finished(type_)


@pytest.mark.slow
@pytest.mark.ray
def test_sigterm_stops_a_run_on_ray(own_copy: Path, type_: Type) -> None:
    shutil.rmtree("store")
    Path("diabetes.yaml").unlink()
    Path("long.yaml").write_text(LONG)
    code, said = _stopped(own_copy, signal.SIGTERM, " won ", "--workers", "1")
    assert code == 130
    assert "SIGTERM: stopping" in said
    assert _only_the_quick_fits_were_finished(type_)


class _Judged:
    def __init__(self, node: str, outcome: str) -> None:
        self.node, self.outcome, self.because = node, outcome, "a reason"


def test_the_live_view_shows_progress_and_says_at_once_what_needs_a_look() -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=100, color_system=None)
    view = LiveView(console)
    view.judged(_Judged("a", "promoted"))
    view.judged(_Judged("b[x=1]", "rejected"))
    view.progress(
        Progress(
            nodes=4, judged=2, tasks_done=5, tasks_waiting=5, running=("c",), seconds_left=1.0, fits_made=5
        )
    )
    console.print(view._draw())
    shown = out.getvalue()
    assert "rejected b[x=1]  a reason" in shown
    for words in ("2/4", "5/10", "1 won, 1 rejected", "running c", "left"):
        assert words in shown
