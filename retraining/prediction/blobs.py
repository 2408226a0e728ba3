"""The blobs of a release, read ahead in few requests: what lies together in a pack is one range (design.md 11)."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

from retraining.errors import IntegrityError, NotFoundError
from retraining.release.values import BlobPointer
from retraining.store.objects import Objects
from retraining.store.packs import read_blob, read_blobs


class Blobs:
    """Reads blobs, each held to its digest; those of `fetch` together, and kept until they are taken."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._ahead: dict[str, bytes] = {}

    def fetch(self, pointers: Iterable[BlobPointer | None]) -> None:
        """Reads blobs that will be taken. What cannot be read is left to `take`, which says for whom it is missing."""
        lacking = {one.digest: one for one in pointers if one is not None and one.digest not in self._ahead}
        with suppress(IntegrityError, NotFoundError):
            found = read_blobs(self._objects, [*lacking.values()])
            self._ahead |= dict(zip(lacking, found, strict=True))

    def take(self, pointer: BlobPointer) -> bytes:
        """The bytes that a pointer names; errors as `read_blob`."""
        ahead = self._ahead.pop(pointer.digest, None)
        return read_blob(self._objects, pointer) if ahead is None else ahead
