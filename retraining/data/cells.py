"""What a node's rows hold, as evidence for planning: digests of their cells, features and labels, and counts."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from retraining.data.feedback import batch_counts
from retraining.data.labels import Classes
from retraining.data.rows import NodeRows
from retraining.data.tables import Table, key_hash, mix
from retraining.decide.fits import Before, Cell
from retraining.decide.recipes import Recipe
from retraining.decide.snapshots import SAMPLE, BatchCount, NodeData

__all__ = ["cell_starts", "describe"]


def describe(
    recipe: Recipe, table: Table, found: NodeRows, classes: Classes, *, measured: bool = False
) -> NodeData:
    """The evidence of a node's rows for planning: cells with their digests, and counts by state.

    Of a `measured` node also the digests of the labels that are known now.
    """
    inputs = [table.columns[name].take(found.rows).words() for name in recipe.features]
    # by value, not by position: another order of classes is no change of the data
    label = table.label(recipe.target.column).take(found.rows).words()
    weights = [] if found.weight is None else [(found.weight + 0.0).view(np.uint64)]
    cells = _cells(found, [*inputs, label, *weights])
    features = _feature_digests(found, inputs, table)
    parts, sizes = np.unique(found.part, return_counts=True)
    sample = _sample(found, [*inputs, label], table) if found.next_block is None else ()
    return NodeData(
        node=recipe.node,
        cells=cells,
        features=features,
        rows={int(part): int(size) for part, size in zip(parts, sizes, strict=True)},
        classes=classes,
        next_block=found.next_block,
        holdout=found.holdout,
        counts=_counts(found),
        sample=sample,
        feedback=_batch_counts(recipe, table, found),
        labels=_label_digests(found, label, table) if measured else {},
    )


def cell_starts(part: NDArray[np.int32], known: NDArray[np.int32]) -> list[int]:
    """Where each run of equal (part, known) begins in arrays that are sorted by them."""
    if not len(part):
        return []
    changes = (part[1:] != part[:-1]) | (known[1:] != known[:-1])
    return [0, *(np.flatnonzero(changes) + 1).tolist()]


def _cells(found: NodeRows, words: list[NDArray[np.uint64]]) -> tuple[Cell, ...]:
    wanted = np.flatnonzero(found.labelled)
    order = wanted[np.lexsort((found.part[wanted], found.known[wanted]))]
    part, known = found.part[order], found.known[order]
    starts = cell_starts(part, known)
    ends = [*starts[1:], len(order)] if starts else []
    sorted_words = [np.ascontiguousarray(word[order]) for word in words]
    return tuple(
        Cell(
            part=int(part[start]),
            known=int(known[start]),
            rows=end - start,
            digest=_digest([word[start:end] for word in sorted_words]),
        )
        for start, end in zip(starts, ends, strict=True)
    )


def _feature_digests(found: NodeRows, words: list[NDArray[np.uint64]], table: Table) -> dict[int, str]:
    order = np.argsort(found.part, kind="stable")
    part = found.part[order]
    parts, starts = np.unique(part, return_index=True)
    ends = [*starts[1:].tolist(), len(order)] if len(order) else []
    # the key is hashed too, so that a column of predictions is tied to its very rows
    identity = key_hash([table.columns[name].take(found.rows) for name in table.key])
    sorted_words = [np.ascontiguousarray(word[order]) for word in [identity, *words]]
    return {
        int(value): _digest([word[start:end] for word in sorted_words])
        for value, start, end in zip(parts, starts.tolist(), ends, strict=True)
    }


def _label_digests(found: NodeRows, label: NDArray[np.uint64], table: Table) -> dict[int, str]:
    """For each mature block (or fold) the digest of what is known of its labels, with their weights."""
    identity = key_hash([table.columns[name].take(found.rows) for name in table.key])
    weights = [] if found.weight is None else [(found.weight + 0.0).view(np.uint64)]
    digests = {}
    for part in found.mature:
        at = np.flatnonzero((found.part == part) & found.labelled & found.known_now)
        digests[part] = _digest([words[at] for words in (identity, label, *weights)])
    return digests


def _sample(found: NodeRows, words: list[NDArray[np.uint64]], table: Table) -> tuple[int, ...]:
    """The smallest hashes of the labelled rows: a sample that the rows' content alone draws."""
    state = key_hash([table.columns[name].take(found.rows) for name in table.key])
    for word in words:
        state = mix(state ^ mix(word))
    # 53 bits are whole numbers in every reader of JSON
    hashes = np.unique(state[found.labelled] >> np.uint64(11))
    return tuple(hashes[:SAMPLE].tolist())


def _batch_counts(recipe: Recipe, table: Table, found: NodeRows) -> tuple[BatchCount, ...]:
    """What each batch of late labels did to the node's rows that are not left out of training."""
    late = table.late.get(recipe.target.column)
    if late is None:
        return ()
    learnable = found.labelled & (True if found.next_block is None else found.known <= found.next_block)
    own = np.ones(len(found.rows), bool) if found.excluded is None else ~found.excluded
    return batch_counts(late.take(found.rows[own]), found.labelled[own], learnable[own])


def _digest(columns: Sequence[NDArray[np.generic]]) -> str:
    state = hashlib.sha256()
    for column in columns:
        state.update(np.ascontiguousarray(column).data)
    return state.hexdigest()[:16]


def _counts(found: NodeRows) -> dict[str, int]:
    counts = {"total": len(found.rows), "unlabelled": int((~found.labelled).sum())}
    if found.next_block is None:
        return counts | {"trained": int(found.labelled.sum()), "judged": int(found.labelled.sum())}
    counts["trained"] = int(found.learnable(Before(found.next_block)).sum())
    if found.holdout:
        first = found.holdout[0]
        counts["judged"] = int((np.isin(found.part, found.holdout) & found.known_now).sum())
        counts["purged"] = int((found.labelled & (found.part < first) & (found.known > first)).sum())
    return counts
