"""A disk whose power is cut: what was not synced is empty or gone."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from retraining.store.filesystem import OsFileSystem


class RecordingFileSystem(OsFileSystem):
    """The real file system, which notes every call that changes it."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, object, object]] = []

    def acknowledge(self, what: object) -> None:
        """Note that the caller was told that this is done."""
        self.calls.append(("acknowledge", what, None))

    def make_folder(self, path):
        super().make_folder(path)
        self.calls.append(("make_folder", path, None))

    def write_file(self, path, data):
        super().write_file(path, data)
        self.calls.append(("write_file", path, data))

    def sync_file(self, path):
        super().sync_file(path)
        self.calls.append(("sync_file", path, None))

    def link(self, source, target):
        super().link(source, target)
        self.calls.append(("link", source, target))

    def replace(self, source, target):
        super().replace(source, target)
        self.calls.append(("replace", source, target))

    def unlink(self, path):
        super().unlink(path)
        self.calls.append(("unlink", path, None))

    def sync_folder(self, path):
        super().sync_folder(path)
        self.calls.append(("sync_folder", path, None))


class Disk:
    """What a disk holds: names that programs see, names that a power cut leaves, and synced bytes."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.seen: dict[Path, dict[str, object]] = {root: {}}
        self.safe: dict[Path, dict[str, object]] = {root: {}}
        self.bytes: dict[object, bytes] = {}
        self.synced: set[object] = set()

    def apply(self, call: tuple[str, object, object]) -> None:
        name, first, second = call
        match name:
            case "make_folder":
                self.seen[first.parent][first.name] = first
                self.seen.setdefault(first, {})
                self.safe.setdefault(first, {})
            case "write_file":
                node = object()
                self.bytes[node] = second
                self.seen[first.parent][first.name] = node
            case "sync_file":
                self.synced.add(self.seen[first.parent][first.name])
            case "link":
                self.seen[second.parent][second.name] = self.seen[first.parent][first.name]
            case "replace":
                self.seen[second.parent][second.name] = self.seen[first.parent].pop(first.name)
            case "unlink":
                self.seen[first.parent].pop(first.name, None)
            case "sync_folder":
                if first in self.seen:
                    self.safe[first] = dict(self.seen[first])

    def after_the_cut(self, target: Path, *, names_kept: bool) -> None:
        """Write what is left into a folder: no unsynced bytes and, unless kept, no unsynced names."""
        self._write(self.root, target, self.seen if names_kept else self.safe)

    def _write(self, folder: Path, target: Path, names: dict[Path, dict[str, object]]) -> None:
        target.mkdir()
        for name, node in names[folder].items():
            if isinstance(node, Path):
                self._write(node, target / name, names)
            else:
                (target / name).write_bytes(self.bytes[node] if node in self.synced else b"")


def cuts(
    recorder: RecordingFileSystem, root: Path, target: Path, *, names_kept: bool
) -> Iterator[tuple[Path, list]]:
    """For each moment of the recording: the folder that a power cut leaves, and all that was acknowledged."""
    disk = Disk(root)
    acknowledged: list = []
    for number, call in enumerate(recorder.calls):
        if call[0] == "acknowledge":
            acknowledged.append(call[1])
            continue
        disk.apply(call)
        folder = target / str(number)
        disk.after_the_cut(folder, names_kept=names_kept)
        yield folder, acknowledged
        shutil.rmtree(folder)
