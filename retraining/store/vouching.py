"""The list by which one signed entry vouches for those before it, which were not signed, or by another key."""

from __future__ import annotations

from collections.abc import Mapping

from retraining.errors import IntegrityError
from retraining.manifest.values import Json
from retraining.release import fields
from retraining.store.documents import Frame

__all__ = ["read_vouched", "write_vouched"]

_FRAME = Frame(magic=b"RTVC1")


def write_vouched(digests: Mapping[int, str]) -> bytes:
    """The bytes of a list: the digest of each log entry's bytes by its number."""
    lines: list[dict[str, Json]] = [
        {"sequence": sequence, "digest": digest} for sequence, digest in sorted(digests.items())
    ]
    return _FRAME.write(lines)


def read_vouched(data: bytes, key: str) -> dict[int, str]:
    """The digests in a list, by the number of the entry; IntegrityError where a byte differs."""
    try:
        return {
            fields.integer(line, "sequence"): fields.text(line, "digest") for line in _FRAME.read(data, key)
        }
    except ValueError as error:
        raise IntegrityError(f"{key}: its lines cannot be understood: {error}") from error
