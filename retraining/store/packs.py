"""Packs: the one object that makes a finished batch of work durable.

A pack holds blobs, then a frame with one record for each action (docs/design.md 6). The record is the
result: a worker's single write leaves both or neither. Digests are of the uncompressed bytes,
since compressors differ, and a blob is handed out only after its digest was compared.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from retraining.errors import IntegrityError, NotFoundError
from retraining.manifest.values import Json
from retraining.release import fields
from retraining.release.values import BlobPointer, Codec
from retraining.store.documents import Frame, decompress, digest_of, pack_bytes, parse_document
from retraining.store.objects import Objects

__all__ = [
    "Action",
    "Blob",
    "Record",
    "StoredRecord",
    "build_pack",
    "check_pack",
    "pack_key",
    "read_blob",
    "read_blobs",
    "read_document",
    "read_documents",
    "read_footer",
]

Action: TypeAlias = Literal["fit", "column", "score", "version", "run", "rows"]

_ACTIONS: Mapping[str, Action] = {
    "fit": "fit",
    "column": "column",
    "score": "score",
    "version": "version",
    "run": "run",
    "rows": "rows",
}
_FRAME = Frame(magic=b"RTPK1")
_FIRST_READ = 64 * 1024
# Bytes between two blobs that cost less to read than another request would.
_GAP = 64 * 1024
_MOST_AT_ONCE = 32 * 1024 * 1024
_DOCUMENTS_AT_ONCE = 512
_REMEDY = "delete this pack if it holds cached fits only (they are made again), else restore it from a backup"


@dataclass(frozen=True, slots=True, kw_only=True)
class Blob:
    """Bytes with the role they play in a record (`model`, `column`, `document` …) and their format."""

    role: str
    format: str
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One finished action: its fingerprint in whole and in parts, what it made, small numbers.

    `parts` and `metrics` are JSON; a number that is not finite is written as None by the caller.
    """

    action: Action
    fingerprint: str
    parts: Mapping[str, Json] = field(default_factory=dict)
    blobs: tuple[Blob, ...] = ()
    metrics: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRecord:
    """A record whose blobs are in a pack."""

    action: Action
    fingerprint: str
    parts: Mapping[str, Json] = field(default_factory=dict)
    blobs: tuple[BlobPointer, ...] = ()
    metrics: Mapping[str, Json] = field(default_factory=dict)

    def blob(self, role: str) -> BlobPointer | None:
        """Where the blob of this role lies, None if the record has none."""
        return next((pointer for pointer in self.blobs if pointer.role == role), None)

    def to_json(self) -> dict[str, Json]:
        """The record as a JSON object, without the key of its pack."""
        blobs: list[Json] = []
        for pointer in self.blobs:
            document = pointer.to_json()
            del document["pack"]
            blobs.append(document)
        return {
            "action": self.action,
            "fingerprint": self.fingerprint,
            "parts": dict(self.parts),
            "blobs": blobs,
            "metrics": dict(self.metrics),
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Json], pack: str) -> StoredRecord:
        """The record of a pack that a JSON object describes; raises ValueError where it describes none."""
        action = _ACTIONS.get(fields.text(document, "action"))
        if action is None:
            raise ValueError(f"field 'action' should be one of {', '.join(_ACTIONS)}")
        blobs = fields.sequence(document, "blobs")
        return cls(
            action=action,
            fingerprint=fields.text(document, "fingerprint"),
            parts=fields.mapping(document, "parts"),
            blobs=tuple(BlobPointer.from_json({**blob, "pack": pack}) for blob in blobs),
            metrics=fields.mapping(document, "metrics"),
        )


def pack_key(run: str, batch: int, attempt: int) -> str:
    """The key of the pack that one attempt at one batch writes; no other attempt has it."""
    return f"packs/{run}/{batch:06d}-{attempt}"


def build_pack(key: str, records: Sequence[Record]) -> tuple[bytes, tuple[StoredRecord, ...]]:
    """The bytes of a pack to be written at `key`, and its records with pointers into it.

    Equal records make equal bytes with the same libraries. Equal blobs are stored once.
    """
    chunks: list[bytes] = []
    places: dict[str, BlobPointer] = {}
    end = 0
    stored_records = []
    for record in records:
        pointers = []
        for blob in record.blobs:
            digest = digest_of(blob.data)
            pointer = places.get(digest)
            if pointer is None:
                stored, codec = pack_bytes(blob.data)
                pointer = _pointer(key, blob, digest, end, len(stored), codec)
                places[digest] = pointer
                chunks.append(stored)
                end += len(stored)
            pointers.append(_pointer(key, blob, digest, pointer.offset, pointer.stored, pointer.codec))
        stored_records.append(_stored(record, tuple(pointers)))
    body = b"".join(chunks)
    # blobs are held to digests of what they unpack to; this one is for `verify`, of every byte as it lies
    footer = _FRAME.write((record.to_json() for record in stored_records), body=digest_of(body))
    return body + footer, tuple(stored_records)


def read_footer(objects: Objects, key: str) -> tuple[StoredRecord, ...]:
    """The records of a pack; IntegrityError where it is cut off or any byte of the footer differs."""
    tail, size = objects.get_tail(key, _FIRST_READ)
    footer_bytes = _FRAME.stored_bytes(tail, size, key) + _FRAME.tail_bytes
    if footer_bytes > len(tail):
        tail, size = objects.get_tail(key, footer_bytes)
    lines = _FRAME.read(tail[-footer_bytes:], key)
    try:
        records = tuple(StoredRecord.from_json(line, key) for line in lines)
    except ValueError as error:
        raise IntegrityError(f"{key}: its footer cannot be understood: {error}", _REMEDY) from error
    for pointer in (pointer for record in records for pointer in record.blobs):
        if pointer.offset + pointer.stored > size - footer_bytes:
            raise IntegrityError(f"{key}: a record points past the pack's {size} bytes", _REMEDY)
    return records


def check_pack(objects: Objects, key: str) -> int:
    """The number of blobs in a pack that is whole; IntegrityError where any of its bytes differs."""
    data = objects.get(key)
    footer_bytes = _FRAME.stored_bytes(data, len(data), key) + _FRAME.tail_bytes
    about, lines = _FRAME.open(data[-footer_bytes:], key)
    body = data[:-footer_bytes]
    # packs of older versions do not say
    if "body" in about and digest_of(body) != about["body"]:
        raise IntegrityError(f"{key}: its bytes are not what its digest says", _REMEDY)
    try:
        pointers = {pointer for line in lines for pointer in StoredRecord.from_json(line, key).blobs}
    except ValueError as error:
        raise IntegrityError(f"{key}: its footer cannot be understood: {error}", _REMEDY) from error
    for pointer in pointers:
        _checked(body[pointer.offset : pointer.offset + pointer.stored], pointer)
    return len(pointers)


def read_blob(objects: Objects, pointer: BlobPointer) -> bytes:
    """The uncompressed bytes that a pointer names, checked against its digest.

    NotFoundError where the pack is gone; IntegrityError where the bytes are not those of the record.
    """
    return read_blobs(objects, [pointer])[0]


def read_blobs(objects: Objects, pointers: Sequence[BlobPointer]) -> list[bytes]:
    """The bytes of several pointers, in their order and as `read_blob` gives them.

    What lies close together in one pack is read with one request.
    """
    order = sorted(range(len(pointers)), key=lambda index: (pointers[index].pack, pointers[index].offset))
    found: dict[int, bytes] = {}
    for group in _neighbours(pointers, order):
        first = pointers[group[0]]
        end = max(pointers[index].offset + pointers[index].stored for index in group)
        try:
            stored = objects.get_range(first.pack, first.offset, end - first.offset)
        except NotFoundError as error:
            raise NotFoundError(
                error.message, "run again: a cached fit is made again; a released pack must be restored"
            ) from error
        for index in group:
            begin = pointers[index].offset - first.offset
            found[index] = _checked(stored[begin : begin + pointers[index].stored], pointers[index])
    return [found[index] for index in range(len(pointers))]


def read_documents(
    objects: Objects, pointers: Iterable[BlobPointer]
) -> Iterator[tuple[BlobPointer, dict[str, Any]]]:
    """The JSON documents that pointers name, by place; errors as `read_blob`, StoreError for a newer format.

    Some hundred are held at a time, however many there are.
    """
    order = sorted(pointers, key=lambda pointer: (pointer.pack, pointer.offset))
    for first in range(0, len(order), _DOCUMENTS_AT_ONCE):
        some = order[first : first + _DOCUMENTS_AT_ONCE]
        for pointer, data in zip(some, read_blobs(objects, some), strict=True):
            yield pointer, parse_document(data, f"{pointer.pack} ({pointer.role} at {pointer.offset})")


def read_document(objects: Objects, pointer: BlobPointer) -> dict[str, Any]:
    """The JSON document that a pointer names; errors as `read_blob`, StoreError for a newer format."""
    return next(document for _, document in read_documents(objects, [pointer]))


def _neighbours(pointers: Sequence[BlobPointer], order: Sequence[int]) -> list[list[int]]:
    """The indices, sorted by place, in groups that are each one range of one pack."""
    groups: list[list[int]] = []
    end = 0
    for index in order:
        pointer = pointers[index]
        last = pointers[groups[-1][0]] if groups else None
        near = last is not None and last.pack == pointer.pack and pointer.offset - end <= _GAP
        if last is not None and near and pointer.offset + pointer.stored - last.offset <= _MOST_AT_ONCE:
            groups[-1].append(index)
            end = max(end, pointer.offset + pointer.stored)
        else:
            groups.append([index])
            end = pointer.offset + pointer.stored
    return groups


def _checked(stored: bytes, pointer: BlobPointer) -> bytes:
    """The uncompressed bytes, if they are those of the record."""
    name = f"{pointer.pack} ({pointer.role} at {pointer.offset})"
    if len(stored) != pointer.stored:
        raise IntegrityError(f"{name}: expected {pointer.stored} bytes, found {len(stored)}", _REMEDY)
    data = decompress(stored, pointer.codec, pointer.raw, name)
    found = digest_of(data)
    if found != pointer.digest:
        raise IntegrityError(f"{name}: expected {pointer.digest}, found {found}", _REMEDY)
    return data


def _pointer(key: str, blob: Blob, digest: str, offset: int, stored: int, codec: Codec) -> BlobPointer:
    return BlobPointer(
        pack=key,
        role=blob.role,
        format=blob.format,
        digest=digest,
        offset=offset,
        stored=stored,
        raw=len(blob.data),
        codec=codec,
    )


def _stored(record: Record, pointers: tuple[BlobPointer, ...]) -> StoredRecord:
    return StoredRecord(
        action=record.action,
        fingerprint=record.fingerprint,
        parts=record.parts,
        blobs=pointers,
        metrics=record.metrics,
    )
