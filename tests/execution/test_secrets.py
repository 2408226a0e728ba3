"""Secrets stay in the environment: a run in a bucket, signed, and everything that it wrote, sent and printed."""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from oracle.trips import MANIFEST, trips
from store.s3_server import SECRET

from retraining.cli.entry import run_command
from retraining.errors import SignatureError
from retraining.operations.predict import predict
from retraining.store.entries import parse_entry
from retraining.store.log import open_store
from retraining.store.objects import open_objects
from retraining.store.results import load_results
from retraining.store.signing import KEY_VARIABLE

SIGNING = "marked-signing-key-5f1c0b7e"
AS_OF = "2024-05-01T00:00:00Z"
#: The command, with everything that is handed to Ray written to files.
RECORDING = """
import itertools, os
from retraining.execution.ray.backend import RayBackend

count, folder, ready = itertools.count(), os.environ["RECORDED"], RayBackend.ready

def keep(what, value):
    from ray import cloudpickle
    try:
        body = cloudpickle.dumps(value)
    except Exception:
        body = repr(value).encode()
    with open(f"{folder}/{what}-{next(count)}", "wb") as file:
        file.write(body)

def install(self, *arguments):
    backend = ready(self, *arguments)
    # Ray must not be imported before the session has made its token
    import ray
    from ray.remote_function import RemoteFunction
    remote, put = RemoteFunction._remote, ray.put

    def remote_recorded(function, args=None, kwargs=None, **options):
        for value in [*(args or ()), *(kwargs or {}).values()]:
            keep("argument", value)
        keep("options", {name: value for name, value in options.items() if name != "serialized_runtime_env_info"})
        return remote(function, args, kwargs, **options)

    def put_recorded(value, *arguments, **more):
        keep("put", value)
        return put(value, *arguments, **more)

    RemoteFunction._remote, ray.put = remote_recorded, put_recorded
    return backend

RayBackend.ready = install
from retraining.cli import main
main()
"""


@pytest.fixture
def manifest(bench) -> Path:
    hours, frame = trips(n=400, days=100)
    bench.write(MANIFEST, hours=hours, trips=frame)
    return bench.folder / "m.yaml"


def assert_no_secret(texts) -> None:
    for name, text in texts:
        for secret in (SECRET, SIGNING, "testkey"):
            assert secret.encode() not in text, (name, secret)


@pytest.mark.ray
def test_no_secret_is_written_sent_or_printed_by_a_signed_run_in_a_bucket(s3_url, manifest, monkeypatch):
    # a socket's path has room for 107 characters
    folder = Path(tempfile.mkdtemp(prefix="r", dir="/tmp"))
    recorded = folder / "recorded"
    recorded.mkdir()
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "RAY_TMPDIR": str(folder),
        "RECORDED": str(recorded),
        KEY_VARIABLE: SIGNING,
    }
    words = ["run", str(manifest), "--store", s3_url, "--as-of", AS_OF, "--workers", "2", "--format", "json"]
    done = subprocess.run(
        [sys.executable, "-c", RECORDING, *words], capture_output=True, timeout=180, env=environment
    )
    assert done.returncode == 0, done.stdout + done.stderr
    sent = {path.name.partition("-")[0] for path in recorded.iterdir()}
    assert sent >= {"argument", "put", "options"}
    # the sources of these processes name the secrets nowhere: what follows is what the run made of them
    assert_no_secret((str(path), path.read_bytes()) for path in folder.rglob("*") if path.is_file())
    objects = open_objects(s3_url)
    assert_no_secret((info.key, objects.get(info.key)) for info in objects.list(""))
    assert_no_secret([("out", done.stdout), ("err", done.stderr)])
    shutil.rmtree(folder)
    # workers needed no key: what they made is named in segments that the driver signed
    monkeypatch.setenv(KEY_VARIABLE, SIGNING)
    assert open_store(s3_url).read_head().entry.signed


@pytest.mark.parametrize("wrong", ["marked-wrong-key-91aa02bc", "short"])
def test_errors_about_keys_repeat_none_of_them(bench, monkeypatch, capfd, wrong):
    hours, frame = trips(n=300, days=80)
    bench.write(MANIFEST, hours=hours, trips=frame)
    monkeypatch.setenv(KEY_VARIABLE, SIGNING)
    monkeypatch.chdir(bench.folder)
    words = ["run", "m.yaml", "--store", "store", "--as-of", AS_OF, "--backend", "serial", "--no-progress"]
    assert run_command(words) == 0
    for text in ([KEY_VARIABLE, wrong], [KEY_VARIABLE, f"{wrong},{wrong}"]):
        monkeypatch.setenv(*text)
        code = 2 if wrong == "short" else 3
        for verb in (words, ["status", "--store", "store"], ["releases", "--store", "store"]):
            assert run_command(verb) == code, verb
        # a damaged store is a finding of `verify`, a bad key is bad input
        assert run_command(["verify", "--store", "store"]) == (2 if wrong == "short" else 1)
    streams = capfd.readouterr()
    for text in (streams.out, streams.err):
        assert SIGNING not in text
        assert wrong not in text.replace("shorten", "").replace("shorter", "")


def test_a_signed_store_serves_and_continues_and_an_unsigned_release_on_top_is_refused(bench, monkeypatch):
    hours, frame = trips(n=300, days=80)
    bench.write(MANIFEST, hours=hours, trips=frame)
    monkeypatch.setenv(KEY_VARIABLE, SIGNING)
    first = bench.run(AS_OF)
    again = bench.run(AS_OF, force=("base",))
    assert (first.exit_code, again.exit_code) == (0, 0)
    assert bench.run(AS_OF).fits_made == 0
    url = str(bench.folder / "store")
    given = {"trips": str(bench.folder / "trips.parquet"), "hours": str(bench.folder / "hours.parquet")}
    assert predict(url, "top", given).prediction.table.num_rows == len(frame)
    monkeypatch.delenv(KEY_VARIABLE)
    assert predict(url, "top", given).prediction.table.num_rows == len(frame)
    bench.run(AS_OF, force=("weather",))
    monkeypatch.setenv(KEY_VARIABLE, SIGNING)
    with pytest.raises(SignatureError):
        predict(url, "top", given)


def test_an_existing_store_is_signed_by_one_entry_that_vouches_for_the_rest(bench, monkeypatch, capsys):
    hours, frame = trips(n=300, days=80)
    bench.write(MANIFEST, hours=hours, trips=frame)
    monkeypatch.chdir(bench.folder)
    bench.run(AS_OF)
    bench.run(AS_OF, force=("base",))
    assert run_command(["verify", "--store", "store", "--sign"]) == 2  # no key
    monkeypatch.setenv(KEY_VARIABLE, SIGNING)
    assert run_command(["status", "--store", "store"]) == 3
    capsys.readouterr()
    assert run_command(["verify", "--store", "store", "--sign"]) == 0
    told = capsys.readouterr().out
    assert "log entry 3 vouches" in told
    assert [line.split(",")[0].split("  ")[1:] for line in told.splitlines()[-2:]] == [
        ["2", "release 2"],
        ["1", "release 1"],
    ]
    assert told.count("was not signed") == 2
    for verb in (["status"], ["releases"], ["verify"]):
        assert run_command([*verb, "--store", "store"]) == 0
    store = bench.store()
    assert [entry.signed for entry in store.entries()] == [True, False, False]
    assert store.read_release(1).nodes.keys() == store.read_head().nodes.keys()
    assert bench.run(AS_OF).fits_made == 0
    assert len(load_results(store.objects, store.read_head().entry.results, store.keys)) > 10
    # a new release on top carries it on, and the key can be retired in the same way
    assert bench.run(AS_OF, force=("weather",)).exit_code == 0
    monkeypatch.setenv(KEY_VARIABLE, f"another-key-of-enough-letters,{SIGNING}")
    assert run_command(["verify", "--store", "store", "--sign"]) == 0
    monkeypatch.setenv(KEY_VARIABLE, "another-key-of-enough-letters")
    assert run_command(["releases", "--store", "store"]) == 0
    # an old entry that says something else is not what was vouched for
    path = bench.folder / "store" / "log" / f"{1:020d}.json"
    entry = parse_entry(path.read_bytes(), f"log/{1:020d}.json")
    path.write_bytes(dataclasses.replace(entry, who="mallory@host").to_bytes())
    with pytest.raises(SignatureError):
        bench.store().read_release(1)
    assert run_command(["verify", "--store", "store"]) == 1
