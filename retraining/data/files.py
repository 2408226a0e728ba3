"""Finds a dataset's files and what the file system says of them; nothing is read here."""

from __future__ import annotations

import glob
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from retraining.errors import DataError
from retraining.manifest.values import Dataset, FileFormat

SUFFIXES: Mapping[str, FileFormat] = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".csv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSignature:
    """What the file system says of a file: it changes whenever the content does (STORE 7)."""

    path: str
    size: int
    modified_ns: int
    changed_ns: int
    inode: int


def find_files(dataset: Dataset, directory: Path, override: str | None = None) -> tuple[Path, ...]:
    """The dataset's files, sorted; `override` (`--data NAME=PATH`) is relative to the working directory."""
    written = override if override is not None else dataset.path
    if "://" in written and not written.startswith("file://"):
        raise DataError(
            f"dataset {dataset.name}: {written.split('://', 1)[0]}:// paths cannot be read yet",
            "copy the files to a local folder and name it as `path`",
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


def signatures(files: Sequence[Path]) -> tuple[FileSignature, ...]:
    """The signature of each file; raises `DataError` where one has gone."""
    found = []
    for file in files:
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


def _readable(path: Path, declared: FileFormat | None) -> bool:
    hidden = any(part.startswith((".", "_")) for part in path.parts[-1:])
    kind = SUFFIXES.get(path.suffix.lower())
    return not hidden and kind is not None and (declared is None or declared == kind)
