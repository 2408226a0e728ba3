"""Objects in a local folder.

An object is visible as a whole or not at all: it is written under a temporary name that holds a
`#` (no key may), synced, and then linked or renamed into place; the folder and every folder above
it, up to the store's own, are synced before the call returns. `create` rests on link(2), which
fails where the name exists, for all processes of the machine.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import errno
import os
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from retraining.errors import AlreadyExistsError, NotFoundError, StoreError
from retraining.store.filesystem import FileSystem, OsFileSystem
from retraining.store.objects import ObjectInfo, UnsafeKeyError, check_key

__all__ = ["LocalObjects"]

_TEMPORARY = re.compile(r".#[0-9]+\Z")
_FULL = {errno.ENOSPC, errno.EDQUOT}
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EXDEV, errno.EMLINK}


class LocalObjects:
    """The object-store port on a folder.

    Parameters
    ----------
    folder
        The store's folder; it must exist.
    files
        The calls that writing goes through.
    random_bytes
        Where the names of temporary files come from.
    """

    def __init__(
        self,
        folder: Path,
        *,
        files: FileSystem | None = None,
        random_bytes: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self._folder = folder.absolute()
        self._real_folder = os.path.realpath(self._folder)
        self._files: FileSystem = OsFileSystem() if files is None else files
        self._random_bytes = random_bytes
        # Folders whose own name is known to be durable, so that each is synced upwards once.
        self._durable: set[Path] = {self._folder}
        if not os.path.isdir(self._folder):
            raise StoreError(f"store {folder}: it is not a folder", "give the path of a folder")

    @classmethod
    def create_at(cls, folder: Path, *, files: FileSystem | None = None) -> LocalObjects:
        """The objects in a folder that is made, with its parents, where it is missing."""
        files = OsFileSystem() if files is None else files
        missing = [place for place in (folder, *folder.parents) if not os.path.exists(place)]
        for place in reversed(missing):
            try:
                with contextlib.suppress(FileExistsError):
                    files.make_folder(place)
                files.sync_folder(place.parent)
            except OSError as error:
                raise _refusal(error, place, "make the folder") from error
        return cls(folder, files=files)

    @property
    def url(self) -> str:
        """The folder as a file: URL."""
        return self._folder.as_uri()

    def create(self, key: str, body: bytes) -> None:
        """Write a new object durably; AlreadyExistsError where the key is taken."""
        target = self._path(key)
        with self._temporary(target, body, durable=True) as temporary:
            try:
                self._files.link(temporary, target)
            except FileExistsError:
                # Whoever is told that it lost may build on the winner's object at once.
                self._sync_up(target.parent)
                raise AlreadyExistsError(
                    f"{target}: another writer created it first", "run the command again"
                ) from None
            except OSError as error:
                if error.errno in _NO_LINKS:
                    raise StoreError(
                        f"{target}: this file system cannot make hard links ({error.strerror}), "
                        "so two runs could both believe that their release won",
                        "put the store on a local disk (ext4, xfs, btrfs, apfs)",
                    ) from error
                raise
            self._sync_up(target.parent)

    def put(self, key: str, body: bytes) -> None:
        """Write an object durably under a name that nobody else uses."""
        target = self._path(key)
        with self._temporary(target, body, durable=True) as temporary:
            self._files.replace(temporary, target)
            self._sync_up(target.parent)

    def overwrite(self, key: str, body: bytes) -> None:
        """Write a hint in one step, without syncing it."""
        target = self._path(key)
        with self._temporary(target, body, durable=False) as temporary:
            self._files.replace(temporary, target)

    def get(self, key: str) -> bytes:
        """The bytes of an object; NotFoundError where there is none."""
        return self._read(key, 0, None)[0]

    def get_range(self, key: str, start: int, length: int) -> bytes:
        """The bytes from `start`, fewer than `length` where the object ends before."""
        return self._read(key, start, length)[0]

    def get_tail(self, key: str, length: int) -> tuple[bytes, int]:
        """The last `length` bytes of an object and its size."""
        return self._read(key, -length, length)

    def list(self, prefix: str, start_after: str = "") -> Iterator[ObjectInfo]:
        """The objects whose key begins with `prefix` and is greater than `start_after`, by key; no links."""
        base = prefix.rpartition("/")[0]
        folder = self._path(base) if base else self._folder
        return self._walk(folder, f"{base}/" if base else "", prefix, start_after)

    def delete(self, keys: Iterable[str]) -> None:
        """Remove objects; keys that hold nothing are passed over."""
        for key in keys:
            path = self._path(key)
            try:
                with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                    self._files.unlink(path)
            except OSError as error:
                raise _refusal(error, path, "delete") from error

    def temporaries(self, before: dt.datetime) -> Iterator[ObjectInfo]:
        """Temporary files of writers that were killed, last written before a time; no listing shows them."""
        for folder, _, names in os.walk(self._folder):
            for name in sorted(names):
                path = Path(folder, name)
                if not _TEMPORARY.search(name):
                    continue
                with contextlib.suppress(FileNotFoundError):
                    status = path.stat()
                    modified = dt.datetime.fromtimestamp(status.st_mtime, dt.UTC)
                    if modified < before:
                        key = path.relative_to(self._folder).as_posix()
                        yield ObjectInfo(key=key, size=status.st_size, modified=modified)

    def delete_temporaries(self, found: Iterable[ObjectInfo]) -> None:
        """Remove what `temporaries` found."""
        for info in found:
            path = self._path(info.key.rpartition("#")[0])
            with contextlib.suppress(FileNotFoundError):
                self._files.unlink(path.with_name(info.key.rpartition("/")[2]))

    def settle(self, prefix: str) -> None:
        """Sync the folder of a prefix and the folders above it, where it exists."""
        folder = self._path(prefix.rstrip("/"))
        if not folder.is_dir():
            return
        try:
            self._sync_up(folder)
        except OSError as error:
            raise _refusal(error, folder, "sync") from error

    def verify_exclusion(self) -> None:
        """Nothing: link(2) excludes, and a file system without it is refused by `create`."""

    def _path(self, key: str) -> Path:
        """The file of a key; UnsafeKeyError where a link below the store's folder stands in its way."""
        path = self._folder / check_key(key)
        inside = os.path.join(self._real_folder, *key.split("/")[:-1])
        if os.path.realpath(path.parent) != inside or path.is_symlink():
            raise UnsafeKeyError(
                f"{path}: a symbolic link inside the store leads elsewhere, and none is followed",
                "remove the link; the store's own folder may be one",
            )
        return path

    @contextlib.contextmanager
    def _temporary(self, target: Path, body: bytes, *, durable: bool) -> Iterator[Path]:
        """A file beside `target` with the bytes, removed at the end; OSError becomes StoreError."""
        digits = int.from_bytes(self._random_bytes(8), "big")
        temporary = target.with_name(f"{target.name}#{digits}")
        try:
            self._make_folders(target.parent)
            try:
                self._files.write_file(temporary, body)
                if durable:
                    self._files.sync_file(temporary)
                yield temporary
            finally:
                with contextlib.suppress(OSError):
                    self._files.unlink(temporary)
        except OSError as error:
            raise _refusal(error, target, "write") from error

    def _make_folders(self, folder: Path) -> None:
        if folder in self._durable or folder.is_dir():
            return
        self._make_folders(folder.parent)
        with contextlib.suppress(FileExistsError):
            self._files.make_folder(folder)

    def _sync_up(self, folder: Path) -> None:
        """Sync a folder's names, and those of the folders above it until one is known durable."""
        place = folder
        while True:
            self._files.sync_folder(place)
            if place in self._durable:
                break
            place = place.parent
        while folder not in self._durable:
            self._durable.add(folder)
            folder = folder.parent

    def _read(self, key: str, start: int, length: int | None) -> tuple[bytes, int]:
        """The bytes from `start` (negative: from the end) and the object's size."""
        path = self._path(key)
        try:
            with path.open("rb", buffering=0) as file:
                size = os.fstat(file.fileno()).st_size
                if start:
                    file.seek(min(start, size) if start >= 0 else max(0, size + start))
                return _read_all(file.fileno(), size if length is None else min(length, size)), size
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            raise NotFoundError(f"{path}: there is no such object in the store") from None
        except OSError as error:
            raise _refusal(error, path, "read") from error

    def _walk(self, folder: Path, base: str, prefix: str, start_after: str) -> Iterator[ObjectInfo]:
        try:
            with os.scandir(folder) as scan:
                entries = [
                    (f"{e.name}/" if e.is_dir() else e.name, e)
                    for e in scan
                    if "#" not in e.name and not e.is_symlink()
                ]
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as error:
            raise _refusal(error, folder, "list") from error
        # A folder sorts with its slash, so that keys come out in the order of their whole text.
        for name, entry in sorted(entries, key=lambda pair: pair[0]):
            key = base + name
            if not name.endswith("/"):
                if key.startswith(prefix) and key > start_after:
                    yield from _info(entry, key)
            # All keys of a folder begin with its own, so one comparison tells whether any is greater.
            elif _overlap(key, prefix) and (start_after < key or start_after.startswith(key)):
                yield from self._walk(folder / entry.name, key, prefix, start_after)


def _overlap(one: str, other: str) -> bool:
    return one.startswith(other) or other.startswith(one)


def _read_all(descriptor: int, length: int) -> bytes:
    chunks = []
    while length > 0 and (chunk := os.read(descriptor, length)):
        chunks.append(chunk)
        length -= len(chunk)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _info(entry: os.DirEntry[str], key: str) -> Iterator[ObjectInfo]:
    # A file that was deleted during the listing is not in it.
    with contextlib.suppress(FileNotFoundError):
        status = entry.stat()
        modified = dt.datetime.fromtimestamp(status.st_mtime, dt.UTC)
        yield ObjectInfo(key=key, size=status.st_size, modified=modified)


def _refusal(error: OSError, path: Path, verb: str) -> StoreError:
    reason = error.strerror or str(error)
    message = f"{path}: cannot {verb} ({reason})"
    if error.errno in _FULL:
        return StoreError(message, "free some space on the disk of the store, then run the command again")
    if error.errno in _FORBIDDEN:
        return StoreError(message, "let this user write to the store's folder, or choose another --store")
    return StoreError(message, "check the disk and the path of the store, then run the command again")
