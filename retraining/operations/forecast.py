"""Which rows will lack an upstream column, told before any fit is made: by the edges and the first blocks.

Model by model, upstreams first: a row has a column where it finds a row that its upstream will predict.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter

import numpy as np
from numpy.typing import NDArray

from retraining.data.edges import Groups, Link, Newest
from retraining.data.rows import NodeRows
from retraining.data.states import gate_until, predicted_rows, row_states
from retraining.decide.recipes import Recipe
from retraining.manifest.values import Input, Manifest, Model

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreseen:
    """The rows of a node in each state of docs/design.md 1 (those of a pool that it `served` besides).

    `gate_until` is the moment of the newest row that the gate fit learns from.
    """

    states: Mapping[str, int]
    gate_until: int | None


def foresee_states(
    manifest: Manifest,
    recipes: Mapping[str, Recipe],
    rows: Mapping[str, NodeRows],
    link: Callable[[str, Input, str], Link],
    sizes: Mapping[str, int],
) -> dict[str, Foreseen]:
    """What the rows of each node are for, by node.

    `rows` is by node, `sizes` has the number of rows of each dataset's table.
    """
    reads = {
        name: {each for item in model.inputs for each in item.models}
        for name, model in manifest.models.items()
    }
    nodes: dict[str, list[Recipe]] = {}
    for recipe in recipes.values():
        nodes.setdefault(recipe.model, []).append(recipe)
    predicted: dict[str, Mask] = {}
    found: dict[str, Foreseen] = {}
    for name in TopologicalSorter(reads).static_order():
        model = manifest.models[name]
        present = _present(manifest, model, predicted, link)
        made = np.zeros(sizes[model.dataset], bool)
        for recipe in sorted(nodes.get(name, []), key=lambda one: one.pool):
            own = rows[recipe.node]
            usable = _usable(recipe, own, present)
            states = row_states(own, usable)
            if recipe.pool:
                states["served"] = int((~made[own.rows]).sum())
            made[own.rows] |= predicted_rows(recipe, own, usable)
            found[recipe.node] = Foreseen(states=states, gate_until=gate_until(own, usable))
        predicted[name] = made
    return found


def _present(
    manifest: Manifest,
    model: Model,
    predicted: Mapping[str, Mask],
    link: Callable[[str, Input, str], Link],
) -> dict[str, Mask]:
    """For each input of a model the rows of its dataset that will find a prediction."""
    present = {}
    for item in model.inputs:
        united = np.logical_or.reduce([predicted[name] for name in item.models])
        rows = link(model.dataset, item, manifest.models[item.models[0]].dataset)
        if rows is None:
            present[item.column] = united
        elif isinstance(rows, Groups):
            present[item.column] = rows.counts(united) > 0
        else:
            rows = rows.pick(united) if isinstance(rows, Newest) else rows
            present[item.column] = (rows >= 0) & united[np.maximum(rows, 0)]
    return present


def _usable(recipe: Recipe, rows: NodeRows, present: Mapping[str, Mask]) -> Mask:
    needed: Sequence[Mask] = [
        present[item.column][rows.rows] for item in recipe.inputs if recipe.missing_policy(item) != "nan"
    ]
    return np.logical_and.reduce(needed) if needed else np.ones(len(rows.rows), bool)
