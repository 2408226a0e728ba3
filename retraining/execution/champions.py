"""The champion as a candidate: as it was released, or fed with what challengers above it hand down."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retraining.data.tables import Table
from retraining.decide.calendar import Calendar
from retraining.decide.fits import Before, LeftOut
from retraining.decide.recipes import Recipe, recipe_from_json
from retraining.execution.candidates import Candidate, Fed, Side, Source, block_days
from retraining.execution.study import Study
from retraining.manifest.values import FoldScheme, TimeScheme
from retraining.release.recorded import recorded_of
from retraining.release.values import BlobPointer

#: Why a champion, or a column of one, cannot be made on today's rows.
GONE = "the champion's recorded columns are no longer in the data"


def champion_of(study: Study, node: str) -> Candidate | None:
    """The released version as a candidate; None without one, or where its columns left the data."""
    if node not in study.champions:
        study.champions[node] = _build_champion(study, node)
    return study.champions[node]


def _build_champion(study: Study, node: str) -> Candidate | None:
    state = study.world.states.get(node)
    if state is None or state.version is None:
        return None
    document = study.document(state.document)
    if document is None or state.document is None:
        return None
    sources: dict[str, tuple[Source, ...]] = {
        column: tuple((name, "champion") for name in names if not _left_with_its_rows(study, name))
        for column, names in document["sources"].items()
    }
    champion = _recorded(study, node, "champion", state.document, document, sources)
    if champion is not None:
        for names in champion.sources.values():
            for name, _ in names:
                champion_of(study, name)
        champion.version = state.version
    return champion


def _left_with_its_rows(study: Study, node: str) -> bool:
    """True for a node that left the data together with every row of its own: nobody reads it any more."""
    state = study.world.states.get(node)
    if node in study.world.graph or state is None:
        return False
    document = study.document(state.document)
    if document is None:
        return False
    recipe = recipe_from_json(document["recipe"])
    table = study.world.tables.get(recipe.dataset)
    if recipe.model not in study.world.manifest.models or table is None or not _readable(recipe, table):
        return False
    return not sum(study.world.describe(recipe, tuple(document["data"]["classes"])).rows.values())


def waiting_of(study: Study, node: str, side_of: Callable[[str], Side]) -> Candidate | None:
    """The challenger that won and waits, as it was made; None where an upstream is no longer what it learnt from.

    `side_of` says what an upstream hands down in this run.
    """
    state = study.world.states.get(node)
    attempt = state.attempt if state is not None else None
    pointer = attempt.document if attempt is not None else None
    document = study.document(pointer)
    if attempt is None or pointer is None or document is None:
        return None
    if not document["wiring"].keys() <= {*study.world.graph.upstreams(node)}:
        return None
    sources: dict[str, tuple[Source, ...]] = {
        column: tuple((name, side_of(name)) for name in names)
        for column, names in document["sources"].items()
    }
    for names in sources.values():
        for name, side in names:
            version_of_side(study, name, side)
            if study.column_name(name, side) != document["wiring"][name]:
                return None
    candidate = _recorded(study, node, "challenger", pointer, document, sources)
    if candidate is not None:
        candidate.version = attempt.version
        candidate.made = {left_out: fit["fingerprint"] for left_out, fit in document["fits"].items()}
    return candidate


def _recorded(
    study: Study,
    node: str,
    side: Side,
    pointer: BlobPointer,
    document: Mapping[str, Any],
    sources: Mapping[str, tuple[Source, ...]],
) -> Candidate | None:
    """A version as its document has it, on today's rows; None where its columns left the data.

    A node that left the data or the manifest has today's rows as well: those of its recipe, if there are any.
    """
    recipe = recipe_from_json(document["recipe"])
    table = study.world.tables.get(recipe.dataset)
    current = study.world.facts.get(node)
    if table is None or not _readable(recipe, table):
        return None
    classes = tuple(document["data"]["classes"])
    # a class that appeared since is none of the version's: its fits are known by the classes of their time
    same = (
        current is not None
        and recipe.digest() == current.recipe.digest()
        and classes == tuple(current.data.classes)
    )
    data = current.data if current is not None and same else study.world.describe(recipe, classes)
    candidate = study.new_candidate(node, side, recipe, data, document["cut_block"], sources)
    if isinstance(document.get("lineage"), str):
        candidate.told = (document["lineage"], pointer.pack)
    candidate.told_column = recorded_of(document)
    if classes == tuple(data.classes):
        candidate.recorded = document["fits"]  # else its models have other outputs: they are made again
    return candidate


def _readable(recipe: Recipe, table: Table) -> bool:
    """True where the data still has the columns that a recipe learns from."""
    folds = recipe.scheme.column if isinstance(recipe.scheme, FoldScheme) else None
    optional = (recipe.target.known_at, recipe.weight.column, recipe.train_where, folds)
    partition = {column for column, _ in recipe.partition}
    return {
        *recipe.features,
        recipe.target.column,
        *partition,
        *filter(None, optional),
    } <= table.columns.keys()


def fed_champion(study: Study, node: str, new: frozenset[str]) -> Candidate | None:
    """The released version, fed with what the challengers `new` above it hand down; None as `champion_of`."""
    base = champion_of(study, node)
    if base is None or (node, new) in study.fed:
        return study.fed.get((node, new))
    sources: dict[str, tuple[Source, ...]] = {
        column: tuple((name, study.side_under(name, new)) for name, _ in sources)
        for column, sources in base.sources.items()
    }
    fed = study.new_candidate(node, Fed(new), base.recipe, base.data, base.cut, sources)
    fed.version, fed.base = base.version, base
    study.fed[(node, new)] = fed
    for sources_of in sources.values():
        for name, side in sources_of:
            version_of_side(study, name, side)
    return fed


def version_of_side(study: Study, node: str, side: Side) -> Candidate | None:
    """The challenger, the champion, or the champion as it would be fed; None without one."""
    if side == "challenger":
        return study.challengers[node]
    return champion_of(study, node) if side == "champion" else fed_champion(study, node, side.new)


def champion_gate(
    champion: Candidate, candidate: Candidate, judged: NDArray[np.bool_]
) -> dict[LeftOut, list[int]]:
    """The fit by which a champion is compared on the judged rows: its own, or one that ends before the holdout."""
    if champion.cut is None or not isinstance(champion.recipe.scheme, TimeScheme):
        return champion.column_fits(frozenset())
    # the champion may have other blocks: its fit must end before the challenger's holdout begins
    theirs = Calendar(champion.recipe.timezone, champion.recipe.scheme.block_days)
    own = Calendar(candidate.recipe.timezone, block_days(candidate))
    begin = theirs.block_at(own.start(candidate.data.holdout[0]))
    left_out = Before(min(champion.cut, begin))
    parts = np.unique(champion.rows.part[judged]).tolist()
    return {left_out: parts}
