"""Whole runs whose data is in a bucket of a real server: the same releases as from local files, few requests."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pandas as pd
import pytest
from oracle.trips import MANIFEST, trips
from store.flaky_proxy import flaky_proxy

from retraining.cli.entry import run_command
from retraining.decide.calendar import micros
from retraining.errors import DataError
from retraining.manifest import load_manifest
from retraining.operations.arguments import parse_moment
from retraining.operations.files import find_dataset_files
from retraining.operations.observe import observe
from retraining.store.buckets import Bucket, open_bucket
from retraining.store.cloud.addresses import parse_data_address
from retraining.store.log import open_store

AS_OF = "2024-05-01T00:00:00Z"


@pytest.fixture
def bucket(s3_url) -> Bucket:
    return open_bucket(parse_data_address(s3_url))


@pytest.fixture
def remote(bench, bucket) -> Path:
    """The manifest with one dataset as two Parquet objects in a folder, and one as a CSV object."""
    hours, frame = trips(n=400, days=100)
    bench.write(MANIFEST, hours=hours, trips=frame)
    # what is written of a moment must be what Parquet says of it
    hours.to_csv(bench.folder / "hours.csv", index=False, date_format="%Y-%m-%dT%H:%M:%S.%f%z")
    bucket.write("hours.csv", (bench.folder / "hours.csv").read_bytes())
    for number, part in enumerate((frame.iloc[:250], frame.iloc[250:])):
        bucket.write(f"trips/day={number}/part.parquet", part.to_parquet(index=False))
    text = (bench.folder / "m.yaml").read_text()
    text = text.replace("trips.parquet", f'"{bucket.url}/trips/**/*.parquet"').replace(
        "hours.parquet", f"{bucket.url}/hours.csv"
    )
    path = bench.folder / "remote.yaml"
    path.write_text(text)
    return path


def words(manifest: Path, verb: str, store: str, *more: str) -> list[str]:
    return [verb, str(manifest), "--store", store, "--as-of", AS_OF, *more]


RUN = ("--backend", "serial", "--no-progress")


def test_data_and_store_in_a_bucket_release_the_same_as_local_files(
    s3_server, s3_url, bench, bucket, remote, monkeypatch, capsys
):
    expected = bench.run(AS_OF, store="local").after.logical()
    with flaky_proxy(s3_server.endpoint) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        assert run_command(words(remote, "run", s3_url, *RUN)) == 0
        assert open_store(s3_url).read_head().logical() == expected
        capsys.readouterr()

        # unchanged data is known again by one request a dataset, and nothing of it is read
        before = len(proxy.requests)
        assert run_command(words(remote, "plan", s3_url)) == 0
        assert "nothing" in capsys.readouterr().out
        asked = Counter(
            (method, "data" if "/some/prefix/" not in path and "prefix=some" not in path else "store")
            for method, path in proxy.requests[before:]
        )
        assert {kind: count for kind, count in asked.items() if kind[1] == "data"} == {
            ("HEAD", "data"): 1,
            ("GET", "data"): 1,
        }
        assert not any("part.parquet" in path for _, path in proxy.requests[before:])


def test_every_fourth_lost_answer_about_data_changes_nothing(
    s3_server, s3_url, bench, bucket, remote, monkeypatch
):
    hours, frame = trips(n=400, days=100)
    with flaky_proxy(
        s3_server.endpoint, lambda number, method, path: None if number % 4 else "lost"
    ) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        loaded = load_manifest(remote)
        moment = micros(parse_moment(AS_OF, loaded.timezone))
        seen = observe(loaded, moment, None, find_dataset_files(loaded, {}))
        assert (seen.tables()["trips"].n_rows, seen.tables()["hours"].n_rows) == (len(frame), len(hours))
        assert proxy.faults


def test_a_plan_from_what_was_remembered_is_not_carried_out_on_other_rows(bench, bucket, remote, s3_url):
    loaded, store = load_manifest(remote), open_store(s3_url, create=True)
    moment = micros(parse_moment(AS_OF, loaded.timezone))
    observe(loaded, moment, store, find_dataset_files(loaded, {}))
    seen = observe(loaded, moment, store, find_dataset_files(loaded, {}))
    assert seen.hint is None  # it was known again, unread
    bucket.write("hours.csv", (bench.folder / "hours.csv").read_bytes() + b"\n")
    with pytest.raises(DataError, match=r"dataset hours: .*hours\.csv changed while it was read"):
        seen.tables()


def test_data_is_named_in_a_bucket_and_predictions_are_put_there(
    bench, bucket, remote, s3_url, tmp_path, capsys
):
    local = str(bench.folder / "m.yaml")
    more = ["--data", f"hours={bucket.url}/hours.csv", "--data", f"trips={bucket.url}/trips/"]
    assert run_command([*words(Path(local), "run", s3_url, *RUN), *more]) == 0
    assert run_command([*words(Path(local), "validate", s3_url)[:2], *more]) == 0
    for name in (str(tmp_path / "here.parquet"), f"{bucket.url}/out/there.parquet"):
        assert run_command(["predict", "top", "--store", s3_url, *more, "-o", name]) == 0
        assert f"written to {name}" in capsys.readouterr().err
    there = bucket.find("out/there.parquet")
    (tmp_path / "there.parquet").write_bytes(bucket.read(there, 0, there.size))
    pd.testing.assert_frame_equal(
        pd.read_parquet(tmp_path / "here.parquet"), pd.read_parquet(tmp_path / "there.parquet")
    )


@pytest.mark.parametrize(
    ("path", "code", "said"),
    [
        ("s3://no-such-bucket-here/trips", 2, "dataset trips: s3://no-such-bucket-here: there is no bucket"),
        ("{url}/nothing/", 2, "dataset trips: {url}/nothing/ does not exist"),
        ("{url}/trips", 2, "dataset trips: its files are of 2 formats"),
        ("s3://key:verysecret@bucket/trips", 2, "no user, password, port or query"),
        ("{url}/trips/a.txt", 2, "dataset trips: cannot tell the format of a.txt"),
    ],
)
def test_validate_and_run_say_what_is_wrong_with_an_address(
    bench, bucket, remote, s3_url, capsys, path, code, said
):
    bucket.write("trips/a.csv", b"id\n1\n")
    bucket.write("trips/a.txt", b"id\n1\n")
    more = ["--data", f"trips={path.format(url=bucket.url)}"]
    for verb, where in (("validate", []), ("run", ["--store", s3_url])):
        assert run_command([verb, str(remote), *where, *more]) == code
        told = capsys.readouterr().err
        assert said.format(url=bucket.url) in " ".join(told.split())
        assert "next:" in told
        assert "verysecret" not in told


def test_refused_credentials_are_the_servers_word_and_not_wrong_input(bench, remote, monkeypatch, capsys):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "verysecret")
    assert run_command(["validate", str(remote)]) == 3
    told = " ".join(capsys.readouterr().err.split())
    assert "dataset hours: " in told
    assert "the server refused these credentials (403" in told
    assert "verysecret" not in told
