"""Reads a store again and compares every byte with what its records say of it.

Kept releases, the newest attempts, the log, late labels, indexes and the records of runs always; packs as a whole,
with their cached fits, result segments, hints and what is left of older entries unless only the rest
is asked for. Nothing is changed, and nothing stops at the first damage.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, TypeVar

from retraining.errors import IntegrityError, NotFoundError, SignatureError
from retraining.release.recorded import recorded_of
from retraining.release.values import BlobPointer, NodeState
from retraining.store.condemned import pointers_of, read_condemned
from retraining.store.documents import parse_document
from retraining.store.entries import RELEASING, LogEntry, ObjectPointer, entry_key, sequence_of
from retraining.store.feedback import batch_key, batch_number, read_batch
from retraining.store.log import Store, parse_hint
from retraining.store.nodes import Shard, read_rows
from retraining.store.objects import Objects
from retraining.store.packs import check_pack, read_blob, read_blobs
from retraining.store.results import read_segment
from retraining.store.runs import check_events

__all__ = ["Damage", "Kind", "Verification", "verify"]

_Found = TypeVar("_Found")
Kind: TypeAlias = Literal["log", "release", "attempt", "record", "feedback", "cache", "history"]

_RESTORE_LOG = (
    "restore this object from a backup of the store; `retrain releases` shows what can still be read"
)
_RESTORE_INDEX = "restore this object from a backup of the store, or roll back to a release that is whole"
_AGAIN = "restore this pack from a backup, or make it again: retrain run MANIFEST --force '{node}'"
_DOCUMENT = "restore this pack from a backup, or `retrain rollback` to a release that is whole"
_RECORDED = (
    "restore this pack from a backup, or make the version again: retrain run MANIFEST --force '{node}'; meanwhile "
    "`predict --history shipped` does without it"
)
_BESIDE = "restore this pack from a backup, or leave it: what releases need of it is whole; do not delete it"
_CACHE = "delete this object: what a run needs of it is made again"
_HISTORY = "delete this object: only a release that is no longer kept, or no longer current, named it"
_LABELS = "restore this object from a backup, or add its labels again; until it is whole no run can tell what is known"
_RECORD = "restore this object from a backup, or delete it: only reports about that run need it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Damage:
    """One object that is missing or not what its record says.

    `node` is the node that it belongs to and `releases` the kept releases that name it, where there
    are any; `because` says what is wrong, `remedy` what helps.
    """

    key: str
    kind: Kind
    missing: bool
    because: str
    remedy: str
    node: str = ""
    releases: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What was read, and what of it is damaged or missing. `releases` are those that were read in full."""

    entries: int
    signed: int
    releases: tuple[int, ...]
    blobs: int
    bytes: int
    damages: tuple[Damage, ...]


def verify(store: Store, *, everything: bool = True) -> Verification:
    """What is wrong in a store; without `everything` caches, hints and older entries' objects are left out."""
    check = _Check(store)
    entries = check.log()
    kept = check.kept(entries)
    for entry in kept:
        check.entry(entry)
    check.pointers()
    check.records()
    check.feedback(entries)
    if everything:
        check.caches()
        check.history(entries)
    releases = {entry.release for entry in kept if entry.release is not None}
    return Verification(
        entries=len(entries),
        signed=sum(entry.signed for entry in entries),
        releases=tuple(sorted(releases)),
        blobs=check.blobs,
        bytes=check.bytes,
        damages=tuple(sorted(check.damages.values(), key=lambda one: (one.key, one.because))),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """What is read, and what is said of it if it cannot be."""

    key: str
    kind: Kind
    remedy: str
    node: str = ""
    releases: tuple[int, ...] = ()


@dataclass(slots=True)
class _Owner:
    """Who names a blob: the node, whether only its last attempt does, and the releases."""

    node: str
    attempt: bool
    releases: set[int]


class _Check:
    """One pass over a store, with what it has found so far."""

    def __init__(self, store: Store) -> None:
        self.damages: dict[tuple[str, str, str], Damage] = {}
        self.blobs = 0
        self.bytes = 0
        self._store = store
        self._objects: Objects = store.objects
        self._rows: dict[str, tuple[NodeState, ...]] = {}
        self._owners: dict[BlobPointer, _Owner] = {}
        self._read: set[str] = set()
        self._newest: LogEntry | None = None

    def log(self) -> list[LogEntry]:
        """All entries that can be read, the oldest first."""
        # an entry is durable before the hint names it
        hinted = self._store.hinted_sequence()
        numbers = [hinted] + [
            number for info in self._objects.list("log/") if (number := sequence_of(info.key))
        ]
        places = [
            (number, _Place(key=entry_key(number), kind="log", remedy=_RESTORE_LOG))
            for number in range(1, max(numbers) + 1)
        ]
        found = [self._try(place, self._store.read_entry, number) for number, place in places]
        return [entry for entry in found if entry is not None]

    def kept(self, entries: Sequence[LogEntry]) -> list[LogEntry]:
        """The newest entry and those that made the releases that are kept."""
        if not entries:
            return []
        self._newest = entries[-1]
        oldest = self._newest.oldest_release or 1
        made = [entry for entry in entries[:-1] if entry.kind in RELEASING and (entry.release or 0) >= oldest]
        return [*made, self._newest]

    def entry(self, entry: LogEntry) -> None:
        """Read all that an entry names, and remember the blobs that its rows name."""
        releases = () if entry.release is None else (entry.release,)
        self._read.update(shard.at for shard in entry.nodes)
        self._read.update(pointer.at for pointer in entry.snapshots.values())
        for shard in entry.nodes:
            place = _Place(key=shard.at, kind="release", remedy=_RESTORE_INDEX, releases=releases)
            rows = self._rows.get(shard.at) or self._try(place, self._shard, shard) or ()
            self._rows[shard.at] = rows
            for row in rows:
                self._remember(row, releases)
        for pointer in entry.snapshots.values():
            place = _Place(key=pointer.at, kind="release", remedy=_RESTORE_INDEX, releases=releases)
            self._try(place, self._object, pointer)
        if entry is self._newest and entry.condemned is not None:
            self._read.add(entry.condemned.at)
            place = _Place(key=entry.condemned.at, kind="log", remedy=_RESTORE_INDEX)
            self._try(place, read_condemned, self._objects, entry.condemned)
        if entry is self._newest and entry.vouched is not None:
            self._read.add(entry.vouched.at)
            place = _Place(key=entry.vouched.at, kind="log", remedy=_RESTORE_INDEX)
            self._try(place, self._object, entry.vouched)

    def pointers(self) -> None:
        """Read every blob that kept releases and attempts name, and the recorded columns that their documents name."""
        recorded: dict[BlobPointer, _Owner] = {}
        for pointer, owner in self._owners.items():
            place = _Place(
                key=pointer.pack,
                kind="attempt" if owner.attempt else "release",
                remedy=_AGAIN.format(node=owner.node) if pointer.role == "model" else _DOCUMENT,
                node=owner.node,
                releases=tuple(sorted(owner.releases)),
            )
            for named in self._try(place, self._blob, pointer) or ():
                recorded.setdefault(named, owner)
        for node, pointers in _by_node(recorded).items():
            self._recorded(node, pointers, recorded)

    def _recorded(
        self, node: str, pointers: Sequence[BlobPointer], owners: Mapping[BlobPointer, _Owner]
    ) -> None:
        """Reads a node's recorded column together, and where that fails piece by piece."""
        try:
            for data in read_blobs(self._objects, pointers):
                self._counted(data)
            self.blobs += len(pointers)
        except (IntegrityError, NotFoundError):
            for pointer in pointers:
                owner = owners[pointer]
                place = _Place(
                    key=pointer.pack,
                    kind="attempt" if owner.attempt else "release",
                    remedy=_RECORDED.format(node=node),
                    node=node,
                    releases=tuple(sorted(owner.releases)),
                )
                self._try(place, self._blob, pointer)

    def records(self) -> None:
        """Read what the store and the runs say of themselves."""
        for info in self._objects.list("runs/"):
            place = _Place(key=info.key, kind="record", remedy=_RECORD)
            if info.key.endswith(".json"):
                self._try(place, self._store.read_json, info.key)
            elif info.key.endswith(".jsonl"):
                self._try(place, self._events, info.key)

    def feedback(self, entries: Sequence[LogEntry]) -> None:
        """Read all batches of late labels: those that are there, and those that a release says it saw."""
        numbers = [entry.feedback_through for entry in entries]
        numbers += [number for info in self._objects.list("feedback/") if (number := batch_number(info.key))]
        for number in range(1, max(numbers, default=0) + 1):
            place = _Place(key=batch_key(number), kind="feedback", remedy=_LABELS)
            found = self._try(place, read_batch, self._store, number)
            self.bytes += 0 if found is None else found.bytes

    def caches(self) -> None:
        """Read the packs with all their blobs, result segments and their merges, and sealed hints."""
        needed = {pointer.pack for pointer in self._owners}
        told = {key for key, _, _ in self.damages}
        for info in self._objects.list("packs/"):
            # what is wrong with a pack that a release needs has been said, or harms its cached fits alone
            remedy = _BESIDE if info.key in needed else _CACHE
            if info.key not in told:
                self._try(_Place(key=info.key, kind="cache", remedy=remedy), self._pack, info.key)
        results = None if self._newest is None else self._newest.results
        for pointer in () if results is None else results.objects:
            self._read.add(pointer.at)
            self._try(_Place(key=pointer.at, kind="cache", remedy=_CACHE), self._object, pointer)
        for info in self._objects.list("results/"):
            self._try(_Place(key=info.key, kind="cache", remedy=_CACHE), self._segment, info.key)
        for info in self._objects.list("hints/snapshots/"):
            self._try(_Place(key=info.key, kind="cache", remedy=_CACHE), self._hint, info.key)

    def history(self, entries: Sequence[LogEntry]) -> None:
        """Read what is left of the objects that only older entries name: gc may have deleted any of them."""
        pointers: dict[str, Shard | ObjectPointer] = {}
        for entry in entries:
            pointers |= {shard.at: shard for shard in entry.nodes}
            pointers |= {pointer.at: pointer for pointer in entry.snapshots.values()}
            if entry.condemned is not None:
                pointers[entry.condemned.at] = entry.condemned
            if entry.vouched is not None:
                pointers[entry.vouched.at] = entry.vouched
            for pointer in () if entry.results is None else entry.results.objects:
                pointers[pointer.at] = pointer
        present = {info.key for info in self._objects.list("index/")}
        for key in sorted((pointers.keys() & present) - self._read):
            pointer = ObjectPointer(at=key, bytes=pointers[key].bytes, digest=pointers[key].digest)
            self._try(_Place(key=key, kind="history", remedy=_HISTORY), self._object, pointer)

    def _remember(self, row: NodeState, releases: tuple[int, ...]) -> None:
        tried = set() if row.attempt is None else set(pointers_of(row.attempt))
        own = {row.document, row.artifact}
        for pointer in pointers_of(row):
            attempt = pointer in tried and pointer not in own
            owner = self._owners.setdefault(pointer, _Owner(row.node, attempt, set()))
            owner.attempt = owner.attempt and attempt
            owner.releases.update(releases)

    def _shard(self, shard: Shard) -> tuple[NodeState, ...]:
        return read_rows(self._counted(self._objects.get(shard.at)), shard)

    def _object(self, pointer: ObjectPointer) -> None:
        self._counted(self._store.read_object(pointer))

    def _events(self, key: str) -> None:
        check_events(self._counted(self._objects.get(key)), key)

    # segments and hints that nobody signed are no damage: a run with a key passes them over

    def _segment(self, key: str) -> None:
        read_segment(self._counted(self._objects.get(key)), key)

    def _hint(self, key: str) -> None:
        parse_hint(self._counted(self._objects.get(key)), key)

    def _blob(self, pointer: BlobPointer) -> tuple[BlobPointer, ...]:
        """Reads a blob; of a version document the pointers to what was recorded of columns."""
        data = self._counted(read_blob(self._objects, pointer))
        self.blobs += 1
        if pointer.role != "version":
            return ()
        try:
            return recorded_of(parse_document(data, pointer.pack)).pointers()
        except ValueError as error:
            raise IntegrityError(
                f"{pointer.pack}: a document tells of columns that make no sense: {error}"
            ) from error

    def _pack(self, key: str) -> None:
        self.blobs += check_pack(self._objects, key)

    def _counted(self, data: bytes) -> bytes:
        self.bytes += len(data)
        return data

    def _try(self, place: _Place, read: Callable[..., _Found], *arguments: object) -> _Found | None:
        """What `read` gives; None where the object is missing or damaged, which is remembered."""
        try:
            return read(*arguments)
        except (IntegrityError, NotFoundError) as error:
            self.damages[(place.key, place.node, error.message)] = Damage(
                key=place.key,
                kind=place.kind,
                missing=isinstance(error, NotFoundError),
                because=error.message,
                remedy=(isinstance(error, SignatureError) and error.next_step) or place.remedy,
                node=place.node,
                releases=place.releases,
            )
            return None


def _by_node(owners: Mapping[BlobPointer, _Owner]) -> dict[str, list[BlobPointer]]:
    found: dict[str, list[BlobPointer]] = {}
    for pointer, owner in owners.items():
        found.setdefault(owner.node, []).append(pointer)
    return found
