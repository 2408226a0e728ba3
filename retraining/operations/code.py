"""The callables that a manifest names: whether they are allowed, where they lie, and what they say.

Nothing is imported here: a module is found on Python's path and its text is read.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.machinery
import importlib.metadata
import importlib.util
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from retraining.errors import ManifestError, Problem
from retraining.manifest import locate
from retraining.manifest.own import is_own, module_of
from retraining.manifest.permissions import ALLOW, Permissions
from retraining.manifest.values import Manifest

__all__ = ["Callable", "callables", "check_callables", "problem_at", "raise_all", "source_digests"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Callable:
    """A callable of the user's own, and the places of the manifest that may name it, best first."""

    name: str
    model: str
    places: tuple[str, ...]


def callables(manifest: Manifest) -> Iterator[Callable]:
    """Every callable that the models of a manifest name, estimators before metrics."""
    for model in manifest.models.values():
        roots = (f"models.{model.name}", "defaults")
        if is_own(model.estimator.type):
            places = [f"{root}.estimator{end}" for root in roots for end in (".type", "")]
            yield Callable(name=model.estimator.type, model=model.name, places=tuple(places))
        for position, metric in enumerate(model.metrics):
            if metric in model.own_metrics:
                at = f"metrics[{position}]"
                places = [f"{root}.{at}{end}" for root in roots for end in (".type", "")]
                yield Callable(name=metric, model=model.name, places=tuple(places))


def check_callables(manifest: Manifest, permissions: Permissions) -> None:
    """Raises ManifestError with every callable that is not allowed, or whose module cannot be found."""
    problems = []
    for one in callables(manifest):
        module = module_of(one.name)
        if not permissions.allows(module):
            top = module.partition(".")[0]
            message = f"{one.name} is not allowed: a manifest imports only what was allowed outside it"
            step = f"if you trust it, pass --allow {top} or set {ALLOW}={top}"
            problems.append(problem_at(manifest, one, message, step))
        elif _find(module, permissions.search) is None:
            message = f"there is no module {module} on Python's path or in the working directory"
            step = "install it, or set PYTHONPATH to the folder that holds it"
            problems.append(problem_at(manifest, one, message, step))
    raise_all(problems)


def source_digests(manifest: Manifest, permissions: Permissions) -> dict[str, str]:
    """For each estimator of the user's own the digest of its module's text; without those that are not found.

    Comments and layout count for nothing. What a module imports is not followed, but for the version of the
    installed package that it lies in: `version` says what else changed.
    """
    names = {model.estimator.type for model in manifest.models.values() if is_own(model.estimator.type)}
    digests = {}
    for name in sorted(names):
        module = module_of(name)
        found = _find(module, permissions.search)
        if found is not None:
            text = f"{_version(module)}\n{_meaning(found)}"
            digests[name] = "sha256:" + hashlib.sha256(text.encode()).hexdigest()
    return digests


def problem_at(manifest: Manifest, one: Callable, message: str, next_step: str) -> Problem:
    """A problem of a callable, at the place where the manifest names it."""
    place = locate(manifest.places, str(manifest.file), *one.places)
    return Problem(
        file=place.file,
        line=place.line,
        column=place.column,
        path=place.path,
        message=message,
        next_step=next_step,
    )


def raise_all(problems: Sequence[Problem]) -> None:
    """Raises ManifestError with these problems, each once and in the order of the file; returns without any."""
    if problems:
        raise ManifestError(sorted(dict.fromkeys(problems), key=lambda one: (one.line, one.column)))


def _find(module: str, search: Sequence[str]) -> Path | None:
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
