"""What a `pin` or `unpin` changed, for people."""

from __future__ import annotations

from collections.abc import Sequence

from retraining.reporting.grouping import list_nodes
from retraining.reporting.paint import Paint, plain
from retraining.reporting.text import plural

__all__ = ["pinned_text"]


def pinned_text(done: str, nodes: Sequence[str], *, because: str, paint: Paint = plain) -> str:
    """One line: how many nodes were pinned or unpinned (`done`), which, and why."""
    why = f": {because}" if because else ""
    head = paint("title", f"{done} {plural(len(nodes), 'node')}")
    return f"{head} ({list_nodes(nodes)}){why}\n"
