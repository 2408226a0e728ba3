"""The store: objects in a folder, packs of results, and the log of releases (docs/design.md)."""

from __future__ import annotations
