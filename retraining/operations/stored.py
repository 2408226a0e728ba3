"""The way to a store for who needs no plan: by its URL, or by the manifest that names it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from retraining.manifest import load_manifest
from retraining.manifest.values import Manifest
from retraining.operations.session import store_url
from retraining.store.log import Store, open_store

__all__ = ["Stored", "open_stored"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """An open store, its URL, and the manifest if one was given."""

    store: Store
    url: str
    manifest: Manifest | None


def open_stored(store: str | None, manifest: Path | None) -> Stored:
    """The existing store of `--store`, or else of the manifest; NotFoundError where there is none."""
    found = load_manifest(manifest) if manifest is not None else None
    if store is None:
        assert found is not None
        store = store_url(found, None)
    return Stored(store=open_store(store), url=store, manifest=found)
