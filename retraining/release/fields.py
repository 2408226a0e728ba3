"""Typed reading of JSON objects: a document of the wrong shape is a `ValueError` that names the field.

The readers of the store turn that error into an `IntegrityError` with the key of the object.
"""

from __future__ import annotations

from collections.abc import Mapping

from retraining.manifest.values import Json

__all__ = ["integer", "mapping", "number", "optional_integer", "sequence", "text", "texts"]


def _wrong(name: str, expected: str, found: object) -> ValueError:
    return ValueError(f"field {name!r} should be {expected}, not {found!r:.80}")


def text(document: Mapping[str, Json], name: str) -> str:
    """The string in a field; raises ValueError for anything else."""
    value = document.get(name)
    if not isinstance(value, str):
        raise _wrong(name, "a text", value)
    return value


def integer(document: Mapping[str, Json], name: str) -> int:
    """The whole number >= 0 in a field; raises ValueError for anything else."""
    value = document.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise _wrong(name, "a whole number >= 0", value)
    return value


def optional_integer(document: Mapping[str, Json], name: str) -> int | None:
    """The whole number >= 0 in a field, None where it is null or absent."""
    return None if document.get(name) is None else integer(document, name)


def number(document: Mapping[str, Json], name: str) -> float:
    """The number in a field, as a float; raises ValueError for anything else."""
    value = document.get(name)
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise _wrong(name, "a number", value)
    return float(value)


def mapping(document: Mapping[str, Json], name: str) -> dict[str, Json]:
    """The JSON object in a field; raises ValueError for anything else."""
    value = document.get(name)
    if not isinstance(value, dict):
        raise _wrong(name, "an object", value)
    return value


def texts(document: Mapping[str, Json], name: str) -> dict[str, str]:
    """The JSON object in a field, all of whose values are texts; raises ValueError for anything else."""
    value = mapping(document, name)
    return {key: text(value, key) for key in value}


def sequence(document: Mapping[str, Json], name: str) -> list[dict[str, Json]]:
    """The list of JSON objects in a field; raises ValueError for anything else."""
    value = document.get(name)
    if not isinstance(value, list):
        raise _wrong(name, "a list", value)
    objects: list[dict[str, Json]] = []
    for item in value:
        if not isinstance(item, dict):
            raise _wrong(name, "a list of objects", item)
        objects.append(item)
    return objects
