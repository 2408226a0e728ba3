"""What the data looks like to a node at one moment, as values: the evidence that a plan is made from.

Produced by the data room; defined here because plans, triggers and fingerprints read it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from retraining.decide.fits import Before, Cell, Folds, LeftOut, slice_cells
from retraining.manifest.values import Json

#: Rows whose hashes tell how many of all rows changed: exact up to here, within some percent beyond.
SAMPLE = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchCount:
    """What one batch of late labels did to a node's rows: those that have their label from it.

    `rows` have a label that came or changed, `corrected` of them one that took another's place or was taken
    away; `waiting` have one that no fit may learn from yet, and are not among `rows`.
    """

    batch: int
    rows: int
    corrected: int
    waiting: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeData:
    """The rows of a node: training cells, feature digests, the next block and the holdout.

    `cells` are ordered by (known, part). `features` and `rows` are by part (block or fold), over all
    visible rows, labelled or not. `next_block` is n and `holdout` are the blocks of H (time scheme
    only); `counts` says how many rows train and judge, and `states` how many are in each of
    `decide.states.STATES`, as far as can be told before a fit is made; `gate_until` is the moment (in
    microseconds) of the newest row that the gate fit learns from. `sample` (fold scheme only) are the
    smallest `SAMPLE` hashes of labelled rows with key and label, ascending: all of them where there are fewer.
    `feedback` is what each batch of late labels did, by its number.
    `labels` has, of a node whose champion is measured, the digest of the known labels of each mature block (or fold).
    """

    node: str
    cells: tuple[Cell, ...]
    features: Mapping[int, str]
    rows: Mapping[int, int]
    classes: tuple[str | int | float | bool, ...] = ()
    next_block: int | None = None
    holdout: tuple[int, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    sample: tuple[int, ...] = ()
    states: Mapping[str, int] = field(default_factory=dict)
    gate_until: int | None = None
    feedback: tuple[BatchCount, ...] = ()
    labels: Mapping[int, str] = field(default_factory=dict)

    def slice_digest(self, left_out: LeftOut, first: int | None = None) -> str:
        """The digest of the cells that a fit learns from: the data's part of its fingerprint.

        `first` is the block in which the fit's window begins (None: it has none).
        """
        return cells_digest(slice_cells(self.cells, left_out, first))

    def shipped(self, ship: Literal["refit", "gated"]) -> LeftOut:
        """What the fit that would ship leaves out: `gated` ships the fit that was judged."""
        if self.next_block is None:
            return Folds(frozenset())
        return Before(self.holdout[0] if ship == "gated" and self.holdout else self.next_block)

    def to_json(self) -> dict[str, Json]:
        """The value as a document, for `node_data_from_json`."""
        counts: list[Json] = [[c.batch, c.rows, c.corrected, c.waiting] for c in self.feedback]
        return {
            "node": self.node,
            "cells": [[c.part, c.known, c.rows, c.digest] for c in self.cells],
            "features": [[part, digest] for part, digest in sorted(self.features.items())],
            "rows": [[part, rows] for part, rows in sorted(self.rows.items())],
            "classes": list(self.classes),
            "next_block": self.next_block,
            "holdout": list(self.holdout),
            "counts": dict(self.counts),
            "sample": list(self.sample),
            "states": dict(self.states),
            "gate_until": self.gate_until,
            **({"feedback": counts} if counts else {}),
            # only of nodes that are measured: most are not, and there may be very many
            **(
                {"labels": [[part, text] for part, text in sorted(self.labels.items())]}
                if self.labels
                else {}
            ),
        }


def cells_digest(cells: Iterable[Cell]) -> str:
    """The digest of some cells, whose own digests hold the labels: a class elsewhere changes none."""
    state = hashlib.sha256(b"()")
    for cell in cells:
        state.update(f"{cell.part},{cell.known},{cell.rows},{cell.digest};".encode())
    return "sha256:" + state.hexdigest()


def node_data_from_json(doc: Mapping[str, Any]) -> NodeData:
    """The inverse of `NodeData.to_json`."""
    cells = tuple(Cell(part=p, known=k, rows=r, digest=d) for p, k, r, d in doc["cells"])
    return NodeData(
        node=doc["node"],
        cells=cells,
        features=dict(doc["features"]),
        rows=dict(doc["rows"]),
        classes=tuple(doc["classes"]),
        next_block=doc["next_block"],
        holdout=tuple(doc["holdout"]),
        counts=doc["counts"],
        sample=tuple(doc.get("sample", ())),
        states=dict(doc.get("states", {})),
        gate_until=doc.get("gate_until"),
        feedback=tuple(
            BatchCount(batch=batch, rows=rows, corrected=corrected, waiting=waiting)
            for batch, rows, corrected, waiting in doc.get("feedback", ())
        ),
        labels=dict(doc.get("labels", ())),
    )
