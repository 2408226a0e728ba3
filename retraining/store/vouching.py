"""The list by which one signed entry vouches for those before it, which were not signed, or by another key."""

from __future__ import annotations

from collections.abc import Mapping

from retraining.errors import IntegrityError
from retraining.manifest.values import Json
from retraining.release import fields
from retraining.store.documents import Frame
from retraining.store.entries import entry_key, sequence_of

__all__ = ["read_vouched", "write_vouched"]

_FRAME = Frame(magic=b"RTVC1")


def write_vouched(digests: Mapping[str, str]) -> bytes:
    """The bytes of a list: the digest of the bytes of each log entry and each batch of labels, by its key."""
    lines: list[dict[str, Json]] = []
    for key, digest in sorted(digests.items()):
        sequence = sequence_of(key)
        lines.append({"digest": digest, **({"key": key} if sequence is None else {"sequence": sequence})})
    return _FRAME.write(lines)


def read_vouched(data: bytes, key: str) -> dict[str, str]:
    """The digests in a list, by the key of the object; IntegrityError where a byte differs."""
    try:
        return {
            fields.text(line, "key")
            if "key" in line
            else entry_key(fields.integer(line, "sequence")): fields.text(line, "digest")
            for line in _FRAME.read(data, key)
        }
    except ValueError as error:
        raise IntegrityError(f"{key}: its lines cannot be understood: {error}") from error
