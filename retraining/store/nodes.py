"""The node table: rows of `NodeState` as Parquet, sorted by node, in shards of consecutive names.

A commit rewrites only the shards whose rows changed; the others keep their pointers. A shard is
parsed only after its digest was compared. Reading loads no pandas.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from retraining.errors import IntegrityError, StoreError
from retraining.manifest.values import Json
from retraining.release import fields
from retraining.release.update import logical_digest
from retraining.release.values import Attempt, BlobPointer, NodeState, Parts, Pin
from retraining.store.documents import FORMAT, digest_of
from retraining.store.objects import Objects

__all__ = ["Shard", "UnreadNodes", "read_nodes", "read_rows", "split_shards", "write_rows"]

SHARD_ROWS = 4_096
"""How many rows a new shard gets; a shard is split when it has grown to more than twice as many."""

_FORMAT_FIELD = b"retraining_format"
_REMEDY = "restore the store's index/ folder from a backup"

_PARTS = ("recipe", "data", "environment")
_POINTER_TEXTS = ("pack", "role", "format", "digest", "codec")
_POINTER_NUMBERS = ("offset", "stored", "raw")
_ATTEMPT_TEXTS = ("fingerprint", "outcome", "because", "run", "time", "version")
_PIN_TEXTS = ("who", "time", "because")

#: Columns that tables of earlier versions lack.
_LATER = frozenset(
    {
        *("column", "checked", "cursors", "attempt_since", "attempt_waits_for", "attempt_as_of"),
        *(f"pin_{name}" for name in _PIN_TEXTS),
        *(f"attempt_artifact_{name}" for name in (*_POINTER_TEXTS, *_POINTER_NUMBERS)),
    }
)


def _schema() -> pa.Schema:
    names: dict[str, pa.DataType] = {"node": pa.string(), "version": pa.string(), "cut": pa.string()}
    names["wiring"] = pa.map_(pa.string(), pa.string())
    for prefix in ("", "attempt_"):
        names |= {prefix + name: pa.string() for name in _PARTS}
        names[prefix + "upstream"] = pa.map_(pa.string(), pa.string())
    names |= {f"attempt_{name}": pa.string() for name in _ATTEMPT_TEXTS}
    names |= {"attempt_sequence": pa.int64(), "attempt_since": pa.string()}
    names["attempt_waits_for"] = pa.list_(pa.string())
    for prefix in ("document_", "artifact_", "attempt_document_", "attempt_artifact_"):
        names |= {prefix + name: pa.string() for name in _POINTER_TEXTS}
        names |= {prefix + name: pa.int64() for name in _POINTER_NUMBERS}
    names |= {"seconds": pa.float64(), "peak_bytes": pa.int64(), "fits": pa.int64()}
    names |= {"time": pa.string(), "run": pa.string(), "orphaned": pa.bool_()}
    names |= {f"pin_{name}": pa.string() for name in _PIN_TEXTS}
    names |= {"column": pa.string(), "checked": pa.list_(pa.string())}
    names |= {"cursors": pa.map_(pa.string(), pa.int64()), "attempt_as_of": pa.string()}
    return pa.schema(list(names.items()), metadata={_FORMAT_FIELD: str(FORMAT)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """A pointer to one shard: the rows from node `first` up to the next shard's `first`.

    `digest` is of the object's bytes, `logical` of what its rows mean.
    """

    first: str
    rows: int
    at: str
    bytes: int
    digest: str
    logical: str

    def to_json(self) -> dict[str, Json]:
        """The pointer as a JSON object."""
        return {
            "first": self.first,
            "rows": self.rows,
            "at": self.at,
            "bytes": self.bytes,
            "digest": self.digest,
            "logical": self.logical,
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Json]) -> Shard:
        """The pointer that a JSON object describes; raises ValueError where it describes none."""
        return cls(
            first=fields.text(document, "first"),
            rows=fields.integer(document, "rows"),
            at=fields.text(document, "at"),
            bytes=fields.integer(document, "bytes"),
            digest=fields.text(document, "digest"),
            logical=fields.text(document, "logical"),
        )


def write_rows(rows: Sequence[NodeState], key: str) -> tuple[Shard, bytes]:
    """The Parquet bytes of these rows, which are sorted by node, and the pointer to them at `key`."""
    schema = _schema()
    table = pa.Table.from_pylist([_flat(row) for row in rows], schema=schema)
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd", write_statistics=False)
    data: bytes = sink.getvalue().to_pybytes()
    shard = Shard(
        first=rows[0].node,
        rows=len(rows),
        at=key,
        bytes=len(data),
        digest=digest_of(data),
        logical=logical_digest({row.node: row for row in rows}),
    )
    return shard, data


def read_rows(data: bytes, shard: Shard) -> tuple[NodeState, ...]:
    """The rows in a shard's bytes; IntegrityError where they are not what the pointer says."""
    found = digest_of(data)
    if found != shard.digest:
        raise IntegrityError(f"{shard.at}: expected {shard.digest}, found {found}", _REMEDY)
    try:
        table = pq.ParquetFile(pa.BufferReader(data)).read(use_threads=False)
        written = int((table.schema.metadata or {}).get(_FORMAT_FIELD, b"0"))
        if written > FORMAT:
            raise StoreError(
                f"{shard.at}: written by a newer version of retraining (format {written})",
                "upgrade with `pip install --upgrade retraining`",
            )
        columns = {name: _values(table, name) for name in _schema().names}
        return tuple(
            _row(dict(zip(columns, row, strict=True))) for row in zip(*columns.values(), strict=True)
        )
    except (pa.ArrowException, OSError, KeyError, ValueError) as error:
        raise IntegrityError(f"{shard.at}: not a node table ({error!s:.200})", _REMEDY) from error


def _values(table: pa.Table, name: str) -> list[Any]:
    """A column's values; nulls for one that came after the table was written."""
    if name in _LATER and name not in table.column_names:
        return [None] * table.num_rows
    values: list[Any] = table.column(name).to_pylist()
    return values


def read_nodes(objects: Objects, shards: Iterable[Shard]) -> dict[str, NodeState]:
    """All rows of these shards by node, sorted; every shard's digest is compared first."""
    return {row.node: row for shard in shards for row in read_rows(objects.get(shard.at), shard)}


class UnreadNodes(Mapping[str, NodeState]):
    """The rows of shards by node, sorted; read, and their digests compared, when they are first asked for."""

    def __init__(self, objects: Objects, shards: Sequence[Shard]) -> None:
        self._objects = objects
        self._shards = tuple(shards)
        self._rows: dict[str, NodeState] | None = None

    def _read(self) -> dict[str, NodeState]:
        if self._rows is None:
            self._rows = read_nodes(self._objects, self._shards)
        return self._rows

    def __getitem__(self, node: str) -> NodeState:
        return self._read()[node]

    def __iter__(self) -> Iterator[str]:
        return iter(self._read())

    def __len__(self) -> int:
        return sum(shard.rows for shard in self._shards)


def split_shards(
    nodes: Mapping[str, NodeState], before: Mapping[str, NodeState], shards: Sequence[Shard]
) -> list[Shard | list[NodeState]]:
    """The new node table, which is sorted by node, as shards that stay and rows to be written as new shards.

    `before` is what `shards` hold. A shard stays where none of its rows changed.
    """
    if not shards:
        return _chunks(list(nodes.values()))
    plan: list[Shard | list[NodeState]] = []
    # A name that sorts before all shards falls into the first one.
    parts: list[list[NodeState]] = [[] for _ in shards]
    firsts = [shard.first for shard in shards]
    for row in nodes.values():
        parts[max(0, bisect_right(firsts, row.node) - 1)].append(row)
    for shard, part in zip(shards, parts, strict=True):
        if len(part) == shard.rows and all(before.get(row.node) == row for row in part):
            plan.append(shard)
        elif len(part) <= 2 * SHARD_ROWS:
            plan.extend([part] if part else [])
        else:
            plan.extend(_chunks(part))
    return plan


def _chunks(rows: list[NodeState]) -> list[Shard | list[NodeState]]:
    return [rows[start : start + SHARD_ROWS] for start in range(0, len(rows), SHARD_ROWS)]


def _flat(row: NodeState) -> dict[str, object]:
    flat: dict[str, object] = {
        "node": row.node,
        "version": row.version,
        "cut": row.cut,
        "wiring": sorted(row.wiring.items()),
        "seconds": row.seconds,
        "peak_bytes": row.peak_bytes,
        "fits": row.fits,
        "time": row.time,
        "run": row.run,
        "orphaned": row.orphaned,
        "column": row.column,
        "checked": list(row.checked),
        "cursors": sorted(row.cursors.items()),
        **_flat_parts("", row.parts),
        **_flat_pointer("document_", row.document),
        **_flat_pointer("artifact_", row.artifact),
    }
    if row.pin is not None:
        flat |= {f"pin_{name}": getattr(row.pin, name) for name in _PIN_TEXTS}
    if row.attempt is not None:
        flat |= {
            f"attempt_{name}": getattr(row.attempt, name)
            for name in (*_ATTEMPT_TEXTS, "sequence", "since", "as_of")
        }
        flat["attempt_waits_for"] = list(row.attempt.waits_for)
        flat |= _flat_parts("attempt_", row.attempt.parts)
        flat |= _flat_pointer("attempt_document_", row.attempt.document)
        flat |= _flat_pointer("attempt_artifact_", row.attempt.artifact)
    return flat


def _flat_parts(prefix: str, parts: Parts | None) -> dict[str, object]:
    if parts is None:
        return {}
    flat: dict[str, object] = {prefix + name: getattr(parts, name) for name in _PARTS}
    return {**flat, f"{prefix}upstream": sorted(parts.upstream.items())}


def _flat_pointer(prefix: str, pointer: BlobPointer | None) -> dict[str, object]:
    if pointer is None:
        return {}
    return {prefix + name: getattr(pointer, name) for name in (*_POINTER_TEXTS, *_POINTER_NUMBERS)}


def _row(flat: Mapping[str, Any]) -> NodeState:
    return NodeState(
        node=flat["node"],
        version=flat["version"],
        parts=_parts(flat, ""),
        cut=flat["cut"],
        wiring=dict(flat["wiring"]),
        document=_pointer(flat, "document_"),
        artifact=_pointer(flat, "artifact_"),
        attempt=_attempt(flat),
        seconds=flat["seconds"],
        peak_bytes=flat["peak_bytes"],
        fits=flat["fits"],
        time=flat["time"],
        run=flat["run"],
        orphaned=flat["orphaned"],
        pin=_pin(flat),
        column=flat["column"],
        checked=tuple(flat["checked"] or ()),
        cursors=dict(flat["cursors"] or ()),
    )


def _pin(flat: Mapping[str, Any]) -> Pin | None:
    if flat["pin_who"] is None:
        return None
    return Pin(**{name: flat[f"pin_{name}"] for name in _PIN_TEXTS})


def _attempt(flat: Mapping[str, Any]) -> Attempt | None:
    parts = _parts(flat, "attempt_")
    if parts is None:
        return None
    return Attempt(
        **{name: flat[f"attempt_{name}"] for name in (*_ATTEMPT_TEXTS, "sequence")},
        since=flat["attempt_since"] or "",
        as_of=flat["attempt_as_of"] or "",
        waits_for=tuple(flat["attempt_waits_for"] or ()),
        parts=parts,
        document=_pointer(flat, "attempt_document_"),
        artifact=_pointer(flat, "attempt_artifact_"),
    )


def _parts(flat: Mapping[str, Any], prefix: str) -> Parts | None:
    if flat[f"{prefix}recipe"] is None:
        return None
    return Parts(**{name: flat[prefix + name] for name in _PARTS}, upstream=dict(flat[f"{prefix}upstream"]))


def _pointer(flat: Mapping[str, Any], prefix: str) -> BlobPointer | None:
    if flat[f"{prefix}pack"] is None:
        return None
    return BlobPointer(**{name: flat[prefix + name] for name in (*_POINTER_TEXTS, *_POINTER_NUMBERS)})
