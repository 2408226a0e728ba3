"""JSON documents and framed JSON lines: the two forms of metadata in the store.

No byte is used before it has been checked: a sealed document carries the digest of its own bytes,
a frame ends in the digest of what it holds, and both are refused with the name of the object. Every
document says `format: 1`; a newer one is refused by name, never guessed at.
"""

from __future__ import annotations

import hashlib
import json
import re
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pyarrow as pa

from retraining.errors import IntegrityError, StoreError
from retraining.manifest.values import Json
from retraining.release import fields
from retraining.release.values import Codec

__all__ = [
    "FORMAT",
    "Frame",
    "check_format",
    "decompress",
    "digest_of",
    "pack_bytes",
    "parse_document",
    "parse_named",
    "parse_sealed",
    "sealed",
    "sealed_named",
    "write_document",
]

FORMAT = 1
_LENGTHS = struct.Struct("<QQ")
_SHA256_BYTES = 32
_SEAL_BYTES = len(',"digest":"sha256:"}\n') + 64
_FORMAT_TEXT = re.compile(rb'"format": ?([0-9]{1,6})[,}]')
_REMEDY = "restore this file from a backup; if it is a cached fit, delete it and run again"


def digest_of(data: bytes) -> str:
    """The digest of bytes, as records write it: "sha256:" and 64 hex digits."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def write_document(document: Mapping[str, Json]) -> bytes:
    """The canonical bytes of a JSON object: sorted keys, no spaces, ASCII, one line."""
    text = json.dumps(document, sort_keys=True, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    return text.encode() + b"\n"


def parse_document(data: bytes, key: str) -> dict[str, Json]:
    """The JSON object in bytes; IntegrityError where there is none, StoreError for a newer format."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise IntegrityError(f"{key}: not a JSON document ({error!s:.200})", _REMEDY) from error
    if not isinstance(document, dict):
        raise IntegrityError(f"{key}: expected a JSON object, found {type(document).__name__}", _REMEDY)
    check_format(document, key)
    return document


def check_format(document: Mapping[str, Json], key: str) -> None:
    """Refuse a document whose `format` this version cannot read."""
    found = document.get("format")
    if found == FORMAT:
        return
    if isinstance(found, int) and not isinstance(found, bool) and found > FORMAT:
        raise StoreError(
            f"{key}: written by a newer version of retraining (format {found}, this one reads {FORMAT})",
            "upgrade with `pip install --upgrade retraining`",
        )
    raise IntegrityError(f"{key}: expected format {FORMAT}, found {found!r:.80}", _REMEDY)


def sealed(document: Mapping[str, Json]) -> bytes:
    """The canonical bytes of a document, with a last field `digest` of the bytes without it."""
    body = write_document(document)
    return body[:-2] + _seal(body)


def parse_sealed(data: bytes, key: str) -> dict[str, Json]:
    """The document that `sealed` made, with its digest; IntegrityError if any byte differs."""
    body = data[:-_SEAL_BYTES] + b"}\n"
    if data[-_SEAL_BYTES:] != _seal(body):
        # A newer version may seal in another way; its number is the better message. Nothing is parsed.
        newer = _FORMAT_TEXT.search(data)
        if newer is not None:
            check_format({"format": int(newer[1])}, key)
        raise IntegrityError(f"{key}: its bytes are not what its digest says", _REMEDY)
    return parse_document(data, key)


def sealed_named(document: Mapping[str, Json]) -> bytes:
    """A sealed document that says in itself that it is sealed, for kinds that older versions left open."""
    return sealed({**document, "sealed": True})


def parse_named(data: bytes, key: str) -> dict[str, Json]:
    """The document that `sealed_named` made, or an older version wrote unsealed, without the marks.

    IntegrityError if any byte of a sealed one differs: either of its two marks is enough to be held to it.
    """
    marked = b'"sealed":true' in data or data[-_SEAL_BYTES:].startswith(b',"digest":"sha256:')
    document = parse_sealed(data, key) if marked else parse_document(data, key)
    return {name: value for name, value in document.items() if not marked or name not in ("sealed", "digest")}


def _seal(body: bytes) -> bytes:
    return f',"digest":"{digest_of(body)}"}}\n'.encode()


def pack_bytes(data: bytes) -> tuple[bytes, Codec]:
    """The bytes as they are stored, and how: compressed where that makes them smaller."""
    packed: bytes = pa.Codec("zstd").compress(data, asbytes=True) if data else b""
    return (packed, "zstd") if len(packed) < len(data) else (data, "none")


def decompress(stored: bytes, codec: Codec, raw: int, key: str) -> bytes:
    """The `raw` bytes behind stored ones; IntegrityError where they cannot be had.

    Never more than `raw` bytes of memory are used for the result, whatever the stored bytes claim.
    """
    if codec == "none":
        data = stored
    else:
        try:
            data = pa.Codec("zstd").decompress(stored, decompressed_size=raw, asbytes=True)
        except (OSError, ValueError, OverflowError, MemoryError) as error:
            raise IntegrityError(f"{key}: cannot be decompressed ({error!s:.200})", _REMEDY) from error
    if len(data) != raw:
        raise IntegrityError(f"{key}: expected {raw} uncompressed bytes, found {len(data)}", _REMEDY)
    return data


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """Framed JSON lines: compressed lines, a sha256, stored and raw length (8 bytes each), `magic`.

    The sha256 is of all the rest. A frame stands at the end of an object, so one read finds it.
    """

    magic: bytes

    @property
    def tail_bytes(self) -> int:
        """How many bytes follow the lines."""
        return _SHA256_BYTES + _LENGTHS.size + len(self.magic)

    def write(self, lines: Iterable[Mapping[str, Json]], **about: Json) -> bytes:
        """The frame of these lines, with a first line that says the format, and what `about` says."""
        raw = b"".join([write_document({**about, "format": FORMAT}), *map(write_document, lines)])
        stored, _ = pack_bytes(raw)
        lengths = _LENGTHS.pack(len(stored), len(raw))
        return b"".join([stored, self._digest(stored, lengths), lengths, self.magic])

    def stored_bytes(self, tail: bytes, size: int, key: str) -> int:
        """The length of the compressed lines in an object of `size` bytes that ends in `tail`.

        IntegrityError where the object has no end mark, or is too short for that length.
        """
        if len(tail) < self.tail_bytes or not tail.endswith(self.magic):
            raise IntegrityError(f"{key}: it is cut off or damaged (no end mark)", _REMEDY)
        stored, _ = self._lengths(tail)
        if stored > size - self.tail_bytes:
            raise IntegrityError(
                f"{key}: it is cut off or damaged (length {stored} in {size} bytes)", _REMEDY
            )
        return stored

    def read(self, frame: bytes, key: str) -> list[dict[str, Json]]:
        """The lines of a whole frame; IntegrityError if a byte differs, StoreError for a newer format."""
        return self.open(frame, key)[1]

    def open(self, frame: bytes, key: str) -> tuple[dict[str, Json], list[dict[str, Json]]]:
        """What a frame says of itself, and its lines; errors as `read`."""
        stored = frame[: self.stored_bytes(frame, len(frame), key)]
        _, raw = self._lengths(frame)
        end = frame[len(stored) :]
        lengths = end[_SHA256_BYTES : -len(self.magic)]
        if end != b"".join([self._digest(stored, lengths), lengths, self.magic]):
            raise IntegrityError(f"{key}: its bytes are not what its digest says", _REMEDY)
        lines = decompress(stored, "none" if raw == len(stored) else "zstd", raw, key).splitlines()
        about = parse_document(lines[0] if lines else b"", key)
        return about, fields.sequence({"lines": [json.loads(line) for line in lines[1:]]}, "lines")

    def _lengths(self, tail: bytes) -> tuple[int, int]:
        stored, raw = _LENGTHS.unpack(tail[-_LENGTHS.size - len(self.magic) : -len(self.magic)])
        return stored, raw

    def _digest(self, stored: bytes, lengths: bytes) -> bytes:
        return hashlib.sha256(stored + lengths + self.magic).digest()
