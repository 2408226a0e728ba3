"""What travels with a job: the manifest, its parts and the data in its folder; the rest is refused with the reason."""

from __future__ import annotations

import importlib.util
import shlex
import subprocess

import numpy as np
import pandas as pd
import pytest

from retraining.errors import ClusterError, InputError
from retraining.operations import submit
from retraining.operations.submit import Submission, pack
from tests.cli.conftest import type_  # noqa: F401 - a fixture

MANIFEST = """\
manifest: 1
name: shop
store: ./store
include: [teams/*.yaml]
datasets: {d: {path: data/*.parquet, key: [id]}}
models:
  m: {dataset: d, target: y, features: [x], estimator: Ridge}
"""
TEAM = "models:\n  n: {dataset: d, target: y, features: [x], estimator: Ridge}\n"
JOBS = "http://127.0.0.1:8265"


@pytest.fixture
def shop(tmp_path):
    folder = tmp_path / "shop"
    for name in ("data", "teams"):
        (folder / name).mkdir(parents=True)
    (folder / "shop.yaml").write_text(MANIFEST)
    (folder / "teams" / "team.yaml").write_text(TEAM)
    (folder / ".gitignore").write_text("data/\n.env\n")
    (folder / ".env").write_text("SECRET=1")
    for start, part in ((0, "a"), (9, "b")):
        numbers = np.arange(start, start + 9)
        frame = pd.DataFrame({"id": numbers, "x": numbers * 1.0, "y": numbers % 4 * 1.0})
        frame.to_parquet(folder / "data" / f"{part}.parquet")
    return folder / "shop.yaml"


def asked(manifest, **more):
    return Submission(manifest=manifest, address=JOBS, **{"store": "s3://models/shop", **more})


def test_the_manifest_its_parts_and_the_data_beside_it_travel_and_nothing_else(shop):
    package = pack(asked(shop))
    assert sorted(package.files) == ["data/a.parquet", "data/b.parquet", "shop.yaml", "teams/team.yaml"]
    assert package.size == sum(path.stat().st_size for path in package.files.values())
    assert package.told.startswith("uploads 4 files, ")
    assert package.command == (
        "run", "shop.yaml", "--address", "auto", "--format=text", "--store=s3://models/shop",
    )  # fmt: skip
    with submit._copied(package) as folder:
        copied = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
        assert copied == set(package.files)
        assert (folder / "shop.yaml").read_bytes() == shop.read_bytes()
    assert not folder.exists()


def test_the_plan_of_the_copy_is_that_of_the_folder(shop, tmp_path):
    from retraining.operations.plan import plan

    with submit._copied(pack(asked(shop))) as folder:
        there = plan(folder / "shop.yaml", store=str(tmp_path / "none"), as_of="2024-01-01")
    here = plan(shop, store=str(tmp_path / "none"), as_of="2024-01-01")
    assert there.to_json() == here.to_json()


def test_a_store_in_a_folder_is_refused_unless_the_cluster_sees_it(shop):
    with pytest.raises(InputError, match="is a folder of this machine") as error:
        pack(asked(shop, store=None))
    assert "--shared" in error.value.next_step
    package = pack(asked(shop, store=None, shared=(shop.parent / "store",)))
    assert f"--store={shop.parent / 'store'}" in package.command
    with pytest.raises(InputError, match="is a folder of this machine"):
        pack(asked(shop, store=str(shop.parent / "store2"), shared=(shop.parent / "store",)))


def test_data_elsewhere_is_refused_unless_the_cluster_sees_it(shop, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (shop.parent / "data" / "a.parquet").rename(tmp_path / "a.parquet")
    with pytest.raises(InputError, match="outside of the manifest's folder") as error:
        pack(asked(shop, data={"d": "a.parquet"}))
    assert f"--shared {tmp_path}" in error.value.next_step
    package = pack(asked(shop, data={"d": "a.parquet"}, shared=(tmp_path,)))
    assert f"--data=d={tmp_path / 'a.parquet'}" in package.command
    assert sorted(package.files) == ["shop.yaml", "teams/team.yaml"]


def test_data_that_is_named_inside_the_folder_is_named_so_in_the_copy(shop, monkeypatch):
    monkeypatch.chdir(shop.parent / "data")
    package = pack(asked(shop, data={"d": "a.parquet"}))
    assert "--data=d=data/a.parquet" in package.command
    assert "data/b.parquet" not in package.files


def test_data_in_a_bucket_is_left_where_it_is(shop):
    text = shop.read_text().replace("data/*.parquet", "s3://bucket/d.parquet")
    shop.write_text(text)
    assert sorted(pack(asked(shop)).files) == ["shop.yaml", "teams/team.yaml"]
    package = pack(asked(shop, data={"d": "gs://other/d.parquet"}))
    assert "--data=d=gs://other/d.parquet" in package.command


def test_too_much_data_is_refused_with_its_size(shop, monkeypatch):
    monkeypatch.setattr(submit, "MOST_BYTES", 1024)
    with pytest.raises(InputError, match=r"local data are .* at most 1\.0 kB travel") as error:
        pack(asked(shop))
    assert "bucket" in error.value.next_step


def test_what_is_wrong_with_the_manifest_is_said_before_anything_travels(shop):
    shop.write_text(MANIFEST.replace("estimator: Ridge", "estimator: Rigde"))
    with pytest.raises(InputError, match="did you mean"):
        pack(asked(shop))
    shop.write_text(MANIFEST)
    with pytest.raises(InputError, match="names the dataset 'e'"):
        pack(asked(shop, data={"e": "a.parquet"}))


@pytest.mark.parametrize(
    ("script", "code", "result"),
    [
        ("echo out; echo err >&2; exit 4", 4, "out\n"),
        ("printf 'two\\nlines\\n'", 0, "two\nlines\n"),
        ('echo "$3"', 0, 'it\'s $HOME `x` "y"\n'),
        ("exit 2", 2, "\n"),
    ],
)
def test_the_command_line_ends_with_the_run_s_result_and_its_exit_code(tmp_path, script, code, result):
    program = tmp_path / "retrain"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    line = submit._shell_line(("run", "shop.yaml", 'it\'s $HOME `x` "y"'), "job-1")
    done = subprocess.run(
        line, shell=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
    )  # fmt: skip
    assert done.returncode == code
    before, _, after = done.stdout.partition(submit._mark("job-1") + "\n")
    assert after == result
    assert before in ("", "err\n")


def test_a_signal_ends_the_run_and_not_the_shell_that_tells_how_it_ended(tmp_path):
    program = tmp_path / "retrain"
    program.write_text(
        "#!/bin/sh\ntrap 'echo kept; exit 130' TERM\necho began >&2\nwhile :; do sleep 0.05; done\n"
    )
    program.chmod(0o755)
    line = submit._shell_line(("run",), "job-1")
    with subprocess.Popen(
        line, shell=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
    ) as running:  # fmt: skip
        assert running.stderr.readline() == "began\n"
        subprocess.run(["/bin/kill", "-TERM", "--", f"-{running.pid}"], check=True)
        out, _ = running.communicate(timeout=20)
    assert (running.returncode, out) == (130, f"{submit._mark('job-1')}\nkept\n")


def test_what_is_shown_ends_at_the_mark_however_the_text_is_cut():
    text = "2026-11-26 08:04:45,805\tINFO job_manager.py:581 -- x\nRunning entrypoint for job j: y\na\nb\n=== the\n"
    whole = text + submit._mark("j") + "\n{result}\n"
    for width in (1, 3, 7, 1000):
        shown: list[str] = []
        until = submit._Until(submit._mark("j"), shown.append)
        for start in range(0, len(whole), width):
            until(whole[start : start + width])
        until.flush()
        assert "".join(shown) == "a\nb\n=== the\n"
        assert until.found


@pytest.mark.parametrize(
    ("code", "message", "said"),
    [
        (127, "", "has no command `retrain`"),
        (137, "", "was killed"),
        (77, "first\nsecond", "ended with exit code 77: first"),
        (None, "runtime_env setup failed", "could not be run: runtime_env setup failed"),
    ],
)
def test_a_job_without_the_run_s_own_exit_code_is_explained(code, message, said):
    assert said in submit._failure("j", code, message)[0]


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("auto", "is not the address of a job server"),
        ("ray://head:10001", "is not the address of a job server"),
        ("http://me:secret@head:8265", "holds a user, a password or a query"),
    ],
)
def test_an_address_that_is_none_is_refused(shop, address, said, type_):  # noqa: F811
    answer = type_("submit", str(shop), "--address", address, "--store", "s3://models/shop")
    assert answer.code == 2
    assert said in answer.err
    assert "secret" not in answer.err


def test_where_nobody_answers_or_ray_lacks_its_client_the_next_step_helps(shop, type_):  # noqa: F811
    answer = type_("submit", str(shop), "--address", "http://127.0.0.1:1", "--store", "s3://models/shop")
    if importlib.util.find_spec("aiohttp") and importlib.util.find_spec("pydantic"):
        assert answer.code == 3
        assert "nobody answers at http://127.0.0.1:1" in answer.err
    else:
        assert answer.code == 2
        assert "pip install 'retraining[cluster]'" in answer.err


def test_without_an_address_the_next_step_says_which(shop, monkeypatch, type_):  # noqa: F811
    monkeypatch.delenv("RAY_API_SERVER_ADDRESS", raising=False)
    answer = type_("submit", str(shop))
    assert answer.code == 2
    assert "RAY_API_SERVER_ADDRESS" in answer.err


def test_options_of_a_run_travel_as_they_were_written(shop, monkeypatch, type_):  # noqa: F811
    seen = []

    def remember(submission):
        seen.append(submission)
        raise ClusterError("no further")

    monkeypatch.setattr(submit, "pack", remember)
    words = shlex.split(
        "--select a+ --select 'm[k=x y]' --exclude b --force c --compare-inputs '*' --fail-on rejected,waiting "
        "--prune --workers 3 --wait-for-nodes 1h --max-fits 20000 --allow p --allow-joblib --as-of 2024-01-01"
    )
    assert type_("submit", str(shop), "--address", JOBS, *words).code == 3
    (submission,) = seen
    verb = __import__("retraining.cli.run", fromlist=["command"]).command
    here = verb.make_context("run", [str(shop), *words]).params
    there = verb.make_context("run", [str(shop), *submission.arguments]).params
    assert here == there
