"""What this process allows: its environment, its path, and what its caller adds."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from retraining.errors import InputError
from retraining.manifest.given import given_texts
from retraining.manifest.permissions import ALLOW, Permissions, read_permissions

__all__ = ["permitted"]


def permitted(
    packages: Iterable[str] = (), *, joblib: bool = False, environment: Mapping[str, str] | None = None
) -> Permissions:
    """What the caller and the environment (os.environ) allow; modules are looked for on this process's path.

    The working directory comes last. Raises InputError for a text that names no package.
    """
    names = given_texts(packages, "allow")
    search = [str(Path(entry).absolute()) for entry in sys.path if entry] + [str(Path.cwd())]
    try:
        return read_permissions(
            os.environ if environment is None else environment, names, joblib=joblib, search=search
        )
    except ValueError as error:
        raise InputError(str(error), f"mend --allow or {ALLOW}") from error
