"""`include`: more files with datasets and models, joined with the first into one tree.

Files lie in the folder of the file that includes them, or below; what would lead out of the manifest's
folder (an absolute path, `..`, a link) is refused, and so are circles. Numbers and sizes are bounded.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from retraining.manifest.document import MAX_BYTES, read_document
from retraining.manifest.grammar import Top
from retraining.manifest.nodes import Entry, MappingNode, Node, ScalarNode, SequenceNode, describe, shortened
from retraining.manifest.problems import Problems, listed
from retraining.manifest.sources import moved

__all__ = ["Joined", "join_files"]

MAX_FILES = 500
MAX_TOTAL_BYTES = 4 * MAX_BYTES
_SECTIONS = (Top.DATASETS.name, Top.MODELS.name)
_ALLOWED = (*_SECTIONS, Top.INCLUDE.name)
_WILD = frozenset("*?[")


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """The tree of all files, the digest of all their bytes, and the folder of each included dataset.

    `folders` are relative to the manifest's, by the line of the dataset's name; those of the first file
    are left out. `files` are what was included, relative to the manifest's folder.
    """

    root: Node
    digest: str
    folders: dict[int, str]
    files: tuple[str, ...] = ()


@dataclass(slots=True)
class _Joining:
    problems: Problems
    home: Path
    digests: list[tuple[str, str]] = field(default_factory=list)
    seen: set[Path] = field(default_factory=set)
    entries: dict[str, list[Entry]] = field(default_factory=dict)
    heads: dict[str, ScalarNode] = field(default_factory=dict)
    folders: dict[int, str] = field(default_factory=dict)
    size: int = 0


def join_files(root: Node, data: bytes, file: Path, problems: Problems) -> Joined:
    """The tree of a manifest with everything that it includes; what is wrong is noted in `problems`."""
    own = hashlib.sha256(data).hexdigest()
    patterns = _patterns(root, problems)
    if patterns is None or not isinstance(root, MappingNode):
        return Joined(root=root, digest=f"sha256:{own}", folders={})
    first = Path(os.path.realpath(file))
    state = _Joining(problems=problems, home=first.parent, seen={first}, size=len(data))
    for name in _SECTIONS:
        _collect(root, name, "", state)
    _include(patterns, first.parent, (first,), state)
    lines = "".join(f"{digest} {name}\n" for name, digest in sorted(state.digests))
    digest = hashlib.sha256(f"{own}\n{lines}".encode()).hexdigest()
    files = tuple(sorted(name for name, _ in state.digests))
    return Joined(root=_joined(root, state), digest=f"sha256:{digest}", folders=state.folders, files=files)


def _patterns(root: Node, problems: Problems) -> SequenceNode | None:
    """The patterns of `include`, where it is a list; the grammar refuses what is none."""
    if not isinstance(root, MappingNode):
        return None
    node = next((entry.node for entry in root.entries if entry.key.text == Top.INCLUDE.name), None)
    return node if isinstance(node, SequenceNode) else None


def _include(patterns: SequenceNode, folder: Path, chain: Sequence[Path], state: _Joining) -> None:
    """Reads what the patterns of one file name; `chain` are the files that led here."""
    for pattern in patterns.items:
        if not isinstance(pattern, ScalarNode) or not isinstance(pattern.value, str):
            continue
        for path in _find(pattern, folder, chain, state):
            if len(state.seen) > MAX_FILES:
                found = f"a manifest includes at most {MAX_FILES} files"
                state.problems.add(pattern, Top.INCLUDE.name, found, "put more models into each file")
                return
            _read(path, pattern, chain, state)


def _find(pattern: ScalarNode, folder: Path, chain: Sequence[Path], state: _Joining) -> list[Path]:
    """The files that a pattern names, sorted; what leads out of the manifest's folder is noted."""
    text = pattern.text
    where = f"`{shortened(text)}`"

    def refuse(found: str, step: str) -> list[Path]:
        state.problems.add(pattern, Top.INCLUDE.name, found, step)
        return []

    if "://" in text or os.path.isabs(text) or ".." in text.replace("\\", "/").split("/"):
        return refuse(
            f"{where} leads out of the manifest's folder",
            "name files in this folder or below it, as in models/*.yaml",
        )
    wild = not _WILD.isdisjoint(text)
    try:
        paths = sorted(folder.glob(text)) if wild else [folder / text]
        found = {Path(os.path.realpath(path)) for path in paths if not wild or path.is_file()}
    except (OSError, ValueError, NotImplementedError, IndexError) as error:
        return refuse(f"{where} is no pattern of files: {error}", "write it as in models/*.yaml")
    outside = [path for path in found if not path.is_relative_to(state.home)]
    if outside:
        return refuse(f"{where} is a link out of the manifest's folder", "copy the file into the folder")
    if wild:
        found -= set(chain)  # a pattern means the other files
    if not found:
        return refuse(f"no file is named {where}", f"files there: {_files_in(folder)}")
    return sorted(found)


def _read(path: Path, pattern: ScalarNode, chain: Sequence[Path], state: _Joining) -> None:
    name = path.relative_to(state.home).as_posix()
    if path in chain:
        circle = " -> ".join(one.relative_to(state.home).as_posix() for one in [*chain, path])
        state.problems.add(
            pattern, Top.INCLUDE.name, f"files include each other in a circle: {circle}", "remove one of them"
        )
        return
    if path in state.seen:
        return
    state.seen.add(path)
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except OSError as error:
        reason = error.strerror or str(error)
        step = f"files there: {_files_in(path.parent)}"
        state.problems.add(pattern, Top.INCLUDE.name, f"`{name}` cannot be read: {reason}", step)
        return
    state.size += len(data)
    if state.size > MAX_TOTAL_BYTES:
        found = f"a manifest and what it includes have at most {MAX_TOTAL_BYTES:,} bytes"
        state.problems.add(pattern, Top.INCLUDE.name, found, "use `defaults` and `partition_by`")
        return
    state.digests.append((name, hashlib.sha256(data).hexdigest()))
    shown = str(Path(state.problems.file).parent / name)
    own = Problems(shown)
    tree = read_document(data, own)
    lines = state.problems.adopt(own)
    if tree is not None:
        _take(moved(tree, lines), name, (*chain, path), state)


def _take(root: Node, name: str, chain: Sequence[Path], state: _Joining) -> None:
    """Adds the datasets and models of an included file, and of what it includes itself."""
    if not isinstance(root, MappingNode):
        found = f"expected a mapping with {listed(_ALLOWED)}; found {describe(root)}"
        state.problems.add(root, "", found, "write `models:` and below it models by name")
        return
    for entry in root.entries:
        if entry.key.text not in _ALLOWED:
            found = f"unknown field `{shortened(entry.key.text)}` in an included file; allowed: {listed(_ALLOWED)}"
            step = "write it in the manifest that includes this file"
            state.problems.add(entry.key, entry.key.text, found, step)
    for section in _SECTIONS:
        _collect(root, section, os.path.dirname(name), state)
    patterns = Top.INCLUDE.shape.read(node, "", state.problems) if (node := _entry(root)) else None
    if patterns is not None and isinstance(node, SequenceNode):
        _include(node, chain[-1].parent, chain, state)


def _entry(root: MappingNode) -> Node | None:
    return next((entry.node for entry in root.entries if entry.key.text == Top.INCLUDE.name), None)


def _collect(root: MappingNode, section: str, folder: str, state: _Joining) -> None:
    """Keeps the entries of one section; a name that another file has too is noted."""
    for entry in root.entries:
        if entry.key.text != section:
            continue
        state.heads.setdefault(section, entry.key)
        if not isinstance(entry.node, MappingNode):
            if folder or state.digests:
                found = f"expected a mapping of {section}; found {describe(entry.node)}"
                state.problems.add(entry.node, section, found, f"write {section} by name")
            continue
        kept = state.entries.setdefault(section, [])
        known = {one.key.text: one.key for one in kept}
        for one in entry.node.entries:
            first = known.get(one.key.text)
            if first is not None:
                found = f"`{shortened(one.key.text)}` is already at {state.problems.sources.place(first)}"
                step = "names are unique over all files: give one of the two another"
                state.problems.add(one.key, f"{section}.{one.key.text}", found, step)
                continue
            kept.append(one)
            if folder and section == Top.DATASETS.name:
                state.folders[one.key.line] = folder


def _joined(root: MappingNode, state: _Joining) -> MappingNode:
    """The first file's mapping, with the sections of all files."""
    entries = []
    for entry in root.entries:
        found = state.entries.get(entry.key.text)
        if found is None or not isinstance(entry.node, MappingNode):
            entries.append(entry)
            continue
        node = entry.node
        whole = MappingNode(line=node.line, column=node.column, head=node.head, entries=tuple(found))
        entries.append(Entry(key=entry.key, node=whole))
    written = {entry.key.text for entry in root.entries}
    for section, found in state.entries.items():
        if section not in written:
            key = state.heads[section]
            head = (key.line, key.column)
            whole = MappingNode(line=key.line, column=key.column, head=head, entries=tuple(found))
            entries.append(Entry(key=key, node=whole))
    return MappingNode(line=root.line, column=root.column, head=root.head, entries=tuple(entries))


def _files_in(folder: Path) -> str:
    try:
        names = sorted(name for name in os.listdir(folder) if name.endswith((".yaml", ".yml")))
    except OSError:
        return "none, there is no such folder"
    return listed(names[:10]) if names else "none"
