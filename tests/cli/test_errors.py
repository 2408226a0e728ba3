"""Bad input: an exit code, a few words that say what to do, and never a traceback."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.cli.conftest import PROGRAM, Type, environment, program

BROKEN = """\
manifest: 1
name: broken
store: ./store
datasets:
  d: {path: d.csv, key: [id]}
models:
  a: {dataset: d, target: y, featurs: [x], estimator: {type: Ridge}}
  b: {dataset: e, target: y, features: [x], estimator: {type: Rigde}}
"""


def test_all_problems_of_a_manifest_are_told_at_once_with_their_places(
    tmp_path: Path, type_: Type, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("broken.yaml").write_text(BROKEN)
    answer = type_("validate")
    assert (answer.code, answer.out) == (2, "")
    for found in ("broken.yaml:7:", "did you mean `features`?", "broken.yaml:8:", "did you mean `Ridge`?"):
        assert found in answer.err
    assert answer.err.rstrip().endswith("problems found")


def test_problems_of_every_dataset_are_told_together(
    tmp_path: Path, type_: Type, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("m.yaml").write_text(
        "manifest: 1\nname: m\nstore: ./s\nvalidation: {scheme: folds}\ndatasets:\n"
        "  gone: {path: gone.csv, key: [id]}\n  twice: {path: twice.csv, key: [id]}\nmodels:\n"
        "  a: {dataset: gone, target: y, features: [x], estimator: {type: Ridge}}\n"
        "  b: {dataset: twice, target: y, features: [z], estimator: {type: Ridge}}\n"
    )
    Path("twice.csv").write_text("id,x,y\n1,1,1\n1,2,2\n")
    answer = type_("validate", "--format", "json")
    assert answer.code == 2
    problems = answer.document["error"]["problems"]
    assert [problem["line"] for problem in problems] == [6, 7, 10]
    assert ["does not exist" in problems[0]["message"], "repeats the key" in problems[1]["message"]] == [
        True,
        True,
    ]
    assert "no column `z`" in problems[2]["message"]


@pytest.mark.parametrize("table", ["", "id,x,y\n", "id,x,y\n1,2,a\n", "id;x;y\n1;2;3\n", "id,x,x\n1,2,3\n"])
def test_a_run_on_wrong_data_leaves_no_store(
    tmp_path: Path, type_: Type, monkeypatch: pytest.MonkeyPatch, table: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("m.yaml").write_text(
        "manifest: 1\nname: m\nstore: ./s\ndatasets: {d: {path: d.csv, key: [id]}}\n"
        "models: {a: {dataset: d, target: y, features: [x], estimator: Ridge}}\n"
    )
    Path("d.csv").write_text(table)
    answer = type_("run", "--backend", "serial")
    assert (answer.code, answer.out) == (2, "")
    assert "next: " in answer.err
    assert not Path("s").exists()


def test_an_error_is_one_document_with_json(in_released: Path, type_: Type) -> None:
    answer = type_("plan", "--select", "progresion", "--format", "json")
    error = answer.document["error"]
    assert (answer.code, answer.document["format"], error["kind"]) == (2, 1, "SelectionError")
    assert error["next_step"] == "did you mean progression?"


def test_an_error_in_the_arguments_is_a_document_too(type_: Type) -> None:
    answer = type_("plan", "--format=json", "--data", "no-equals-sign")
    assert answer.code == 2
    assert "NAME=PATH" in answer.document["error"]["message"]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("plan", "nope.yaml"), 2, "did you mean `diabetes.yaml`?"),
        (("plan", "--as-of", "tuesday"), 2, "ISO 8601"),
        (("plan", "--data", "patint=x.csv"), 2, "did you mean patients?"),
        (("plan", "--data", "patients=x.csv"), 2, "x.csv does not exist"),
        (("run", "--fail-on", "broken"), 2, "rejected, insufficient, waiting, pending, blocked"),
        (("run", "--address", "ray://head:10001"), 2, "retrain submit"),
        (("run", "--address", "auto", "--backend", "serial"), 2, "leave out one of them"),
        (("run", "--wait-for-nodes", "soon"), 2, "no duration such as 15m"),
        (("explain",), 2, "retrain ls"),
        (("explain", "progresion"), 2, "did you mean progression?"),
        (("explain", "--store", "store", "progresion"), 2, "did you mean progression?"),
        (("report", "zzz"), 2, "no run begins with 'zzz'"),
        (("report", "1", "2"), 2, "name one run"),
        (("report", "-o", "no/such/folder.html"), 2, "cannot be written"),
        (("predict",), 2, "name one"),
        (("predict", "progression", "--data", "diabetes.csv", "--format", "json"), 2, "add -o FILE"),
        (("init",), 2, "nothing was overwritten"),
        (("status", "--store", "no-store"), 3, "retrain run"),
        (("status", "--store", "."), 3, "not a store"),
        (("releases", "--limit", "0"), 2, "retrain releases --help"),
    ],
)
def test_what_is_wrong_and_what_to_do_are_said(
    arguments: tuple[str, ...], code: int, words: str, in_released: Path, type_: Type
) -> None:
    answer = type_(*arguments)
    assert answer.code == code
    assert words in answer.err + answer.out
    assert "Traceback" not in answer.err


def test_a_folder_without_a_manifest_and_one_with_two_are_told_apart(
    tmp_path: Path, type_: Type, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("compose.yaml").write_text("services: {}\n")
    assert "holds none" in type_("plan").err
    for name in ("a.yaml", "b.yml"):
        Path(name).write_text("manifest: 1\n")
    assert "a.yaml, b.yml" in type_("plan").err


def test_nobody_reading_the_output_is_no_error(tmp_path: Path) -> None:
    with subprocess.Popen(
        [*PROGRAM, "schema"],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        running.stdout.close()
        errors = running.stderr.read()
    assert (running.wait(), errors) == (141, "")


@pytest.mark.parametrize(
    "closed",
    [(0, 1, 2), pytest.param((1,), marks=pytest.mark.slow), pytest.param((2,), marks=pytest.mark.slow)],
)
def test_a_process_without_standard_streams_does_its_work(tmp_path: Path, closed: tuple[int, ...]) -> None:
    done = program("init", cwd=tmp_path, preexec_fn=lambda: [os.close(number) for number in closed])
    assert (done.returncode, done.stderr) == (0, "")
    assert list(tmp_path.glob("*.yaml"))


def test_what_nobody_foresaw_is_one_line_and_a_file(tmp_path: Path) -> None:
    # a standard output that takes nothing: no bad input, and nothing that any verb expects
    with Path("/dev/full").open("w") as full:
        done = program("schema", cwd=tmp_path, capture_output=False, stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 1
    assert done.stderr.startswith("error: internal error: ")
    assert "Traceback" not in done.stderr
    written = Path(done.stderr.rsplit(" ", 1)[1].strip())
    assert "Traceback" in written.read_text()
    written.unlink()
