"""The champion as a candidate: as it was released, or fed with what challengers above it hand down."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from retraining.data.tables import Table
from retraining.decide.calendar import Calendar
from retraining.decide.fits import Before, LeftOut
from retraining.decide.recipes import Recipe, recipe_from_json
from retraining.execution.candidates import Candidate, Fed, Side, Source, block_days
from retraining.execution.study import Study
from retraining.manifest.values import FoldScheme, TimeScheme


def champion_of(study: Study, node: str) -> Candidate | None:
    """The released version as a candidate; None without one, or where its columns left the data."""
    if node not in study.champions:
        study.champions[node] = _build_champion(study, node)
    return study.champions[node]


def _build_champion(study: Study, node: str) -> Candidate | None:
    state = study.world.states.get(node)
    document = study.document(state.document) if state is not None else None
    if state is None or state.version is None or document is None:
        return None
    recipe = recipe_from_json(document["recipe"])
    table = study.world.tables.get(recipe.dataset)
    current = study.world.facts.get(node)
    if table is None or current is None or not _readable(recipe, table):
        return None
    classes = tuple(document["data"]["classes"])
    same = recipe.digest() == current.recipe.digest() and classes == tuple(current.data.classes)
    # a class that appeared since is none of the champion's: its fits are known by the classes of their time
    data = current.data if same else study.world.describe(recipe, classes)
    sources: dict[str, tuple[Source, ...]] = {
        column: tuple((name, "champion") for name in names) for column, names in document["sources"].items()
    }
    for names in sources.values():
        for name, _ in names:
            champion_of(study, name)
    candidate = study.new_candidate(node, "champion", recipe, data, document["cut_block"], sources)
    candidate.version = state.version
    if state.document is not None and isinstance(document.get("lineage"), str):
        candidate.told = (document["lineage"], state.document.pack)
    if tuple(document["data"]["classes"]) == tuple(data.classes):
        candidate.recorded = document["fits"]  # else its models have other outputs: they are made again
    return candidate


def _readable(recipe: Recipe, table: Table) -> bool:
    """True where the data still has the columns that a recipe learns from."""
    folds = recipe.scheme.column if isinstance(recipe.scheme, FoldScheme) else None
    optional = (recipe.target.known_at, recipe.weight.column, recipe.train_where, folds)
    return {*recipe.features, recipe.target.column, *filter(None, optional)} <= table.columns.keys()


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
