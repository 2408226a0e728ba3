from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from retraining.errors import AlreadyExistsError, NotFoundError, StoreError
from retraining.store.filesystem import OsFileSystem
from retraining.store.local import LocalObjects
from retraining.store.objects import open_objects

from .objects_contract import ObjectsContract
from .places import MemoryObjects
from .race import race


class TestLocalObjects(ObjectsContract):
    @pytest.fixture
    def objects(self, tmp_path):
        return LocalObjects(tmp_path)


class TestMemoryObjects(ObjectsContract):
    @pytest.fixture
    def objects(self):
        return MemoryObjects()


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_of_sixteen_processes_exactly_one_creates_each_key(tmp_path):
    rounds = 20
    won = race(str(tmp_path), 16, rounds)
    assert sorted(turn for turns in won for turn in turns) == list(range(rounds))
    objects = LocalObjects(tmp_path)
    for number, turns in enumerate(won):
        for turn in turns:
            assert objects.get(f"log/{turn}") == str(number).encode()


def test_no_temporary_file_is_left_or_listed(tmp_path):
    objects = LocalObjects(tmp_path)
    objects.create("a/one", b"1")
    with pytest.raises(AlreadyExistsError):
        objects.create("a/one", b"2")
    objects.put("a/two", b"2")
    objects.overwrite("a/three", b"3")
    assert names(tmp_path) == ["a/one", "a/three", "a/two"]
    (tmp_path / "a" / "one#123").write_bytes(b"left by a killed run")
    assert [info.key for info in objects.list("")] == ["a/one", "a/three", "a/two"]


class RefusingFileSystem(OsFileSystem):
    """A file system on which one call fails."""

    def __init__(self, method: str, number: int) -> None:
        def refuse(*paths: object) -> None:
            raise OSError(number, os.strerror(number), str(paths[0]))

        setattr(self, method, refuse)


@pytest.mark.parametrize(
    ("method", "number", "what", "next_step"),
    [
        ("write_file", errno.ENOSPC, "No space left", "free some space"),
        ("sync_file", errno.EIO, "Input/output error", "check the disk"),
        ("make_folder", errno.EROFS, "Read-only file system", "let this user write"),
        ("write_file", errno.EACCES, "Permission denied", "let this user write"),
        ("link", errno.EPERM, "cannot make hard links", "local disk"),
        ("sync_folder", errno.ENOSPC, "No space left", "free some space"),
    ],
)
def test_a_refusal_of_the_disk_says_what_and_what_next(tmp_path, method, number, what, next_step):
    objects = LocalObjects(tmp_path, files=RefusingFileSystem(method, number))
    with pytest.raises(StoreError, match=what) as caught:
        objects.create("log/1", b"x")
    assert next_step in caught.value.next_step
    assert str(tmp_path) in caught.value.message
    if method != "sync_folder":
        assert names(tmp_path) == []


def test_an_interrupt_in_mid_write_leaves_nothing(tmp_path):
    class Interrupting(OsFileSystem):
        def sync_file(self, path):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        LocalObjects(tmp_path, files=Interrupting()).put("a", b"x")
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    "url",
    ["s3://b", "gs://b", "ftp://bucket/x", "http://h/x", "file://host/x", "", "a\x00b", "file:///a%00b"],
)
def test_a_place_that_is_no_local_folder_is_refused(url):
    with pytest.raises(StoreError, match="store"):
        open_objects(url)


def test_paths_and_file_urls_are_one_place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first = open_objects("./a store", create=True)
    first.create("k", b"v")
    assert first.url == (tmp_path / "a store").as_uri()
    assert open_objects(first.url).get("k") == b"v"
    assert open_objects(str(tmp_path / "a store")).get("k") == b"v"


def test_a_missing_folder_is_made_only_when_asked(tmp_path):
    with pytest.raises(NotFoundError, match="there is no folder"):
        open_objects(str(tmp_path / "x" / "y"))
    open_objects(str(tmp_path / "x" / "y"), create=True)
    assert (tmp_path / "x" / "y").is_dir()


@pytest.mark.parametrize("create", [False, True])
def test_a_file_in_place_of_the_folder_is_refused(tmp_path, create):
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError):
        open_objects(str(tmp_path / "file"), create=create)
    with pytest.raises(StoreError):
        open_objects(str(tmp_path / "file" / "below"), create=create)
