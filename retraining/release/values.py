"""A release as values: what the store remembers of each node, and where its bytes lie.

Every pointer carries the digest of the bytes that it points to, so whoever holds a `NodeState`
can tell whether what it reads is what was released. Nothing here reads or writes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from retraining.manifest.values import Json
from retraining.release import fields

__all__ = ["Attempt", "BlobPointer", "Codec", "NodeState", "Parts", "Pin", "joined"]

Codec: TypeAlias = Literal["zstd", "none"]
_CODECS: Mapping[str, Codec] = {"zstd": "zstd", "none": "none"}


@dataclass(frozen=True, slots=True, kw_only=True)
class BlobPointer:
    """Where a blob lies in a pack, and what it must be.

    `digest` ("sha256:…") is of the uncompressed bytes; `offset` and `stored` are the bytes in the
    pack, `raw` the number of uncompressed bytes.
    """

    pack: str
    role: str
    format: str
    digest: str
    offset: int
    stored: int
    raw: int
    codec: Codec

    def to_json(self) -> dict[str, Json]:
        """The pointer as a JSON object."""
        return {
            "pack": self.pack,
            "role": self.role,
            "format": self.format,
            "digest": self.digest,
            "offset": self.offset,
            "stored": self.stored,
            "raw": self.raw,
            "codec": self.codec,
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Json]) -> BlobPointer:
        """The pointer that a JSON object describes; raises ValueError where it describes none."""
        codec = _CODECS.get(fields.text(document, "codec"))
        if codec is None:
            raise ValueError(f"field 'codec' should be 'zstd' or 'none', not {document['codec']!r:.80}")
        return cls(
            pack=fields.text(document, "pack"),
            role=fields.text(document, "role"),
            format=fields.text(document, "format"),
            digest=fields.text(document, "digest"),
            offset=fields.integer(document, "offset"),
            stored=fields.integer(document, "stored"),
            raw=fields.integer(document, "raw"),
            codec=codec,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """A fingerprint in parts, so that a reason is the part that differs.

    `upstream` maps an input's column to the digest of that column on the node's rows.
    """

    recipe: str
    data: str
    upstream: Mapping[str, str]
    environment: str

    def to_json(self) -> dict[str, Json]:
        """The parts as a JSON object."""
        return {
            "recipe": self.recipe,
            "data": self.data,
            "upstream": dict(self.upstream),
            "environment": self.environment,
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Json]) -> Parts:
        """The parts that a JSON object describes; raises ValueError where it describes none."""
        return cls(
            recipe=fields.text(document, "recipe"),
            data=fields.text(document, "data"),
            upstream=fields.texts(document, "upstream"),
            environment=fields.text(document, "environment"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """The last try to replace a node's champion, and what became of it.

    `outcome` is the word for it (promoted, rejected, insufficient, waiting, failed …), `because`
    the sentence for people. `sequence` is the log entry that recorded it; the commit fills it in.
    `artifact` is the model that a pending challenger would serve: named here, so that no gc takes it.
    A waiting one waits for the nodes `waits_for`, and the node has had a waiting challenger `since`.
    `as_of` is the moment (ISO, UTC) up to which the attempt looked at the world; '' where it was not recorded.
    """

    fingerprint: str
    outcome: str
    because: str
    run: str
    time: str
    parts: Parts
    version: str
    document: BlobPointer | None = None
    sequence: int | None = None
    artifact: BlobPointer | None = None
    since: str = ""
    waits_for: tuple[str, ...] = ()
    as_of: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """A person's word that a node stays as it is: who said so, when (an ISO instant in UTC), and why."""

    who: str
    time: str
    because: str

    def to_json(self) -> dict[str, Json]:
        """The pin as a JSON object."""
        return {"who": self.who, "time": self.time, "because": self.because}


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeState:
    """What the store remembers of one node: its champion, its last attempt, what it cost.

    `version` is None for a node that was never released. `cut` is an ISO instant in UTC, None in
    the fold scheme. `wiring` maps each upstream node to the name of the column that the champion is
    released with; of the upstreams `checked` that is a column which it did not learn from, but was checked with.
    `column` is the name of the column that the node hands down where that is not its version's own: the
    same version fed with other upstream columns. `document` is the version document, `artifact` the
    shipped model. `run` and `time` say which run made the version and when; the commit fills them in
    where they are empty. An `orphaned` node left the manifest or the data: not planned, still served. A node with a
    `pin` keeps its champion, or stays without one, until the pin is taken away. `cursors` say up to where the
    evidence of each of its conditions has been looked at: an instant in microseconds (UTC) or the number of a
    feedback batch, by the condition's name and those of its settings that say what its evidence is.
    """

    node: str
    version: str | None = None
    parts: Parts | None = None
    cut: str | None = None
    wiring: Mapping[str, str] = field(default_factory=dict)
    document: BlobPointer | None = None
    artifact: BlobPointer | None = None
    attempt: Attempt | None = None
    seconds: float = 0.0
    peak_bytes: int = 0
    fits: int = 0
    time: str = ""
    run: str = ""
    orphaned: bool = False
    pin: Pin | None = None
    column: str | None = None
    checked: tuple[str, ...] = ()
    cursors: Mapping[str, int] = field(default_factory=dict)

    @property
    def hands_down(self) -> str | None:
        """The name of the column that readers are served with: the version, unless it is fed with others."""
        return self.column or self.version


def joined(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    """Two sets of cursors as one, sorted by name: each stands where the further of the two stood.

    It is commutative, associative and idempotent, so commits may be rebased on each other in any order.
    """
    return {
        name: max(m[name] for m in (one, other) if name in m) for name in sorted(one.keys() | other.keys())
    }
