from __future__ import annotations

import dataclasses
import os
import random
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retraining.errors import IntegrityError, StoreError
from retraining.release.values import Attempt, BlobPointer, NodeState, Parts, Pin
from retraining.store import nodes
from retraining.store.documents import digest_of
from retraining.store.log import open_store
from retraining.store.nodes import Shard, read_nodes, read_rows, split_shards, write_rows

from .places import MemoryObjects
from .rows import attempt, commit, pointer, setting, state

texts = st.text(max_size=6)
maps = st.dictionaries(texts, texts, max_size=3)
counts = st.integers(0, 2**62)
any_parts = st.builds(Parts, recipe=texts, data=texts, upstream=maps, environment=texts)
any_pointer = st.builds(
    BlobPointer,
    pack=texts,
    role=texts,
    format=texts,
    digest=texts,
    offset=counts,
    stored=counts,
    raw=counts,
    codec=st.sampled_from(["zstd", "none"]),
)
any_attempt = st.builds(
    Attempt,
    fingerprint=texts,
    outcome=texts,
    because=texts,
    run=texts,
    time=texts,
    parts=any_parts,
    version=texts,
    document=st.none() | any_pointer,
    sequence=st.none() | counts,
    artifact=st.none() | any_pointer,
    as_of=texts,
)
any_state = st.builds(
    NodeState,
    node=texts,
    version=st.none() | texts,
    parts=st.none() | any_parts,
    cut=st.none() | texts,
    wiring=maps,
    document=st.none() | any_pointer,
    artifact=st.none() | any_pointer,
    attempt=st.none() | any_attempt,
    seconds=st.floats(0, 1e9),
    peak_bytes=counts,
    fits=counts,
    time=texts,
    run=texts,
    orphaned=st.booleans(),
    pin=st.none() | st.builds(Pin, who=texts, time=texts, because=texts),
    cursors=st.dictionaries(texts, st.integers(-(2**62), 2**62), max_size=2),
)


@settings(derandomize=True, max_examples=60, deadline=None)
@given(st.lists(any_state, min_size=1, max_size=4))
def test_every_row_comes_back_as_it_was(rows):
    shard, data = write_rows(rows, "index/r/n0")
    assert read_rows(data, shard) == tuple(rows)
    assert Shard.from_json(shard.to_json()) == shard


def test_equal_rows_make_equal_bytes():
    rows = [state("a", wiring={"x": "1", "y": "2"}, attempt=attempt()), state("b")]
    again = [state("a", wiring={"y": "2", "x": "1"}, attempt=attempt()), state("b")]
    assert write_rows(rows, "index/r/n0") == write_rows(again, "index/r/n0")


def test_a_flipped_bit_anywhere_in_a_shard_is_found_before_it_is_parsed():
    shard, data = write_rows([state("a", artifact=pointer())], "index/r/n0")
    for place in range(len(data)):
        flipped = data[place] ^ (1 << place % 8)
        with pytest.raises(IntegrityError, match=r"index/r/n0: expected sha256"):
            read_rows(data[:place] + bytes([flipped]) + data[place + 1 :], shard)


def test_bytes_that_are_no_node_table_are_refused_even_with_the_right_digest():
    for data in (b"", b"not parquet"):
        shard = Shard(first="a", rows=1, at="index/r/n0", bytes=len(data), digest=digest_of(data), logical="")
        with pytest.raises(IntegrityError, match="not a node table"):
            read_rows(data, shard)


def test_a_table_that_was_written_before_there_were_pins_is_read(monkeypatch):
    later, schema = nodes._LATER, nodes._schema()
    old = pa.schema([field for field in schema if field.name not in later], metadata=schema.metadata)
    with monkeypatch.context() as patch:
        patch.setattr(nodes, "_schema", lambda: old)
        shard, data = write_rows([state("a")], "index/r/n0")
    assert not later & set(pq.read_schema(pa.BufferReader(data)).names)
    assert read_rows(data, shard) == (state("a"),)


def test_a_newer_node_table_is_refused_by_name(monkeypatch):
    monkeypatch.setattr(nodes, "FORMAT", 2)
    shard, data = write_rows([state("a")], "index/r/n0")
    monkeypatch.undo()
    with pytest.raises(StoreError, match="newer version"):
        read_rows(data, shard)


def test_the_logical_digest_of_a_shard_does_not_see_where_and_when():
    here = state("a", artifact=pointer(pack="packs/r/1-1"), seconds=1.0, time="t", run="r")
    there = state("a", artifact=pointer(pack="packs/s/9-1"), seconds=2.0, time="u", run="s")
    assert write_rows([here], "k")[0].logical == write_rows([there], "k")[0].logical
    assert write_rows([here], "k")[0].logical != write_rows([state("a", "v2")], "k")[0].logical


def written(objects: MemoryObjects, plan: list[Shard | list[NodeState]], run: str) -> list[Shard]:
    shards = []
    for number, part in enumerate(plan):
        if isinstance(part, Shard):
            shards.append(part)
            continue
        shard, data = write_rows(part, f"index/{run}/n{number}")
        objects.put(shard.at, data)
        shards.append(shard)
    return shards


@pytest.mark.parametrize("seed", range(6))
def test_shards_always_hold_the_table_and_untouched_ones_stay(monkeypatch, seed):
    monkeypatch.setattr(nodes, "SHARD_ROWS", 4)
    chosen = random.Random(seed)
    objects, table, shards = MemoryObjects(), {}, []
    for turn in range(12):
        after = dict(table)
        for _ in range(chosen.randint(0, 8)):
            name = f"n{chosen.randint(0, 60):02d}"
            after[name] = state(name, f"v{turn}")
        after = dict(sorted(after.items()))
        plan = split_shards(after, table, shards)
        kept = [part for part in plan if isinstance(part, Shard)]
        assert all(shard in shards for shard in kept)
        changed = {name for name, row in after.items() if table.get(name) != row}
        firsts = [shard.first for shard in shards]
        for shard in shards:
            later = [first for first in firsts if first > shard.first]
            low = "" if shard is shards[0] else shard.first
            touched = [n for n in changed if n >= low and (not later or n < later[0])]
            assert (shard in kept) == (not touched)
        shards = written(objects, plan, f"r{turn}")
        assert read_nodes(objects, shards) == after
        assert list(read_nodes(objects, shards)) == sorted(after)
        assert all(0 < shard.rows <= 8 for shard in shards)
        assert shards == sorted(shards, key=lambda shard: shard.first)
        table = after


def test_reading_the_head_loads_neither_pandas_nor_ray_nor_sklearn(tmp_path):
    commit(open_store(str(tmp_path), create=True), setting({"a": "v1"}))
    script = (
        "import sys; from retraining.store import log, results;"
        f"store = log.open_store({str(tmp_path)!r}); print(store.read_head().release);"
        "results.load_results(store.objects);"
        "print([m for m in ('pandas', 'ray', 'sklearn', 'pyarrow.dataset', 'xgboost') if m in sys.modules])"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert done.stdout == "1\n[]\n"


def test_rows_without_attempt_or_champion_are_rows_too():
    rows = [NodeState(node="a"), NodeState(node="b", attempt=dataclasses.replace(attempt(), document=None))]
    shard, data = write_rows(rows, "k")
    assert read_rows(data, shard) == tuple(rows)
