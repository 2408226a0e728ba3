"""The port of data in a bucket: objects that others write and we read, and the predictions that we put there.

It is not the port of a store (`store.objects`): names are whatever somebody chose, an object may be replaced at
any time, and what is read must be the object that was found.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from retraining.store.cloud.addresses import Address

__all__ = ["Bucket", "DataObject", "OpenBucket", "open_bucket"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DataObject:
    """An object as a bucket describes it: its key, its size in bytes, its ETag if the server gives one."""

    key: str
    size: int
    etag: str | None
    modified: dt.datetime

    @property
    def tag(self) -> str:
        """What changes whenever the content does: the ETag, or else the second of the last writing."""
        if self.etag is None:
            return self.modified.replace(microsecond=0).isoformat()
        # servers put the quotes into the one answer and not into the other
        return self.etag.removeprefix("W/").strip('"')


class Bucket(Protocol):
    """The objects of a bucket, by key.

    Every method raises DataError where there is no such bucket, and StoreError where the server gives
    no answer or refuses the credentials.
    """

    @property
    def url(self) -> str:
        """The bucket's address, without a slash at its end."""
        ...

    def find(self, key: str) -> DataObject | None:
        """The object with this key, None where there is none. One request."""
        ...

    def list(self, folder: str, *, below: bool) -> tuple[DataObject, ...]:
        """The objects in a folder ("" is the bucket itself), and in all folders below it if asked.

        One request for each thousand objects.
        """
        ...

    def read(self, found: DataObject, start: int, length: int) -> bytes:
        """These bytes of an object that has them; DataError where it is no longer the one that was found."""
        ...

    def write(self, key: str, body: bytes) -> None:
        """Write an object, whole or not at all; one that was there is replaced."""
        ...


#: Makes the port for an address of data; the address's prefix says nothing to it.
OpenBucket: TypeAlias = Callable[[Address], Bucket]


def open_bucket(address: Address) -> Bucket:
    """The bucket of an address, with the credentials of this process's environment; asks nothing yet."""
    # loaded only where a bucket is used
    from retraining.store.cloud.objects import BucketData

    return BucketData.open(Address(scheme=address.scheme, bucket=address.bucket, prefix=""))
