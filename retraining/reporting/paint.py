"""Roles of text on a terminal, so that who writes a text need not know whether it will be coloured.

A text is laid out before it is painted: colours have no width, and plain text is always complete.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias

__all__ = ["Paint", "Role", "plain", "role_of_outcome"]

Role: TypeAlias = Literal["title", "name", "good", "bad", "look", "quiet"]
Paint: TypeAlias = Callable[[Role, str], str]

_ROLES: dict[str, Role] = {
    "promoted": "good",
    "kept": "quiet",
    "rejected": "look",
    "insufficient": "look",
    "waiting": "look",
    "blocked": "look",
    "failed": "bad",
}


def plain(role: Role, text: str) -> str:
    """The text as it is."""
    del role
    return text


def role_of_outcome(word: str) -> Role:
    """How an outcome is painted."""
    return _ROLES.get(word, "name")
