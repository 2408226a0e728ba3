"""Objects in a bucket, a store's own and data that others wrote, through obstore: the only module that imports it.

What obstore says may hold a signed URL or a header, so no error keeps its text, not even as a
cause: a status, the server's code for it and our own words are all that leaves this module. A
pickled client would hold the secret, so what is pickled is the address, and the process that
unpickles it builds its own client from its own environment.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import obstore
from obstore import exceptions
from obstore import store as clients

from retraining.errors import AlreadyExistsError, DataError, NotFoundError, StoreError, UnansweredError
from retraining.store.buckets import DataObject
from retraining.store.cloud.addresses import Address, Scheme
from retraining.store.cloud.probe import probe
from retraining.store.cloud.settings import Settings, read_settings
from retraining.store.objects import ObjectInfo, check_key

if TYPE_CHECKING:
    from obstore import GetOptions
    from obstore.store import ClientConfig, RetryConfig

__all__ = ["BucketData", "BucketObjects"]

# obstore's threads belong to the process that imported it; in a forked child every call would hang.
_PROCESS = os.getpid()
# A server that restarts is back within this time; a mistyped address is reported after it.
_RETRIES: RetryConfig = {
    "max_retries": 12,
    "retry_timeout": dt.timedelta(seconds=60),
    "backoff": {
        "init_backoff": dt.timedelta(milliseconds=200),
        "max_backoff": dt.timedelta(seconds=5),
        "base": 2,
    },
}
_DELETED_AT_ONCE = 1000
_PAGE = 1000
# No object is as large as this; a damaged pointer may say anything.
_LARGEST = 2**50
_STATUS = re.compile(r"status code: (\d{3})")
_PATH = re.compile(r'Path "([^"]*)"')
_CODE = re.compile(r"<Code>([A-Za-z]{3,60})</Code>")
_NO_BUCKET = ("NoSuchBucket", "ContainerNotFound", "The specified bucket does not exist")
_ASKS_MACHINE = ("169.254.169.254", "metadata.google.internal", "computeMetadata", "/metadata/identity")
_KINDS: dict[Scheme, str] = {"s3": "bucket", "gs": "bucket", "az": "container"}
_CREDENTIALS: dict[Scheme, str] = {
    "s3": "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, and AWS_ENDPOINT_URL for a server "
    "that is not Amazon's",
    "gs": "set GOOGLE_APPLICATION_CREDENTIALS to a key file, or run `gcloud auth application-default login`",
    "az": "set AZURE_STORAGE_ACCOUNT_NAME, and AZURE_STORAGE_ACCOUNT_KEY or AZURE_STORAGE_SAS_TOKEN",
}


class _Bucket:
    """A client for an address, whose errors are in our own words."""

    # What differs between a store and data in errors: a store's address is the user's own, data's is input.
    _missing: ClassVar[type[StoreError | DataError]]
    _rights: ClassVar[str]
    _check: ClassVar[str]
    _kept: ClassVar[str]

    def __init__(self, address: Address, settings: Settings) -> None:
        self._address = address
        self._endpoint = settings.endpoint
        self._same_process()
        try:
            self._client = _client(address, settings)
        except (exceptions.BaseError, ValueError, TypeError) as error:
            raise StoreError(
                f"{self.url}: the client cannot be made ({type(error).__name__})",
                _CREDENTIALS[address.scheme],
            ) from None

    @classmethod
    def open(cls, address: Address) -> Self:
        """The objects at an address, with the settings of this process's environment; asks nothing yet."""
        return cls(address, read_settings(address.scheme, os.environ, Path.home()))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.url!r})"

    def __reduce__(self) -> tuple[Callable[[Address], Self], tuple[Address]]:
        return type(self).open, (self._address,)

    @property
    def url(self) -> str:
        """The address."""
        return self._address.url

    def _same_process(self) -> None:
        if os.getpid() != _PROCESS:
            raise StoreError(
                f"{self.url}: this process was forked from one that had opened a bucket, and the client library "
                "does not survive that",
                'start processes with multiprocessing.get_context("spawn")',
            )

    @contextlib.contextmanager
    def _asking(self, verb: str, key: str) -> Iterator[None]:
        """The library's errors in our own words."""
        self._same_process()
        try:
            yield
        except exceptions.AlreadyExistsError:
            raise AlreadyExistsError(
                f"{self.url}/{key}: another writer created it first", "run the command again"
            ) from None
        except (FileNotFoundError, exceptions.BaseError) as error:
            raise self._refusal(error, verb, key) from None

    def _refusal(self, error: Exception, verb: str, key: str) -> StoreError | DataError:
        text = str(error)
        where = f"{self.url}: cannot {verb} {key or 'it'}"
        scheme = self._address.scheme
        if any(sign in text for sign in _NO_BUCKET):
            kind = _KINDS[scheme]
            return self._missing(
                f"{self.url}: there is no {kind} {self._address.bucket}{self._at()}",
                f"make the {kind} first, or check {self._check} and the endpoint",
            )
        if isinstance(error, FileNotFoundError):
            return NotFoundError(f"{self.url}/{key}: there is no such object in {self._kept}")
        if any(sign in text for sign in _ASKS_MACHINE):
            return StoreError(f"{where}: no credentials were found", _CREDENTIALS[scheme])
        status, code = _first(_STATUS, text), _first(_CODE, text)
        said = " ".join(word for word in (status, code) if word) or type(error).__name__
        denied = (exceptions.PermissionDeniedError, exceptions.UnauthenticatedError)
        if status in ("401", "403") or isinstance(error, denied):
            return StoreError(
                f"{where}: the server refused these credentials ({said})",
                f"let this account {self._rights} there; {_CREDENTIALS[scheme]}",
            )
        if status == "501" or (status[:1] == "4" and status not in ("408", "409", "429")):
            return StoreError(
                f"{where}: the server refused the request ({said})", "check the endpoint's settings"
            )
        if isinstance(error, exceptions.GenericError):
            return UnansweredError(
                f"{where}: no answer{self._at()} ({said})",
                "check the address and the network, then run the command again: it continues with what is missing",
            )
        return StoreError(f"{where} ({said})", f"check {self._check} and the server")

    def _at(self) -> str:
        """The endpoint as host and port: what else its URL holds may be a secret."""
        host = re.match(r"https?://(?:[^/@]*@)?([^/?#@]+)", self._endpoint)
        return f" at {host.group(1)}" if host else ""


class BucketObjects(_Bucket):
    """The object-store port on a bucket; a server's answer is durable, so nothing is left to settle."""

    _missing = StoreError
    _rights = "read, write, list and delete"
    _check = "--store"
    _kept = "the store"

    def __init__(self, address: Address, settings: Settings) -> None:
        super().__init__(address, settings)
        self._verified = False

    def create(self, key: str, body: bytes) -> None:
        """Write a new object; AlreadyExistsError where the key is taken, perhaps by this very call.

        The client sends a request again whose answer was lost, and the second is then refused.
        """
        check_key(key)
        with self._asking("create", key):
            # in one request: some servers ignore the condition at the end of a multipart upload
            obstore.put(self._client, key, body, mode="create", use_multipart=False)

    def put(self, key: str, body: bytes) -> None:
        """Write an object under a name that nobody else uses; a large one in several requests."""
        check_key(key)
        with self._asking("write", key):
            obstore.put(self._client, key, body)

    def overwrite(self, key: str, body: bytes) -> None:
        """Write a hint."""
        self.put(key, body)

    def get(self, key: str) -> bytes:
        """The bytes of an object; NotFoundError where there is none."""
        check_key(key)
        with self._asking("read", key):
            return bytes(obstore.get(self._client, key).bytes())

    def get_range(self, key: str, start: int, length: int) -> bytes:
        """The bytes from `start`, fewer than `length` where the object ends before."""
        check_key(key)
        with self._asking("read", key):
            if length > 0 and start + length <= _LARGEST:
                with _outside_suppressed():
                    return bytes(obstore.get_range(self._client, key, start=start, length=length))
            # The object has no byte there, or does not exist.
            obstore.head(self._client, key)
            return b""

    def get_tail(self, key: str, length: int) -> tuple[bytes, int]:
        """The last `length` bytes of an object and its size."""
        check_key(key)
        with self._asking("read", key):
            # Azure has no ranges from the end.
            with _outside_suppressed(), contextlib.suppress(exceptions.NotSupportedError):
                found = obstore.get(self._client, key, options={"range": {"suffix": length}})
                return bytes(found.bytes()), int(found.meta["size"])
            size = int(obstore.head(self._client, key)["size"])
            if size == 0:
                return b"", size
            return bytes(obstore.get_range(self._client, key, start=max(0, size - length), end=size)), size

    def list(self, prefix: str, start_after: str = "") -> Iterator[ObjectInfo]:
        """The objects whose key begins with `prefix` and is greater than `start_after`, by key."""
        folder = prefix.rpartition("/")[0]
        if folder:
            check_key(folder)
        last = ""
        for meta in self._listed(folder, start_after):
            key = meta["path"]
            # Consoles mark a "folder" with an empty object at the prefix itself.
            if not key:
                continue
            if key <= last:
                raise StoreError(
                    f"{self.url}: the server lists {key!r:.200} after {last!r:.200}, so not in the order of keys",
                    f"use a general-purpose {_KINDS[self._address.scheme]} (Amazon's directory buckets cannot "
                    "hold a store)",
                )
            last = key
            if key.startswith(prefix) and key > start_after:
                yield ObjectInfo(key=key, size=int(meta["size"]), modified=meta["last_modified"])
            elif key > prefix and not key.startswith(prefix):
                return

    def delete(self, keys: Iterable[str]) -> None:
        """Remove objects; keys that hold nothing are passed over."""
        wanted = [check_key(key) for key in keys]
        for first in range(0, len(wanted), _DELETED_AT_ONCE):
            some = wanted[first : first + _DELETED_AT_ONCE]
            with self._asking("delete", some[0]):
                try:
                    obstore.delete(self._client, some)
                except FileNotFoundError:
                    # Azure and Google stop at a key that holds nothing.
                    for key in some:
                        with contextlib.suppress(FileNotFoundError):
                            obstore.delete(self._client, key)

    def temporaries(self, before: dt.datetime) -> Iterator[ObjectInfo]:
        """Nothing: parts of uploads that were cut off are the server's to clean (a lifecycle rule)."""
        del before
        return iter(())

    def delete_temporaries(self, found: Iterable[ObjectInfo]) -> None:
        """Nothing, as there are none."""

    def settle(self, prefix: str) -> None:
        """Nothing: a server answers when an object is durable."""

    def verify_exclusion(self) -> None:
        """Refuse a server whose `create` does not exclude; asked once in the life of this object."""
        if not self._verified:
            probe(self, os.urandom(8).hex())
            self._verified = True

    def _listed(self, folder: str, start_after: str) -> Iterator[Any]:
        with self._asking("list", folder):
            pages = obstore.list(self._client, folder or None, offset=start_after or None, chunk_size=_PAGE)
            for page in pages:
                yield from page


class BucketData(_Bucket):
    """The port of data in a bucket (`store.buckets`): other people's objects, which may change at any time."""

    _missing = DataError
    _rights = "list, read and, for predictions, write"
    _check = "the path of the data"
    _kept = "the bucket"

    def find(self, key: str) -> DataObject | None:
        """The object with this key, None where there is none."""
        with self._asking("read", key):
            try:
                return _data_object(obstore.head(self._client, key))
            except FileNotFoundError:
                return None

    def list(self, folder: str, *, below: bool) -> tuple[DataObject, ...]:
        """The objects in a folder, and in the folders below it."""
        with self._asking("list", folder):
            try:
                if below:
                    pages = obstore.list(self._client, folder or None, chunk_size=_PAGE)
                    return tuple(_data_object(meta) for page in pages for meta in page)
                found = obstore.list_with_delimiter(self._client, folder or None)
                return tuple(_data_object(meta) for meta in found["objects"])
            except exceptions.InvalidPathError as error:
                raise DataError(
                    f"{self.url}/{folder}: an object there has the name {_first(_PATH, str(error))!r:.200}, which "
                    "has an empty part between two slashes, or a part that is a dot or two",
                    "name a folder without it, or rename it",
                ) from None

    def read(self, found: DataObject, start: int, length: int) -> bytes:
        """The bytes of an object from `start`; DataError where it is no longer the one that was found."""
        options: GetOptions = {"range": (start, start + length)}
        if found.etag is not None and not found.etag.startswith("W/"):
            options["if_match"] = found.etag
        with self._asking("read", found.key):
            try:
                reply = obstore.get(self._client, found.key, options=options)
                body = bytes(reply.bytes())
            except (FileNotFoundError, exceptions.PreconditionError):
                raise self._changed(found) from None
            except exceptions.GenericError as error:
                # a range that the object no longer reaches, and a server that knows no conditions
                if _first(_STATUS, str(error)) in ("412", "416"):
                    raise self._changed(found) from None
                raise
        # the answer says itself of which object it is: some servers know no conditions
        if _data_object(reply.meta).tag != found.tag or len(body) != length:
            raise self._changed(found)
        return body

    def write(self, key: str, body: bytes) -> None:
        """Write an object, whole or not at all; one that was there is replaced."""
        with self._asking("write", key):
            obstore.put(self._client, key, body)

    def _changed(self, found: DataObject) -> DataError:
        return DataError(
            f"{self.url}/{found.key} changed while it was read", "run again when the files are complete"
        )


def _data_object(meta: Any) -> DataObject:
    return DataObject(
        key=meta["path"], size=int(meta["size"]), etag=meta["e_tag"], modified=meta["last_modified"]
    )


@contextlib.contextmanager
def _outside_suppressed() -> Iterator[None]:
    """Goes on after a range that holds no byte of the object, which is an error to the server."""
    try:
        yield
    except exceptions.GenericError as error:
        if _first(_STATUS, str(error)) != "416":
            raise


def _first(pattern: re.Pattern[str], text: str) -> str:
    found = pattern.search(text)
    return found.group(1) if found else ""


def _client(address: Address, settings: Settings) -> Any:
    options: ClientConfig = {"allow_http": True} if settings.allow_http else {}
    common: dict[str, Any] = {
        "prefix": address.prefix or None,
        "config": dict(settings.options),
        "client_options": options,
        "retry_config": _RETRIES,
    }
    if address.scheme == "s3":
        return clients.S3Store(address.bucket, **common)
    if address.scheme == "gs":
        return clients.GCSStore(address.bucket, **common)
    return clients.AzureStore(address.bucket, **common)
