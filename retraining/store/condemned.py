"""The condemned list: what gc has said it will delete, so that no later commit names it (docs/design.md 8).

Names are unique and never used again, so the list decides everything: an object on it may be deleted
once its grace is over, whoever still holds its name, because a commit that would name it is stopped.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from retraining.errors import IntegrityError, NotFoundError, ReleaseConflictError
from retraining.manifest.values import Json
from retraining.release import fields
from retraining.release.update import Update
from retraining.release.values import Attempt, BlobPointer, NodeState
from retraining.store.documents import Frame, digest_of
from retraining.store.entries import LogEntry, ObjectPointer
from retraining.store.objects import Objects

__all__ = [
    "CondemnedObject",
    "condemned_between",
    "moved",
    "named_packs",
    "pointers_of",
    "read_condemned",
    "write_condemned",
]

_FRAME = Frame(magic=b"RTCD1")
_Row = TypeVar("_Row", NodeState, Attempt)


@dataclass(frozen=True, slots=True, kw_only=True)
class CondemnedObject:
    """An object that is to be deleted: its key, its size, and the store's time at which gc decided so."""

    key: str
    bytes: int
    since: dt.datetime


def write_condemned(found: Iterable[CondemnedObject]) -> bytes:
    """The bytes of a list, sorted by key."""
    lines: list[dict[str, Json]] = [
        {"key": one.key, "bytes": one.bytes, "since": one.since.astimezone(dt.UTC).isoformat()}
        for one in sorted(found, key=lambda one: one.key)
    ]
    return _FRAME.write(lines)


def read_condemned(objects: Objects, pointer: ObjectPointer | None) -> dict[str, CondemnedObject]:
    """The list that a log entry names, by key; empty for None, IntegrityError where a byte differs."""
    if pointer is None:
        return {}
    data = objects.get(pointer.at)
    if digest_of(data) != pointer.digest:
        raise IntegrityError(
            f"{pointer.at}: its bytes are not what its digest says",
            "restore the store's index/ folder from a backup",
        )
    try:
        found = [
            CondemnedObject(
                key=fields.text(line, "key"),
                bytes=fields.integer(line, "bytes"),
                since=dt.datetime.fromisoformat(fields.text(line, "since")),
            )
            for line in _FRAME.read(data, pointer.at)
        ]
    except ValueError as error:
        raise IntegrityError(f"{pointer.at}: its lines cannot be understood: {error}") from error
    return {one.key: one for one in found}


def condemned_between(objects: Objects, start: LogEntry | None, since: Iterable[LogEntry]) -> frozenset[str]:
    """Every key that was condemned when a run read its head, or that a gc has condemned since.

    `since` are the entries after the one that the run started from. The newest list alone would not
    do: a name leaves it when the object is gone. ReleaseConflictError where a list is itself gone.
    """
    lists = [] if start is None else [start.condemned]
    lists += [entry.condemned for entry in since if entry.kind == "gc"]
    try:
        return frozenset(key for pointer in lists for key in read_condemned(objects, pointer))
    except NotFoundError as error:
        raise ReleaseConflictError(
            f"{objects.url}: gc has worked more than once since this run read the store, and what it deleted "
            "can no longer be told",
            "run again: it starts from the new release and takes up every finished fit",
        ) from error


def named_packs(update: Update) -> frozenset[str]:
    """The keys of all packs that a release would name because of an update."""
    values: list[NodeState | Attempt] = [*update.set.values(), *update.attempts.values()]
    return frozenset(pointer.pack for value in values for pointer in pointers_of(value))


def pointers_of(value: NodeState | Attempt) -> Iterator[BlobPointer]:
    """Every blob that a row of the node table names, those of its attempt included."""
    for field in dataclasses.fields(value):
        held = getattr(value, field.name)
        if isinstance(held, BlobPointer):
            yield held
        elif isinstance(held, Attempt):
            yield from pointers_of(held)


def moved(update: Update, places: Mapping[str, str]) -> Update:
    """The update with the packs that `places` names replaced by others that hold the same bytes."""
    return replace(
        update,
        set={node: _moved(row, places) for node, row in update.set.items()},
        attempts={node: _moved(attempt, places) for node, attempt in update.attempts.items()},
    )


def _moved(value: _Row, places: Mapping[str, str]) -> _Row:
    changes: dict[str, Any] = {}
    for field in dataclasses.fields(value):
        held = getattr(value, field.name)
        if isinstance(held, BlobPointer) and held.pack in places:
            changes[field.name] = replace(held, pack=places[held.pack])
        elif isinstance(held, Attempt):
            changes[field.name] = _moved(held, places)
    return replace(value, **changes) if changes else value
