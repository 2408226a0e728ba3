"""What people's decisions changed, for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from retraining.reporting.grouping import list_nodes, wrapped
from retraining.reporting.paint import Paint, plain
from retraining.reporting.text import plural

__all__ = ["pinned_text", "promoted_text", "pruned_text", "rollback_text"]


def pinned_text(done: str, nodes: Sequence[str], *, because: str, paint: Paint = plain) -> str:
    """One line: how many nodes were pinned or unpinned (`done`), which, and why."""
    why = f": {because}" if because else ""
    head = paint("title", f"{done} {plural(len(nodes), 'node')}")
    return f"{head} ({list_nodes(nodes)}){why}\n"


def rollback_text(
    release: int | None, to: int, restored: Sequence[str], removed: Sequence[str], *, paint: Paint = plain
) -> str:
    """What a rollback to release `to` did: the new release (None: nothing had to change) and its nodes."""
    if release is None:
        return f"{paint('title', f'what release {to} served is served now')}: nothing to go back from\n"
    lines = [paint("title", f"release {release} goes back to release {to}")]
    for word, nodes in (("restored", restored), ("no longer served", removed)):
        if nodes:
            lines += wrapped(f"{word}: {plural(len(nodes), 'node')} ({list_nodes(nodes)})", "  ", "    ")
    lines.append("  they are pinned: no run changes them until `retrain unpin`")
    return "\n".join(lines) + "\n"


def promoted_text(
    release: int | None,
    promoted: Sequence[str],
    rewired: Sequence[str],
    pending: Sequence[str],
    *,
    paint: Paint = plain,
) -> str:
    """What a promotion released: the nodes, the champions below them that stay, and what still waits."""
    lines = [paint("title", f"release {release} promotes {plural(len(promoted), 'node')}")]
    for word, nodes in (
        ("promoted", promoted),
        ("kept, and reading the new versions", rewired),
        ("still pending", pending),
    ):
        if nodes:
            lines += wrapped(f"{word}: {list_nodes(nodes)}", "  ", "    ")
    return "\n".join(lines) + "\n"


def pruned_text(pruned: Sequence[str], stay: Mapping[str, str]) -> str:
    """Which nodes were forgotten, and why others that left the manifest or the data were not; '' for none."""
    lines = wrapped(f"pruned: {list_nodes(pruned)}", "  ", "    ") if pruned else []
    for name, because in stay.items():
        lines += wrapped(f"not pruned: {name}, since {because}", "  ", "    ")
    return "".join(f"{line}\n" for line in lines)
