"""The text of a callable's module, found and read without importing anything."""

from __future__ import annotations

import ast
import hashlib
import importlib.machinery
import importlib.metadata
import importlib.util
from collections.abc import Sequence
from pathlib import Path

from retraining.learn.failures import FitError
from retraining.manifest.own import module_of
from retraining.manifest.permissions import Permissions

__all__ = ["CODE_CHANGED", "check_source", "find_module", "source_digest"]

CODE_CHANGED = "its code is not the one that this version was made by"
"""In the error of a fit that cannot be made again as it was."""


def source_digest(name: str, permissions: Permissions) -> str | None:
    """The digest of what the module of a callable says; None where it is not found.

    Comments and layout count for nothing. What the module imports is not followed, but for the version of the
    installed package that it lies in.
    """
    module = module_of(name)
    found = find_module(module, permissions.search)
    if found is None:
        return None
    text = f"{_version(module)}\n{_meaning(found)}"
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def check_source(name: str, digest: str | None, permissions: Permissions) -> None:
    """Raises FitError where a recipe's callable no longer says what it said: the fit would be of another recipe."""
    if digest is not None and source_digest(name, permissions) != digest:
        raise FitError(f"{name}: {CODE_CHANGED}", "run again, or keep released code and name its successor")


def find_module(module: str, search: Sequence[str]) -> Path | None:
    """The file of a module; its packages are not imported on the way. None where there is none."""
    top, *rest = module.split(".")
    spec: importlib.machinery.ModuleSpec | None
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        spec = None
    if spec is None:
        spec = importlib.machinery.PathFinder.find_spec(top, list(search))
    for part in rest:
        folders = spec.submodule_search_locations if spec is not None else None
        spec = importlib.machinery.PathFinder.find_spec(part, list(folders)) if folders else None
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin)
    return path if path.is_file() else None


def _meaning(path: Path) -> str:
    """What a module says: its syntax tree, or the digest of a file that is no text."""
    data = path.read_bytes()
    if path.suffix == ".py":
        try:
            return ast.dump(ast.parse(data))
        except (SyntaxError, ValueError):
            pass  # importing it will say what is wrong
    return hashlib.sha256(data).hexdigest()


def _version(module: str) -> str:
    try:
        return importlib.metadata.version(module.partition(".")[0])
    except importlib.metadata.PackageNotFoundError:
        return ""
