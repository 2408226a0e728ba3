"""Where a version's numbers come from, as recorded facts: what its fits saw, what fed its rows.

A lineage holds what was observed of the arrays that were used, and no conclusion: `decide.audit` draws
those. One is written for each version that a run made or read, in the pack of the version documents; it
names the lineages of its upstreams by digest, so that a document pins all that stands behind it.
Moments are microseconds since 1970 (UTC), None in the fold scheme.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from retraining.decide.fits import Context
from retraining.manifest.values import Json

#: The piece of a cell whose predictions no piece was seen to bring.
UNKNOWN_PIECE = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """What a fit learnt from: the rows of each block or fold, the digest of their keys in training order.

    `known_through` is the latest moment at which one of its labels became known, `decided_through`
    the latest at which one of its rows was decided.
    """

    rows: int
    keys: str
    parts: Mapping[int, int]
    known_through: int | None
    decided_through: int | None

    def to_json(self) -> dict[str, Json]:
        """The facts as a JSON object."""
        return {
            "rows": self.rows,
            "keys": self.keys,
            "parts": [[part, rows] for part, rows in sorted(self.parts.items())],
            "known_through": self.known_through,
            "decided_through": self.decided_through,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Handed:
    """A piece: what one fit predicted for the rows of one block or fold, and was judged by or handed down.

    `fit` is the fingerprint of the fit, `decided_from` the earliest moment at which one of the rows was
    decided; `keys` is None where the record of the piece does not say from which rows it was made.
    """

    fingerprint: str
    fit: str
    part: int
    rows: int
    keys: str | None
    decided_from: int | None


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class FedCell:
    """Rows of one block or fold of a reader that read one piece of an upstream.

    `upstream` is a position in the feed's upstreams and `piece` one in that lineage's pieces. `rows`
    counts the reader's rows (of an aggregate: the upstream rows that they read), `decided_from` is the
    earliest of the readers' decisions, and `gap` the most by which an upstream row came to be later than
    its reader's row was decided (at most 0: none did).
    """

    part: int
    upstream: int
    piece: int
    rows: int
    decided_from: int | None
    gap: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed:
    """One input in one context: the lineages of its upstreams by digest, and who fed whom.

    `kind` is row, key, as of or group. `rows` counts for each block or fold the reader's rows that read
    a prediction and those that found none.
    """

    column: str
    kind: str
    context: Context
    upstreams: tuple[str, ...]
    cells: tuple[FedCell, ...]
    rows: Mapping[int, tuple[int, int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lineage:
    """All facts of one version: its fits (None: the fit's record says nothing of its rows), pieces, feeds.

    `fits` maps what a fit left out to its fingerprint and what it learnt from; `inputs` are the columns
    that its recipe reads. A champion that predicts in a later run, perhaps fed with other columns than its
    fits learnt from, names as `base` the lineage in which these are told.
    """

    node: str
    version: str
    scheme: str
    inputs: tuple[str, ...]
    fits: Mapping[str, tuple[str, Trained | None]]
    pieces: tuple[Handed, ...]
    feeds: tuple[Feed, ...]
    base: str | None = None

    @property
    def above(self) -> tuple[str, ...]:
        """The lineages that this one names."""
        named = [name for feed in self.feeds for name in feed.upstreams]
        return tuple(dict.fromkeys([*([self.base] if self.base is not None else []), *named]))

    def to_json(self) -> dict[str, Json]:
        """The lineage as a document (format 1)."""
        fits: dict[str, Json] = {
            left_out: {"fingerprint": fingerprint, "trained": trained.to_json() if trained else None}
            for left_out, (fingerprint, trained) in sorted(self.fits.items())
        }
        return {
            "format": 1,
            "node": self.node,
            "version": self.version,
            "scheme": self.scheme,
            "inputs": list(self.inputs),
            "base": self.base,
            "fits": fits,
            "pieces": [
                [one.fingerprint, one.fit, one.part, one.rows, one.keys, one.decided_from]
                for one in self.pieces
            ],
            "feeds": [_feed_json(feed) for feed in self.feeds],
        }


def trained_from_json(document: Mapping[str, Any]) -> Trained:
    """The inverse of `Trained.to_json`; KeyError, TypeError or ValueError where it is none."""
    return Trained(
        rows=int(document["rows"]),
        keys=str(document["keys"]),
        parts={int(part): int(rows) for part, rows in document["parts"]},
        known_through=_moment(document["known_through"]),
        decided_through=_moment(document["decided_through"]),
    )


def lineage_from_json(document: Mapping[str, Any]) -> Lineage:
    """The inverse of `Lineage.to_json`; KeyError, TypeError or ValueError where it is none."""
    return Lineage(
        node=str(document["node"]),
        version=str(document["version"]),
        scheme=str(document["scheme"]),
        inputs=tuple(str(column) for column in document["inputs"]),
        fits={
            str(left_out): (
                str(fit["fingerprint"]),
                None if fit["trained"] is None else trained_from_json(fit["trained"]),
            )
            for left_out, fit in document["fits"].items()
        },
        pieces=tuple(_handed(line) for line in document["pieces"]),
        feeds=tuple(_feed(feed) for feed in document["feeds"]),
        base=None if document["base"] is None else str(document["base"]),
    )


def _feed_json(feed: Feed) -> dict[str, Json]:
    context: Json = None if feed.context is None else [*sorted(feed.context)]
    return {
        "column": feed.column,
        "kind": feed.kind,
        "context": context,
        "upstreams": list(feed.upstreams),
        "cells": [
            [one.part, one.upstream, one.piece, one.rows, one.decided_from, one.gap] for one in feed.cells
        ],
        "rows": [[part, reading, without] for part, (reading, without) in sorted(feed.rows.items())],
    }


def _handed(line: Sequence[Any]) -> Handed:
    fingerprint, fit, part, rows, keys, decided_from = line
    return Handed(
        fingerprint=str(fingerprint),
        fit=str(fit),
        part=int(part),
        rows=int(rows),
        keys=None if keys is None else str(keys),
        decided_from=_moment(decided_from),
    )


def _feed(document: Mapping[str, Any]) -> Feed:
    context = document["context"]
    cells = []
    for part, upstream, piece, rows, decided_from, gap in document["cells"]:
        cells.append(
            FedCell(
                part=int(part),
                upstream=int(upstream),
                piece=int(piece),
                rows=int(rows),
                decided_from=_moment(decided_from),
                gap=_moment(gap),
            )
        )
    return Feed(
        column=str(document["column"]),
        kind=str(document["kind"]),
        context=None if context is None else frozenset(int(fold) for fold in context),
        upstreams=tuple(str(digest) for digest in document["upstreams"]),
        cells=tuple(cells),
        rows={int(part): (int(reading), int(without)) for part, reading, without in document["rows"]},
    )


def _moment(value: Any) -> int | None:
    return None if value is None else int(value)
