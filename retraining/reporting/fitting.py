"""Text within the width of who reads it."""

from __future__ import annotations

import re

__all__ = ["fitted"]

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def fitted(text: str, width: int) -> str:
    """The text with lines broken at blanks where they are longer than `width`; what has no blank stays whole.

    A continued line is indented by two more than the one that it continues. Colours take no room.
    """
    return "\n".join("\n".join(_broken(line, width)) for line in text.split("\n"))


def _broken(line: str, width: int) -> list[str]:
    if _room(line) <= width:
        return [line]
    indent = " " * (len(line) - len(line.lstrip(" ")) + 2)
    found, current = [], ""
    for piece in re.findall(r" +|[^ ]+", line):
        if piece.strip() and current.strip() and _room(current + piece) > width:
            found.append(current.rstrip())
            current = indent
        current += piece
    return [*found, current.rstrip()]


def _room(text: str) -> int:
    return len(_COLOUR.sub("", text))
