"""Other object stores behind the port: memory, one that crashes, one whose replies get lost."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable, Iterable, Iterator

from retraining.errors import AlreadyExistsError, NotFoundError
from retraining.store.objects import ObjectInfo, Objects, check_key


class MemoryObjects:
    """A dict behind the port."""

    url = "memory:"

    def __init__(self) -> None:
        self.bodies: dict[str, bytes] = {}
        self.written: dict[str, dt.datetime] = {}
        self.clock: dt.datetime | None = None
        self._lock = threading.Lock()

    def create(self, key: str, body: bytes) -> None:
        with self._lock:
            if check_key(key) in self.bodies:
                raise AlreadyExistsError(f"{key}: exists")
            self._write(key, body)

    def put(self, key: str, body: bytes) -> None:
        self._write(check_key(key), body)

    def _write(self, key: str, body: bytes) -> None:
        self.bodies[key] = body
        self.written[key] = self.now()

    def now(self) -> dt.datetime:
        """The store's time: the test's clock, where it has set one."""
        return self.clock or dt.datetime.now(dt.UTC)

    overwrite = put

    def get(self, key: str) -> bytes:
        try:
            return self.bodies[check_key(key)]
        except KeyError:
            raise NotFoundError(f"{key}: not there") from None

    def get_range(self, key: str, start: int, length: int) -> bytes:
        return self.get(key)[start : start + length]

    def get_tail(self, key: str, length: int) -> tuple[bytes, int]:
        body = self.get(key)
        return body[max(0, len(body) - length) :], len(body)

    def list(self, prefix: str, start_after: str = "") -> Iterator[ObjectInfo]:
        for key in sorted(self.bodies):
            if key.startswith(prefix) and key > start_after:
                modified = self.written.get(key) or self.now()
                yield ObjectInfo(key=key, size=len(self.bodies[key]), modified=modified)

    def delete(self, keys: Iterable[str]) -> None:
        for key in keys:
            self.bodies.pop(check_key(key), None)

    def temporaries(self, before: dt.datetime) -> Iterator[ObjectInfo]:
        return iter(())

    def delete_temporaries(self, found: Iterable[ObjectInfo]) -> None:
        pass

    def settle(self, prefix: str) -> None:
        pass

    def verify_exclusion(self) -> None:
        pass


class OverwritingObjects(MemoryObjects):
    """A store that has stopped excluding: `create` overwrites."""

    create = MemoryObjects.put


class InterceptedObjects:
    """Another store, with a hook around every call: `around(name, arguments, call)`."""

    def __init__(
        self, inner: Objects, around: Callable[[str, tuple[object, ...], Callable[[], object]], object]
    ):
        self._inner = inner
        self._around = around

    @property
    def url(self) -> str:
        return self._inner.url

    def _call(self, name: str, *arguments: object) -> object:
        return self._around(name, arguments, lambda: getattr(self._inner, name)(*arguments))

    def create(self, key, body):
        return self._call("create", key, body)

    def put(self, key, body):
        return self._call("put", key, body)

    def overwrite(self, key, body):
        return self._call("overwrite", key, body)

    def get(self, key):
        return self._call("get", key)

    def get_range(self, key, start, length):
        return self._call("get_range", key, start, length)

    def get_tail(self, key, length):
        return self._call("get_tail", key, length)

    def list(self, prefix, start_after=""):
        return self._call("list", prefix, start_after)

    def delete(self, keys):
        return self._call("delete", keys)

    def temporaries(self, before):
        return self._call("temporaries", before)

    def delete_temporaries(self, found):
        return self._call("delete_temporaries", found)

    def settle(self, prefix):
        return self._call("settle", prefix)

    def verify_exclusion(self):
        return self._call("verify_exclusion")


class SimulatedCrash(BaseException):
    """The process died here."""


def crashing(inner: Objects, call: int, *, after: bool) -> tuple[InterceptedObjects, list[str]]:
    """A store that dies at call number `call` (from 0), before or after it took effect; the calls made.

    Who calls a dead store again is dead too.
    """
    made: list[str] = []

    def around(name, arguments, run):
        if len(made) > call:
            raise SimulatedCrash
        made.append(name)
        dies = len(made) == call + 1
        if dies and not after:
            raise SimulatedCrash
        try:
            return run()
        finally:
            if dies:
                raise SimulatedCrash

    return InterceptedObjects(inner, around), made
