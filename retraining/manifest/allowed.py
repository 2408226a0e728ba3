"""What an estimator's parameter may be, as scikit-learn itself declares it, for values that a manifest can write."""

from __future__ import annotations

from typing import Literal, TypedDict

from retraining.manifest.values import Json

__all__ = ["Allowed", "Range", "is_allowed", "told"]


class Range(TypedDict):
    """Numbers between two ends (None: none), each of which may belong to it: of one JSON type, or of both."""

    kind: Literal["int", "float", "number"]
    left: float | None
    right: float | None
    with_left: bool
    with_right: bool


class Allowed(TypedDict):
    """The values of one parameter: JSON types by name, texts, and ranges of numbers. Any of them will do."""

    types: list[str]
    texts: list[str]
    ranges: list[Range]


def is_allowed(value: Json, allowed: Allowed) -> bool:
    """Whether the library would take the value."""
    types = allowed["types"]
    if _type_of(value) in types or (isinstance(value, bool) and "int" in types):
        return True
    if isinstance(value, str):
        return value in allowed["texts"]
    return isinstance(value, int | float) and any(_is_inside(value, one) for one in allowed["ranges"])


def told(allowed: Allowed) -> str:
    """What the library takes, in words."""
    words = [_told_range(one) for one in allowed["ranges"]]
    words += [f"`{text}`" for text in sorted(allowed["texts"])]
    words += [_WORDS[name] for name in _WORDS if name in allowed["types"]]
    return " or ".join([*filter(None, [", ".join(words[:-1])]), *words[-1:]])


_WORDS = {
    "str": "a text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "list": "a list",
    "dict": "a mapping",
    "null": "null",
}


def _type_of(value: Json) -> str:
    return "null" if value is None else type(value).__name__


def _is_inside(value: float, one: Range) -> bool:
    if one["kind"] != "number" and isinstance(value, int) != (one["kind"] == "int"):
        return False
    left, right = one["left"], one["right"]
    above = left is None or value > left or (one["with_left"] and value == left)
    below = right is None or value < right or (one["with_right"] and value == right)
    return above and below


def _told_range(one: Range) -> str:
    noun = {"int": "a whole number", "float": "a number with a point", "number": "a number"}[one["kind"]]
    ends = []
    if one["left"] is not None:
        ends.append(f"{'of at least' if one['with_left'] else 'above'} {one['left']:g}")
    if one["right"] is not None:
        ends.append(f"{'at most' if one['with_right'] else 'below'} {one['right']:g}")
    return " ".join([noun, *filter(None, [" and ".join(ends)])])
