from __future__ import annotations

import dataclasses
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retraining.errors import IntegrityError, NotFoundError, StoreError
from retraining.store.documents import FORMAT, Frame, decompress, pack_bytes
from retraining.store.packs import (
    Blob,
    Record,
    StoredRecord,
    build_pack,
    pack_key,
    read_blob,
    read_blobs,
    read_document,
    read_footer,
)

from .places import InterceptedObjects, MemoryObjects
from .rows import fit, write_pack

KEY = pack_key("1795000000000-00c0ffee", 1, 1)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
blobs = st.builds(Blob, role=st.text(max_size=5), format=st.text(max_size=5), data=st.binary(max_size=300))
records = st.builds(
    Record,
    action=st.sampled_from(["fit", "column", "score", "version", "run"]),
    fingerprint=st.text(max_size=8),
    parts=st.dictionaries(st.text(max_size=5), json_values, max_size=3),
    blobs=st.lists(blobs, max_size=3).map(tuple),
    metrics=st.dictionaries(st.text(max_size=5), json_values, max_size=3),
)


def stored_pack(*contents: Record) -> tuple[MemoryObjects, tuple[StoredRecord, ...]]:
    objects = MemoryObjects()
    data, stored = build_pack(KEY, contents)
    objects.put(KEY, data)
    return objects, stored


@settings(derandomize=True, max_examples=60, deadline=None)
@given(st.lists(records, max_size=4))
def test_a_pack_gives_back_every_record_and_every_byte(contents):
    objects, stored = stored_pack(*contents)
    assert read_footer(objects, KEY) == stored
    assert [(r.action, r.fingerprint, r.parts, r.metrics) for r in stored] == [
        (r.action, r.fingerprint, r.parts, r.metrics) for r in contents
    ]
    for record, original in zip(stored, contents, strict=True):
        assert [(p.role, p.format, read_blob(objects, p)) for p in record.blobs] == [
            (b.role, b.format, b.data) for b in original.blobs
        ]


def test_equal_records_make_equal_bytes():
    contents = [fit("f1", b"x" * 5000, mse=0.25), fit("f2")]
    assert build_pack(KEY, contents) == build_pack(KEY, contents)


def test_a_blob_is_compressed_only_where_that_helps_and_equal_ones_are_stored_once():
    noise = bytes(range(256))
    objects, (one, two, three) = stored_pack(fit("a", b"0" * 9000), fit("b", noise), fit("c", noise))
    assert one.blob("model").codec == "zstd"
    assert one.blob("model").stored < 100
    assert two.blob("model").codec == "none"
    assert two.blob("model") == three.blob("model")
    assert read_blob(objects, three.blob("model")) == noise
    assert one.blob("column") is None


def test_a_footer_larger_than_the_first_read_is_found():
    contents = [fit(f"{i:x}{i * 7919:x}", bytes([i % 256]) * 3) for i in range(9000)]
    objects, stored = stored_pack(*contents)
    assert read_footer(objects, KEY) == stored


def flips(body: bytes):
    for place in range(len(body)):
        for bit in range(8):
            yield body[:place] + bytes([body[place] ^ (1 << bit)]) + body[place + 1 :]


def test_a_flipped_bit_anywhere_in_a_pack_never_gives_other_bytes():
    contents = [fit("a", b"some model " * 20), fit("b", bytes(range(60)))]
    objects, stored = stored_pack(*contents)
    body = objects.get(KEY)
    blobs_end = max(p.offset + p.stored for r in stored for p in r.blobs)
    found_in_footer = found_in_blobs = 0
    for damaged in flips(body):
        objects.bodies[KEY] = damaged
        try:
            assert read_footer(objects, KEY) == stored
        except IntegrityError:
            found_in_footer += 1
        for record, original in zip(stored, contents, strict=True):
            try:
                assert read_blob(objects, record.blob("model")) == original.blobs[0].data
            except IntegrityError:
                found_in_blobs += 1
    assert found_in_footer == 8 * (len(body) - blobs_end)
    # A few bits of a zstd header change nothing in what is decompressed.
    assert 8 * blobs_end - 16 <= found_in_blobs <= 8 * blobs_end


def test_a_pack_cut_anywhere_is_refused():
    objects, _ = stored_pack(fit("a", b"some model " * 20))
    body = objects.get(KEY)
    for length in range(len(body)):
        objects.bodies[KEY] = body[:length]
        with pytest.raises(IntegrityError, match=KEY):
            read_footer(objects, KEY)


def test_blobs_cut_off_before_the_footer_are_noticed():
    objects, _ = stored_pack(fit("a", bytes(range(200))))
    objects.bodies[KEY] = objects.get(KEY)[100:]
    with pytest.raises(IntegrityError, match="points past"):
        read_footer(objects, KEY)


def test_a_pointer_that_does_not_fit_is_refused_before_it_costs_memory():
    objects, (record,) = stored_pack(fit("a", b"0" * 9000))
    good = record.blob("model")
    for change in [
        {"raw": 8999},
        {"raw": 9001},
        {"raw": 10**17},
        {"raw": 2**80},
        {"stored": good.stored + 999},
        {"offset": 3},
        {"codec": "none"},
        {"digest": "sha256:" + "0" * 64},
    ]:
        with pytest.raises(IntegrityError, match=KEY):
            read_blob(objects, dataclasses.replace(good, **change))


@settings(derandomize=True, max_examples=50, deadline=None)
@given(st.lists(st.lists(st.binary(max_size=90_000), max_size=5), min_size=1, max_size=3), st.randoms())
def test_blobs_read_together_are_those_read_alone(packs, chosen):
    objects = MemoryObjects()
    pointers = []
    for batch, bodies in enumerate(packs):
        for record in write_pack(objects, "r", batch, *(fit(str(n), body) for n, body in enumerate(bodies))):
            pointers += record.blobs
    chosen.shuffle(pointers)
    assert read_blobs(objects, pointers) == [read_blob(objects, pointer) for pointer in pointers]


def test_neighbours_are_read_with_one_request_and_distant_blobs_apart():
    asked = []

    def around(name, arguments, run):
        asked.append(arguments)
        return run()

    near = [fit(str(number), bytes([number]) * 100) for number in range(20)]
    far = fit("far", random.Random(0).randbytes(200_000))
    objects, stored = stored_pack(*near, far, fit("last", b"last"))
    pointers = [record.blob("model") for record in stored if record.fingerprint != "far"]
    assert len(read_blobs(InterceptedObjects(objects, around), pointers)) == 21
    assert [key for key, *_ in asked] == [KEY, KEY]


def test_one_damaged_blob_among_neighbours_is_found():
    objects, stored = stored_pack(fit("a", b"one" * 50), fit("b", b"two" * 50))
    pointers = [record.blob("model") for record in stored]
    damaged = bytearray(objects.bodies[KEY])
    damaged[pointers[1].offset] ^= 1
    objects.bodies[KEY] = bytes(damaged)
    with pytest.raises(IntegrityError):
        read_blobs(objects, pointers)
    assert read_blob(objects, pointers[0]) == b"one" * 50


def test_a_pack_that_is_gone_is_not_found():
    objects, (record,) = stored_pack(fit("a"))
    objects.delete([KEY])
    with pytest.raises(NotFoundError):
        read_blob(objects, record.blob("model"))


def test_a_pack_of_a_newer_format_is_refused_by_name(monkeypatch):
    objects = MemoryObjects()
    monkeypatch.setattr("retraining.store.documents.FORMAT", FORMAT + 1)
    write_pack(objects, "r", 1, fit("a"))
    monkeypatch.undo()
    with pytest.raises(StoreError, match="newer version") as caught:
        read_footer(objects, pack_key("r", 1, 1))
    assert "upgrade" in caught.value.next_step


@pytest.mark.parametrize("line", [{}, {"action": "dance"}, {"action": "fit", "fingerprint": 3}])
def test_a_footer_that_says_something_else_is_refused(line):
    objects = MemoryObjects()
    objects.put(KEY, Frame(magic=b"RTPK1").write([line]))
    with pytest.raises(IntegrityError, match="cannot be understood"):
        read_footer(objects, KEY)


@settings(derandomize=True, max_examples=50, deadline=None)
@given(st.binary(max_size=400))
def test_packed_bytes_are_never_larger_and_come_back(data):
    stored, codec = pack_bytes(data)
    assert len(stored) <= len(data)
    assert decompress(stored, codec, len(data), "k") == data


def test_a_version_document_of_a_newer_format_is_refused_by_name():
    objects = MemoryObjects()
    blob = Blob(role="version", format="json", data=b'{"format": 2, "new": true}')
    record = Record(action="version", fingerprint="v", blobs=(blob,))
    data, (stored,) = build_pack(KEY, [record])
    objects.put(KEY, data)
    with pytest.raises(StoreError, match=r"newer version of retraining \(format 2"):
        read_document(objects, stored.blobs[0])
