"""What may be imported and unpickled for a manifest: said outside it, by who runs the program.

A value that is passed on, never a setting of the process: a manifest and a store can name code, and neither
can allow it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from retraining.manifest.own import is_module

__all__ = ["ALLOW", "ALLOW_JOBLIB", "NOTHING", "Permissions", "read_permissions"]

ALLOW = "RETRAINING_ALLOW"
"""The environment variable with the packages that may be imported, separated by commas."""
ALLOW_JOBLIB = "RETRAINING_ALLOW_JOBLIB"
"""The environment variable that allows joblib artifacts, which run code when they are loaded: `1`."""

_TRUE = frozenset({"1", "true", "yes"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Permissions:
    """What who runs the program allows.

    `packages` are packages and modules; one allows what lies below it too. `joblib`: models that nothing safer
    can hold may be stored and loaded by joblib. `search` are the folders in which an allowed module is looked
    for after Python's own path.
    """

    packages: tuple[str, ...] = ()
    joblib: bool = False
    search: tuple[str, ...] = ()

    def allows(self, module: str) -> bool:
        """Whether the module or a package that it lies in was allowed."""
        return any(module == package or module.startswith(f"{package}.") for package in self.packages)


NOTHING = Permissions()


def read_permissions(
    environment: Mapping[str, str],
    packages: Iterable[str] = (),
    *,
    joblib: bool = False,
    search: Iterable[str] = (),
) -> Permissions:
    """What the environment and the caller allow together; ValueError for a text that names no package."""
    listed = [name.strip() for name in environment.get(ALLOW, "").split(",")]
    given = [part.strip() for name in packages for part in name.split(",")]
    wanted = tuple(dict.fromkeys(name for name in (*listed, *given) if name))
    wrong = next((name for name in wanted if not is_module(name)), None)
    if wrong is not None:
        raise ValueError(f"{wrong!r} is no package; write a name such as mypackage or mypackage.models")
    return Permissions(
        packages=wanted,
        joblib=joblib or environment.get(ALLOW_JOBLIB, "").strip().lower() in _TRUE,
        search=tuple(dict.fromkeys(search)),
    )
