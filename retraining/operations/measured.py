"""What the store has of a champion's measures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from retraining.decide.measures import Measured, MeasuredBlock
from retraining.decide.profiles import Profile
from retraining.errors import IntegrityError, NotFoundError
from retraining.operations.measures import NodeMeasures
from retraining.release.values import BlobPointer
from retraining.store.documents import parse_document
from retraining.store.log import Store
from retraining.store.packs import read_blobs

__all__ = ["read_measured", "read_what_is_there"]


def read_measured(store: Store, node: str, found: NodeMeasures, *, profiles: bool = True) -> Measured:
    """All that the store has of one champion's measures; with `profiles` those of its predictions too."""
    records = [
        (part, record) for part, record in sorted(found.records.items()) if not record.metrics.get("lost")
    ]
    roles = ("measure", "profile") if profiles else ("measure",)
    pointers = [
        (part, pointer)
        for part, record in records
        for role in roles
        if (pointer := record.blob(role)) is not None
    ]
    documents: dict[int, Mapping[str, Any]] = {}
    predictions: dict[int, Profile] = {}
    bodies = read_what_is_there(store, [pointer for _, pointer in pointers])
    for (part, pointer), body in zip(pointers, bodies, strict=True):
        if body is None:
            continue
        if pointer.role == "measure":
            documents[part] = parse_document(body, f"{pointer.pack} (measure at {pointer.offset})")
        else:
            predictions[part] = Profile.from_bytes(body)
    blocks = {part: MeasuredBlock.from_json(doc, predictions.get(part)) for part, doc in documents.items()}
    order = found.order
    lost = [part for part in found.records if part not in blocks]
    return Measured(
        node=node,
        column=found.column,
        loss=found.loss,
        reference=tuple(blocks[part] for part in sorted(order.reference) if part in blocks),
        judged=tuple(sorted(order.judged)),
        since=tuple(blocks[part] for part in sorted(order.since) if part in blocks),
        pending=found.pending,
        lost=tuple(sorted(lost)),
    )


def read_what_is_there(store: Store, pointers: Sequence[BlobPointer]) -> list[bytes | None]:
    """What lies behind the pointers; None for what cannot be read: measures are told, and nothing hangs on them."""
    try:
        return [*read_blobs(store.objects, pointers)]
    except (IntegrityError, NotFoundError):
        if len(pointers) == 1:
            return [None]
        return [body for pointer in pointers for body in read_what_is_there(store, [pointer])]
