"""The addresses of stores and of data in buckets: `s3://bucket/prefix`, `gs://…`, `az://container/prefix`.

An address says where and nothing else. One that carries more (a name, a password, a query) is
refused, and no error repeats what stood there, since it may be a secret.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from retraining.errors import DataError, StoreError

__all__ = [
    "Address",
    "Scheme",
    "is_bucket_url",
    "parse_address",
    "parse_data_address",
    "presentable",
    "scheme_of",
]

Scheme: TypeAlias = Literal["s3", "gs", "az"]

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):")
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,220}[A-Za-z0-9]")
_PART = re.compile(r"[A-Za-z0-9._=+@-]{1,100}")
_MAX_PREFIX = 400
_AUTHORITY = re.compile(r"(?<=//)[^/]*@")
_QUERY = re.compile(r"[?#].*", re.DOTALL)
# `?` is also a wildcard in the name of data: a query is one where `name=` follows.
_SIGNED = re.compile(r"\?[A-Za-z0-9._-]+=")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_FORM = "write s3://BUCKET/PREFIX, gs://BUCKET/PREFIX or az://CONTAINER/PREFIX"
_CREDENTIALS = (
    "give credentials by the cloud's own environment variables or files (AWS_ACCESS_KEY_ID, "
    "GOOGLE_APPLICATION_CREDENTIALS, AZURE_STORAGE_ACCOUNT_NAME …), and an S3-compatible server's "
    "address as AWS_ENDPOINT_URL"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A bucket (Azure: a container) and the prefix of all keys in it, without slashes at its ends."""

    scheme: Scheme
    bucket: str
    prefix: str

    @property
    def url(self) -> str:
        """The address as it is written, without a slash at its end."""
        return f"{self.scheme}://{self.bucket}" + (f"/{self.prefix}" if self.prefix else "")


def scheme_of(url: str) -> str | None:
    """The scheme of a URL in small letters, None for a path."""
    found = _SCHEME.match(url)
    return found.group(1).lower() if found else None


def presentable(url: str) -> str:
    """The URL without what may be a secret in it: user and password, query, fragment."""
    return _QUERY.sub("?…", _AUTHORITY.sub("…@", url)) if scheme_of(url) else url


def is_bucket_url(url: str) -> bool:
    """Whether a text begins as the address of a bucket does."""
    return scheme_of(url) in get_args(Scheme)


def parse_address(url: str) -> Address:
    """The address of a store, in one of the three schemes; StoreError for any other text."""
    where = f"store {presentable(url)}"
    scheme, bucket, prefix = _split(url, where, StoreError)
    if "?" in url or "#" in url:
        raise StoreError(_carries(where), _CREDENTIALS)
    prefix = prefix.rstrip("/")
    parts = prefix.split("/") if prefix else []
    bad = [part for part in parts if part in (".", "..") or not _PART.fullmatch(part)]
    if bad or len(prefix) > _MAX_PREFIX:
        found = repr(bad[0]) if bad else f"{len(prefix)} characters"
        raise StoreError(
            f"{where}: the prefix has {found}; a store's prefix is at most {_MAX_PREFIX} letters, digits and "
            ". _ = + @ - between single slashes",
            _FORM,
        )
    return Address(scheme=scheme, bucket=bucket, prefix=prefix)


def parse_data_address(url: str) -> Address:
    """The address of data: an object, a folder or a pattern of names, whose parts may be any text; DataError."""
    where = presentable(url)
    scheme, bucket, prefix = _split(url, where, DataError)
    if _SIGNED.search(prefix):
        raise DataError(_carries(where), _CREDENTIALS)
    bad = [part for part in prefix.rstrip("/").split("/") if part in (".", "..") or _CONTROL.search(part)]
    if bad or "//" in f"/{prefix}":
        raise DataError(
            f"{where}: {bad[0]!r} is no part of an object's name"
            if bad
            else f"{where}: two slashes in a row",
            "write the names of folders and objects as they are, between single slashes",
        )
    return Address(scheme=scheme, bucket=bucket, prefix=prefix)


def _split(url: str, where: str, error: type[StoreError | DataError]) -> tuple[Scheme, str, str]:
    """Scheme, bucket and what follows its slash."""
    scheme = next((one for one in get_args(Scheme) if one == scheme_of(url)), None)
    rest = url.partition(":")[2]
    if scheme is None or not rest.startswith("//"):
        raise error(f"{where}: not the address of a bucket", _FORM)
    bucket, _, prefix = rest[2:].partition("/")
    if any(mark in bucket for mark in "@:?#"):
        raise error(_carries(where), _CREDENTIALS)
    if not _BUCKET.fullmatch(bucket):
        raise error(f"{where}: {bucket!r} is not the name of a bucket", _FORM)
    return scheme, bucket, prefix


def _carries(where: str) -> str:
    return f"{where}: an address names a bucket and what is in it, and no user, password, port or query"
