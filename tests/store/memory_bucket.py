"""A bucket in memory behind the port of data, which counts what it is asked."""

from __future__ import annotations

import datetime as dt
import hashlib
import threading

from retraining.errors import DataError
from retraining.store.buckets import DataObject


class MemoryBucket:
    """A dict from keys to bytes; `asked` are the requests, in order."""

    url = "s3://bucket"

    def __init__(self, **bodies: bytes) -> None:
        self.bodies = dict(bodies)
        self.asked: list[tuple[str, ...]] = []
        self._lock = threading.Lock()

    def put(self, key: str, body: bytes | str) -> None:
        self.bodies[key] = body.encode() if isinstance(body, str) else body

    write = put

    def find(self, key: str) -> DataObject | None:
        self._note("find", key)
        return self._told(key) if key in self.bodies else None

    def list(self, folder: str, *, below: bool) -> tuple[DataObject, ...]:
        self._note("list", folder)
        start = f"{folder}/" if folder else ""
        inside = [key for key in self.bodies if key.startswith(start) and key != start]
        # as the client of a real bucket, which shows no slash at the end of a key
        return tuple(self._told(key) for key in inside if below or "/" not in key[len(start) :])

    def read(self, found: DataObject, start: int, length: int) -> bytes:
        self._note("read", found.key, str(start), str(length))
        if found.key not in self.bodies or self._told(found.key) != found:
            raise DataError(f"{self.url}/{found.key} changed while it was read", "run again")
        body = self.bodies[found.key][start : start + length]
        assert len(body) == length
        return body

    def downloaded(self) -> int:
        """The bytes that were read."""
        return sum(int(one[3]) for one in self.asked if one[0] == "read")

    def _told(self, key: str) -> DataObject:
        body = self.bodies[key]
        return DataObject(
            key=key.rstrip("/"),
            size=len(body),
            etag=f'"{hashlib.md5(body).hexdigest()}"',
            modified=dt.datetime(2024, 1, 1, tzinfo=dt.UTC),
        )

    def _note(self, *words: str) -> None:
        with self._lock:
            self.asked.append(words)
