"""The few file-system calls that durability rests on, as a port.

Tests put a recorder in its place and replay every prefix of the calls as a power cut would leave
it: data that was not synced is empty, names that were not synced are gone.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Protocol

__all__ = ["FileSystem", "OsFileSystem"]


class FileSystem(Protocol):
    """What `LocalObjects` writes through; every method raises OSError as the system does."""

    def make_folder(self, path: Path) -> None:
        """Make a folder in an existing one; FileExistsError where the name is taken."""
        ...

    def write_file(self, path: Path, data: bytes) -> None:
        """Write a new file; its bytes and its name may still be lost."""
        ...

    def sync_file(self, path: Path) -> None:
        """Make a file's bytes durable."""
        ...

    def link(self, source: Path, target: Path) -> None:
        """Give a file a second name; FileExistsError where the name is taken."""
        ...

    def replace(self, source: Path, target: Path) -> None:
        """Rename a file over another in one step."""
        ...

    def unlink(self, path: Path) -> None:
        """Remove a name."""
        ...

    def sync_folder(self, path: Path) -> None:
        """Make the names in a folder durable."""
        ...


class OsFileSystem:
    """The real file system."""

    def make_folder(self, path: Path) -> None:
        """Make a folder in an existing one."""
        path.mkdir()

    def write_file(self, path: Path, data: bytes) -> None:
        """Write a new file without syncing it."""
        with path.open("xb", buffering=0) as file:
            view = memoryview(data)
            while view:
                view = view[file.write(view) :]

    def sync_file(self, path: Path) -> None:
        """Make a file's bytes durable."""
        self._sync(path, os.O_RDWR)

    def link(self, source: Path, target: Path) -> None:
        """Give a file a second name, which must be free."""
        os.link(source, target)

    def replace(self, source: Path, target: Path) -> None:
        """Rename a file over another in one step."""
        os.replace(source, target)

    def unlink(self, path: Path) -> None:
        """Remove a name."""
        path.unlink()

    def sync_folder(self, path: Path) -> None:
        """Make the names in a folder durable."""
        self._sync(path, os.O_RDONLY | os.O_DIRECTORY)

    @staticmethod
    def _sync(path: Path, flags: int) -> None:
        descriptor = os.open(path, flags)
        try:
            if sys.platform == "darwin":
                # On macOS fsync leaves the bytes in the drive's cache.
                import fcntl

                fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
            else:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
