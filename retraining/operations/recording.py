"""Names in version documents the columns that were recorded: what serving reads for rows from before a cut.

The predictions lie where workers put them. What is written here, a word for each row that says what its
prediction was made from, is written once for each content: an earlier document's is named again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retraining.decide.fits import column_fit
from retraining.execution.candidates import Candidate
from retraining.execution.predictions import piece_classes
from retraining.release.recorded import Recorded, RecordedPiece
from retraining.release.values import BlobPointer
from retraining.store.documents import digest_of
from retraining.store.objects import Objects
from retraining.store.packs import Blob, Record, StoredRecord, build_pack
from retraining.store.results import ResultIndex

__all__ = ["record_columns"]

#: Packs of about this size are written, so that no more is held at a time.
_PACK_BYTES = 32 * 1024 * 1024


def record_columns(
    candidates: Mapping[tuple[str, str], Candidate],
    before: Mapping[str, Recorded],
    index: ResultIndex,
    objects: Objects,
    run: str,
) -> dict[tuple[str, str], Recorded]:
    """What the document of each candidate tells of recorded columns; its own, and those made for it above it.

    `before` has what the documents of the nodes' champions tell. In the fold scheme nothing is told: there
    every row is served by the shipped fits.
    """
    wanted = {what: one for what, one in candidates.items() if one.cut is not None}
    pieces: dict[int, list[_Piece]] = {}
    for candidate in _with_champions_above(wanted.values()):
        pieces[id(candidate)] = [*_pieces(candidate, index)]
    writer = _Writer(objects, run)
    for told in (*before.values(), *(one.told_column for one in _with_champions_above(wanted.values()))):
        writer.know(told)
    for found in pieces.values():
        for piece in found:
            writer.add(piece.rows)
    writer.end()

    def named(candidate: Candidate) -> dict[int, RecordedPiece]:
        return {
            piece.block: RecordedPiece(
                block=piece.block,
                values=piece.values,
                rows=writer.place(piece.rows),
                classes=piece.classes,
            )
            for piece in pieces[id(candidate)]
        }

    return {
        what: Recorded(
            own=named(candidate),
            above={
                champion.node: lacking
                for champion in _champions_above(candidate)
                if (lacking := _untold(champion, named(champion)))
            },
        )
        for what, candidate in wanted.items()
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class _Piece:
    """A piece of a candidate's column before its rows have a place."""

    block: int
    values: BlobPointer
    rows: bytes
    classes: tuple[str | int | float | bool, ...]


def _pieces(candidate: Candidate, index: ResultIndex) -> Iterator[_Piece]:
    """The pieces of a candidate's column on the blocks before its cut, as far as they were made."""
    if candidate.identities is None or candidate.cut is None:
        return
    found: dict[int, StoredRecord] = {}
    for handed in candidate.handed:
        # a gate's fit may have predicted more blocks than the one that it predicts in the column
        own = candidate.made.get(str(column_fit(handed.part, candidate.cut, None)))
        record = index.find("column", handed.fingerprint)
        if handed.part < candidate.cut and handed.fit == own and record is not None:
            found[handed.part] = record
    for block, record in sorted(found.items()):
        rows = candidate.identities[candidate.rows.part == block]
        pointer = record.blob("column")
        if pointer is not None and record.metrics.get("rows") == len(rows):
            classes = piece_classes(record, candidate.data.classes)
            yield _Piece(block=block, values=pointer, rows=_words(rows), classes=classes)


def _words(rows: NDArray[np.uint64]) -> bytes:
    return rows.astype("<u8").tobytes()


def _with_champions_above(candidates: Iterable[Candidate]) -> list[Candidate]:
    """Some candidates, and the champions above them, each once."""
    found: dict[int, Candidate] = {}
    for candidate in candidates:
        found[id(candidate)] = candidate
        found |= {id(one): one for one in _champions_above(candidate)}
    return list(found.values())


def _champions_above(candidate: Candidate) -> list[Candidate]:
    """The champions that a candidate reads, directly or through others, each once."""
    found: dict[int, Candidate] = {}
    waiting = [candidate]
    while waiting:
        for intake in waiting.pop().intakes.values():
            for upstream in intake.upstreams:
                if id(upstream) not in found:
                    found[id(upstream)] = upstream
                    waiting.append(upstream)
    return [one for one in found.values() if one.side == "champion"]


def _untold(champion: Candidate, pieces: Mapping[int, RecordedPiece]) -> dict[int, RecordedPiece]:
    """The pieces of a champion's column that its own document does not tell of."""
    told = champion.told_column.own
    return {block: piece for block, piece in pieces.items() if not piece.same_as(told.get(block))}


class _Writer:
    """Writes rows into packs, each content once, and knows where they lie."""

    def __init__(self, objects: Objects, run: str) -> None:
        self._objects = objects
        self._run = run
        self._places: dict[str, BlobPointer] = {}
        self._waiting: dict[str, bytes] = {}
        self._bytes = 0
        self._packs = 0

    def know(self, told: Recorded) -> None:
        """Takes in where the rows of an earlier document lie."""
        for pieces in (told.own, *told.above.values()):
            self._places |= {piece.rows.digest: piece.rows for piece in pieces.values()}

    def add(self, rows: bytes) -> None:
        """Sees to it that these rows have a place."""
        digest = digest_of(rows)
        if digest in self._places or digest in self._waiting:
            return
        self._waiting[digest] = rows
        self._bytes += len(rows)
        if self._bytes >= _PACK_BYTES:
            self.end()

    def place(self, rows: bytes) -> BlobPointer:
        """Where these rows lie."""
        return self._places[digest_of(rows)]

    def end(self) -> None:
        """Writes what is still to be written."""
        if not self._waiting:
            return
        self._packs += 1
        key = f"packs/{self._run}/rows-{self._packs}"
        blobs = tuple(Blob(role="rows", format="u8", data=data) for data in self._waiting.values())
        body, (stored,) = build_pack(key, [Record(action="rows", fingerprint=key, blobs=blobs)])
        self._objects.put(key, body)
        self._places |= {pointer.digest: pointer for pointer in stored.blobs}
        self._waiting, self._bytes = {}, 0
