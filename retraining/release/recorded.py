"""The recorded column of a version as a release names it: what its fits predicted for the blocks before its cut.

Readers learnt from these very predictions, so serving takes them where a row is still the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from retraining.manifest.values import Json
from retraining.release import fields
from retraining.release.values import BlobPointer

__all__ = ["NOTHING_RECORDED", "Recorded", "RecordedPiece", "recorded_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedPiece:
    """What the fit of its time predicted for the rows of one block.

    `values` are the predictions, `(n_rows, n_outputs)` in numpy's format; `rows` the identities of these rows,
    eight bytes for each (little endian). `classes` is the order of the outputs, () for regression.
    """

    block: int
    values: BlobPointer
    rows: BlobPointer
    classes: tuple[str | int | float | bool, ...] = ()

    def same_as(self, other: RecordedPiece | None) -> bool:
        """Whether the other holds the same predictions of the same rows, wherever they lie."""
        return other is not None and (self.block, self.values.digest, self.rows.digest, self.classes) == (
            other.block,
            other.values.digest,
            other.rows.digest,
            other.classes,
        )

    def to_json(self) -> dict[str, Json]:
        """The piece as a JSON object."""
        return {
            "block": self.block,
            "values": self.values.to_json(),
            "rows": self.rows.to_json(),
            "classes": list(self.classes),
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Json]) -> RecordedPiece:
        """The piece that a JSON object describes; raises ValueError where it describes none."""
        classes = document.get("classes")
        return cls(
            block=fields.integer(document, "block"),
            values=BlobPointer.from_json(fields.mapping(document, "values")),
            rows=BlobPointer.from_json(fields.mapping(document, "rows")),
            classes=tuple(
                value for value in classes if isinstance(value, str | int | float) and value is not None
            )
            if isinstance(classes, list)
            else (),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """What a version document tells of recorded columns.

    `own` are the version's pieces by block. `above` has, by node, pieces of champions that it learnt from and
    whose own documents do not tell of them: their columns were made for it.
    """

    own: Mapping[int, RecordedPiece]
    above: Mapping[str, Mapping[int, RecordedPiece]]

    def pointers(self) -> tuple[BlobPointer, ...]:
        """Every blob that is named, each once."""
        pieces = [piece for some in (self.own, *self.above.values()) for piece in some.values()]
        return tuple(dict.fromkeys(pointer for piece in pieces for pointer in (piece.values, piece.rows)))

    def to_json(self) -> dict[str, Json]:
        """The value as a JSON object."""
        above: dict[str, Json] = {node: _listed(pieces) for node, pieces in sorted(self.above.items())}
        return {"own": _listed(self.own), "above": above}


#: What documents tell in the fold scheme, and those of older stores.
NOTHING_RECORDED = Recorded(own={}, above={})


def recorded_of(document: Mapping[str, Json]) -> Recorded:
    """What a version document tells of recorded columns; raises ValueError where that makes no sense."""
    if document.get("recorded") is None:
        return NOTHING_RECORDED
    told = fields.mapping(document, "recorded")
    above = fields.mapping(told, "above")
    return Recorded(own=_by_block(told, "own"), above={node: _by_block(above, node) for node in above})


def _listed(pieces: Mapping[int, RecordedPiece]) -> Json:
    return [piece.to_json() for _, piece in sorted(pieces.items())]


def _by_block(document: Mapping[str, Json], name: str) -> dict[int, RecordedPiece]:
    pieces = [RecordedPiece.from_json(one) for one in fields.sequence(document, name)]
    return {piece.block: piece for piece in pieces}
