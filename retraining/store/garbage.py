"""What of a store nobody needs: worked out from the log and the store's own times, changing nothing (docs/design.md 8).

Kept is what the kept releases reach: shards, models, documents, every blob that a document names, and
the cached fits, columns and measures of fits that a document names by fingerprint, so that a due model costs one or two
fits after a cleaning as before it. Kept besides is what living or young runs wrote. The unit is the
object: a pack is kept for any one of its records.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from retraining.errors import StoreError
from retraining.manifest.values import Json
from retraining.release.values import BlobPointer, NodeState
from retraining.store.condemned import CondemnedObject, pointers_of, read_condemned
from retraining.store.entries import RELEASING, Head, LogEntry, entry_key
from retraining.store.log import Store
from retraining.store.nodes import read_nodes
from retraining.store.objects import ObjectInfo, Objects
from retraining.store.packs import StoredRecord, read_documents
from retraining.store.results import read_packs, segment_run
from retraining.store.runs import living_runs

__all__ = ["Garbage", "Keep", "find_garbage", "store_time", "sweep"]

_CLOCK = "hints/clock"
_COLLECTED = ("packs/", "index/", "results/", "probes/", "claims/")


@dataclass(frozen=True, slots=True, kw_only=True)
class Keep:
    """Which releases are kept: the newest `releases` of them, and those that are younger than `age`.

    No object is condemned before it is as old as `grace`, nor deleted before it has been condemned
    for as long.
    """

    releases: int
    age: dt.timedelta
    grace: dt.timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Garbage:
    """What a look found: `kept` and `dropped` are release numbers, `now` is the store's own time.

    `condemn` is to be condemned now. Of the old list, `sweep` may be deleted, `waiting` not yet, and
    `gone` is there no more: it only leaves the list. `temporaries` are what killed writers left.
    """

    head: Head
    now: dt.datetime
    kept: tuple[int, ...]
    dropped: tuple[int, ...]
    condemn: tuple[CondemnedObject, ...]
    sweep: tuple[CondemnedObject, ...]
    waiting: tuple[CondemnedObject, ...]
    gone: tuple[CondemnedObject, ...]
    temporaries: tuple[ObjectInfo, ...]

    @property
    def oldest_release(self) -> int | None:
        """The oldest release that is kept; None where nothing was released."""
        return min(self.kept, default=None)


def store_time(objects: Objects) -> dt.datetime:
    """The store's own time: that of an object which was just written.

    Where nothing can be written (a look with credentials that only read) that of the newest log
    entry: what is taken for young then is at least as young.
    """
    try:
        objects.overwrite(_CLOCK, b"the store's clock: read its Last-Modified\n")
    except StoreError:
        return max(info.modified for prefix in ("store.json", "log/") for info in objects.list(prefix))
    return next(info.modified for info in objects.list(_CLOCK))


def find_garbage(store: Store, keep: Keep) -> Garbage:
    """What may be condemned and what may be deleted, as of the newest head.

    Raises IntegrityError where a kept release is damaged: what it reaches cannot be told then.
    """
    objects = store.objects
    now = store_time(objects)
    # the head before everything else: whoever commits after it takes the number that gc wants
    head = store.read_head()
    entries = _entries(store, head)
    kept, dropped = _releases(objects, entries, keep, now)
    living = living_runs(objects, now)
    reached = _Reached(objects)
    for entry in entries:
        if entry is head.entry or (entry.kind != "gc" and entry.release in kept):
            reached.take_entry(entry, head)
        elif entry.condemned is not None and living:
            # a run that began before it will ask for this list when it commits
            reached.keys.add(entry.condemned.at)
    listed = [info for prefix in _COLLECTED for info in objects.list(prefix)]
    packs = read_packs(objects, None if head.entry is None else head.entry.results, store.keys)
    reached.take_records(packs.records)
    young = living | _young_runs(objects, listed, now, keep.grace)
    old = read_condemned(objects, None if head.entry is None else head.entry.condemned)
    present = {info.key: info for info in listed}
    through = "" if head.entry is None or head.entry.results is None else head.entry.results.through

    def needed(info: ObjectInfo) -> bool:
        if info.key in reached.keys or now - info.modified < keep.grace:
            return True
        if info.key.startswith("results/"):
            run = segment_run(info.key)
            if run is None or run in young:
                return True
            # merged, or all that it tells of is to go
            return info.key > through and any(
                pack in present and _stays(pack, reached, young) for pack in packs.segments.get(info.key, ())
            )
        return _run_of(info.key) in young

    condemn = tuple(
        CondemnedObject(key=info.key, bytes=info.size, since=now)
        for info in listed
        if info.key not in old and not needed(info)
    )
    ripe = [one for one in old.values() if now - one.since >= keep.grace]
    return Garbage(
        head=head,
        now=now,
        kept=kept,
        dropped=dropped,
        condemn=condemn,
        sweep=tuple(one for one in ripe if one.key in present),
        waiting=tuple(one for one in old.values() if now - one.since < keep.grace),
        gone=tuple(one for one in ripe if one.key not in present),
        temporaries=tuple(objects.temporaries(now - keep.grace)),
    )


class _Reached:
    """The keys of all objects that kept releases reach."""

    def __init__(self, objects: Objects) -> None:
        self.keys: set[str] = set()
        self._objects = objects
        self._shards: set[str] = set()
        self._documents: set[BlobPointer] = set()
        self._fits: set[str] = set()

    def take_entry(self, entry: LogEntry, head: Head) -> None:
        """Take in all that an entry names."""
        self.keys.update(pointer.at for pointer in entry.snapshots.values())
        if entry is head.entry:
            if entry.condemned is not None:
                self.keys.add(entry.condemned.at)
            if entry.vouched is not None:
                self.keys.add(entry.vouched.at)
            if entry.results is not None:
                self.keys.update(pointer.at for pointer in entry.results.objects)
        new = [shard for shard in entry.nodes if shard.at not in self._shards]
        self._shards.update(shard.at for shard in new)
        self.keys.update(shard.at for shard in new)
        rows: Iterable[NodeState] = (
            head.nodes.values() if entry is head.entry else read_nodes(self._objects, new).values()
        )
        self._take_rows(rows)

    def take_records(self, packs: Mapping[str, Iterable[StoredRecord]]) -> None:
        """Take in the packs of the fits that documents name; of equal records the first, which all readers take."""
        seen: set[tuple[str, str]] = set()
        for pack in sorted(packs):
            for record in packs[pack]:
                fit = record.fingerprint if record.action == "fit" else str(record.parts.get("fit"))
                if fit not in self._fits or record.action not in ("fit", "column", "score"):
                    continue
                identity = (f"{record.action} {bool(record.blobs)}", record.fingerprint)
                if identity not in seen:
                    seen.add(identity)
                    self.keys.add(pack)

    def _take_rows(self, rows: Iterable[NodeState]) -> None:
        pointers = {pointer for row in rows for pointer in pointers_of(row)}
        self.keys.update(pointer.pack for pointer in pointers)
        documents = {pointer for pointer in pointers if pointer.role == "version"} - self._documents
        self._documents |= documents
        for _, document in read_documents(self._objects, documents):
            self.keys.update(_packs_in(document))
            fits = document.get("fits")
            for fit in fits.values() if isinstance(fits, dict) else ():
                if isinstance(fit, dict):
                    self._fits.add(str(fit.get("fingerprint")))


def _stays(pack: str, reached: _Reached, young: frozenset[str]) -> bool:
    return pack in reached.keys or _run_of(pack) in young


def _packs_in(value: Json) -> Iterator[str]:
    """The key of every pack that a document names, wherever it stands in it."""
    if isinstance(value, dict):
        if isinstance(value.get("pack"), str) and "digest" in value:
            yield str(value["pack"])
        for item in value.values():
            yield from _packs_in(item)
    elif isinstance(value, list):
        for item in value:
            yield from _packs_in(item)


def _entries(store: Store, head: Head) -> list[LogEntry]:
    """The entries from the head back to the oldest release that earlier cleanings kept."""
    if head.entry is None:
        return []
    oldest = head.entry.oldest_release or 1
    found = [head.entry]
    for number in range(head.sequence - 1, 0, -1):
        entry = store.read_entry(number)
        if (entry.release or 0) < oldest and entry.kind != "gc":
            break
        found.append(entry)
    return found


def _releases(
    objects: Objects, entries: Iterable[LogEntry], keep: Keep, now: dt.datetime
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The releases to keep and those to drop, newest first."""
    made = {
        entry.release: entry.sequence
        for entry in entries
        if entry.kind in RELEASING and entry.release is not None
    }
    if not made:
        return (), ()
    first = entry_key(min(made.values()) - 1)
    written = {info.key: info.modified for info in objects.list("log/", first)}
    newest = sorted(made, reverse=True)
    kept: list[int] = []
    for place, release in enumerate(newest):
        age = now - written.get(entry_key(made[release]), now)
        # a release between two kept ones is kept, whatever its time says
        if place >= max(keep.releases, 1) and age >= keep.age:
            break
        kept.append(release)
    return tuple(kept), tuple(newest[len(kept) :])


def _young_runs(
    objects: Objects, listed: Iterable[ObjectInfo], now: dt.datetime, grace: dt.timedelta
) -> frozenset[str]:
    """The runs that wrote anything within the grace: all that they wrote is kept."""
    young = {_run_of(info.key) for info in objects.list("runs/") if now - info.modified < grace}
    young.update(_run_of(info.key) for info in listed if now - info.modified < grace)
    return frozenset(young)


def _run_of(key: str) -> str:
    """The run that wrote an object, by the object's name."""
    return segment_run(key) or (key.split("/")[1] if "/" in key else key)


def sweep(objects: Objects, condemned: Iterable[CondemnedObject]) -> None:
    """Delete objects: result segments first, so that none tells of a pack that is gone."""
    keys = sorted((one.key for one in condemned), key=lambda key: (not key.startswith("results/"), key))
    segments = [key for key in keys if key.startswith("results/")]
    objects.delete(segments)
    objects.delete(keys[len(segments) :])
