"""The collection of everything that is wrong with one manifest.

The invariant: one mistake is one problem. Something said twice about the same place is kept once,
so that a damaged anchor or a default that many models share does not drown the rest.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from retraining.errors import ManifestError, Problem
from retraining.manifest.nodes import Node
from retraining.manifest.sources import Sources

__all__ = ["Problems", "listed"]

_COMPARISONS = 200_000
_LISTED = 30
_LONGEST = 200


class Problems:
    """Problems of a manifest, gathered while it is read, raised together; `sources` are its files."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.sources = Sources(file)
        self._found: dict[tuple[int, int, str], Problem] = {}
        # Nearest names cost time for each candidate: a file of wrong names must not take minutes.
        self._comparisons_left = _COMPARISONS

    def __len__(self) -> int:
        return len(self._found)

    def add(
        self,
        where: Node | tuple[int, int],
        path: str,
        message: str,
        next_step: str = "",
        *,
        once: str = "",
    ) -> None:
        """Keep a problem, unless the same was said of this place.

        `once` names a rule of which one breach at a place is enough, however the messages differ.
        """
        whole_line, column = where if isinstance(where, tuple) else (where.line, where.column)
        file, line = self.sources.find(whole_line)
        self._found.setdefault(
            (whole_line, column, once or message),
            Problem(
                file=file,
                line=line,
                column=column,
                path=_printable(path),
                message=_printable(message),
                next_step=_printable(next_step),
            ),
        )

    def adopt(self, other: Problems) -> int:
        """Takes the problems of another file among these; the number of lines before that file."""
        before = self.sources.add(other.file)
        for (line, column, rule), problem in other._found.items():
            self._found[(before + line, column, rule)] = problem
        return before

    def nearest(self, name: str, allowed: Iterable[str]) -> str | None:
        """The allowed name that looks most like this one; None where none is like it."""
        candidates = {candidate.lower(): candidate for candidate in allowed}
        self._comparisons_left -= len(candidates)
        if self._comparisons_left < 0:
            return None
        # No name is nearly as long, and comparing costs time for each character.
        close = difflib.get_close_matches(name.lower()[:_LONGEST], candidates, n=1)
        return candidates[close[0]] if close else None

    def suggestion(self, name: str, allowed: Iterable[str], otherwise: str) -> str:
        """The next step for a name that is not known: the nearest one, else the given text."""
        near = self.nearest(name, allowed)
        return f"did you mean `{near}`?" if near else otherwise

    def in_order(self) -> list[Problem]:
        """All problems in the order of the files."""
        return [problem for _, problem in sorted(self._found.items(), key=lambda item: item[0][:2])]

    def raise_any(self) -> None:
        """Raise ManifestError with every problem, or return if there is none."""
        if self._found:
            raise ManifestError(self.in_order())


def _printable(text: str) -> str:
    """The text with what a terminal would not print, or would obey, written out."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text)


def listed(names: Iterable[str]) -> str:
    """The names as one line, at most 30 of them."""
    every = list(names)
    shown = ", ".join(every[:_LISTED])
    return f"{shown} and {len(every) - _LISTED} more" if len(every) > _LISTED else shown
