"""What is in an export: its files by path, each held to its digest before it is parsed."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias, cast

import pyarrow as pa
import pyarrow.parquet as pq

from retraining.errors import InputError, IntegrityError
from retraining.learn.fitting import FittedModel
from retraining.learn.persistence import Artifact, load_parts
from retraining.manifest.permissions import NOTHING, Permissions
from retraining.prediction.exporting import COLUMN, FORMAT, INDEX
from retraining.prediction.past import RecordedRows, rows_of_table
from retraining.prediction.versions import ServedVersion, version_from
from retraining.release.values import NodeState

__all__ = ["Contents", "Files", "read_files"]

Files: TypeAlias = Mapping[str, bytes]
_REMEDY = "export it again"


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """The files of an export and what its index says of them; it is the past of its versions (`prediction.past`).

    Models and columns are parsed when they are first asked for.
    """

    files: Files
    index: Mapping[str, Any]
    permissions: Permissions
    _columns: dict[str, Mapping[int, RecordedRows]] = field(default_factory=dict)
    _fits: dict[tuple[str, int], FittedModel | None] = field(default_factory=dict)

    @classmethod
    def of(cls, files: Files, permissions: Permissions = NOTHING) -> Contents:
        """The contents of these files; IntegrityError where the index is not that of an export."""
        return cls(files=files, index=_index(files), permissions=permissions)

    @property
    def release(self) -> int:
        """The number of the release that was exported."""
        return int(self.index["release"])

    @property
    def target(self) -> str | None:
        """The model or node that was exported; None for a whole release."""
        return cast("str | None", self.index["target"])

    def states(self) -> dict[str, NodeState]:
        """The nodes as a release names them; IntegrityError where the index describes none."""
        try:
            return {
                node: NodeState(
                    node=node,
                    version=str(entry["version"]),
                    time=str(entry["made"]),
                    orphaned=bool(entry["orphaned"]),
                )
                for node, entry in self.index["nodes"].items()
            }
        except (KeyError, TypeError, AttributeError) as error:
            raise IntegrityError(f"{INDEX} describes no nodes: {error}", _REMEDY) from error

    def version(self, state: NodeState) -> ServedVersion:
        """The version of a node."""
        return version_from(state, self._file(state.node, "version.json"))

    def model(self, version: ServedVersion) -> FittedModel:
        """The model of a version."""
        return self._load(version.node, "model")

    def blocks(self, version: ServedVersion) -> Collection[int]:
        """See `Past`."""
        return self._column(version).keys()

    def fetch(self, wanted: Iterable[tuple[ServedVersion, Collection[int]]]) -> None:
        """See `Past`: everything is at hand."""

    def read(self, version: ServedVersion, blocks: Collection[int]) -> Mapping[int, RecordedRows]:
        """See `Past`."""
        return {block: self._column(version)[block] for block in sorted(blocks)}

    def fit(self, version: ServedVersion, block: int) -> FittedModel | None:
        """See `Past`."""
        key = (version.node, block)
        if key not in self._fits:
            there = f"fit-{block}.json" in self.index["nodes"][version.node]["files"]
            self._fits[key] = self._load(version.node, f"fit-{block}") if there else None
        return self._fits[key]

    def _column(self, version: ServedVersion) -> Mapping[int, RecordedRows]:
        node = version.node
        if node not in self._columns:
            self._columns[node] = {}
            if COLUMN in self.index["nodes"][node]["files"]:
                try:
                    self._columns[node] = rows_of_table(pq.read_table(io.BytesIO(self._file(node, COLUMN))))
                except (KeyError, ValueError, pa.ArrowException) as error:
                    raise IntegrityError(f"{COLUMN} of {node} holds no column: {error}", _REMEDY) from error
        return self._columns[node]

    def _load(self, node: str, stem: str) -> FittedModel:
        names = [
            name
            for name in self.index["nodes"][node]["files"]
            if name.startswith(f"{stem}.") and name != f"{stem}.json"
        ]
        header = json.loads(self._file(node, f"{stem}.json"))
        payload = self._file(node, names[0] if names else f"{stem}.skops")
        return load_parts(Artifact(header=header, payload=payload), self.permissions, f"the {stem} of {node}")

    def _file(self, node: str, name: str) -> bytes:
        """A node's file, after its digest was compared."""
        try:
            entry = self.index["nodes"][node]
            data, digest = self.files[f"{entry['folder']}/{name}"], entry["files"][name]["sha256"]
        except (KeyError, TypeError) as error:
            raise IntegrityError(f"the export lacks {name} of {node}", _REMEDY) from error
        if hashlib.sha256(data).hexdigest() != digest:
            raise IntegrityError(f"{name} of {node} is not what was exported (wrong digest)", _REMEDY)
        return data


def read_files(path: Path) -> Files:
    """The files of a folder or .zip, those that its index names; InputError where it is no export."""
    try:
        if path.is_dir():
            index = (path / INDEX).read_bytes()
            return {INDEX: index} | {
                name: (path / name).read_bytes() for name in _names(_index({INDEX: index}))
            }
        with zipfile.ZipFile(path) as archive:
            index = archive.read(INDEX)
            sizes = _names(_index({INDEX: index}))
            for name, size in sizes.items():
                if archive.getinfo(name).file_size != size:
                    raise IntegrityError(f"{name} of the export has not the size that {INDEX} says", _REMEDY)
            return {INDEX: index} | {name: archive.read(name) for name in sizes}
    except FileNotFoundError as error:
        what = f"lacks {Path(error.filename).name}" if path.is_dir() else "does not exist"
        raise InputError(f"{path} {what}", "name the folder or .zip that `retrain export` wrote") from error
    except (OSError, KeyError, zipfile.BadZipFile, EOFError) as error:
        raise InputError(
            f"{path} is no export that can be read: {error}",
            "name the folder or .zip that `retrain export` wrote",
        ) from error


def _index(files: Files) -> dict[str, Any]:
    try:
        index = json.loads(files[INDEX])
        if index["kind"] != "retraining-export":
            raise ValueError("it is of another kind")
        if index["format"] != FORMAT:
            raise ValueError(f"format {index['format']!r}, this version reads format {FORMAT}")
        return cast("dict[str, Any]", index)
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise IntegrityError(f"{INDEX} is not that of an export: {error}", _REMEDY) from error


def _names(index: Mapping[str, Any]) -> dict[str, int]:
    """Every file that loading may read, and its size; none of them lies elsewhere."""
    try:
        names = {
            f"{entry['folder']}/{name}": int(told["bytes"])
            for entry in index["nodes"].values()
            for name, told in entry["files"].items()
        }
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise IntegrityError(f"{INDEX} lists no files: {error}", _REMEDY) from error
    for name in names:
        parts = name.split("/")
        if len(parts) != 3 or parts[0] != "nodes" or ".." in parts or "\\" in name or "" in parts:
            raise IntegrityError(f"{INDEX} names a file outside its folder: {name}", _REMEDY)
    return names
