"""The package's own style and script, which every page carries within itself."""

from __future__ import annotations

from importlib import resources

__all__ = ["asset"]


def asset(name: str) -> str:
    """The text of a style or script of this package."""
    return resources.files("retraining.reporting").joinpath(name).read_text(encoding="utf-8")
