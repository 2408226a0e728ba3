"""In which state of docs/design.md 1 each row of a node is, and which rows will have an honest prediction.

What a fit that was never made will predict follows from the rows alone: a block is predicted as soon as
enough labels were known before it. A fit that fails, or that finds one class only, predicts less.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from retraining.data.rows import NodeRows
from retraining.decide.fits import Before
from retraining.decide.recipes import Recipe
from retraining.manifest.values import TimeScheme

Mask = NDArray[np.bool_]


def row_states(rows: NodeRows, usable: Mask) -> dict[str, int]:
    """How many rows are in each of `decide.states.STATES`: they add up to all rows of the node's partition.

    `usable` is False for rows that lack an upstream column and are dropped. By folds every labelled row
    trains and is judged on, and counts as `judged`.
    """
    counts = {"unseen": rows.hidden}
    left = usable.copy()

    def take(state: str, chosen: Mask) -> None:
        counts[state] = int((left & chosen).sum())
        left[chosen] = False

    counts["no_upstream"] = int((~usable).sum())
    if rows.next_block is None:
        take("unlabelled", ~rows.labelled)
        counts |= {"gate": 0, "purged": 0, "judged": int(left.sum()), "later": 0}
        return counts
    before = np.zeros(len(usable), bool)
    inside, gate = before, _learns_gate(rows)
    if rows.holdout:
        before = rows.part < rows.holdout[0]
        inside = np.isin(rows.part, rows.holdout)
    lacking = (before & ~rows.labelled) | (inside & ~rows.known_now)
    take("unlabelled", lacking if rows.excluded is None else lacking | rows.excluded)
    take("gate", gate)
    take("purged", before)
    take("judged", inside)
    counts["later"] = int(left.sum())
    return counts


def gate_until(rows: NodeRows, usable: Mask) -> int | None:
    """The moment of the newest row that the gate fit learns from, in microseconds; None where there is none."""
    chosen = _learns_gate(rows) & usable
    return int(rows.decided[chosen].max()) if rows.decided is not None and chosen.any() else None


def _learns_gate(rows: NodeRows) -> Mask:
    if not rows.holdout:
        return np.zeros(len(rows.part), bool)
    return np.asarray(rows.labelled & (rows.known <= rows.holdout[0]))


def predicted_rows(recipe: Recipe, rows: NodeRows, usable: Mask) -> Mask:
    """True for the node's rows that will have an honest prediction: usable, from the first block on."""
    learnable = rows.labelled & usable
    if rows.next_block is None or not isinstance(recipe.scheme, TimeScheme):
        return usable if learnable.any() else np.zeros(len(usable), bool)
    scheme = recipe.scheme
    for block in np.unique(rows.part).tolist():
        learnt = rows.learnable(Before(block)) & usable
        if learnt.sum() >= scheme.min_rows and len(np.unique(rows.part[learnt])) >= scheme.min_blocks:
            return np.asarray(usable & (rows.part >= block))
    return np.zeros(len(usable), bool)
