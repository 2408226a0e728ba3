"""Batches of late labels: consecutive numbers with one winner each, stored once, and no byte parsed unchecked."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
from itertools import count
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from retraining.errors import CommitOutcomeUnknownError, IntegrityError, SignatureError, UnansweredError
from retraining.store.feedback import (
    Batch,
    Draft,
    append_batch,
    batch_key,
    newest_batch,
    read_batch,
    read_batches,
)
from retraining.store.garbage import Keep, find_garbage
from retraining.store.local import LocalObjects
from retraining.store.log import Store, open_store, store_on
from retraining.store.signing import KEY_VARIABLE, NO_KEYS, read_keys
from retraining.store.verification import verify

from .places import InterceptedObjects, MemoryObjects, OverwritingObjects, SimulatedCrash, crashing
from .power import RecordingFileSystem, cuts
from .rows import commit, setting


def draft(text: str = "a", rows: int = 2) -> Draft:
    table = pa.table({"id": list(range(rows)), "label": [float(n) for n in range(rows)]})
    return Draft(
        dataset="d", content=f"sha256:{text}", time="2024-01-01T00:00:00Z", who="ann@host", table=table
    )


def add(store: Store, text: str) -> int:
    done = append_batch(store, f"sha256:{text}", lambda _: draft(text))
    assert done is not None
    return done.number


def contents(store: Store) -> list[str]:
    return [batch.content for batch in read_batches(store, 0, newest_batch(store))]


def test_numbers_are_the_order_of_arrival_and_a_batch_comes_back_as_it_was_given():
    store = store_on(MemoryObjects(), create=True)
    assert newest_batch(store) == 0
    assert [add(store, text) for text in "abc"] == [1, 2, 3]
    assert (newest_batch(store), newest_batch(store, 2), newest_batch(store, 3)) == (3, 3, 3)
    found = read_batch(store, 2)
    assert found == Batch(**{name: getattr(draft("b"), name) for name in Draft.__slots__}, number=2)
    assert found.table.equals(draft("b").table)
    assert [batch.number for batch in read_batches(store, 1, 3)] == [2, 3]


def test_the_same_batch_is_not_stored_twice_while_it_is_among_the_last_thousand(monkeypatch):
    monkeypatch.setattr("retraining.store.feedback._REMEMBERED", 3)
    store = store_on(MemoryObjects(), create=True)
    assert [add(store, text) for text in ("a", "b", "a", "c", "b", "d", "a")] == [1, 2, 1, 3, 2, 4, 5]
    done = append_batch(store, "sha256:d", lambda _: pytest.fail("made again"))
    assert (done.number, done.existing) == (4, True)


def test_a_batch_is_an_ordinary_parquet_file(tmp_path):
    add(open_store(str(tmp_path / "s"), create=True), "a")
    assert pq.read_table(tmp_path / "s" / batch_key(1)).to_pydict() == draft().table.to_pydict()


def test_every_flipped_bit_and_every_missing_end_is_found_before_anything_is_parsed(monkeypatch):
    store = store_on(MemoryObjects(), create=True)
    add(store, "a")
    body = store.objects.bodies[batch_key(1)]
    monkeypatch.setattr("retraining.store.feedback.pq.ParquetFile", lambda *_: pytest.fail("parsed"))
    for place in range(len(body)):
        store.objects.bodies[batch_key(1)] = body[:place] + bytes([body[place] ^ 1]) + body[place + 1 :]
        with pytest.raises(IntegrityError):
            read_batch(store, 1)
    for end in range(0, len(body), 7):
        store.objects.bodies[batch_key(1)] = body[:end]
        with pytest.raises(IntegrityError):
            read_batch(store, 1)


def test_a_batch_in_the_place_of_another_and_a_gap_are_found():
    store = store_on(MemoryObjects(), create=True)
    for text in "abc":
        add(store, text)
    bodies = store.objects.bodies
    two = bodies.pop(batch_key(2))
    with pytest.raises(IntegrityError, match=r"0002\.parquet is missing"):
        newest_batch(store)
    bodies[batch_key(2)] = bodies[batch_key(3)]
    with pytest.raises(IntegrityError, match="holds batch 3"):
        read_batch(store, 2)
    bodies[batch_key(2)] = two
    assert read_batch(store, 2).number == 2


# Signatures


def with_keys(objects, text: str = "") -> Store:
    keys = read_keys({KEY_VARIABLE: text}) if text else NO_KEYS
    return store_on(objects, create=True, keys=keys)


KEY, OTHER = "key-0123456789abcdef", "other-0123456789abcdef"


def test_with_a_key_batches_are_signed_and_others_refused():
    objects = MemoryObjects()
    add(with_keys(objects, KEY), "a")
    assert read_batch(with_keys(objects, f"{OTHER},{KEY}"), 1).signed
    assert read_batch(with_keys(objects), 1).signed
    with pytest.raises(SignatureError, match=r"0001\.parquet"):
        read_batch(with_keys(objects, OTHER), 1)
    add(with_keys(objects), "b")
    with pytest.raises(SignatureError):
        read_batch(with_keys(objects, KEY), 2)
    stranger = MemoryObjects()
    add(with_keys(stranger, KEY), "a")
    objects.bodies[batch_key(1)] = stranger.bodies[batch_key(1)]
    with pytest.raises(SignatureError):
        read_batch(with_keys(objects, KEY), 1)


def test_an_entry_may_vouch_for_batches_that_were_not_signed(tmp_path, monkeypatch):
    from retraining.operations.stored import Stored
    from retraining.operations.verify import verify_and_sign

    store = open_store(str(tmp_path), create=True)
    add(store, "a")
    commit(store, setting({"a": None}))
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    keyed = open_store(str(tmp_path))
    with pytest.raises(SignatureError):
        read_batch(keyed, 1)
    found, made = verify_and_sign(Stored(url=str(tmp_path), store=keyed, manifest=None), who="ann@host")
    assert (found.findings, made.entry, made.batches) == ((), 2, 1)
    again = open_store(str(tmp_path))
    assert not read_batch(again, 1).signed
    assert add(again, "b") == 2
    assert read_batch(again, 2).signed
    assert contents(again) == ["sha256:a", "sha256:b"]
    assert verify(again).damages == ()


# Races, lost replies, crashes


@pytest.mark.parametrize("place", ["memory", "folder"])
def test_sixteen_threads_get_sixteen_numbers_and_nothing_is_lost(place, tmp_path):
    objects = MemoryObjects() if place == "memory" else LocalObjects.create_at(tmp_path / "s")
    store_on(objects, create=True)
    numbers: list[int] = []
    go = threading.Barrier(16)

    def work(name: int) -> None:
        store = store_on(objects)
        go.wait()
        # half of them bring the same
        numbers.append(add(store, str(name // 2)))

    threads = [threading.Thread(target=work, args=(name,)) for name in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(numbers) == sorted([*range(1, 9)] * 2)
    assert sorted(contents(store_on(objects))) == sorted(f"sha256:{name}" for name in range(8))


def test_in_a_bucket_racers_share_the_numbers_and_read_them_back(s3_url):
    store = open_store(s3_url, create=True)
    numbers: list[int] = []
    threads = [threading.Thread(target=lambda n=n: numbers.append(add(store, str(n // 2)))) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(numbers) == sorted([*range(1, 5)] * 2)
    assert sorted(contents(open_store(s3_url))) == [f"sha256:{name}" for name in range(4)]
    assert verify(open_store(s3_url)).damages == ()


def test_two_processes_that_add_at_once_share_the_numbers(tmp_path):
    open_store(str(tmp_path), create=True)
    code = (
        "import sys; from tests.store.test_feedback import add, open_store\n"
        "store = open_store(sys.argv[1]); print('ready', flush=True); sys.stdin.readline()\n"
        "print([add(store, f'{sys.argv[2]}-{n}') for n in range(12)])\n"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path), name],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2],
        )
        for name in ("one", "two")
    ]  # fmt: skip
    assert [process.stdout.readline() for process in processes] == ["ready\n"] * 2
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    said = [json.loads(process.communicate()[0]) for process in processes]
    assert sorted(said[0] + said[1]) == list(range(1, 25))
    assert said == [sorted(one) for one in said]
    found = contents(open_store(str(tmp_path)))
    assert [found[number - 1] for number in said[0]] == [f"sha256:one-{n}" for n in range(12)]


def test_a_lost_reply_is_found_out_and_an_unknown_outcome_is_said_and_may_be_repeated():
    inner = MemoryObjects()
    fault = ["the reply was lost"]

    def around(name, arguments, run):
        answer = run()
        feedback = str(arguments[0] if arguments else "").startswith("feedback/")
        if feedback and (name == "create" or (name == "get" and fault[0] == "no answer")) and fault[0]:
            raise UnansweredError(fault[0])
        return answer

    store = store_on(InterceptedObjects(inner, around), create=True)
    assert add(store, "a") == 1
    fault[0] = ""
    assert (add(store, "a"), add(store, "b")) == (1, 2)
    other = store_on(InterceptedObjects(MemoryObjects(), around), create=True)
    fault[0] = "no answer"
    with pytest.raises(CommitOutcomeUnknownError, match=r"0001\.parquet"):
        add(other, "c")
    fault[0] = ""
    assert (add(other, "c"), newest_batch(other)) == (1, 1)


def test_a_store_that_has_stopped_excluding_is_found_out():
    with pytest.raises(Exception, match="created twice"):
        add(store_on(OverwritingObjects(), create=True), "a")


@pytest.mark.parametrize("after", [False, True])
def test_a_crash_at_any_call_leaves_the_batch_or_none_and_adding_again_stores_it_once(tmp_path, after):
    add(open_store(str(tmp_path / "start"), create=True), "a")
    left = set()
    for call in count():
        folder = tmp_path / str(call)
        shutil.copytree(tmp_path / "start", folder)
        objects, _ = crashing(LocalObjects(folder), call, after=after)
        try:
            add(Store(objects, store_id="s"), "b")
        except SimulatedCrash:
            store = open_store(str(folder))
            left.add(newest_batch(store))
            assert add(store, "b") == 2
            assert contents(store) == ["sha256:a", "sha256:b"]
        else:
            break
    assert left == {1, 2}


@pytest.mark.parametrize("names_kept", [False, True])
def test_after_a_power_cut_at_any_moment_acknowledged_batches_are_there_without_a_gap(tmp_path, names_kept):
    recorder, root, left = RecordingFileSystem(), tmp_path / "disk", tmp_path / "left"
    root.mkdir()
    left.mkdir()
    store_on(LocalObjects(root, files=recorder), create=True)
    for text in "ab":
        # each is a process of its own, which knows nothing of what the other has synced
        recorder.acknowledge(add(store_on(LocalObjects(root, files=recorder)), text))
    moments = 0
    for folder, acknowledged in cuts(recorder, root, left, names_kept=names_kept):
        if not (folder / "store.json").exists():
            continue
        moments += 1
        store = open_store(str(folder))
        assert newest_batch(store) >= len(acknowledged)
        assert contents(store) == ["sha256:a", "sha256:b"][: newest_batch(store)]
        assert add(store, "b") == newest_batch(store)
    assert moments > 15


def test_a_batch_seen_before_it_is_safe_is_made_safe_by_the_next(tmp_path):
    class Dying(RecordingFileSystem):
        def sync_folder(self, path):
            if path.name == "feedback":
                raise SimulatedCrash
            super().sync_folder(path)

    root, left = tmp_path / "disk", tmp_path / "left"
    root.mkdir()
    left.mkdir()
    recorder, dying = RecordingFileSystem(), Dying()
    store_on(LocalObjects(root, files=recorder), create=True)
    dying.calls = recorder.calls
    with pytest.raises(SimulatedCrash):
        add(store_on(LocalObjects(root, files=dying)), "a")
    recorder.acknowledge(add(store_on(LocalObjects(root, files=recorder)), "b"))
    for folder, acknowledged in cuts(recorder, root, left, names_kept=False):
        if acknowledged:
            assert contents(open_store(str(folder))) == ["sha256:a", "sha256:b"]


# Housekeeping


def test_gc_never_condemns_a_batch_and_verify_reads_each(tmp_path):
    import datetime as dt

    store = open_store(str(tmp_path), create=True)
    for text in "ab":
        add(store, text)
    commit(store, setting({"a": None}))
    none = dt.timedelta(0)
    found = find_garbage(store, Keep(releases=1, age=none, grace=none))
    assert not [one for one in found.condemn if one.key.startswith("feedback/")]
    sound = verify(store)
    assert sound.damages == ()
    path = tmp_path / batch_key(1)
    path.write_bytes(path.read_bytes()[:-1])
    (damage,) = verify(store, everything=False).damages
    assert (damage.key, damage.kind, damage.missing) == (batch_key(1), "feedback", False)
    path.unlink()
    (damage,) = verify(store).damages
    assert (damage.missing, damage.remedy[:7]) == (True, "restore")
