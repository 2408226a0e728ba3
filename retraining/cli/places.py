"""Which manifest and which store a verb works on, where they are not written."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING, Any

from retraining.cli.output import say
from retraining.errors import InputError

if TYPE_CHECKING:
    from retraining.operations.session import Quiet, Session
    from retraining.operations.stored import Stored

__all__ = ["find_manifest", "look", "look_at_plan", "stored_at"]

_SUFFIXES = (".yaml", ".yml")
_HEAD_BYTES = 65_536


def find_manifest(given: Path | None) -> Path:
    """The manifest that was written, else the only one of the current folder, which is then named on stderr."""
    if given is not None:
        return given
    found = sorted(path for path in Path().iterdir() if path.suffix in _SUFFIXES and _is_manifest(path))
    if len(found) == 1:
        say(f"using {found[0]}")
        return found[0]
    if found:
        raise InputError(
            f"this folder holds {len(found)} manifests: {', '.join(map(str, found[:8]))}", "name one of them"
        )
    raise InputError(
        "no manifest was named, and this folder holds none",
        "name one, as in `retrain plan FILE.yaml`; `retrain init` writes a starter",
    )


def stored_at(store: str | None, manifest: Path | None) -> Stored:
    """The store of `--store`, else of the manifest that was written or found."""
    from retraining.operations.stored import open_stored

    return open_stored(store, manifest if store is not None else find_manifest(manifest))


def look(manifest: Path | None, **request: Any) -> Session:
    """One look at manifest, store and data, changing nothing; the keywords are those of `Request`."""
    from retraining.operations.session import Request, open_session

    return open_session(
        Request(manifest=find_manifest(manifest), **request), dt.datetime.now(dt.UTC), create_store=False
    )


def look_at_plan(manifest: Path | None, **request: Any) -> Session | Quiet:
    """As `look`, but where a plan without work is remembered, only that."""
    from retraining.operations.session import Request, open_plan

    return open_plan(
        Request(manifest=find_manifest(manifest), **request), dt.datetime.now(dt.UTC), create_store=False
    )


def _is_manifest(path: Path) -> bool:
    """True where the file has a line that begins with `manifest:`."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError:
        return False
    return any(line.startswith(b"manifest:") for line in head.splitlines())
