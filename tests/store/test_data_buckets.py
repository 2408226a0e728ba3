"""The port of data in a bucket, on real servers and in memory: what is found, what is read, what is refused."""

from __future__ import annotations

import pickle
import secrets

import pytest

from retraining.errors import DataError, StoreError
from retraining.store.buckets import open_bucket
from retraining.store.cloud.addresses import parse_data_address

from .memory_bucket import MemoryBucket
from .s3_server import SECRET
from .test_buckets import GOOGLE, azure_url

ODD = [
    "a b.csv",
    "ü.csv",
    "%41.csv",
    "a?b.csv",
    "a+b.csv",
    "a&b.csv",
    "a*b.csv",
    "a#b.csv",
    "[1].csv",
    "e=1/f.csv",
]


class BucketDataContract:
    """A subclass gives `bucket`."""

    @pytest.fixture
    def folder(self):
        """A place in it that nobody else uses."""
        return secrets.token_hex(6)

    def test_what_was_found_is_read_whole_and_in_parts(self, bucket, folder):
        body = secrets.token_bytes(1_000)
        bucket.write(f"{folder}/a.bin", body)
        found = bucket.find(f"{folder}/a.bin")
        assert (found.key, found.size) == (f"{folder}/a.bin", 1_000)
        assert bucket.read(found, 0, 1_000) == body
        assert bucket.read(found, 990, 10) == body[990:]

    def test_what_is_not_there_is_not_found(self, bucket, folder):
        assert bucket.find(f"{folder}/none") is None
        assert bucket.list(folder, below=True) == ()

    def test_a_folder_is_listed_alone_or_with_those_below_it(self, bucket, folder):
        for name in ("a", "b/c", "b/d/e"):
            bucket.write(f"{folder}/{name}", b"1")
        bucket.write(f"{folder}x", b"1")  # a neighbour
        assert names(bucket.list(folder, below=True), folder) == ["a", "b/c", "b/d/e"]
        assert names(bucket.list(folder, below=False), folder) == ["a"]
        assert f"{folder}/a" in [one.key for one in bucket.list("", below=True)]

    def test_a_listing_and_a_look_say_the_same_of_an_object(self, bucket, folder):
        bucket.write(f"{folder}/a", b"12")
        (listed,) = bucket.list(folder, below=True)
        found = bucket.find(f"{folder}/a")
        assert (listed.size, listed.tag) == (found.size, found.tag)
        assert bucket.read(listed, 0, 2) == b"12"

    def test_odd_names_are_kept_as_they_are(self, bucket, folder):
        for name in ODD:
            bucket.write(f"{folder}/{name}", name.encode())
        assert names(bucket.list(folder, below=True), folder) == sorted(ODD)
        for found in bucket.list(folder, below=True):
            assert bucket.read(found, 0, found.size).decode() == found.key.removeprefix(f"{folder}/")

    @pytest.mark.parametrize("body", [b"22", b"2", b"333"])
    def test_an_object_that_was_replaced_is_not_read(self, bucket, folder, body):
        bucket.write(f"{folder}/a", b"11")
        found = bucket.find(f"{folder}/a")
        bucket.write(f"{folder}/a", body)
        with pytest.raises(DataError, match=f"{folder}/a changed while it was read"):
            bucket.read(found, 0, 2)
        assert bucket.find(f"{folder}/a").tag != found.tag


def names(listed, folder):
    return sorted(one.key.removeprefix(f"{folder}/") for one in listed)


class TestMemory(BucketDataContract):
    @pytest.fixture
    def bucket(self):
        return MemoryBucket()


class TestS3(BucketDataContract):
    @pytest.fixture
    def bucket(self, s3_url):
        return open_bucket(parse_data_address(s3_url))


class TestAzure(BucketDataContract):
    @pytest.fixture
    def bucket(self):
        return open_bucket(parse_data_address(azure_url()))


class TestGoogle(BucketDataContract):
    @pytest.fixture
    def bucket(self):
        if not GOOGLE:
            pytest.skip(
                "no Google Cloud Storage: set RETRAINING_TEST_GCS_URL=gs://BUCKET and GOOGLE_APPLICATION_CREDENTIALS"
            )
        return open_bucket(parse_data_address(GOOGLE))


def test_marks_of_folders_and_names_that_no_client_can_read(s3_server, s3_url):
    bucket = open_bucket(parse_data_address(s3_url))
    name = bucket.url.removeprefix("s3://")
    for path in ("d/", "d/sub/"):
        s3_server.write(f"/{name}/{path}")
    assert {one.key: one.size for one in bucket.list("d", below=True)}.get("d/sub", 0) == 0
    s3_server.write(f"/{name}/d/a//b", body=b"1")
    with pytest.raises(DataError, match="the name 'd/a//b', which has an empty part"):
        bucket.list("d", below=True)


@pytest.mark.parametrize(("below", "call"), [(True, "list"), (False, "list"), (None, "write")])
def test_a_missing_bucket_is_wrong_input(s3_server, below, call):
    bucket = open_bucket(parse_data_address("s3://no-such-bucket/d"))
    with pytest.raises(DataError, match=r"there is no bucket no-such-bucket at 127\.0\.0\.1"):
        bucket.write("k", b"1") if call == "write" else bucket.list("d", below=below)


def test_a_server_that_refuses_the_credentials_cannot_be_used(s3_url, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "verysecret")
    for ask in (lambda bucket: bucket.list("d", below=True), lambda bucket: bucket.find("k")):
        with pytest.raises(StoreError, match="refused these credentials") as caught:
            ask(open_bucket(parse_data_address(s3_url)))
        assert "list, read" in caught.value.next_step
        assert "verysecret" not in str(caught.value)


def test_a_pickle_holds_the_address_and_no_secret(s3_url):
    bucket = open_bucket(parse_data_address(s3_url))
    bucket.write("k", b"1")
    pickled = pickle.dumps(bucket)
    assert SECRET.encode() not in pickled
    assert pickle.loads(pickled).find("k").size == 1
