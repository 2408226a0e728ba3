"""The fields of which a grammar has many: one of some words, and a number of things."""

from __future__ import annotations

from retraining.manifest.records import Field
from retraining.manifest.shapes import Choice, Integer

__all__ = ["count", "word"]

_MOST = Integer().maximum


def word(name: str, options: tuple[str, ...], about: str, default: str | None = None) -> Field[str]:
    """A field that takes one of some words; its absence means the first, or what `default` tells."""
    return Field(
        name=name,
        shape=Choice(options=options),
        about=about,
        default=options[0] if default is None else default,
    )


def count(
    name: str, about: str, default: str = "", *, least: int = 1, most: int = _MOST, required: bool = False
) -> Field[int]:
    """A field that takes a whole number from `least` to `most`; `default` tells what its absence means."""
    return Field(
        name=name,
        shape=Integer(minimum=least, maximum=most),
        about=about,
        default=default,
        required=required,
    )
