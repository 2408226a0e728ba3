"""Nodes of a release as plain files, each with its digest: for people without this program, and for `load_exported`.

::

    export.json             what is in it: the release, and for each node its folder and files
    nodes/NAME/model.*      the fitted estimator in its own format: .skops, .ubj (XGBoost) or .joblib
    nodes/NAME/model.json   what surrounds it: encoding of the features, classes, seed
    nodes/NAME/version.json the version document, as it lies in the store
    nodes/NAME/metrics.json what the gate measured
    nodes/NAME/column.parquet  the recorded column: block, a word for each row, its prediction
    nodes/NAME/fit-BLOCK.*  the block fits that were kept, as model.*
    README.md, SHA256SUMS   for people, and for `sha256sum -c SHA256SUMS`
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shutil
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq

from retraining.errors import InputError
from retraining.learn.persistence import open_artifact
from retraining.manifest.values import Json
from retraining.prediction.past import History, gathered
from retraining.prediction.versions import ServedVersion

if TYPE_CHECKING:
    from retraining.prediction.predictor import Release

__all__ = ["COLUMN", "FORMAT", "INDEX", "check_place", "export_files", "write_export"]

FORMAT = 1
INDEX = "export.json"
COLUMN = "column.parquet"
_SUFFIX = {"skops": "skops", "xgboost": "ubj", "joblib": "joblib"}
_UNPLAIN = re.compile(r"[^A-Za-z0-9_.-]+")
_LONGEST = 80
# Of a zip's first day, so that equal exports are equal files.
_DATE = (1980, 1, 1, 0, 0, 0)


def export_files(
    release: Release, target: str | None = None, history: History = "recorded"
) -> dict[str, bytes]:
    """The files of an export by path: a model's or node's and its ancestors', or without a target every node's.

    With `history="shipped"` without the recorded columns and the block fits, for rows from the cuts on.
    Equal releases give equal files. Raises InputError for a name that is not released, StoreError for the store.
    """
    versions = release.versions(target)
    folders = _folders(versions)
    files: dict[str, bytes] = {}
    nodes: dict[str, Json] = {}
    for node, version in versions.items():
        own = _node_files(release, node)
        if history == "recorded":
            own |= _past_files(release, gathered(versions)[node])
        at = f"nodes/{folders[node]}"
        files |= {f"{at}/{name}": data for name, data in own.items()}
        state = release.state(node)
        nodes[node] = {
            "folder": at,
            "version": version.version,
            "made": state.time,
            "run": state.run,
            "cut": state.cut,
            "orphaned": state.orphaned,
            "estimator": version.recipe.estimator,
            "reads": {column: list(names) for column, names in sorted(version.sources.items())},
            "files": {name: _told(data) for name, data in sorted(own.items())},
        }
    entry = release.head.entry
    index: dict[str, Any] = {
        "format": FORMAT,
        "kind": "retraining-export",
        "release": release.number,
        "manifest": dict(entry.manifest) if entry is not None else {},
        "target": target,
        "history": history,
        "needs": {name: list(columns) for name, columns in release.needs(target).items()} if target else {},
        "nodes": nodes,
    }
    files[INDEX] = _pretty(index)
    files["README.md"] = _readme(release, target, nodes).encode()
    sums = (f"{hashlib.sha256(data).hexdigest()}  {path}\n" for path, data in sorted(files.items()))
    files["SHA256SUMS"] = "".join(sums).encode()
    return dict(sorted(files.items()))


def check_place(path: Path) -> None:
    """Raises InputError where nothing can be written at a path, or something is there already."""
    if path.exists() or path.is_symlink():
        raise InputError(f"{path} is there already", "name a new folder or .zip: an export replaces nothing")
    if not path.parent.is_dir():
        raise InputError(f"{path} lies in {path.parent}, which is not a folder", "name a place in a folder")


def write_export(files: Mapping[str, bytes], path: Path) -> None:
    """Writes an export to a new folder, or to a file where the name ends in .zip: whole, or not at all."""
    check_place(path)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        if path.suffix.lower() == ".zip":
            _write_zip(files, partial)
            os.link(partial, path)  # as a rename, but it replaces nothing
        else:
            _write_folder(files, partial)
            # a rename onto a folder that came up meanwhile fails unless that is empty
            partial.rename(path)
        _sync(path.parent)
    except OSError as error:
        raise InputError(
            f"{path} cannot be written: {error.strerror or error}", "name another place"
        ) from error
    finally:
        if partial.is_dir():
            shutil.rmtree(partial, ignore_errors=True)
        else:
            partial.unlink(missing_ok=True)


def _node_files(release: Release, node: str) -> dict[str, bytes]:
    document = release.document(node)
    artifact = open_artifact(release.artifact(node))
    return {
        f"model.{_SUFFIX[artifact.kind]}": artifact.payload,
        "model.json": _pretty(artifact.header),
        "version.json": document,
        "metrics.json": _pretty(_metrics(json.loads(document))),
    }


def _past_files(release: Release, version: ServedVersion) -> dict[str, bytes]:
    """The recorded column of a node and its kept block fits; nothing where there are none."""
    found: dict[str, bytes] = {}
    column = release.recorded_column(version)
    if column.num_rows:
        sink = io.BytesIO()
        pq.write_table(column, sink, compression="zstd")
        found[COLUMN] = sink.getvalue()
    for block in sorted(version.kept):
        artifact = open_artifact(release.kept_fit(version, block))
        found[f"fit-{block}.{_SUFFIX[artifact.kind]}"] = artifact.payload
        found[f"fit-{block}.json"] = _pretty(artifact.header)
    return found


def _metrics(document: Mapping[str, Any]) -> dict[str, Any]:
    """What a version's gate measured, of the challenger, the champion and a constant guess."""
    verdict = document.get("verdict") or {}
    return {
        "node": document["node"],
        "version": document["version"],
        "outcome": document["outcome"],
        "because": document["because"],
        **{key: verdict.get(key) for key in ("metric", "challenger", "champion", "dummy", "holdout")},
    }


def _folders(nodes: Iterable[str]) -> dict[str, str]:
    """A plain folder name for each node, unlike all others also where case does not count."""
    taken: set[str] = set()
    folders = {}
    for node in nodes:
        plain = _UNPLAIN.sub("-", node).strip("-.")[:_LONGEST] or "node"
        name, count = plain, 1
        while name.casefold() in taken:
            count += 1
            name = f"{plain}-{count}"
        taken.add(name.casefold())
        folders[node] = name
    return folders


def _told(data: bytes) -> dict[str, Json]:
    return {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def _pretty(document: Mapping[str, Any]) -> bytes:
    return (json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()


def _write_folder(files: Mapping[str, bytes], folder: Path) -> None:
    for name, data in files.items():
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        with place.open("wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
    for place in sorted({(folder / name).parent for name in files} | {folder}, reverse=True):
        _sync(place)


def _write_zip(files: Mapping[str, bytes], path: Path) -> None:
    with path.open("xb") as stream:
        with zipfile.ZipFile(stream, "w", compression=zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
            for name, data in files.items():
                archive.writestr(zipfile.ZipInfo(name, _DATE), data, compress_type=zipfile.ZIP_DEFLATED)
        stream.flush()
        os.fsync(stream.fileno())


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _readme(release: Release, target: str | None, nodes: Mapping[str, Json]) -> str:
    what = (
        f"`{target}` and what it reads, of release {release.number}"
        if target
        else f"Release {release.number}"
    )
    entry = release.head.entry
    made = f", made {entry.time} by {entry.who}" if entry is not None else ""
    of = f" of `{entry.manifest.get('name')}`" if entry is not None and entry.manifest.get("name") else ""
    ask = target or next(iter(nodes), "NODE")
    lines = [
        f"# {what}{of}{made}",
        "",
        f"{len(nodes)} nodes; `{INDEX}` lists them with the digests of their files. Check all with "
        "`sha256sum -c SHA256SUMS`.",
        "",
        "With Python and the package `retraining`, no store and no network:",
        "",
        "```python",
        "import retraining",
        "",
        f"model = retraining.load_exported({'path' if target else f'path, {ask!r}'})   # this folder",
        "model.feature_names_in_   # what a DataFrame needs",
        "model.predict(frame)",
        "```",
        "",
        "Without it, each node's folder has the estimator in its own format: `model.skops` (package skops),",
        "`model.ubj` (`xgboost.Booster(model_file=...)`), or `model.joblib`, which runs code when it is loaded:",
        "only if you trust who wrote it. `model.json` says how features become its matrix (`encoding`: medians, centre",
        "and scale, texts of categories) and the order of its classes; `version.json` how it was made.",
        "`column.parquet` has what was predicted for earlier blocks when they were new: the block, a hash of what each",
        "row was predicted from, and the prediction; `fit-BLOCK.*` are the models of that time that were kept.",
        "",
    ]
    return "\n".join(lines)
