"""The library versions that change results, and their digest: the environment's part of a fingerprint."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

from retraining.decide.recipes import digest_of

_PACKAGES = ("numpy", "scipy", "scikit-learn", "xgboost")
_OTHER_NAMES = {"xgboost": ("xgboost-cpu",)}


def library_versions() -> dict[str, str]:
    """Python's minor version and the versions of the libraries that compute, read from their metadata."""
    found = {"python": ".".join(platform.python_version_tuple()[:2])}
    for name in _PACKAGES:
        for candidate in (name, *_OTHER_NAMES.get(name, ())):
            try:
                found[name] = version(candidate)
                break
            except PackageNotFoundError:
                continue
    return found


def environment_digest() -> str:
    """The digest of `library_versions`."""
    return digest_of(dict(library_versions()))
