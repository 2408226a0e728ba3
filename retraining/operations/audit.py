"""Proves for a release, from what the store recorded, that no training row was fed by what it could not know.

Reads no data of the user and trains nothing: the log, the node table, the version documents with their
lineages, and the footers of packs. Every byte is compared with its digest first.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from retraining.decide.audit import Root, audit
from retraining.decide.findings import Audit, Gap
from retraining.decide.lineage import Lineage, lineage_from_json
from retraining.errors import IntegrityError, NotFoundError
from retraining.manifest.values import Json
from retraining.operations.session import read_document
from retraining.operations.stored import Stored, stored_selection
from retraining.release.values import NodeState
from retraining.store.documents import digest_of
from retraining.store.log import Head, Store
from retraining.store.objects import Objects
from retraining.store.packs import StoredRecord, read_blobs, read_footer

__all__ = ["ReleaseAudit", "audit_release"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseAudit:
    """The audit of one release; `released` says when it was made."""

    release: int
    released: str
    store: str
    found: Audit
    timezone: str = "UTC"


def audit_release(
    stored: Stored,
    number: int | None = None,
    select: tuple[str, ...] = (),
    exclude: tuple[str, ...] = (),
) -> ReleaseAudit:
    """The audit of the current release of a store, or of another by number.

    UnknownReleaseError where there is no such release, SelectionError where an expression names no released node.
    """
    store = stored.store
    head = store.read_head() if number is None else store.read_release(number)
    if head.release is None or head.entry is None:
        raise NotFoundError(f"{stored.url}: nothing is released yet", "`retrain run` makes a release")
    nodes = {name: state for name, state in head.nodes.items() if state.version is not None}
    chosen = stored_selection(nodes, stored.manifest, select, exclude)
    reader = _Reader(store)
    roots = [reader.root(nodes[name]) for name in chosen]
    found = audit([root for root in roots if root is not None], reader.lineages)
    found.nodes = len(roots)
    found.gaps = [*reader.gaps, *found.gaps, *_contradictions(reader.lineages, _records(store.objects))]
    return ReleaseAudit(
        release=head.release,
        released=_made(store, head),
        store=stored.url,
        found=found,
        timezone=head.entry.manifest.get("timezone") or "UTC",
    )


def _made(store: Store, head: Head) -> str:
    """When a release was made; the entry of a head may only have noted attempts since."""
    assert head.entry is not None
    if head.entry.kind in ("release", "rollback") or head.release is None:
        return head.entry.time
    entry = store.read_release(head.release).entry
    assert entry is not None
    return entry.time


@dataclass(slots=True)
class _Reader:
    """Reads documents and the lineages behind them; what is gone or damaged becomes a gap."""

    store: Store
    lineages: dict[str, Lineage] = field(default_factory=dict)
    gaps: list[Gap] = field(default_factory=list)
    _packs: set[str] = field(default_factory=set)

    def root(self, state: NodeState) -> Root | None:
        """A released node as what is to be proven; None where its document cannot be read."""
        version = state.version or ""
        try:
            if state.document is None:
                raise NotFoundError("its version document is not recorded")
            document = read_document(self.store, state.document)
            digest = document.get("lineage")
            if digest is not None:
                self._read_pack(state.document.pack)
        except (IntegrityError, NotFoundError) as error:
            self.gaps.append(Gap(node=state.node, version=version, text=error.message))
            return None
        block = document["cut_block"]
        return Root(
            node=state.node,
            version=version,
            lineage=digest,
            shipped="-" if block is None else f"<{block}",
            inputs=tuple(item["column"] for item in document["recipe"]["definition"]["inputs"]),
        )

    def _read_pack(self, pack: str) -> None:
        """All lineages of a pack of documents."""
        if pack in self._packs:
            return
        self._packs.add(pack)
        pointers = {
            pointer.digest: pointer
            for record in read_footer(self.store.objects, pack)
            for pointer in record.blobs
            if pointer.role == "lineage"
        }
        for body in read_blobs(self.store.objects, list(pointers.values())):
            self.lineages[digest_of(body)] = _parsed(body, pack)


def _parsed(body: bytes, pack: str) -> Lineage:
    try:
        document: dict[str, Any] = json.loads(body)
        return lineage_from_json(document)
    except (ValueError, KeyError, TypeError) as error:
        raise IntegrityError(
            f"{pack}: a lineage in it cannot be understood ({type(error).__name__}: {error!s:.200})",
            "restore this file from a backup",
        ) from error


def _records(objects: Objects) -> Iterator[StoredRecord]:
    """Every record that a worker left, also those that say the same; what cannot be read is for `verify` to name."""
    for info in objects.list("packs/"):
        with suppress(IntegrityError, NotFoundError):
            yield from read_footer(objects, info.key)


def _contradictions(lineages: Mapping[str, Lineage], records: Iterable[StoredRecord]) -> list[Gap]:
    """Lineages that tell otherwise than the records that the workers left beside the fits and predictions.

    A record that is gone (`gc` keeps what a release serves) is no contradiction.
    """
    trained: dict[str, list[Json]] = {}
    predicted: dict[str, list[tuple[Json, ...]]] = {}
    for record in records:
        if record.action == "fit" and "trained" in record.metrics:
            trained.setdefault(record.fingerprint, []).append(record.metrics["trained"])
        elif record.action == "column" and "keys" in record.metrics:
            facts = (record.parts.get("fit"), *(record.metrics.get(name) for name in _TOLD))
            predicted.setdefault(record.fingerprint, []).append(facts)
    gaps = []
    for lineage in lineages.values():
        wrong = [
            f"the fit {lineage.node} {left_out}"
            for left_out, (fingerprint, told) in lineage.fits.items()
            if told is not None and fingerprint in trained and told.to_json() not in trained[fingerprint]
        ]
        wrong += [
            f"the predictions of {lineage.node} for part {piece.part}"
            for piece in lineage.pieces
            if piece.fingerprint in predicted
            and (piece.fit, piece.rows, piece.keys, piece.decided_from) not in predicted[piece.fingerprint]
        ]
        gaps += [
            Gap(
                node=lineage.node,
                version=lineage.version,
                text=f"the record of {what} contradicts the lineage of the version",
            )
            for what in wrong
        ]
    return gaps


_TOLD = ("rows", "keys", "decided_from")
