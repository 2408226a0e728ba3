"""Log entries as values, and what they name.

Every pointer in an entry carries a digest and the entry is sealed with its own, so one check of the
entry vouches for everything that it reaches.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from retraining.errors import IntegrityError, StoreError
from retraining.manifest.values import Json
from retraining.release import fields
from retraining.release.update import logical_digest
from retraining.release.values import NodeState
from retraining.store.documents import FORMAT, parse_sealed, sealed
from retraining.store.nodes import Shard
from retraining.store.signing import NO_KEYS, Keys, check_signature, sign

__all__ = [
    "RELEASING",
    "Head",
    "Kind",
    "LogEntry",
    "ObjectPointer",
    "ResultsBase",
    "entry_key",
    "parse_entry",
    "sequence_of",
]

Kind: TypeAlias = Literal["release", "rollback", "state", "gc"]

#: The kinds of entry that make a release: they change what is served.
RELEASING: frozenset[Kind] = frozenset({"release", "rollback"})
_KINDS: Mapping[str, Kind] = {"release": "release", "rollback": "rollback", "state": "state", "gc": "gc"}
_KEY = re.compile(r"log/([0-9]{20})\.json")


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectPointer:
    """A whole object: where it is, how many bytes it has, and their digest."""

    at: str
    bytes: int
    digest: str

    def to_json(self) -> dict[str, Json]:
        """The pointer as a JSON object."""
        return {"at": self.at, "bytes": self.bytes, "digest": self.digest}

    @classmethod
    def from_json(cls, document: Mapping[str, Json]) -> ObjectPointer:
        """The pointer that a JSON object describes; raises ValueError where it describes none."""
        return cls(
            at=fields.text(document, "at"),
            bytes=fields.integer(document, "bytes"),
            digest=fields.text(document, "digest"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultsBase:
    """Result segments merged: the objects that repeat them, and the last segment that they cover.

    Segments after `through` are read one by one.
    """

    objects: tuple[ObjectPointer, ...]
    through: str

    def to_json(self) -> dict[str, Json]:
        """The base as a JSON object."""
        return {"base": [pointer.to_json() for pointer in self.objects], "through": self.through}

    @classmethod
    def from_json(cls, document: Mapping[str, Json]) -> ResultsBase:
        """The base that a JSON object describes; raises ValueError where it describes none."""
        return cls(
            objects=tuple(map(ObjectPointer.from_json, fields.sequence(document, "base"))),
            through=fields.text(document, "through"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEntry:
    """One commit.

    `release` is the number of the release that is current after it: it grows by one with an entry
    of kind `release` or `rollback` and stays with any other; None before the first release. `commit` is
    unlike that of every other attempt to commit. `who` is user@host, `time` an ISO instant in UTC,
    `manifest` has the name and the digest, `snapshots` the pinned snapshot of each dataset.

    `results` is the newest merge of result segments. `condemned` is the list of the objects that
    the newest gc will delete: no later entry names any of them. Releases before `oldest_release`
    are no longer kept; None: all are. `vouched` lists the digests of entries that were not signed when
    they were written and are accepted. `feedback_through` is the number of the last batch of late labels
    that a run had seen. `signed` says whether a signature was on the entry as it was read.
    """

    sequence: int
    commit: str
    kind: Kind
    release: int | None
    time: str
    run: str
    who: str
    why: Mapping[str, Json] = field(default_factory=dict)
    manifest: Mapping[str, str] = field(default_factory=dict)
    nodes: tuple[Shard, ...] = ()
    snapshots: Mapping[str, ObjectPointer] = field(default_factory=dict)
    results: ResultsBase | None = None
    condemned: ObjectPointer | None = None
    oldest_release: int | None = None
    vouched: ObjectPointer | None = None
    feedback_through: int = 0
    signed: bool = field(default=False, compare=False)

    def to_bytes(self, keys: Keys = NO_KEYS, store_id: str = "") -> bytes:
        """The sealed document of the entry, signed for this one store where there is a key."""
        document = sealed(
            {
                "format": FORMAT,
                "sequence": self.sequence,
                "commit": self.commit,
                "kind": self.kind,
                "release": self.release,
                "time": self.time,
                "run": self.run,
                "who": self.who,
                "why": dict(self.why),
                "manifest": dict(self.manifest),
                "nodes": [shard.to_json() for shard in self.nodes],
                "snapshots": {name: pointer.to_json() for name, pointer in self.snapshots.items()},
                "results": None if self.results is None else self.results.to_json(),
                "condemned": None if self.condemned is None else self.condemned.to_json(),
                "oldest_release": self.oldest_release,
                "vouched": None if self.vouched is None else self.vouched.to_json(),
                "feedback_through": self.feedback_through,
            }
        )
        return sign(document, keys, _purpose(store_id))


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """What the store holds after a log entry: the current release and all remembered state.

    `sequence` is 0 and `entry` None in a store without commits; `release` is None before the first
    release. `nodes` is sorted by name.
    """

    sequence: int = 0
    release: int | None = None
    entry: LogEntry | None = None
    nodes: Mapping[str, NodeState] = field(default_factory=dict)

    def logical(self) -> str:
        """The digest that is equal for equal releases (`release.update.logical_digest`)."""
        return logical_digest(self.nodes)


def entry_key(sequence: int) -> str:
    """The key of a log entry."""
    return f"log/{sequence:020d}.json"


def _purpose(store_id: str) -> str:
    return f"retraining log {store_id}"


def sequence_of(key: str) -> int | None:
    """The number of the log entry with this key, None for other keys (the hint)."""
    match = _KEY.fullmatch(key)
    return int(match[1]) if match else None


def parse_entry(data: bytes, key: str, keys: Keys = NO_KEYS, store_id: str = "") -> LogEntry:
    """The entry in an object's bytes; IntegrityError where a byte differs or it has another's place.

    SignatureError, before anything is parsed, where there are keys and none of them signed it for
    this store.
    """
    body, signed = check_signature(data, keys, _purpose(store_id), key)
    document = parse_sealed(body, key)
    try:
        kind = _KINDS.get(fields.text(document, "kind"))
        if kind is None:
            raise StoreError(
                f"{key}: written by a newer version of retraining (kind {document['kind']!r})",
                "upgrade with `pip install --upgrade retraining`",
            )
        snapshots = fields.mapping(document, "snapshots")
        entry = LogEntry(
            sequence=fields.integer(document, "sequence"),
            commit=fields.text(document, "commit"),
            kind=kind,
            release=fields.optional_integer(document, "release"),
            time=fields.text(document, "time"),
            run=fields.text(document, "run"),
            who=fields.text(document, "who"),
            why=fields.mapping(document, "why"),
            manifest=fields.texts(document, "manifest"),
            nodes=tuple(map(Shard.from_json, fields.sequence(document, "nodes"))),
            snapshots={name: ObjectPointer.from_json(fields.mapping(snapshots, name)) for name in snapshots},
            # entries of older versions have none of these
            results=ResultsBase.from_json(fields.mapping(document, "results"))
            if document.get("results") is not None
            else None,
            condemned=ObjectPointer.from_json(fields.mapping(document, "condemned"))
            if document.get("condemned") is not None
            else None,
            oldest_release=fields.optional_integer(document, "oldest_release"),
            vouched=ObjectPointer.from_json(fields.mapping(document, "vouched"))
            if document.get("vouched") is not None
            else None,
            feedback_through=fields.optional_integer(document, "feedback_through") or 0,
            signed=signed,
        )
    except ValueError as error:
        raise IntegrityError(f"{key}: {error}", "restore the store's log/ folder from a backup") from error
    if key != entry_key(entry.sequence):
        raise IntegrityError(
            f"{key}: it holds entry {entry.sequence}", "restore the store's log/ folder from a backup"
        )
    return entry
