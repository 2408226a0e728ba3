"""Reading a manifest: with `including.py` the one place in this room that opens a user's files."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from retraining.errors import InputError
from retraining.manifest.catalog import EstimatorInfo, estimators
from retraining.manifest.document import MAX_BYTES, read_document
from retraining.manifest.given import given_path
from retraining.manifest.including import join_files
from retraining.manifest.problems import Problems
from retraining.manifest.replacing import with_rule
from retraining.manifest.resolve import resolve
from retraining.manifest.values import Manifest

__all__ = ["load_manifest", "parse_manifest"]

_SUFFIXES = (".yaml", ".yml")


def load_manifest(path: str | os.PathLike[str], *, retrain_when: str | None = None) -> Manifest:
    """The manifest in a file, checked as a whole; its data is not looked at.

    `retrain_when` is a rule, as a manifest writes it, that every model has instead of its own.

    Raises InputError if the file cannot be read, ManifestError with every problem of its content.
    """
    file = given_path(path, "the manifest")
    try:
        with file.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise InputError(f"there is no manifest `{file}`", _suggest(file)) from None
    except IsADirectoryError:
        raise InputError(
            f"`{file}` is a folder; expected a manifest file", _suggest(file / "x.yaml")
        ) from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise InputError(
            f"the manifest `{file}` cannot be read: {reason}", "check its path and rights"
        ) from None
    return parse_manifest(data, file, retrain_when=retrain_when)


def parse_manifest(
    data: bytes,
    file: Path,
    catalog: Mapping[str, EstimatorInfo] | None = None,
    *,
    retrain_when: str | None = None,
) -> Manifest:
    """The manifest that these bytes write, with what it includes; raises ManifestError with every problem.

    `file` is for messages and for relative paths. `catalog` defaults to the installed estimators, `retrain_when` as
    in `load_manifest`.
    """
    problems = Problems(str(file))
    root = read_document(data, problems)
    if root is None:
        problems.raise_any()
        raise AssertionError("an unreadable document has a problem")
    joined = join_files(root, data, file, problems)
    if retrain_when is not None:
        joined = with_rule(joined, retrain_when, problems)
    return resolve(joined, file, estimators() if catalog is None else catalog, problems)


def _suggest(file: Path) -> str:
    """The next step where there is no file: the nearest manifest in the same folder."""
    try:
        names = sorted(name for name in os.listdir(file.parent) if name.endswith(_SUFFIXES))
    except OSError:
        return f"there is no folder `{file.parent}` either; `retrain init` writes a starter"
    near = Problems(str(file)).nearest(file.name, names) or (names[0] if len(names) == 1 else None)
    if near:
        return f"did you mean `{file.parent / near}`?"
    return f"manifests there: {', '.join(names[:10])}" if names else "`retrain init` writes a starter"
