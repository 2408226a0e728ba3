"""The store as a whole: its log, the newest head, documents of runs.

The log is a sequence of create-only objects with consecutive numbers; the newest number is the
truth, and the hint only says where to begin looking. A reader sees a commit as a whole or not at
all, since an entry is created after everything that it names.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import os
from collections.abc import Collection, Iterator, Mapping

from retraining.errors import (
    AlreadyExistsError,
    IntegrityError,
    NotFoundError,
    SignatureError,
    StoreError,
    UnknownReleaseError,
)
from retraining.manifest.given import given_text
from retraining.manifest.values import Json
from retraining.release import fields
from retraining.release.update import Requirement, Update
from retraining.store.commits import Commit, Housekeeping, Ports
from retraining.store.documents import FORMAT, digest_of, parse_named, parse_sealed, sealed, sealed_named
from retraining.store.entries import (
    RELEASING,
    Head,
    Kind,
    LogEntry,
    ObjectPointer,
    ResultsBase,
    entry_key,
    parse_entry,
    sequence_of,
)
from retraining.store.nodes import UnreadNodes, read_nodes
from retraining.store.objects import Objects, create_own, open_objects
from retraining.store.signing import NO_KEYS, Keys, check_signature, read_keys, sign
from retraining.store.vouching import read_vouched

__all__ = ["Head", "LogEntry", "ObjectPointer", "Store", "open_store", "parse_hint", "store_on"]

_HINT = "log/_hint"
_STORE = "store.json"
_MAX_HINT_DIGITS = 18


def open_store(url: str | os.PathLike[str], *, create: bool = False) -> Store:
    """The store at a URL (`./folder`, file:///folder, or a bucket and prefix: s3://, gs://, az://).

    `create` makes a store where there is none yet: the place must be missing or empty. Else a
    missing store is a NotFoundError, and a place that holds something else a StoreError. Signing keys
    come from the environment (docs/security.md).
    """
    keys = read_keys(os.environ)
    place = given_text(url, "the store", "a folder or the URL of a bucket")
    return store_on(open_objects(place, create=create), create=create, keys=keys)


def store_on(objects: Objects, *, create: bool = False, keys: Keys = NO_KEYS) -> Store:
    """The store on an object-store port; errors as `open_store`."""
    with contextlib.suppress(NotFoundError):
        return _read_store(objects, keys)
    occupied = next(iter(objects.list("")), None)
    if occupied is not None:
        # Asked again after the listing, so that a store in the making is not taken for something else.
        try:
            return _read_store(objects, keys)
        except NotFoundError:
            raise StoreError(
                f"{objects.url}: this is not a store of retraining: it holds {occupied.key}, but no {_STORE}",
                "give an empty or new folder as the store, or the right path",
            ) from None
    if not create:
        raise NotFoundError(
            f"{objects.url}: it is empty, there is no store in it",
            "check --store and the manifest's `store`, or make it with `retrain run`",
        )
    document: dict[str, Json] = {
        "format": FORMAT,
        "store_id": os.urandom(16).hex(),
        "created": dt.datetime.now(dt.UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
    }
    # Whoever made it: all read the same.
    create_own(objects, _STORE, sealed_named(document))
    return _read_store(objects, keys)


def _read_store(objects: Objects, keys: Keys) -> Store:
    document = parse_named(objects.get(_STORE), f"{objects.url}/{_STORE}")
    try:
        return Store(objects, store_id=fields.text(document, "store_id"), keys=keys)
    except ValueError as error:
        raise IntegrityError(
            f"{objects.url}/{_STORE}: {error}", "restore this file from a backup of the store"
        ) from error


def parse_hint(data: bytes, key: str, keys: Keys = NO_KEYS, purpose: str = "") -> dict[str, Json]:
    """The document in a hint's bytes; IntegrityError where a byte differs, or no key signed it for its purpose."""
    body, _ = check_signature(data, keys, purpose, key)
    return parse_sealed(body, key)


class Store:
    """One store; it holds no state but what its objects hold, so any number may be open at once.

    Parameters
    ----------
    objects
        The object-store port.
    store_id
        The random name that the store got when it was made.
    ports
        Randomness, clock and sleep.
    keys
        With keys, entries, segments and hints are signed, and unsigned ones are refused.
    """

    def __init__(
        self, objects: Objects, *, store_id: str, ports: Ports | None = None, keys: Keys = NO_KEYS
    ) -> None:
        self.objects = objects
        self.keys = keys
        self.store_id = store_id
        self._ports = Ports() if ports is None else ports
        self._trusting = False
        self._vouched: Mapping[str, str] | None = None

    def trusting(self) -> Store:
        """The same store, which reads what nobody signed and still signs: to begin signing with."""
        store = Store(self.objects, store_id=self.store_id, ports=self._ports, keys=self.keys)
        store._trusting = True
        return store

    def read_head(self) -> Head:
        """The newest release and all remembered state; an empty head in a store without commits."""
        return self._head(self._newest())

    def newest_entry(self) -> LogEntry | None:
        """The newest log entry; None in a store without commits."""
        newest = self._newest()
        return self.read_entry(newest) if newest else None

    def read_head_at(self, entry: LogEntry | None) -> Head:
        """The head that an entry made; None: the empty one."""
        if entry is None:
            return Head()
        nodes = read_nodes(self.objects, entry.nodes)
        return Head(sequence=entry.sequence, release=entry.release, entry=entry, nodes=nodes)

    def head_at(self, entry: LogEntry) -> Head:
        """The head that an entry made, whose nodes are read when they are first asked for."""
        nodes = UnreadNodes(self.objects, entry.nodes)
        return Head(sequence=entry.sequence, release=entry.release, entry=entry, nodes=nodes)

    def read_entry(self, sequence: int) -> LogEntry:
        """One log entry; NotFoundError where there is none."""
        key = entry_key(sequence)
        data = self.objects.get(key)
        if self._trusting:
            return parse_entry(data, key)
        try:
            return parse_entry(data, key, self.keys, self.store_id)
        except SignatureError:
            if self.takes_unsigned(key, data):
                return parse_entry(data, key)
            raise

    def takes_unsigned(self, key: str, data: bytes) -> bool:
        """Whether an object counts though no key signed it.

        The newest entry, which is signed, has its bytes in the list of what it vouches for; or the store trusts.
        """
        if self._trusting:
            return True
        if self._vouched is None:
            number = self._newest()
            at = entry_key(number)
            newest = parse_entry(self.objects.get(at), at, self.keys, self.store_id) if number else None
            self._vouched = {} if newest is None else self._read_vouched(newest.vouched)
        return self._vouched.get(key) == digest_of(data)

    def _read_vouched(self, pointer: ObjectPointer | None) -> dict[str, str]:
        return {} if pointer is None else read_vouched(self.read_object(pointer), pointer.at)

    def entries(self) -> Iterator[LogEntry]:
        """All log entries, the newest first."""
        return (self.read_entry(sequence) for sequence in range(self._newest(), 0, -1))

    def read_release(self, number: int) -> Head:
        """The head at which release `number` was made; UnknownReleaseError where there is none.

        Release numbers never fall along the log, so this reads about log2(entries) of them.
        """
        newest = self._newest()
        low, high = 1, newest + 1
        while low < high:
            middle = (low + high) // 2
            if (self.read_entry(middle).release or 0) < number:
                low = middle + 1
            else:
                high = middle
        last_entry = self.read_entry(newest) if newest else None
        oldest = (last_entry.oldest_release if last_entry is not None else None) or 1
        if number > 0 and low <= newest and self.read_entry(low).release == number:
            if number >= oldest:
                return self._head(low)
            raise UnknownReleaseError(
                f"{self.objects.url}: release {number} is no longer kept: `retrain gc` cleaned up everything "
                f"before release {oldest}",
                "`retrain releases` lists what there is",
            )
        last = last_entry.release if last_entry is not None else None
        have = "there is none yet" if last is None else f"the releases are {oldest} to {last}"
        raise UnknownReleaseError(
            f"{self.objects.url}: no release {number}; {have}", "`retrain releases` lists them"
        )

    def commit(
        self,
        update: Update,
        requires: Collection[Requirement],
        *,
        kind: Kind,
        run: str,
        who: str,
        why: Mapping[str, Json],
        manifest: Mapping[str, str],
        now: str,
        start: Head,
        snapshots: Mapping[str, ObjectPointer] | None = None,
        results: ResultsBase | None = None,
        housekeeping: Housekeeping | None = None,
        feedback_through: int = 0,
    ) -> Head:
        """The head after the update was committed on the newest head (docs/design.md 7); durable when it returns.

        An empty update writes nothing and returns the newest head. `kind` is `release` or `rollback`
        exactly when the update changes what is served. `now` is the ISO instant in UTC that the entry shows.
        `start` is the head that the run read before it looked for anything in the store: what gc has
        condemned at it or since is copied under a new name before the entry names it. `snapshots` replaces the
        pinned snapshots of the datasets that it names, `results` the merge of result segments where
        it reaches further, `feedback_through` the number of the last batch of late labels that was seen. An
        update with `housekeeping`, which every one of kind `gc` has, lands on `start` or not at all.

        Raises ReleaseConflictError where a requirement no longer holds or an object that the update
        names is gone, CommitOutcomeUnknownError where the store does not tell whether the entry
        landed, StoreError where it refuses to write.
        """
        if update.empty and housekeeping is None:
            return self.read_head()
        if (kind in RELEASING) != update.serves_otherwise or (kind == "gc" and housekeeping is None):
            raise ValueError(
                f"an update of kind {kind} {'changes' if update.serves_otherwise else 'does not change'} what is served"
            )
        commit = Commit(
            objects=self.objects,
            ports=self._ports,
            identity=self._ports.random_bytes(16).hex(),
            update=update,
            requires=tuple(requires),
            kind=kind,
            run=run,
            who=who,
            why=why,
            manifest=manifest,
            now=now,
            start=start,
            keys=self.keys,
            store_id=self.store_id,
            snapshots=snapshots or {},
            results=results,
            housekeeping=housekeeping,
            feedback_through=feedback_through,
        )
        head = commit.land(self.read_head, self.read_entry)
        # The entry is durable: what may go wrong with a hint is nobody's concern.
        with contextlib.suppress(Exception):
            self.objects.overwrite(_HINT, str(head.sequence).encode())
        return head

    def create_json(self, key: str, document: Mapping[str, Json]) -> None:
        """Write a document with `format: 1` once; AlreadyExistsError where another is there."""
        if not create_own(self.objects, key, sealed_named({"format": FORMAT, **document})):
            raise AlreadyExistsError(
                f"{self.objects.url}: another writer created {key} first", "run the command again"
            )

    def put_json(self, key: str, document: Mapping[str, Json]) -> None:
        """Write a document with `format: 1` durably under a name that only this run uses."""
        self.objects.put(key, sealed_named({"format": FORMAT, **document}))

    def read_json(self, key: str) -> dict[str, Json]:
        """The document at a key; NotFoundError, IntegrityError, StoreError for a newer format."""
        return parse_named(self.objects.get(key), key)

    def write_hint(self, key: str, document: Mapping[str, Json]) -> None:
        """Leave a document that saves work later; that it cannot be written is no error."""
        with contextlib.suppress(StoreError):
            body = sign(sealed({"format": FORMAT, **document}), self.keys, self._purpose(key))
            self.objects.overwrite(key, body)

    def read_hint(self, key: str) -> dict[str, Json] | None:
        """The hint at a key; None where it is missing, damaged, unsigned, or of a newer format."""
        try:
            return parse_hint(self.objects.get(key), key, self.keys, self._purpose(key))
        except StoreError:
            return None

    def write_index(self, run: str, name: str, data: bytes) -> ObjectPointer:
        """The pointer to a new object under `index/<run>/`, for a log entry to name."""
        key = f"index/{run}/{name}"
        self.objects.put(key, data)
        return ObjectPointer(at=key, bytes=len(data), digest=digest_of(data))

    def read_object(self, pointer: ObjectPointer) -> bytes:
        """The bytes that a pointer names; IntegrityError where they have another digest."""
        data = self.objects.get(pointer.at)
        if digest_of(data) != pointer.digest:
            raise IntegrityError(
                f"{pointer.at}: its bytes are not what its digest says",
                "restore the store's index/ folder from a backup",
            )
        return data

    def runs(self) -> tuple[str, ...]:
        """The names of all runs that left a document, the newest first."""
        names = {info.key.split("/")[1] for info in self.objects.list("runs/") if info.key.count("/") > 1}
        return tuple(sorted(names, reverse=True))

    def _purpose(self, key: str) -> str:
        return f"retraining hint {self.store_id} {key}"

    def _head(self, sequence: int) -> Head:
        return self.read_head_at(self.read_entry(sequence) if sequence else None)

    def _newest(self) -> int:
        """The number of the newest log entry, 0 where there is none."""
        hint = self.hinted_sequence()
        return (hint and self._last_from(hint)) or self._last_from(1)

    def _last_from(self, first: int) -> int:
        last = first - 1
        for info in self.objects.list("log/", entry_key(first - 1)):
            sequence = sequence_of(info.key)
            if sequence is None:
                continue
            if sequence != last + 1:
                raise IntegrityError(
                    f"{self.objects.url}: {entry_key(last + 1)} is missing, but {info.key} is there",
                    "restore the store's log/ folder from a backup",
                )
            last = sequence
        return last if last >= first else 0

    def hinted_sequence(self) -> int:
        """The number of a log entry that a commit left as a hint: there were at least so many; 0 for none."""
        try:
            hint = self.objects.get(_HINT)
        except StoreError:
            return 0
        return int(hint) if hint.isdigit() and len(hint) <= _MAX_HINT_DIGITS else 0
