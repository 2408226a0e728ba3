"""Columns that the driver remembers: the same bytes as in the store, within a limit, never instead of it."""

from __future__ import annotations

import pytest
from store.places import InterceptedObjects, MemoryObjects
from store.rows import fit, write_pack

from retraining.errors import NotFoundError
from retraining.execution.recent import RecentColumns


@pytest.fixture
def stored():
    """A store with three columns of 1000 bytes, their pointers, and the keys that are read."""
    objects, read = MemoryObjects(), []

    def around(name, arguments, run):
        read.append(arguments[0])
        return run()

    pointers = []
    for number in range(3):
        (record,) = write_pack(objects, "r", number, fit("f", bytes([number]) * 1000))
        pointers += record.blobs
    return InterceptedObjects(objects, around), pointers, read


def test_what_was_kept_is_not_read_and_what_was_read_is_kept(stored):
    objects, pointers, read = stored
    recent = RecentColumns()
    recent.keep({pointers[1].digest: bytes([1]) * 1000})
    for _ in range(2):
        found = recent.read(objects, [*pointers, pointers[0]])
        assert found == [bytes([number]) * 1000 for number in (0, 1, 2, 0)]
    assert sorted(set(read)) == sorted({pointers[0].pack, pointers[2].pack})
    assert len(read) == 2


def test_beyond_the_limit_the_oldest_is_read_again(stored):
    objects, pointers, read = stored
    recent = RecentColumns(limit_bytes=2500)
    for pointer in pointers:
        recent.read(objects, [pointer])
    recent.read(objects, [pointers[2]])
    assert len(read) == 3
    recent.read(objects, [pointers[0]])
    assert len(read) == 4


def test_a_column_that_is_nowhere_is_not_found(stored):
    objects, pointers, _ = stored
    objects.delete([pointers[0].pack])
    with pytest.raises(NotFoundError):
        RecentColumns().read(objects, pointers)
