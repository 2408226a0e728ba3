"""The process dies before or after any call to the store; and the power goes after any call to the disk."""

from __future__ import annotations

import shutil
from itertools import count
from pathlib import Path

import pytest

from retraining.errors import NotFoundError, StoreError
from retraining.release.update import Update
from retraining.release.values import BlobPointer
from retraining.store.local import LocalObjects
from retraining.store.log import Store, open_store, store_on
from retraining.store.packs import Record, build_pack, pack_key, read_blob
from retraining.store.results import load_results, write_segment

from .places import SimulatedCrash, crashing
from .power import Disk, RecordingFileSystem, cuts
from .rows import commit, fit, setting, state, write_pack


def versions(head) -> dict[str, str | None]:
    return {node: row.version for node, row in head.nodes.items()}


# A killed process


@pytest.mark.parametrize("after", [False, True])
def test_a_crash_at_any_call_of_a_commit_leaves_the_old_head_or_the_new(tmp_path, after):
    start = commit(open_store(str(tmp_path / "start"), create=True), setting({"a": "v1", "b": "v1"}))
    update = Update(set={"a": state("a", "v2")}, attempts={})
    heads = set()
    for call in count():
        folder = tmp_path / str(call)
        shutil.copytree(tmp_path / "start", folder)
        objects, made = crashing(LocalObjects(folder), call, after=after)
        try:
            commit(Store(objects, store_id="s"), update, start)
        except SimulatedCrash:
            assert len(made) == call + 1
        else:
            assert len(made) == call
            break
        store = open_store(str(folder))
        head = store.read_head()
        assert (head.release, versions(head)) in [(1, {"a": "v1", "b": "v1"}), (2, {"a": "v2", "b": "v1"})]
        heads.add(head.release)
        # Running again: what has landed stays, what has not lands now; others can go on.
        if head.release == 1:
            assert versions(commit(store, update, start)) == {"a": "v2", "b": "v1"}
        assert commit(store, setting({"b": "v2"})).release == 3
        shutil.rmtree(folder)
    assert heads == {1, 2}
    assert len(made) >= 8


@pytest.mark.parametrize("after", [False, True])
def test_a_crash_while_a_store_is_made_leaves_none_or_a_whole_one(tmp_path, after):
    for call in count():
        folder = tmp_path / str(call)
        folder.mkdir()
        try:
            store_on(crashing(LocalObjects(folder), call, after=after)[0], create=True)
        except SimulatedCrash:
            assert commit(open_store(str(folder), create=True), setting({"a": "v1"})).release == 1
        else:
            break
    assert call >= 4


@pytest.mark.parametrize("after", [False, True])
def test_a_crash_while_results_are_written_loses_no_finished_pack(tmp_path, after):
    for call in count():
        folder = tmp_path / str(call)
        folder.mkdir()
        objects, _ = crashing(LocalObjects(folder), call, after=after)
        finished = []
        try:
            for batch in range(3):
                records = write_pack(objects, "r", batch, fit(f"f{batch}"))
                finished.append(f"f{batch}")
                write_segment(objects, "r", batch, 1795000000000, {pack_key("r", batch, 1): records})
        except SimulatedCrash:
            index = load_results(LocalObjects(folder))
            assert all(index.find("fit", name) is not None for name in finished)
            assert index.damaged == ()
        else:
            break


# A power cut


def released(
    store: Store, records: list[Record], run: str, recorder: RecordingFileSystem, version: str
) -> None:
    """Write a pack for each record and release one node for each, acknowledging each pack and the release."""
    rows = {}
    for number, record in enumerate(records):
        (stored,) = write_pack(store.objects, run, number, record)
        pointer = stored.blob("model")
        recorder.acknowledge(pointer)
        rows[f"n{number}"] = state(f"n{number}", version, artifact=pointer)
    head = commit(store, Update(set=rows), run=run)
    recorder.acknowledge((head.release, {**versions(head)}))


@pytest.mark.slow
@pytest.mark.parametrize("names_kept", [False, True])
def test_after_a_power_cut_at_any_moment_all_that_was_acknowledged_is_there(tmp_path, names_kept):
    recorder = RecordingFileSystem()
    root = tmp_path / "disk"
    root.mkdir()
    store = store_on(LocalObjects.create_at(root / "a" / "store", files=recorder), create=True)
    recorder.acknowledge("store")
    released(store, [fit("f0"), fit("f1", b"other" * 99)], "r1", recorder, "v1")
    # Another process, which knows nothing of what the first one has synced.
    store = store_on(LocalObjects(root / "a" / "store", files=recorder))
    released(store, [fit("g0", b"new")], "r2", recorder, "v2")
    (tmp_path / "left").mkdir()
    moments = 0
    for folder, acknowledged in cuts(recorder, root, tmp_path / "left", names_kept=names_kept):
        moments += 1
        check_what_is_left(folder / "a" / "store", acknowledged)
    assert moments > 60


def check_what_is_left(folder: Path, acknowledged: list) -> None:
    try:
        store = open_store(str(folder))
    except NotFoundError:
        assert acknowledged == []
        return
    head = store.read_head()
    for done in acknowledged:
        if isinstance(done, BlobPointer):
            assert read_blob(store.objects, done)
        elif isinstance(done, tuple):
            release, table = done
            assert versions(store.read_release(release)) == table
            assert (head.release or 0) >= release
    for row in head.nodes.values():
        assert read_blob(store.objects, row.artifact)
    load_results(store.objects)
    assert commit(store, setting({"later": "v1"})).release == (head.release or 0) + 1


def test_a_pack_of_a_run_that_died_before_syncing_its_name_is_made_safe_by_the_run_that_releases_it(tmp_path):
    class Dying(RecordingFileSystem):
        def sync_folder(self, path):
            if "packs" in path.parts:
                raise SimulatedCrash
            super().sync_folder(path)

    root = tmp_path / "disk"
    root.mkdir()
    recorder = Dying()
    objects = LocalObjects(root, files=recorder)
    store_on(objects, create=True)
    key = pack_key("killed", 1, 1)
    data, _ = build_pack(key, [fit("f")])
    with pytest.raises(SimulatedCrash):
        objects.put(key, data)
    second = RecordingFileSystem()
    second.calls = recorder.calls
    store = store_on(LocalObjects(root, files=second))
    pointer = load_results(store.objects).find("fit", "f").blob("model")
    head = commit(store, Update(set={"a": state("a", artifact=pointer)}))
    second.acknowledge((head.release, versions(head)))
    (tmp_path / "left").mkdir()
    for folder, acknowledged in cuts(second, root, tmp_path / "left", names_kept=False):
        if (folder / "store.json").exists():
            check_what_is_left(folder, acknowledged)


def test_a_winner_seen_before_it_is_safe_is_made_safe_by_the_next_commit(tmp_path):
    class Dying(RecordingFileSystem):
        def sync_folder(self, path):
            if path.name == "log":
                raise SimulatedCrash
            super().sync_folder(path)

    root = tmp_path / "disk"
    root.mkdir()
    recorder = RecordingFileSystem()
    store_on(LocalObjects(root, files=recorder), create=True)
    dying = Dying()
    dying.calls = recorder.calls
    # It dies after its entry became visible and before the entry was safe.
    store = store_on(LocalObjects(root, files=dying))
    dying_store = Store(LocalObjects(root, files=dying), store_id=store.store_id)
    with pytest.raises(SimulatedCrash):
        commit(dying_store, setting({"a": "v1"}))
    second = store_on(LocalObjects(root, files=recorder))
    assert commit(second, setting({"b": "v1"})).release == 2
    recorder.acknowledge((2, {"a": "v1", "b": "v1"}))
    disk = Disk(root)
    for call in recorder.calls:
        disk.apply(call)
    disk.after_the_cut(tmp_path / "left", names_kept=False)
    assert versions(open_store(str(tmp_path / "left")).read_head()) == {"a": "v1", "b": "v1"}


def test_the_model_of_the_disk_finds_a_writer_that_does_not_sync(tmp_path):
    class Careless(RecordingFileSystem):
        def sync_folder(self, path):
            pass

    root = tmp_path / "disk"
    root.mkdir()
    recorder = Careless()
    store = store_on(LocalObjects(root, files=recorder), create=True)
    released(store, [fit("f0")], "r1", recorder, "v1")
    disk = Disk(root)
    for call in recorder.calls:
        disk.apply(call)
    disk.after_the_cut(tmp_path / "left", names_kept=False)
    with pytest.raises(StoreError):
        open_store(str(tmp_path / "left"))
