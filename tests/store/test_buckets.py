"""Buckets of real servers: the contract of the port, races, refusals, secrets that stay secret."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import secrets
import time

import pytest

from retraining.errors import AlreadyExistsError, NotFoundError, StoreError, UnansweredError
from retraining.store.cloud.probe import probe
from retraining.store.log import open_store
from retraining.store.objects import open_objects

from .objects_contract import ObjectsContract
from .places import MemoryObjects, OverwritingObjects
from .race import race
from .s3_server import SECRET

AZURE = os.environ.get("RETRAINING_TEST_AZURE_URL", "")
GOOGLE = os.environ.get("RETRAINING_TEST_GCS_URL", "")


class BucketContract(ObjectsContract):
    def test_a_probe_finds_that_create_excludes_and_leaves_nothing(self, objects):
        objects.verify_exclusion()
        assert list(objects.list("")) == []

    def test_an_object_of_many_parts_is_read_back(self, objects):
        body = secrets.token_bytes(12 * 1024 * 1024)
        objects.put("packs/large", body)
        assert objects.get("packs/large") == body
        assert objects.get_range("packs/large", 9_000_000, 100) == body[9_000_000:9_000_100]
        assert objects.get_tail("packs/large", 100) == (body[-100:], len(body))

    def test_an_empty_object_has_no_tail(self, objects):
        objects.put("empty", b"")
        assert objects.get_tail("empty", 8) == (b"", 0)

    def test_a_listing_goes_on_after_its_first_page(self, objects):
        keys = [f"log/{number:05d}" for number in range(1_100)]
        for key in keys:
            objects.put(key, b"")
        assert [info.key for info in objects.list("log/")] == keys
        assert [info.key for info in objects.list("log/", keys[1_089])] == keys[1_090:]
        objects.delete(keys)
        assert list(objects.list("")) == []

    def test_odd_names_are_kept_as_they_are(self, objects):
        keys = sorted(["a b", "ü", "%41", "a?b", "a+b", "a&b", "a*b", "a:b", "~t", "a=1"])
        for key in keys:
            objects.create(key, key.encode())
        assert [info.key for info in objects.list("")] == keys
        assert [objects.get(key).decode() for key in keys] == keys


class TestS3(BucketContract):
    @pytest.fixture
    def objects(self, s3_url):
        return open_objects(s3_url)


def azure_url() -> str:
    """The address of a new place in the container that the environment names."""
    if not AZURE:
        pytest.skip(
            'no Azure: `.ci/azure_server install /tmp/azure` (npm), then `eval "$(.ci/azure_server start '
            "/tmp/azure)\"`; or RETRAINING_TEST_AZURE_URL=az://CONTAINER with Azure's own variables"
        )
    return f"{AZURE}/{secrets.token_hex(6)}"


class TestAzure(BucketContract):
    @pytest.fixture
    def objects(self):
        return open_objects(azure_url())


class TestGoogle(BucketContract):
    @pytest.fixture
    def objects(self):
        if not GOOGLE:
            pytest.skip(
                "no Google Cloud Storage: set RETRAINING_TEST_GCS_URL=gs://BUCKET and GOOGLE_APPLICATION_CREDENTIALS"
            )
        return open_objects(f"{GOOGLE}/{secrets.token_hex(6)}")


# Exclusion


@pytest.fixture(params=["s3", "azure"])
def server_url(request):
    return request.getfixturevalue("s3_url") if request.param == "s3" else azure_url()


def test_of_sixteen_processes_exactly_one_creates_each_key_on_a_server(server_url):
    rounds = 40
    won = race(server_url, 16, rounds)
    assert sorted(turn for turns in won for turn in turns) == list(range(rounds))
    objects = open_objects(server_url)
    for number, turns in enumerate(won):
        for turn in turns:
            assert objects.get(f"log/{turn}") == str(number).encode()


def test_a_bucket_with_versions_on_this_server_is_refused_by_name_and_reason(s3_server):
    bucket = f"versioned-{secrets.token_hex(6)}"
    s3_server.make_bucket(bucket, versioned=True)
    objects = open_objects(f"s3://{bucket}/store")
    with pytest.raises(
        StoreError, match=f"s3://{bucket}/store: the server let an object be created"
    ) as caught:
        objects.verify_exclusion()
    assert "without versioning" in caught.value.next_step
    assert list(objects.list("")) == []


class LateObjects(MemoryObjects):
    """A store that looks first and writes later, as some servers do."""

    def create(self, key, body):
        taken = key in self.bodies
        if taken:
            raise AlreadyExistsError(f"{key}: exists")
        time.sleep(0.01)
        self.put(key, body)


@pytest.mark.parametrize(
    ("objects", "fault"),
    [
        (OverwritingObjects(), "already there"),
        (LateObjects(), "writers create the same object at once"),
    ],
)
def test_a_probe_refuses_who_ignores_the_condition_and_who_looks_before_writing(objects, fault):
    with pytest.raises(StoreError, match=fault):
        probe(objects, "p")
    assert objects.bodies == {}


@pytest.mark.parametrize("error", [AlreadyExistsError, UnansweredError])
@pytest.mark.parametrize("applied", [False, True])
def test_a_probe_counts_no_lost_answer_as_a_fault(error, applied):
    lost = iter([True, False, True])

    class Forgetful(MemoryObjects):
        def create(self, key, body):
            forgets = next(lost, False)
            if applied or not forgets:
                super().create(key, body)
            if forgets:
                raise error(f"{key}: the answer was lost")

    probe(Forgetful(), "p")


# Places


@pytest.mark.parametrize(
    "url",
    [
        "s3://key:verysecret@bucket/p",
        "s3://verysecret@bucket/p",
        "s3://bucket/p?sig=verysecret",
        "s3://bucket/p#verysecret",
        "az://c/p?sv=1&sig=verysecret",
        "gs://b:80/p",
        "s3:bucket",
        "s3://",
        "s3:///p",
        "s3://b",
        "s3://bucket/a//b",
        "s3://bucket//a",
        "s3://bucket/../x",
        "s3://bucket/a b",
        "s3://bucket/%2e%2e",
        "s3://bucket/" + "p/" * 300 + "p",
        "http://user:verysecret@host/x",
        "https://host/?verysecret",
    ],
)
def test_an_address_that_is_more_or_less_than_one_is_refused_without_repeating_secrets(url):
    with pytest.raises(StoreError) as caught:
        open_objects(url)
    assert "verysecret" not in str(caught.value)
    assert caught.value.next_step


def test_the_slash_at_the_end_and_the_bucket_alone_are_the_same_place(s3_url):
    open_objects(s3_url).put("k", b"1")
    assert open_objects(s3_url + "/").get("k") == b"1"
    bucket = "/".join(s3_url.split("/")[:3])
    assert [info.key for info in open_objects(bucket).list("")] == ["some/prefix/k"]
    assert open_objects(s3_url + "/").url == s3_url


def test_neighbours_in_a_bucket_do_not_see_each_other(s3_url):
    open_objects(s3_url).put("k", b"1")
    assert list(open_objects(s3_url + "x").list("")) == []
    assert list(open_objects(s3_url[:-1]).list("")) == []


def test_a_bucket_holds_a_store_like_a_folder_does(s3_server, s3_url):
    with pytest.raises(NotFoundError, match="it is empty"):
        open_store(s3_url)
    bucket, _, prefix = s3_url.removeprefix("s3://").partition("/")
    s3_server.write(f"/{bucket}/{prefix}/")  # consoles mark folders so
    made = open_store(s3_url, create=True)
    assert open_store(s3_url).store_id == made.store_id
    with pytest.raises(StoreError, match="not a store of retraining"):
        open_store(f"s3://{bucket}", create=True)


# What a server refuses


def test_a_missing_bucket_is_named(s3_server):
    objects = open_objects("s3://no-such-bucket/p")
    for call in (
        lambda: objects.get("k"),
        lambda: objects.create("k", b""),
        lambda: objects.put("k", b""),
        lambda: list(objects.list("")),
        lambda: open_store("s3://no-such-bucket/p", create=True),
    ):
        with pytest.raises(StoreError, match=r"there is no bucket no-such-bucket at 127\.0\.0\.1") as caught:
            call()
        assert not isinstance(caught.value, NotFoundError)


@pytest.mark.parametrize(
    ("name", "code"), [("AWS_SECRET_ACCESS_KEY", "Signature"), ("AWS_ACCESS_KEY_ID", "Key")]
)
def test_wrong_credentials_are_refused_and_not_repeated(s3_url, monkeypatch, name, code):
    monkeypatch.setenv(name, "verysecret")
    objects = open_objects(s3_url)
    for call in (
        lambda: objects.get("k"),
        lambda: objects.create("k", b""),
        lambda: objects.delete(["k"]),
        lambda: list(objects.list("a/")),
    ):
        with pytest.raises(StoreError, match=f"refused these credentials .*{code}") as caught:
            call()
        error: BaseException | None = caught.value
        assert "AWS_SECRET_ACCESS_KEY" in error.next_step
        assert error.__cause__ is None
        assert error.__suppress_context__
        assert "verysecret" not in str(error)


def test_a_server_that_is_not_there_is_unanswered(s3_server, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://user:verysecret@127.0.0.1:9/?verysecret")
    with pytest.raises(UnansweredError, match=r"no answer at 127\.0\.0\.1:9") as caught:
        open_objects("s3://bucket/p").get("k")
    assert "verysecret" not in str(caught.value)


# Secrets and processes


def test_a_pickle_holds_the_address_and_no_secret(s3_url):
    objects = open_objects(s3_url)
    objects.put("k", b"1")
    pickled = pickle.dumps(objects)
    for text in (pickled, repr(objects).encode(), repr(vars(objects)).encode()):
        assert SECRET.encode() not in text
        assert b"testkey" not in text
    assert pickle.loads(pickled).get("k") == b"1"


def _get(url, queue):
    try:
        queue.put(open_objects(url).get("k"))
    except StoreError as error:
        queue.put(str(error))


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # forking is what is tested
@pytest.mark.parametrize(("method", "expected"), [("fork", "spawn"), ("spawn", "1")])
def test_a_forked_process_is_told_to_spawn_and_a_spawned_one_works(s3_url, method, expected):
    open_objects(s3_url).put("k", b"1")
    context = multiprocessing.get_context(method)
    queue = context.Queue()
    process = context.Process(target=_get, args=(s3_url, queue))
    process.start()
    answer = queue.get(timeout=30)
    process.join(30)
    assert expected in (answer.decode() if isinstance(answer, bytes) else answer)
