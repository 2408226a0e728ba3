"""The store: objects in a folder, packs of results, and the log of releases (STORE.md)."""

from __future__ import annotations
