"""The sign of each outcome as an SVG symbol, so that no picture depends on a font or on colour alone.

The page holds `symbols()` once; everything else refers to it. The shapes differ in outline, not only in
fill: they stay apart in black and white and for colour-blind readers.
"""

from __future__ import annotations

from retraining.reporting.markup import Attributes, Markup, join, tag

__all__ = ["icon", "icon_use", "outcome_class", "symbols"]

_RING = "M8 1.2a6.8 6.8 0 1 0 0 13.6a6.8 6.8 0 1 0 0-13.6z"
# (outline, whether it is filled, the stroke drawn over it), on a grid of 16 by 16.
_SHAPES: dict[str, tuple[str, bool, str]] = {
    "promoted": (_RING, True, "M4.6 8.3l2.4 2.4l4.4-5"),
    "kept": (_RING, False, "M5 6.4h6M5 9.6h6"),
    "failed": ("M5 1.2h6l3.8 3.8v6l-3.8 3.8h-6l-3.8-3.8v-6z", True, "M8 4.2v4.6M8 11.4v.4"),
    "blocked": ("M5 1.2h6l3.8 3.8v6l-3.8 3.8h-6l-3.8-3.8v-6z", False, "M4.4 8h7.2"),
    "rejected": (_RING, True, "M5.4 5.4l5.2 5.2M10.6 5.4l-5.2 5.2"),
    "insufficient": (_RING, False, "M6 6.2a2 2 0 1 1 2.9 1.8q-.9.4-.9 1.4M8 11.6v.3"),
    "waiting": (_RING, False, "M8 4.4v3.8l2.4 1.6"),
    "pending": ("M8 1l7 7l-7 7l-7-7z", False, "M6.4 5.8v4.4M9.6 5.8v4.4"),
    "cancelled": ("M2 2h12v12h-12z", False, "M5.4 5.4l5.2 5.2M10.6 5.4l-5.2 5.2"),
    "unknown": ("M2 2h12v12h-12z", False, "M7.9 8h.2"),
}


def outcome_class(outcome: str) -> str:
    """The style class of an outcome; words that are not listed share one."""
    return f"o-{outcome if outcome in _SHAPES else 'unknown'}"


def symbols() -> Markup:
    """A hidden SVG that defines the signs for the whole page."""
    drawn = (
        tag(
            "symbol",
            {"id": f"i-{word}", "viewBox": "0 0 16 16"},
            tag("path", {"d": outline, "class": "i-full" if filled else "i-line"}),
            tag("path", {"d": stroke, "class": "i-on" if filled else "i-line"}),
        )
        for word, (outline, filled, stroke) in _SHAPES.items()
    )
    return tag("svg", {"width": 0, "height": 0, "class": "defs", "aria-hidden": "true"}, join(drawn))


def icon_use(outcome: str, place: Attributes) -> Markup:
    """The sign of an outcome inside an SVG, at `place` (x, y, width, height)."""
    known = outcome if outcome in _SHAPES else "unknown"
    return tag("use", {"href": f"#i-{known}", "class": outcome_class(outcome), **place})


def icon(outcome: str) -> Markup:
    """The sign of an outcome inside text; the word has to stand beside it."""
    return tag(
        "svg",
        {"class": "icon", "aria-hidden": "true"},
        icon_use(outcome, {}),
    )
