"""Reading a document that may be cut short or of another shape: what is not there is empty, and nothing raises."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from retraining.manifest.values import Json

__all__ = ["Part"]


@dataclass(frozen=True, slots=True)
class Part:
    """One mapping of a document, of which anything may be missing or of another shape."""

    raw: Mapping[str, Json]

    def text(self, key: str) -> str:
        """The text, a number as a text, "" for anything else."""
        value = self.raw.get(key)
        if isinstance(value, str):
            return value
        return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else ""

    def number(self, key: str) -> float | None:
        """The finite number, None for anything else."""
        return _finite(self.raw.get(key))

    def count(self, key: str) -> int | None:
        """The number without its fraction."""
        value = self.number(key)
        return None if value is None else int(value)

    def flag(self, key: str) -> bool | None:
        """The truth value."""
        value = self.raw.get(key)
        return value if isinstance(value, bool) else None

    def part(self, key: str) -> Part:
        """The mapping, empty for anything else."""
        value = self.raw.get(key)
        return Part(value if isinstance(value, dict) else {})

    def parts(self, key: str) -> tuple[Part, ...]:
        """The mappings of a list."""
        value = self.raw.get(key)
        return (
            tuple(Part(item) for item in value if isinstance(item, dict)) if isinstance(value, list) else ()
        )

    def texts(self, key: str) -> tuple[str, ...]:
        """The texts of a list."""
        value = self.raw.get(key)
        return tuple(item for item in value if isinstance(item, str)) if isinstance(value, list) else ()

    def numbers(self, key: str) -> dict[str, float]:
        """The finite numbers of a mapping, by name."""
        found = ((name, _finite(value)) for name, value in self.part(key).raw.items())
        return {name: value for name, value in found if value is not None}


def _finite(value: Json) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None
