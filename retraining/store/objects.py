"""The object-store port: what the store needs of a folder or a bucket, and no more.

Three kinds of object live behind it. Logs are made with `create`, which has exactly one winner for
each key; unique objects with `put`, under a name that no other attempt can have; hints with
`overwrite`, and nothing is correct because of them. `create` and `put` return only when a power cut
can no longer take the object back.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, get_args
from urllib.parse import unquote, urlsplit

from retraining.errors import AlreadyExistsError, IntegrityError, NotFoundError, StoreError, UnansweredError
from retraining.store.cloud.addresses import Scheme, parse_address, presentable, scheme_of

__all__ = ["ObjectInfo", "Objects", "UnsafeKeyError", "check_key", "create_own", "open_objects"]

_UNSAFE = re.compile(r"[\x00-\x1f\x7f\\#]")
_MAX_PART = 200
_MAX_KEY = 900
_TRIES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectInfo:
    """One object of a listing: its key, its size in bytes, and the store's own time of its writing."""

    key: str
    size: int
    modified: dt.datetime


class Objects(Protocol):
    """A flat map from key to bytes, with one operation that excludes: `create`."""

    @property
    def url(self) -> str:
        """The place of the store, as `open_objects` takes it."""
        ...

    def create(self, key: str, body: bytes) -> None:
        """Write a new object durably; AlreadyExistsError where the key is taken.

        That error does not say by whom: a request whose reply was lost may have been applied, so
        the caller reads back what the key holds. Any other StoreError is the store's refusal, but
        for UnansweredError: that, and any other exception, leaves open whether the object was, or
        will yet be, written.
        """
        ...

    def put(self, key: str, body: bytes) -> None:
        """Write an object durably under a name that nobody else uses."""
        ...

    def overwrite(self, key: str, body: bytes) -> None:
        """Write a hint: readers see the old or the new bytes; it may be lost in a power cut."""
        ...

    def get(self, key: str) -> bytes:
        """The bytes of an object; NotFoundError where there is none."""
        ...

    def get_range(self, key: str, start: int, length: int) -> bytes:
        """The bytes from `start`, fewer than `length` where the object ends before; NotFoundError."""
        ...

    def get_tail(self, key: str, length: int) -> tuple[bytes, int]:
        """The last `length` bytes of an object (all, if it has fewer) and its size; NotFoundError."""
        ...

    def list(self, prefix: str, start_after: str = "") -> Iterator[ObjectInfo]:
        """The objects whose key begins with `prefix` and is greater than `start_after`, by key."""
        ...

    def delete(self, keys: Iterable[str]) -> None:
        """Remove objects; keys that hold nothing are passed over."""
        ...

    def temporaries(self, before: dt.datetime) -> Iterator[ObjectInfo]:
        """What killed writers left under names that no key has, last written before a time of the store."""
        ...

    def delete_temporaries(self, found: Iterable[ObjectInfo]) -> None:
        """Remove what `temporaries` found."""
        ...

    def settle(self, prefix: str) -> None:
        """Make what is visible under a prefix that ends in "/" safe from a power cut.

        A reader may see an object before its writer has made it durable; who is about to build on
        it calls this first. Stores that show only durable objects have nothing to do.
        """
        ...

    def verify_exclusion(self) -> None:
        """Refuse, with a StoreError, a place where `create` lets two writers win.

        Called before work is done for a store and before a commit. The answer is remembered by this
        object alone, since a server's settings change. Where `create` rests on the operating system
        there is nothing to ask.
        """
        ...


class UnsafeKeyError(IntegrityError, ValueError):
    """A name that could lead out of the store: a record that holds one was made by nobody of us."""


def check_key(key: str) -> str:
    """The key itself, if it is safe on every kind of store; UnsafeKeyError for anything else.

    Parts are separated by "/"; none is empty, "." or ".."; no backslash, control character or "#".
    """
    parts = key.split("/")
    if (
        _UNSAFE.search(key)
        or len(key.encode()) > _MAX_KEY
        or any(part in ("", ".", "..") or len(part.encode()) > _MAX_PART for part in parts)
    ):
        raise UnsafeKeyError(
            f"not a safe object key: {key!r:.300}",
            "a record of the store names it: restore the store's log/ and index/ folders from a backup",
        )
    return key


def create_own(objects: Objects, key: str, body: bytes) -> bool:
    """Whether a new object holds these bytes, which no other writer has, after trying to create it.

    Settled by reading back where an answer was lost or wrong; False where it holds another's bytes.
    """
    failure: StoreError | None = None
    for _ in range(_TRIES):
        try:
            objects.create(key, body)
        except (AlreadyExistsError, UnansweredError) as error:
            failure = error
        else:
            return True
        with contextlib.suppress(NotFoundError):
            return objects.get(key) == body
    assert failure is not None
    raise failure


def open_objects(url: str, *, create: bool = False) -> Objects:
    """The objects at a URL: a folder's path, file:///path, s3://, gs:// or az:// with bucket and prefix.

    `create` makes the folder (and its parents) where it is missing; else a missing folder is a
    NotFoundError. Buckets are never made. Other schemes, and URLs that hold credentials, are a
    StoreError that does not repeat them.
    """
    if scheme_of(url) in get_args(Scheme):
        # loaded only where a bucket is used
        from retraining.store.cloud.objects import BucketObjects

        return BucketObjects.open(parse_address(url))
    from retraining.store.local import LocalObjects

    folder = _folder_of(url)
    if create:
        return LocalObjects.create_at(folder)
    if not os.path.exists(folder):
        raise NotFoundError(
            f"store {url}: there is no folder {folder}",
            "check --store and the manifest's `store`, or make it with `retrain run`",
        )
    return LocalObjects(folder)


def _folder_of(url: str) -> Path:
    if not url or "\x00" in unquote(url):
        raise StoreError(f"store {url!r}: not a folder's path", "give a folder, for example --store ./store")
    if scheme_of(url) is None:
        return Path(url).expanduser().absolute()
    parts = urlsplit(url)
    if parts.scheme.lower() == "file" and parts.netloc in ("", "localhost") and parts.path.startswith("/"):
        return Path(unquote(parts.path))
    raise StoreError(
        f"store {presentable(url)}: neither a folder nor a bucket of S3, Google Cloud Storage or Azure",
        "give a folder (--store ./store, --store file:///absolute/path) or a bucket (--store s3://bucket/prefix, "
        "gs://bucket/prefix, az://container/prefix)",
    )
