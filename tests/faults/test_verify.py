"""`verify` finds a flipped byte anywhere, says what needs the object, and its remedies help."""

from __future__ import annotations

import datetime as dt
import os
import shutil

import pytest
from oracle.workbench import Bench

from retraining.errors import IntegrityError, StoreError
from retraining.operations.gc import clean
from retraining.operations.rollback import rollback
from retraining.operations.stored import open_stored
from retraining.operations.verify import verify
from retraining.store.condemned import pointers_of
from retraining.store.documents import sealed, write_document
from retraining.store.garbage import Keep
from retraining.store.local import LocalObjects
from retraining.store.log import open_store
from retraining.store.packs import read_blob
from retraining.store.results import load_results

from .test_damage import FOLDS, flip, rows, spoil

#: Hints that nothing checks: what they say can only cost a request.
UNCHECKED = ("log/_hint", "hints/clock")


@pytest.fixture(scope="module")
def two_releases(tmp_path_factory) -> Bench:
    """A store with two releases, a rejected challenger, a gc entry with a condemned list."""
    bench = Bench(tmp_path_factory.mktemp("sound"))
    for table in (rows(), rows().assign(y=lambda d: d["y"] * 2)):
        bench.write(FOLDS, d=table)
        # old enough for its hint to be left
        os.utime(bench.folder / "d.parquet", (1.7e9, 1.7e9 + len(bench.folder.name)))
        bench.run()
    keep = Keep(releases=1, age=dt.timedelta(days=30), grace=dt.timedelta(0))
    bench.store().objects.put("packs/nobody/000001-1", b"rubbish that a dead run left")
    found = clean(open_stored(str(bench.folder / "store"), None), keep, act=True, who="w")
    assert found.sequence == 3
    assert list(found.kept) == [2, 1]
    (bench.folder / "store" / "packs" / "nobody" / "000001-1").unlink()
    return bench


@pytest.fixture
def damaged(two_releases, tmp_path) -> Bench:
    """A copy of it, to be damaged."""
    shutil.copytree(two_releases.folder, tmp_path / "b")
    return Bench(tmp_path / "b")


def check(bench, everything=True):
    return verify(open_stored(str(bench.folder / "store"), None), everything=everything)


def objects(bench):
    return [info for info in bench.store().objects.list("") if info.key not in UNCHECKED]


def test_a_sound_store_is_sound_and_all_of_it_is_read(two_releases):
    found = check(two_releases)
    assert (found.exit_code, found.entries, list(found.releases)) == (0, 3, [1, 2])
    assert check(two_releases, everything=False).blobs < found.blobs


@pytest.mark.slow
def test_a_flipped_byte_anywhere_is_found_and_named(two_releases, damaged):
    seen = set()
    for info in objects(two_releases):
        path = damaged.folder / "store" / info.key
        for place in (0, info.size // 2, info.size - 1):
            flip(path, place)
            if info.key == "store.json":
                with pytest.raises(IntegrityError, match=r"store\.json"):
                    check(damaged)
            else:
                found = check(damaged)
                assert found.exit_code == 1, (info.key, place)
                assert {one.key for one in found.findings} == {info.key}, (info.key, place)
                assert all(one.remedy for one in found.findings)
            flip(path, place)
        seen.add(info.key.partition("/")[0])
    assert seen == {"store.json", "log", "runs", "packs", "index", "results", "hints"}
    assert check(damaged).exit_code == 0


def test_a_missing_object_is_found_and_named(two_releases, damaged):
    store = two_releases.store()
    named = {f"log/{number:020d}.json" for number in (1, 2)}
    for number in (1, 2):
        head = store.read_release(number)
        named |= {shard.at for shard in head.entry.nodes}
        named |= {pointer.pack for row in head.nodes.values() for pointer in pointers_of(row)}
    assert len(named) > 6
    for key in sorted(named):
        path = damaged.folder / "store" / key
        body = path.read_bytes()
        path.unlink()
        found = check(damaged)
        assert {(one.key, one.missing) for one in found.findings} == {(key, True)}
        path.write_bytes(body)


def test_a_log_that_lost_its_end_is_noticed(damaged):
    (damaged.folder / "store" / "log" / f"{3:020d}.json").unlink()
    assert [(one.kind, one.missing) for one in check(damaged).findings] == [("log", True)]


def test_readers_refuse_every_flipped_byte_or_were_never_told_anything_by_it(two_releases, damaged):
    def told(bench):
        store = open_store(str(bench.folder / "store"))
        head = store.read_head()
        first = store.read_release(1)
        return [
            head,
            first,
            [read_blob(store.objects, row.artifact) for row in head.nodes.values()],
            [read_blob(store.objects, row.document) for row in first.nodes.values()],
        ]

    sound = told(two_releases)
    whole = load_results(two_releases.store().objects)
    refused = 0
    for info in objects(two_releases):
        path = damaged.folder / "store" / info.key
        flip(path, info.size // 2)
        try:
            assert told(damaged) == sound, info.key
        except IntegrityError as error:
            refused += info.key in error.message
        # a cached result that is damaged is a miss: none is found that says something else
        index = load_results(LocalObjects(damaged.folder / "store"))
        assert all(whole.find(*identity) == record for identity, record in index._records.items())
        flip(path, info.size // 2)
    assert refused > 5


def test_what_is_damaged_is_named_with_what_needs_it_and_the_remedy_helps(damaged):
    spoil(damaged, damaged.state("a").artifact)
    (finding,) = check(damaged, everything=False).findings
    assert (finding.kind, finding.node, list(finding.releases)) == ("release", "a", [2])
    assert "retrain run MANIFEST --force 'a'" in finding.remedy
    assert damaged.run(force=("a", "b")).exit_code == 0
    found = check(damaged, everything=False)
    # the new release is whole; the old one needs the backup
    assert all(list(one.releases) == [2] for one in found.findings)


def test_no_remedy_tells_to_delete_what_a_release_needs(damaged):
    store = damaged.store()
    named = {
        pointer.pack
        for number in (1, 2)
        for row in store.read_release(number).nodes.values()
        for pointer in pointers_of(row)
    }
    for key in sorted(named):
        path = damaged.folder / "store" / key
        for place in (0, path.stat().st_size // 3, path.stat().st_size - 50):
            flip(path, place)
            for finding in check(damaged).findings:
                assert "delete this" not in finding.remedy
            flip(path, place)


def test_a_damaged_document_can_be_rolled_back_from_as_its_remedy_says(damaged):
    spoil(damaged, damaged.state("a").document)
    finding = next(one for one in check(damaged, everything=False).findings if one.kind == "release")
    assert "retrain rollback" in finding.remedy
    rollback(open_stored(str(damaged.folder / "store"), None), 1)
    head = damaged.store().read_head()
    assert (head.release, head.nodes["a"].version) == (3, damaged.store().read_release(1).nodes["a"].version)


def test_a_damaged_cache_is_made_again_after_it_was_deleted_as_the_remedy_says(damaged):
    index = load_results(damaged.store().objects)
    named = {
        pointer.pack
        for number in (1, 2)
        for row in damaged.store().read_release(number).nodes.values()
        for pointer in (row.artifact, row.document, row.attempt.document)
    }
    record = next(
        one
        for one in index._records.values()
        if one.action == "column" and one.blobs and one.blobs[0].pack not in named
    )
    spoil(damaged, record.blobs[0])
    assert check(damaged, everything=False).exit_code == 0
    (finding,) = check(damaged).findings
    assert (finding.kind, finding.key) == ("cache", record.blobs[0].pack)
    (damaged.folder / "store" / finding.key).unlink()
    assert check(damaged).exit_code == 0
    assert damaged.run(force=("a",)).exit_code == 0


@pytest.mark.parametrize("kind", ["store.json", "log", "runs", "hints"])
def test_every_document_of_a_newer_format_is_refused_by_name(damaged, kind):
    store = damaged.store()
    key = {
        "store.json": "store.json",
        "log": "log/00000000000000000003.json",
        "runs": next(info.key for info in store.objects.list("runs/") if info.key.endswith("run.json")),
        "hints": next(info.key for info in store.objects.list("hints/snapshots/")).removeprefix(""),
    }[kind]
    for body in (sealed({"format": 2, "new": "x"}), write_document({"format": 2, "seal": "of another kind"})):
        (damaged.folder / "store" / key).write_bytes(body)
        if kind == "hints":
            assert damaged.store().read_hint(key) is None
            continue
        with pytest.raises(StoreError, match=r"newer version of retraining \(format 2"):
            damaged.store().read_json(key) if kind == "runs" else damaged.store().read_head()
