"""Finds a dataset's files, in a folder or in a bucket, and what is said of them there; nothing is read here."""

from __future__ import annotations

import glob
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TypeAlias, TypeVar

import pyarrow as pa

from retraining.data.objects import ObjectFile
from retraining.data.patterns import fixed_folder, is_pattern, matches
from retraining.errors import DataError, StoreError
from retraining.manifest.values import Dataset, FileFormat
from retraining.store.buckets import Bucket, DataObject, OpenBucket, open_bucket
from retraining.store.cloud.addresses import is_bucket_url, parse_data_address, presentable

SUFFIXES: Mapping[str, FileFormat] = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".csv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
}

#: A file on a disk, or an object in a bucket.
DataFile: TypeAlias = Path | ObjectFile

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSignature:
    """What the file system says of a file: it changes whenever the content does (docs/design.md 10)."""

    path: str
    size: int
    modified_ns: int
    changed_ns: int
    inode: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectSignature:
    """What a bucket says of an object; the same until somebody writes other bytes there (docs/design.md 10)."""

    url: str
    size: int
    tag: str


#: What is known of a file without reading it.
Signature: TypeAlias = FileSignature | ObjectSignature


def find_files(
    dataset: Dataset, directory: Path, override: str | None = None, *, opener: OpenBucket = open_bucket
) -> tuple[DataFile, ...]:
    """The dataset's files, sorted; `override` (`--data NAME=PATH`) is relative to the working directory.

    DataError where there are none, or of several formats; StoreError where a bucket's server cannot be used.
    """
    written = override if override is not None else dataset.path
    found: tuple[DataFile, ...]
    if is_bucket_url(written):
        found = told_of(dataset, lambda: _find_objects(dataset, written, opener))
    else:
        found = _find_local(dataset, written, directory, override)
    if dataset.format is None:
        _refuse_mixed(dataset, found)
    return found


def told_of(dataset: Dataset, action: Callable[[], _T]) -> _T:
    """What an action gives; what a bucket says of a failure, with the name of the dataset before it."""
    try:
        return action()
    except (DataError, StoreError) as error:
        if error.message.startswith("dataset "):
            raise
        raise type(error)(f"dataset {dataset.name}: {error.message}", error.next_step) from error.__cause__


def _find_local(dataset: Dataset, written: str, directory: Path, override: str | None) -> tuple[Path, ...]:
    if "://" in written and not written.startswith("file://"):
        raise DataError(
            f"dataset {dataset.name}: {presentable(written).split('://', 1)[0]}:// paths cannot be read",
            "write a path, or the address of a bucket: s3://, gs:// or az://",
        )
    base = Path(written.removeprefix("file://")).expanduser()
    path = base if base.is_absolute() or override is not None else directory / base
    if path.is_file():
        return (path,)
    if path.is_dir():
        names = sorted(p for p in path.rglob("*") if p.is_file() and _readable(p, dataset.format))
    else:
        names = sorted(Path(p) for p in glob.glob(str(path), recursive=True) if Path(p).is_file())
    if not names:
        what = "holds no data files" if path.is_dir() else "does not exist"
        raise DataError(
            f"dataset {dataset.name}: {path} {what}",
            f"write the file, mend `datasets.{dataset.name}.path`, or pass --data {dataset.name}=PATH",
        )
    return tuple(names)


def _find_objects(dataset: Dataset, url: str, opener: OpenBucket) -> tuple[ObjectFile, ...]:
    """The objects that an address names: one, all in a folder, or those that a pattern matches."""
    address = parse_data_address(url)
    bucket = opener(address)
    key = address.prefix
    if is_pattern(key):
        folder, below = fixed_folder(key)
        listed: Sequence[DataObject] = _without_folders(bucket.list(folder, below=below))
        found = [one for one in listed if one.key == key or matches(one.key, key)]
        lacks = "matches no object"
    else:
        exact, listed = _look(bucket, key)
        found = (
            [exact] if exact else [one for one in listed if _readable(PurePosixPath(one.key), dataset.format)]
        )
        lacks = "does not exist" if not listed else f"holds {_counted(len(listed))} but no data files"
    if not found:
        raise DataError(
            f"{url} {lacks}",
            f"end names in {', '.join(SUFFIXES)}"
            if listed and not is_pattern(key)
            else f"write the object, mend `datasets.{dataset.name}.path`, or pass --data {dataset.name}=PATH",
        )
    return tuple(ObjectFile(bucket, one) for one in sorted(found, key=lambda one: one.key.split("/")))


def _look(bucket: Bucket, key: str) -> tuple[DataObject | None, Sequence[DataObject]]:
    """The object of a key, or else what is in the folder of that name; what is likelier is asked first."""
    folder = key.rstrip("/")
    is_file = folder == key and PurePosixPath(key).suffix != ""
    exact = bucket.find(key) if is_file else None
    if exact is not None and exact.size:
        return exact, ()
    listed = _without_folders(bucket.list(folder, below=True))
    if not listed and not is_file and folder == key != "":
        exact = bucket.find(key)
    return (None if listed else exact), listed


def _without_folders(listed: Iterable[DataObject]) -> list[DataObject]:
    """The objects without the empty ones by which consoles and other programs mark a folder."""
    found = list(listed)
    folders = {str(parent) for one in found for parent in PurePosixPath(one.key).parents}
    return [one for one in found if one.size or (one.key not in folders and _known(PurePosixPath(one.key)))]


def _known(path: PurePosixPath | Path) -> FileFormat | None:
    return SUFFIXES.get(path.suffix.lower())


def _refuse_mixed(dataset: Dataset, files: Sequence[DataFile]) -> None:
    first: dict[FileFormat | None, DataFile] = {}
    for file in files:
        first.setdefault(SUFFIXES.get(file.suffix.lower()), file)
    if len(first) > 1:
        one, other = list(first.values())[:2]
        raise DataError(
            f"dataset {dataset.name}: its files are of {len(first)} formats, as {one} and {other}",
            f"write `format` under `datasets.{dataset.name}`, or a `path` that names the files of one",
        )


def _counted(objects: int) -> str:
    return "1 object" if objects == 1 else f"{objects:,} objects"


def signatures(files: Sequence[DataFile]) -> tuple[Signature, ...]:
    """The signature of each file; raises `DataError` where one has gone.

    An object's is what was found: it is compared whenever bytes of it are read, so nobody need ask again.
    """
    found: list[Signature] = []
    for file in files:
        if isinstance(file, ObjectFile):
            found.append(ObjectSignature(url=str(file), size=file.found.size, tag=file.found.tag))
            continue
        try:
            stat = file.stat()
        except OSError as error:
            raise DataError(f"{file}: {error.strerror}", "make the file readable and run again") from error
        found.append(
            FileSignature(
                path=str(file.resolve()),
                size=stat.st_size,
                modified_ns=stat.st_mtime_ns,
                changed_ns=stat.st_ctime_ns,
                inode=stat.st_ino,
            )
        )
    return tuple(found)


def content(file: DataFile) -> Path | pa.NativeFile:
    """The file as pyarrow takes it."""
    return file.open() if isinstance(file, ObjectFile) else file


def head(file: DataFile, length: int) -> bytes:
    """The first bytes of a file, fewer where it has fewer."""
    with file.open("rb") if isinstance(file, Path) else file.open() as opened:
        return bytes(opened.read(length))


def _readable(path: PurePosixPath | Path, declared: FileFormat | None) -> bool:
    hidden = any(part.startswith((".", "_")) for part in path.parts[-1:])
    kind = _known(path)
    return not hidden and kind is not None and (declared is None or declared == kind)
