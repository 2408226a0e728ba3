"""Which keys of a bucket a pattern names, by the rules of `glob.glob(..., recursive=True)` for files."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Sequence

_WILD = re.compile(r"[*?\[]")


def is_pattern(text: str) -> bool:
    """Whether a text holds a wildcard."""
    return _WILD.search(text) is not None


def fixed_folder(pattern: str) -> tuple[str, bool]:
    """The folder that all matches are in, and whether some may be in folders below it."""
    parts = pattern.split("/")
    first = next(place for place, part in enumerate(parts) if is_pattern(part))
    return "/".join(parts[:first]), first < len(parts) - 1 or parts[first] == "**"


def matches(key: str, pattern: str) -> bool:
    """Whether a key is what a pattern names: `*`, `?` and `[…]` within a part, `**` for any folders.

    Names that begin with a dot are named only where the pattern writes the dot.
    """
    return _match(key.split("/"), pattern.split("/"))


def _match(parts: Sequence[str], pattern: Sequence[str]) -> bool:
    if not pattern:
        return not parts
    if pattern[0] == "**":
        open_to = next((place for place, part in enumerate(parts) if part.startswith(".")), len(parts))
        if len(pattern) == 1:
            return 0 < len(parts) == open_to
        return any(_match(parts[skipped:], pattern[1:]) for skipped in range(open_to + 1))
    if not parts or (parts[0].startswith(".") and not pattern[0].startswith(".") and is_pattern(pattern[0])):
        return False
    same = fnmatch.fnmatchcase(parts[0], pattern[0]) if is_pattern(pattern[0]) else parts[0] == pattern[0]
    return same and _match(parts[1:], pattern[1:])
