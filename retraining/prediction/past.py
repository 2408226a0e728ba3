"""What a release knows of the time before the cuts of its versions: recorded predictions, and kept block fits.

A version's column on a block before its cut comes from the fit of that time (docs/design.md 1), and its readers
learnt from it. So serving takes what was recorded for a row that is still the same, else predicts with that
very fit where its model was kept, and only then with the shipped one.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from retraining.data.columns import align_classes
from retraining.data.identities import Identities
from retraining.errors import IntegrityError, NotFoundError
from retraining.learn.fitting import FittedModel
from retraining.manifest.values import Json
from retraining.prediction.blobs import Blobs
from retraining.prediction.versions import ServedVersion
from retraining.release.recorded import Recorded, RecordedPiece
from retraining.release.values import BlobPointer

__all__ = [
    "History",
    "Past",
    "PastRows",
    "RecordedRows",
    "StoredPast",
    "column_table",
    "gathered",
    "rows_of_table",
]

Floats = NDArray[np.float64]
#: Rows from before a cut: as they were recorded, or as the shipped model predicts them.
History: TypeAlias = Literal["recorded", "shipped"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedRows:
    """One block of a recorded column: `values` are `(n_rows, n_outputs)`, outputs as the version has them."""

    rows: Identities
    values: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class PastRows:
    """How rows from before a node's cut were predicted: from the record, by a fit of their time, or by the shipped one.

    Of those by the shipped one `changed` are new or otherwise than recorded; of the blocks of the others nothing
    is recorded. `none` lie before the first block that could be predicted.
    """

    recorded: int = 0
    block_fit: int = 0
    shipped: int = 0
    changed: int = 0
    none: int = 0

    def to_json(self) -> dict[str, Json]:
        """The counts as a JSON object."""
        return {
            "recorded": self.recorded,
            "block_fit": self.block_fit,
            "shipped": self.shipped,
            "changed": self.changed,
            "none": self.none,
        }


class Past(Protocol):
    """Where recorded columns and kept fits come from."""

    def blocks(self, version: ServedVersion) -> Collection[int]:
        """The blocks before a version's cut for which predictions were recorded."""
        ...

    def fetch(self, wanted: Iterable[tuple[ServedVersion, Collection[int]]]) -> None:
        """Told which recorded blocks will be read, to read them together."""
        ...

    def read(self, version: ServedVersion, blocks: Collection[int]) -> Mapping[int, RecordedRows]:
        """The recorded rows of some of these blocks."""
        ...

    def fit(self, version: ServedVersion, block: int) -> FittedModel | None:
        """The fit that predicts a block before the cut, where its model was kept."""
        ...


def gathered(versions: Mapping[str, ServedVersion]) -> dict[str, ServedVersion]:
    """The versions, each with all that the documents of any of them tell of its column; the newest word counts."""
    found = dict(versions)
    for version in sorted(versions.values(), key=lambda one: (one.made, one.node)):
        for node, pieces in version.recorded.above.items():
            if node in found:
                own = {**found[node].recorded.own, **pieces}
                found[node] = replace(found[node], recorded=Recorded(own=own, above={}))
    return found


@dataclass(slots=True, kw_only=True)
class StoredPast:
    """The past of a store's release: every block and every fit is read when first needed, and kept."""

    blobs: Blobs
    load: Callable[[BlobPointer, str], FittedModel]
    _read: dict[tuple[str, str], RecordedRows] = field(default_factory=dict)
    _fits: dict[str, FittedModel] = field(default_factory=dict)

    def blocks(self, version: ServedVersion) -> Collection[int]:
        """See `Past`."""
        return version.recorded.own.keys()

    def fetch(self, wanted: Iterable[tuple[ServedVersion, Collection[int]]]) -> None:
        """See `Past`."""
        pieces = [version.recorded.own[block] for version, blocks in wanted for block in sorted(blocks)]
        lacking = [piece for piece in pieces if _name(piece) not in self._read]
        self.blobs.fetch(pointer for piece in lacking for pointer in (piece.values, piece.rows))

    def read(self, version: ServedVersion, blocks: Collection[int]) -> Mapping[int, RecordedRows]:
        """See `Past`; IntegrityError where the store has lost or damaged what was recorded."""
        self.fetch([(version, blocks)])
        pieces = {block: version.recorded.own[block] for block in sorted(blocks)}
        for piece in pieces.values():
            if _name(piece) not in self._read:
                self._read[_name(piece)] = self._taken(version, piece)
        return {block: self._read[_name(piece)] for block, piece in pieces.items()}

    def _taken(self, version: ServedVersion, piece: RecordedPiece) -> RecordedRows:
        try:
            values, rows = self.blobs.take(piece.values), self.blobs.take(piece.rows)
        except (IntegrityError, NotFoundError) as error:
            raise IntegrityError(
                f"the recorded column of {version.node} cannot be read: {error.message}",
                "restore that file, or predict without it: --history shipped (history='shipped')",
            ) from error
        return _recorded_rows(version, piece, values, rows)

    def fit(self, version: ServedVersion, block: int) -> FittedModel | None:
        """See `Past`."""
        pointer = version.kept.get(block)
        if pointer is None:
            return None
        if pointer.digest not in self._fits:
            self._fits[pointer.digest] = self.load(pointer, f"the fit of {version.node} before block {block}")
        return self._fits[pointer.digest]


def column_table(recorded: Mapping[int, RecordedRows], width: int) -> pa.Table:
    """Recorded rows as a table: `block`, `row` and `output.0` and so on of each row, by block."""
    parts = [(block, recorded[block]) for block in sorted(recorded)]
    columns: dict[str, NDArray[np.generic]] = {
        "block": np.concatenate(
            [np.full(len(piece.rows), block, np.int32) for block, piece in parts] or [np.zeros(0, np.int32)]
        ),
        "row": np.concatenate([piece.rows for _, piece in parts] or [np.zeros(0, np.uint64)]),
    }
    values = np.concatenate([piece.values for _, piece in parts] or [np.zeros((0, width))])
    columns |= {f"output.{place}": np.ascontiguousarray(values[:, place]) for place in range(width)}
    return pa.table(columns)


def rows_of_table(table: pa.Table) -> dict[int, RecordedRows]:
    """The inverse of `column_table`; KeyError or ArrowException where it is no such table."""
    blocks = table["block"].to_numpy()
    rows = table["row"].to_numpy().astype(np.uint64)
    names = [name for name in table.column_names if name.startswith("output.")]
    values = np.stack([table[name].to_numpy().astype(np.float64) for name in names], axis=1)
    return {
        block: RecordedRows(rows=rows[blocks == block], values=values[blocks == block])
        for block in np.unique(blocks).tolist()
    }


def _name(piece: RecordedPiece) -> tuple[str, str]:
    return piece.values.digest, piece.rows.digest


def _recorded_rows(version: ServedVersion, piece: RecordedPiece, values: bytes, rows: bytes) -> RecordedRows:
    try:
        predicted = np.asarray(np.load(io.BytesIO(values), allow_pickle=False), np.float64)
        own = np.frombuffer(rows, "<u8").astype(np.uint64)
        if predicted.ndim != 2 or len(predicted) != len(own):
            raise ValueError(f"{len(predicted)} predictions of {len(own)} rows")
    except (ValueError, EOFError) as error:
        raise IntegrityError(
            f"the recorded column of {version.node} makes no sense: {error}", "run again with `--force`"
        ) from error
    return RecordedRows(rows=own, values=align_classes(predicted, piece.classes, version.classes))
