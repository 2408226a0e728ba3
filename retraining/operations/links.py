"""Which nodes share a row, and so which node reads which."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from retraining.data.edges import check_folds, linked_pairs
from retraining.errors import DataError
from retraining.manifest.values import Input, Model

if TYPE_CHECKING:
    from retraining.operations.observe import Observation


def linked_nodes(seen: Observation, model: Model, item: Input) -> list[tuple[str, str]]:
    """The pairs (upstream node, downstream node) that share at least one row."""
    models = [seen.manifest.models[name] for name in item.models]
    tables, upstream = seen.tables(), models[0].dataset
    own, theirs = tables[model.dataset], tables[upstream]
    link = seen.link(model.dataset, item, upstream)
    check_folds(
        item,
        link,
        (own, theirs),
        (seen.datasets[model.dataset], seen.datasets[upstream]),
        (seen.manifest.schemes[model.dataset], seen.manifest.schemes[upstream]),
        seen.manifest.seed,
    )
    return [
        (up_names[int(a)], down_names[int(b)])
        for down_names, down in _owners(seen, [model], own.n_rows)
        for up_names, up in _owners(seen, models, theirs.n_rows)
        for a, b in linked_pairs(link, up, down)
    ]


def _owners(
    seen: Observation, models: Sequence[Model], n_rows: int
) -> list[tuple[list[str], NDArray[np.int64]]]:
    """The nodes of some models, and for each row of their dataset the index of its node (-1: none).

    A pool comes as a second answer of this kind: it learns from every row, and predicts what the row's own
    node does not. DataError where a row belongs to two of the models, or where their classes differ.
    """
    wanted = [model.name for model in models]
    recipes = [recipe for recipe in seen.recipes.values() if recipe.model in wanted]
    pools = [recipe for recipe in recipes if recipe.pool]
    recipes = [recipe for recipe in recipes if not recipe.pool]
    owner = np.full(n_rows, -1, np.int64)
    for index, recipe in enumerate(recipes):
        rows = seen.rows(recipe, seen.data[recipe.node].classes).rows
        if (owner[rows] >= 0).any():
            other = recipes[int(owner[rows].max())].node
            raise DataError(
                f"`from: [{', '.join(wanted)}]` unites models of different rows, and {recipe.node} and {other} "
                f"both predict {int((owner[rows] >= 0).sum())} rows",
                "partition the models, and name under `only` which values each of them has",
            )
        owner[rows] = index
    if len({seen.data[recipe.node].classes for recipe in recipes}) > 1:
        raise DataError(
            f"`from: [{', '.join(wanted)}]` unites models whose targets have different classes",
            "write the same `classes` in the target of each",
        )
    owners = [([recipe.node for recipe in recipes], owner)]
    for pool in pools:
        every = np.full(n_rows, -1, np.int64)
        every[seen.rows(pool, seen.data[pool.node].classes).rows] = 0
        owners.append(([pool.node], every))
    return owners
