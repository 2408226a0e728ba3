"""The files of a manifest's datasets, and how they are known again without being read (docs/design.md 10)."""

from __future__ import annotations

import difflib
import os
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache

from retraining.data.files import DataFile, FileSignature, ObjectSignature, Signature, find_files, signatures
from retraining.decide.recipes import digest_of
from retraining.errors import InputError
from retraining.manifest.given import a_kind
from retraining.manifest.values import Dataset, Json, Manifest
from retraining.store.buckets import open_bucket
from retraining.store.cloud.addresses import is_bucket_url

#: A file modified within this many seconds of being read may change again unseen (as git assumes).
RACY_SECONDS = 2.0
# Each dataset in a bucket is a request or two to a server.
_DATASETS_AT_ONCE = 8
_FORMAT = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetFiles:
    """Where a manifest's data is and what its files' metadata says: enough to know them again unread."""

    datasets: Mapping[str, Dataset]
    files: Mapping[str, tuple[DataFile, ...]]
    stamps: Mapping[str, tuple[Signature, ...]]
    signature: str


def find_dataset_files(manifest: Manifest, overrides: Mapping[str, object]) -> DatasetFiles:
    """The files of all datasets; `overrides` maps dataset names to other paths (`--data`).

    InputError for a dataset that the manifest does not have, and for what is no path.
    """
    datasets = dict(manifest.datasets)
    for name in sorted(overrides.keys() - datasets.keys()):
        near = difflib.get_close_matches(name, datasets, n=1)
        raise InputError(
            f"--data names the dataset {name!r}, which the manifest does not have",
            f"did you mean {near[0]}?" if near else f"its datasets are {', '.join(datasets)}",
        )
    places = {name: _path(name, place) for name, place in overrides.items()}
    # one client for each bucket; the buckets' servers are asked at the same time
    opener = cache(open_bucket)
    remote = [name for name, dataset in datasets.items() if is_bucket_url(places.get(name, dataset.path))]
    with ThreadPoolExecutor(_DATASETS_AT_ONCE) as pool:
        each = pool.map if len(remote) > 1 else map
        found = each(
            lambda one: find_files(one, manifest.directory, places.get(one.name), opener=opener),
            datasets.values(),
        )
        files = dict(zip(datasets, found, strict=True))
    stamps = stamps_of(files)
    return DatasetFiles(
        datasets=datasets, files=files, stamps=stamps, signature=signature_of(manifest, stamps)
    )


def _path(name: str, place: object) -> str:
    if not isinstance(place, str | os.PathLike):
        raise InputError(
            f"the data of {name} is {a_kind(place)}; expected a path",
            "write it to a Parquet or CSV file and give the file's path",
        )
    return str(place)


def stamps_of(files: Mapping[str, Sequence[DataFile]]) -> dict[str, tuple[Signature, ...]]:
    """Each dataset's files as their metadata describes them."""
    return {name: signatures(paths) for name, paths in files.items()}


def signature_of(manifest: Manifest, stamps: Mapping[str, Sequence[Signature]]) -> str:
    """The digest of a manifest and of the metadata of its files: equal where nothing need be read again."""
    files: dict[str, Json] = {name: [_fields(one) for one in found] for name, found in sorted(stamps.items())}
    return digest_of({"format": _FORMAT, "manifest": manifest.digest, "files": files})


def _fields(one: Signature) -> list[Json]:
    if isinstance(one, ObjectSignature):
        return [one.url, one.size, one.tag]
    return [one.path, one.size, one.modified_ns, one.changed_ns, one.inode]


def is_racy(stamps: Mapping[str, Sequence[Signature]]) -> bool:
    """True where a file may change again without a trace in its metadata; what a bucket says is exact."""
    local = (stamp for found in stamps.values() for stamp in found if isinstance(stamp, FileSignature))
    newest = max((stamp.modified_ns for stamp in local), default=0)
    return time.time_ns() - newest < RACY_SECONDS * 1e9
