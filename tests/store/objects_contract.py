"""What every adapter of the object-store port must do; a subclass gives an `objects` fixture."""

from __future__ import annotations

import datetime as dt
import random
from concurrent.futures import ThreadPoolExecutor

import pytest

from retraining.errors import AlreadyExistsError, NotFoundError

UNSAFE_KEYS = [
    "",
    "/a",
    "a/",
    "a//b",
    "..",
    "a/../b",
    "./a",
    "a\\b",
    "a\x00b",
    "a\nb",
    "a#1",
    "x" * 201,
    "a/" * 600 + "a",
]


class ObjectsContract:
    def test_what_was_written_is_read(self, objects):
        objects.create("log/1.json", b"one")
        objects.put("packs/r/1-1", b"two" * 1000)
        objects.overwrite("log/_hint", b"")
        assert objects.get("log/1.json") == b"one"
        assert objects.get("packs/r/1-1") == b"two" * 1000
        assert objects.get("log/_hint") == b""

    def test_create_refuses_a_taken_key_and_leaves_it(self, objects):
        objects.create("log/1.json", b"first")
        with pytest.raises(AlreadyExistsError):
            objects.create("log/1.json", b"second")
        assert objects.get("log/1.json") == b"first"

    def test_overwrite_and_put_replace(self, objects):
        objects.overwrite("log/_hint", b"1")
        objects.overwrite("log/_hint", b"22")
        assert objects.get("log/_hint") == b"22"
        objects.put("index/a", b"1")
        objects.put("index/a", b"1")
        assert objects.get("index/a") == b"1"

    def test_of_racing_creators_one_wins_and_its_bytes_stay(self, objects):
        def win(number: int, key: str) -> bool:
            try:
                objects.create(key, str(number).encode())
            except AlreadyExistsError:
                return False
            return True

        with ThreadPoolExecutor(8) as pool:
            for turn in range(10):
                key = f"log/{turn}"
                won = list(pool.map(win, range(8), [key] * 8))
                assert won.count(True) == 1
                assert objects.get(key) == str(won.index(True)).encode()

    @pytest.mark.parametrize("key", ["nothing", "a/b/c", "file/below", "folder"])
    def test_a_key_without_an_object_is_not_found(self, objects, key):
        objects.create("file", b"x")
        objects.create("folder/file", b"x")
        for read in (objects.get, lambda k: objects.get_range(k, 0, 1), lambda k: objects.get_tail(k, 1)):
            with pytest.raises(NotFoundError):
                read(key)

    def test_ranges_and_tails_end_with_the_object(self, objects):
        objects.create("k", b"0123456789")
        assert objects.get_range("k", 3, 4) == b"3456"
        assert objects.get_range("k", 8, 4) == b"89"
        assert objects.get_range("k", 12, 4) == b""
        assert objects.get_range("k", 3, 0) == b""
        assert objects.get_range("k", 2**80, 4) == b""
        assert objects.get_range("k", 12, 2**80) == b""
        assert objects.get_tail("k", 3) == (b"789", 10)
        assert objects.get_tail("k", 30) == (b"0123456789", 10)

    def test_list_gives_keys_in_the_order_of_their_text(self, objects):
        chosen = random.Random(7)
        parts = ["a", "a-b", "a.b", "ab", "b", "a=1", "z_", "0"]
        keys = {"/".join(chosen.choices(parts, k=chosen.randint(1, 3))) + f"/x{i}" for i in range(60)}
        keys |= {f"top{i}" for i in range(3)}
        for key in keys:
            objects.put(key, key.encode())
        for prefix in ["", "a", "a/", "a-", "ab/", "a/a", "none/", "top1"]:
            for after in ["", "a", "a/b", "ab/x", "b/zz", "zzzz", *chosen.sample(sorted(keys), 5)]:
                expected = [k for k in sorted(keys) if k.startswith(prefix) and k > after]
                assert [info.key for info in objects.list(prefix, after)] == expected

    def test_list_tells_size_and_an_aware_time(self, objects):
        objects.put("k", b"12345")
        (info,) = objects.list("")
        assert info.size == 5
        assert abs(info.modified - dt.datetime.now(dt.UTC)) < dt.timedelta(minutes=5)

    def test_delete_removes_and_passes_over_what_is_not_there(self, objects):
        objects.put("a/b", b"1")
        objects.put("a/c", b"1")
        objects.delete(["a/b", "nothing", "a/c/below"])
        assert [info.key for info in objects.list("")] == ["a/c"]

    def test_settle_takes_any_folder(self, objects):
        objects.put("a/b", b"1")
        objects.settle("a/")
        objects.settle("nothing/here/")
        assert objects.get("a/b") == b"1"

    @pytest.mark.parametrize("key", UNSAFE_KEYS)
    def test_an_unsafe_key_is_refused_before_anything_is_touched(self, objects, key):
        for call in (objects.create, objects.put, objects.overwrite):
            with pytest.raises(ValueError, match="not a safe object key"):
                call(key, b"x")
        with pytest.raises(ValueError, match="not a safe object key"):
            objects.get(key)
        assert list(objects.list("")) == []
