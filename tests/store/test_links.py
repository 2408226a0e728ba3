"""No name leads out of a store's folder: not by its text, not by a link that somebody put inside."""

from __future__ import annotations

import os

import pytest

from retraining.errors import IntegrityError, StoreError
from retraining.store.local import LocalObjects
from retraining.store.objects import check_key

BAD = [
    "", "/", "/etc/passwd", "../x", "a/../b", "a/..", "./a", "a//b", "a/", "a\\b", "a\x00b", "a\nb", "a#1",
    "a/./b", "..", "a" * 1000,
]  # fmt: skip


@pytest.mark.parametrize("key", BAD)
def test_a_key_that_could_lead_elsewhere_is_refused_by_every_call(tmp_path, key):
    objects = LocalObjects(tmp_path)
    calls = [
        lambda: objects.create(key, b"x"),
        lambda: objects.put(key, b"x"),
        lambda: objects.overwrite(key, b"x"),
        lambda: objects.get(key),
        lambda: objects.get_range(key, 0, 1),
        lambda: objects.get_tail(key, 1),
        lambda: objects.delete([key]),
    ]
    for call in calls:
        with pytest.raises(IntegrityError, match="not a safe object key"):
            call()
    assert not os.listdir(tmp_path)


def test_a_percent_sign_is_a_letter_like_any_other_and_is_never_decoded(tmp_path):
    (tmp_path / "s").mkdir()
    objects = LocalObjects(tmp_path / "s")
    objects.put("%2e%2e/%2fetc", b"x")
    assert [info.key for info in objects.list("")] == ["%2e%2e/%2fetc"]
    assert os.listdir(tmp_path) == ["s"]
    assert check_key("%2e%2e/x")


@pytest.fixture
def outside(tmp_path):
    """A file of the user beside the store, and links inside the store that lead to it."""
    folder = tmp_path / "private"
    folder.mkdir()
    (folder / "letter").write_text("dear")
    store = tmp_path / "store"
    (store / "packs").mkdir(parents=True)
    (store / "packs" / "run").symlink_to(folder)
    (store / "packs" / "letter").symlink_to(folder / "letter")
    return folder


@pytest.mark.parametrize("key", ["packs/run/letter", "packs/letter"])
def test_a_link_inside_a_store_is_not_followed(tmp_path, outside, key):
    objects = LocalObjects(tmp_path / "store")
    assert list(objects.list("")) == []
    for call in (
        lambda: objects.get(key),
        lambda: objects.put(key, b"x"),
        lambda: objects.create(key, b"x"),
        lambda: objects.overwrite(key, b"x"),
        lambda: objects.delete([key]),
    ):
        with pytest.raises(StoreError, match="symbolic link"):
            call()
    assert (outside / "letter").read_text() == "dear"
    assert os.listdir(outside) == ["letter"]


def test_the_store_itself_may_be_a_link(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "store").symlink_to(tmp_path / "disk")
    objects = LocalObjects(tmp_path / "store")
    objects.put("packs/r/1", b"x")
    assert objects.get("packs/r/1") == b"x"
    assert (tmp_path / "disk" / "packs" / "r" / "1").read_bytes() == b"x"
