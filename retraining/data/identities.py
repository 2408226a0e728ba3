"""What a row's prediction was made from, as one word for each row: by it a recorded prediction is found again.

The identity of a row is a hash of its key, its features, and the identities of the upstream rows that it
reads, through any number of edges. It holds no prediction, so that it is the same in every batch and for
every version of an upstream; a row of which anything differs, or that reads other rows, has another one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from retraining.data.edges import Groups
from retraining.data.tables import Table, key_hash, mix
from retraining.decide.recipes import Recipe

Rows = NDArray[np.intp]
Floats = NDArray[np.float64]
#: One word for each row; 0 stands for a row that has no prediction.
Identities: TypeAlias = NDArray[np.uint64]


def row_identities(recipe: Recipe, table: Table, rows: Rows, read: Sequence[Identities]) -> Identities:
    """The identities of some rows of a node; `read` has what each input gives them, in the order of the inputs."""
    names = [*table.key, *recipe.features]
    state = key_hash([table.columns[name].take(rows) for name in names])
    for words in read:
        state = mix(state ^ mix(words))
    return np.maximum(state, np.uint64(1))


def unite_identities(n_rows: int, parts: Iterable[tuple[Rows, Floats, Identities]]) -> Identities:
    """The identities of an upstream's rows, `(n_rows,)`; as in `columns.unite` a part fills what those before it left.

    Each part has a node's rows, its predictions `(len(rows), n_outputs)` and the identities of these rows.
    """
    united = np.zeros(n_rows, np.uint64)
    for rows, prediction, own in parts:
        fills = (united[rows] == 0) & ~np.isnan(prediction).any(axis=1)
        united[rows[fills]] = own[fills]
    return united


def read_identities(link: Groups | Rows | None, united: Identities) -> Identities:
    """What each row of a reader's dataset reads of an upstream, by the link that its values come by."""
    if link is None:
        return united
    if isinstance(link, Groups):
        # sums of words, which wrap around, hang on the set of rows alone
        running = np.concatenate(
            [np.zeros(1, np.uint64), np.cumsum(mix(united)[link.order], dtype=np.uint64)]
        )
        return np.asarray(running[link.end] - running[link.start])
    found = np.zeros(len(link), np.uint64)
    reads = link >= 0
    found[reads] = united[link[reads]]
    return found


def find_rows(wanted: Identities, known: Identities) -> Rows:
    """The place in `known` of each wanted identity; -1 where it is not there, or there more than once."""
    order = np.argsort(known, kind="stable")
    ordered = known[order]
    first = np.searchsorted(ordered, wanted, side="left")
    once = np.searchsorted(ordered, wanted, side="right") - first == 1
    found = np.full(len(wanted), -1, np.intp)
    found[once] = order[first[once]]
    return found
