"""gc: what is kept, what is condemned, what is deleted; and commits that name what was condemned."""

from __future__ import annotations

import datetime as dt
import json

import pytest

from retraining.errors import IntegrityError, NotFoundError, ReleaseConflictError
from retraining.operations.gc import clean
from retraining.operations.stored import Stored
from retraining.release.update import Update
from retraining.store.claims import claim, newest_claim
from retraining.store.condemned import read_condemned
from retraining.store.garbage import Keep
from retraining.store.log import Store, store_on
from retraining.store.nodes import read_nodes
from retraining.store.packs import Blob, Record, pack_key, read_blob
from retraining.store.results import load_results, write_segment
from retraining.store.runs import alive_key, run_key

from .places import InterceptedObjects, MemoryObjects
from .rows import attempt, commit, fit, setting, state, write_pack

DAY = dt.timedelta(days=1)
START = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)


@pytest.fixture
def objects() -> MemoryObjects:
    made = MemoryObjects()
    made.clock = START
    return made


@pytest.fixture
def store(objects) -> Store:
    return store_on(objects, create=True)


def gc(store, *, releases=1, age=dt.timedelta(0), grace=DAY, act=True):
    keep = Keep(releases=releases, age=age, grace=grace)
    return clean(Stored(store=store, url="memory:", manifest=None), keep, act=act, who="ann@host")


def later(store, days=1.5):
    store.objects.clock += dt.timedelta(days=days)


def column(fingerprint, of):
    blob = Blob(role="column", format="npy", data=f"column {fingerprint}".encode())
    return Record(action="column", fingerprint=fingerprint, parts={"fit": of, "part": 1}, blobs=(blob,))


def version(node, *fits, **more):
    document = {"format": 1, "node": node, "fits": {name: {"fingerprint": name} for name in fits}, **more}
    blob = Blob(role="version", format="json", data=json.dumps(document).encode())
    return Record(action="version", fingerprint=f"v {node}", parts={"node": node}, blobs=(blob,))


def release(store, run, node="a", start=None, **more):
    """What a run does: a pack with a fit, one with its column, one with the document, a segment, a commit."""
    name = f"{node} {run}"
    packs = {
        pack_key(run, 1, 1): write_pack(store.objects, run, 1, fit(name, f"model {name}".encode())),
        pack_key(run, 2, 1): write_pack(store.objects, run, 2, column(f"c {name}", name)),
        pack_key(run, 3, 1): write_pack(store.objects, run, 3, fit(f"unused {name}")),
    }
    (document,) = write_pack(store.objects, run, 4, version(node, name))
    write_segment(store.objects, run, 1, int(store.objects.now().timestamp() * 1000), packs)
    store.create_json(run_key(run), {"run": run})
    row = state(
        node,
        f"v {name}",
        document=document.blobs[0],
        artifact=packs[pack_key(run, 1, 1)][0].blobs[0],
        **more,
    )
    return commit(store, Update(set={node: row}), start, run=run)


def keys(store, prefix=""):
    return {info.key for info in store.objects.list(prefix)}


def test_a_dry_run_shows_everything_and_changes_nothing_but_the_clock(store):
    release(store, "r1")
    later(store)
    release(store, "r2")
    later(store)
    before = dict(store.objects.bodies)
    found = gc(store, act=False)
    assert found.to_json()["dry_run"] is True
    assert found.condemned.keys() >= {pack_key("r1", 1, 1), pack_key("r1", 2, 1), pack_key("r2", 3, 1)}
    assert (list(found.kept), list(found.dropped)) == ([2], [1])
    assert found.to_json()["condemned"]["bytes"] == sum(len(before[key]) for key in found.condemned)
    del store.objects.bodies["hints/clock"]
    assert store.objects.bodies == before


def test_what_no_kept_release_reaches_is_condemned_and_deleted_when_the_grace_is_over(store):
    release(store, "r1")
    later(store)
    release(store, "r2")
    later(store)
    first = gc(store)
    condemned = set(first.condemned)
    assert not first.deleted
    assert keys(store) >= condemned
    head = store.read_head()
    assert (head.entry.kind, head.release, head.entry.oldest_release) == ("gc", 2, 2)
    assert set(read_condemned(store.objects, head.entry.condemned)) == condemned
    assert gc(store).sequence is None  # nothing new, and nothing is ripe
    later(store)
    second = gc(store)
    assert set(second.deleted) == condemned
    assert not keys(store) & condemned
    # the names leave the list with the entry after their deletion; the old list itself is what remains
    listed = read_condemned(store.objects, store.read_head().entry.condemned)
    assert set(listed) <= {head.entry.condemned.at}
    assert read_blob(store.objects, store.read_head().nodes["a"].artifact) == b"model a r2"


def test_cached_fits_and_columns_of_a_kept_version_stay_and_those_of_none_go(store):
    release(store, "r1")
    later(store)
    gc(store)
    later(store)
    gc(store)
    index = load_results(store.objects)
    assert index.find("fit", "a r1")
    assert index.find("column", "c a r1")
    assert index.find("fit", "unused a r1") is None


def test_every_kept_release_can_be_read_in_full_and_a_dropped_one_is_refused_by_name(store):
    for number in range(1, 6):
        release(store, f"r{number}")
        later(store)
    for _ in range(3):
        gc(store, releases=2)
        later(store)
    for number in (4, 5):
        row = store.read_release(number).nodes["a"]
        assert read_blob(store.objects, row.artifact) == f"model a r{number}".encode()
        assert json.loads(read_blob(store.objects, row.document))["node"] == "a"
    for number in (1, 2, 3):
        with pytest.raises(NotFoundError, match="no longer kept") as caught:
            store.read_release(number)
        assert "release 4" in caught.value.message
    with pytest.raises(NotFoundError, match="the releases are 4 to 5"):
        store.read_release(9)


def test_a_release_that_was_dropped_is_not_kept_again_by_a_more_generous_gc(store):
    for number in range(1, 4):
        release(store, f"r{number}")
        later(store)
    gc(store, releases=1)
    found = gc(store, releases=3, act=False)
    assert list(found.kept) == [3]
    assert not found.dropped


def test_a_release_is_dropped_only_if_it_is_old_and_beyond_the_count(store):
    for number in range(1, 6):
        release(store, f"r{number}")
        later(store, 10)
    assert list(gc(store, releases=2, age=35 * DAY, act=False).kept) == [5, 4, 3]
    assert list(gc(store, releases=4, age=DAY, act=False).kept) == [5, 4, 3, 2]


def test_a_challenger_that_waits_keeps_its_document_and_its_fits(store):
    release(store, "r1")
    write_pack(store.objects, "r2", 1, fit("waits"))
    (document,) = write_pack(store.objects, "r2", 2, version("a", "waits"))
    waiting = attempt("v2", "waiting")
    waiting = type(waiting)(
        **{**{name: getattr(waiting, name) for name in waiting.__slots__}, "document": document.blobs[0]}
    )
    commit(store, Update(attempts={"a": waiting}), run="r2")
    for _ in range(3):
        later(store)
        gc(store)
    assert read_blob(store.objects, store.read_head().nodes["a"].attempt.document)
    assert load_results(store.objects).find("fit", "waits")


def test_every_pack_that_a_document_names_is_kept_wherever_the_name_stands(store):
    (deep,) = write_pack(store.objects, "r1", 1, fit("deep"))
    (document,) = write_pack(
        store.objects, "r1", 2, version("a", more=[{"x": {"y": deep.blobs[0].to_json()}}])
    )
    commit(store, Update(set={"a": state("a", document=document.blobs[0])}), run="r1")
    for _ in range(3):
        later(store)
        gc(store)
    assert read_blob(store.objects, deep.blobs[0])


def test_nothing_of_a_living_or_young_run_is_condemned(store):
    release(store, "r1")
    write_pack(store.objects, "lives", 1, fit("x"))
    write_pack(store.objects, "died", 1, fit("y"))
    write_pack(store.objects, "young", 1, fit("z"))
    later(store)
    store.objects.overwrite(alive_key("lives"), b"{}")
    write_pack(store.objects, "young", 2, fit("zz"))
    found = set(gc(store).condemned)
    assert pack_key("died", 1, 1) in found
    assert not {key for key in found if "/lives/" in key or "/young/" in key}


def test_nothing_younger_than_the_grace_is_condemned_whatever_a_local_clock_says(store):
    release(store, "r1")
    write_pack(store.objects, "r2", 1, fit("x"))
    assert not gc(store).condemned
    later(store, 0.9)
    assert not gc(store).condemned
    later(store, 0.2)
    assert pack_key("r2", 1, 1) in gc(store).condemned


def test_segments_are_deleted_before_packs(store):
    release(store, "r1")
    later(store)
    release(store, "r2")
    later(store)
    gc(store)
    later(store)
    order = []

    def around(name, arguments, run):
        if name == "delete":
            order.extend(arguments[0])
        return run()

    gc(Store(InterceptedObjects(store.objects, around), store_id=store.store_id))
    assert order[0].startswith("results/")
    assert "packs" in [key.partition("/")[0] for key in order]
    first_pack = next(place for place, key in enumerate(order) if not key.startswith("results/"))
    assert not [key for key in order[first_pack:] if key.startswith("results/")]


def test_a_damaged_document_of_a_kept_release_stops_gc_before_it_condemns(store):
    head = release(store, "r1")
    later(store)
    pack = head.nodes["a"].document.pack
    store.objects.bodies[pack] = b"\x00" + store.objects.bodies[pack][1:]
    with pytest.raises(IntegrityError, match=pack):
        gc(store)
    assert store.read_head().sequence == 1


def test_a_gc_that_loses_its_number_looks_again(store):
    release(store, "r1")
    later(store)
    write_pack(store.objects, "dead", 1, fit("x"))
    later(store)
    raced = []

    def around(name, arguments, run):
        if name == "create" and arguments[0].startswith("log/") and not raced:
            raced.append(release(store, "r2", "b"))
        return run()

    found = gc(Store(InterceptedObjects(store.objects, around), store_id=store.store_id), releases=5)
    assert found.sequence == 3
    assert store.read_head().nodes.keys() == {"a", "b"}
    assert set(found.condemned) == {pack_key("dead", 1, 1), pack_key("r1", 3, 1)}


# Commits beside gc


def cached(store, run="old"):
    """A fit that a run which never released anything has left, as a later run finds it."""
    write_pack(store.objects, run, 1, fit("cached", b"the cached model"))
    later(store)


def releasing(store, start, run="new"):
    record = load_results(store.objects).find("fit", "cached")
    (document,) = write_pack(store.objects, run, 1, version("a", "cached"))
    row = state("a", "v1", artifact=record.blobs[0], document=document.blobs[0])
    return lambda: commit(store, Update(set={"a": row}), start, run=run)


def test_a_commit_that_names_what_was_condemned_since_it_began_copies_it(store):
    cached(store)
    release(store, "r0", "z")
    start = store.read_head()
    finish = releasing(store, start)
    assert pack_key("old", 1, 1) in gc(store).condemned
    head = finish()
    assert head.nodes["a"].artifact.pack.startswith("packs/new/rescued-")
    for _ in range(3):
        later(store)
        gc(store)
    assert pack_key("old", 1, 1) not in keys(store)
    assert read_blob(store.objects, store.read_head().nodes["a"].artifact) == b"the cached model"
    # the copy is a pack like any other: its fit is found
    assert load_results(store.objects).find("fit", "cached").blobs[0].pack.startswith("packs/new/rescued-")


def test_a_commit_that_names_what_was_condemned_when_it_began_copies_it(store):
    cached(store)
    release(store, "r0", "z")
    gc(store)
    finish = releasing(store, store.read_head())
    assert finish().nodes["a"].artifact.pack.startswith("packs/new/rescued-")


def test_a_commit_that_names_what_is_gone_is_refused_and_releases_nothing(store):
    cached(store)
    release(store, "r0", "z")
    finish = releasing(store, store.read_head())
    gc(store)
    later(store)
    later(store)
    gc(store)
    later(store)
    gc(store)
    assert not read_condemned(store.objects, store.read_head().entry.condemned).keys() & {
        pack_key("old", 1, 1)
    }
    with pytest.raises(ReleaseConflictError, match=r"gc (deleted|has worked)") as caught:
        finish()
    assert "run again" in caught.value.next_step
    assert "a" not in store.read_head().nodes


def test_without_the_check_at_commit_a_release_would_dangle(store, monkeypatch):
    cached(store)
    release(store, "r0", "z")
    finish = releasing(store, store.read_head())
    gc(store)
    monkeypatch.setattr("retraining.store.rescue.Rescuer.rescue", lambda self, update, head: update)
    finish()
    later(store)
    gc(store)
    with pytest.raises(NotFoundError):
        read_blob(store.objects, store.read_head().nodes["a"].artifact)


def test_entries_after_a_gc_still_carry_its_list(store):
    cached(store)
    release(store, "r0", "z")
    gc(store)
    listed = store.read_head().entry.condemned
    head = release(store, "r1", "b")
    assert head.entry.condemned == listed
    assert head.entry.oldest_release == 1
    assert read_nodes(store.objects, head.entry.nodes).keys() == {"b", "z"}


def test_a_gc_entry_lands_on_the_head_it_was_made_for_or_not_at_all(store):
    release(store, "r1")
    with pytest.raises(ValueError, match="kind gc"):
        store.commit(
            setting({"a": "v2"}), (), kind="gc", run="r", who="w", why={}, manifest={}, now="t",
            start=store.read_head(),
        )  # fmt: skip


def test_claims_of_ticks_that_are_long_over_are_garbage_all_of_a_tick_together(store):
    release(store, "1700000000000-00000001")

    def claimed(tick, before, run):
        return claim(store, tick, before, run=run, who="ann@host", now="2026-11-23T14:00:00Z")

    first = claimed("old", None, "1700000000000-00000001")
    other = claimed("young", None, "1700000000000-00000002")
    later(store)
    claimed("young", other, "1700000000000-00000003")
    gc(store)
    later(store)
    gc(store)
    assert newest_claim(store, "old") is None
    assert newest_claim(store, "young").number == 2
    assert claimed("old", None, "1700000000000-00000004").number == first.number == 1
