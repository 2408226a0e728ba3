"""HTML and SVG as text in which everything is escaped unless this module made it.

`Markup` is the only type that is inserted unescaped, and only `tag`, `join` and `trusted` make it:
a node named `<script>` cannot reach the page as anything but its letters.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

__all__ = ["Attributes", "Markup", "escape", "join", "tag", "trusted"]

Attributes = Mapping[str, str | int | float | bool | None]

_ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;"}
# HTML forbids the C0 controls but tab and line breaks, and UTF-8 cannot hold lone surrogates.
_ESCAPED = re.compile("[&<>\"'\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_VOID = frozenset({"br", "col", "hr", "img", "input", "link", "meta"})
# SVG elements may close themselves; in a page of thousands of them that halves its size.
_SHAPES = frozenset({"circle", "line", "path", "rect", "use"})


class Markup(str):
    """Text that is already HTML."""

    __slots__ = ()


def escape(text: str) -> Markup:
    """The text as HTML, safe inside elements and quoted attributes; forbidden characters become U+FFFD."""
    if isinstance(text, Markup):
        return text
    return Markup(_ESCAPED.sub(lambda found: _ESCAPES.get(found.group(), "\ufffd"), text))


def trusted(text: str) -> Markup:
    """The text as HTML without escaping; only for the package's own style and script."""
    return Markup(text)


def join(parts: Iterable[str], between: str = "") -> Markup:
    """The parts in a row, each escaped unless it is `Markup`."""
    return Markup(escape(between).join(escape(part) for part in parts))


def tag(name: str, attributes: Attributes | None = None, *children: str) -> Markup:
    """The element with these attributes and children.

    None and False leave an attribute out, True writes its name alone.
    Numbers are written with at most two decimals: coordinates need no more.
    """
    written = "".join(_attribute(key, value) for key, value in (attributes or {}).items())
    if name in _VOID:
        return Markup(f"<{name}{written}>")
    if name in _SHAPES and not children:
        return Markup(f"<{name}{written}/>")
    return Markup(f"<{name}{written}>{join(children)}</{name}>")


def _attribute(key: str, value: str | int | float | bool | None) -> str:
    if value is None or value is False:
        return ""
    if value is True:
        return f" {key}"
    if isinstance(value, float):
        value = f"{value:.2f}".rstrip("0").rstrip(".")
        value = "0" if value == "-0" else value
    return f' {key}="{escape(str(value))}"'
