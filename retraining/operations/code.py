"""The callables that a manifest names: whether they are allowed, where they lie, and what they say.

Nothing is imported here: a module is found on Python's path and its text is read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from retraining.errors import ManifestError, Problem
from retraining.learn.source import find_module, source_digest
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
        elif find_module(module, permissions.search) is None:
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
    digests = {name: source_digest(name, permissions) for name in sorted(names)}
    return {name: digest for name, digest in digests.items() if digest is not None}


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
