"""The columns that a run made a moment ago, so that the driver need not read them back from the store.

They are durable before they come here. What was forgotten is read from its pack, so the memory has
a limit and nothing depends on what it holds.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence

from retraining.release.values import BlobPointer
from retraining.store.objects import Objects
from retraining.store.packs import read_blobs

__all__ = ["RecentColumns"]

_LIMIT_BYTES = 256 * 1024 * 1024


class RecentColumns:
    """Encoded columns by their digest; beyond the limit those that were not used for longest are forgotten."""

    def __init__(self, limit_bytes: int = _LIMIT_BYTES) -> None:
        self._limit = limit_bytes
        self._held: OrderedDict[str, bytes] = OrderedDict()
        self._bytes = 0

    def keep(self, columns: Mapping[str, bytes]) -> None:
        """Remember columns by their digest."""
        for digest, data in columns.items():
            if digest not in self._held:
                self._held[digest] = data
                self._bytes += len(data)
        while self._bytes > self._limit:
            self._bytes -= len(self._held.popitem(last=False)[1])

    def read(self, objects: Objects, pointers: Sequence[BlobPointer]) -> list[bytes]:
        """The bytes of some columns, in their order: remembered, or read from the store; errors as `read_blob`."""
        known = {
            pointer.digest: self._held[pointer.digest] for pointer in pointers if pointer.digest in self._held
        }
        for digest in known:
            self._held.move_to_end(digest)
        missing = [pointer for pointer in pointers if pointer.digest not in known]
        read = {
            pointer.digest: data for pointer, data in zip(missing, read_blobs(objects, missing), strict=True)
        }
        self.keep(read)
        found = {**known, **read}
        return [found[pointer.digest] for pointer in pointers]
