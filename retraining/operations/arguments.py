"""What arguments of verbs mean: the address of the store, and a moment."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from zoneinfo import ZoneInfo

from retraining.errors import InputError
from retraining.manifest.values import Manifest

__all__ = ["parse_moment", "store_url"]


def store_url(manifest: Manifest, given: str | None) -> str:
    """The store's URL: `--store` is relative to the working directory, the manifest's to the manifest."""
    if given is not None:
        return given
    if manifest.store is None:
        raise InputError(
            f"{manifest.file.name} names no store",
            "add `store: ./store` to the manifest, or pass --store with a folder or s3://BUCKET/PREFIX",
        )
    if "://" in manifest.store or Path(manifest.store).is_absolute():
        return manifest.store
    return str(manifest.directory / manifest.store)


def parse_moment(text: str, timezone: str, option: str = "--as-of") -> dt.datetime:
    """An ISO 8601 moment or date; without a zone it is meant in the manifest's."""
    try:
        found = dt.datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise InputError(
            f"{option} {text!r} is not an ISO 8601 moment",
            "write a date (2013-07-01) or a moment (2013-07-01T06:00:00Z)",
        ) from error
    return found if found.tzinfo is not None else found.replace(tzinfo=ZoneInfo(timezone))
