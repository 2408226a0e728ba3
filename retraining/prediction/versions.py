"""The released version of a node as it is served, and the columns of data that it needs.

A version comes from the store alone: its document has the recipe, the wiring and the declaration of
its dataset, and the shipped model lies where the head of the log says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from retraining.data.declarations import Declaration, declaration_from_json
from retraining.data.labels import Classes
from retraining.decide.fits import Before, parse_left_out
from retraining.decide.recipes import Recipe, recipe_from_json
from retraining.errors import IntegrityError
from retraining.manifest.catalog import estimators, gives_probabilities
from retraining.release.recorded import NOTHING_RECORDED, Recorded, recorded_of
from retraining.release.values import BlobPointer, NodeState
from retraining.store.documents import parse_document


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedVersion:
    """What is needed to predict with one node of a release.

    `classes` are in the order of the model's outputs, empty for regression; `graded` is True where a
    classifier gives probabilities. `sources` maps each input's column to the nodes that the version
    learnt it from; `made` is the moment of its release (ISO, UTC). `cut` is the block before which its fit
    ends (None in the fold scheme), `recorded` what its document tells of recorded columns, and `kept` are
    the stored models of its block fits by block.
    """

    node: str
    version: str
    recipe: Recipe
    classes: Classes
    graded: bool
    sources: Mapping[str, tuple[str, ...]]
    declaration: Declaration
    made: str
    cut: int | None = None
    recorded: Recorded = NOTHING_RECORDED
    kept: Mapping[int, BlobPointer] = field(default_factory=dict)

    @property
    def dataset(self) -> str:
        """The dataset whose rows it predicts."""
        return self.recipe.dataset

    @property
    def upstreams(self) -> tuple[str, ...]:
        """The nodes that it reads, sorted."""
        return tuple(sorted({name for names in self.sources.values() for name in names}))

    @property
    def width(self) -> int:
        """The number of outputs of its model."""
        return 1 if self.recipe.task == "regression" else len(self.classes)


def read_version(read: Callable[[BlobPointer], bytes], state: NodeState) -> ServedVersion:
    """The released version of a node; IntegrityError where its document does not describe one."""
    if state.document is None or state.artifact is None:
        raise _damaged(state, "it has no document or no model")
    return version_from(state, read(state.document))


def version_from(state: NodeState, data: bytes) -> ServedVersion:
    """The version that a stored document describes; IntegrityError where it describes none."""
    try:
        return _version(state, parse_document(data, f"the version document of {state.node}"))
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(state, f"its document lacks or garbles {error}") from error


def needed_columns(
    version: ServedVersion, versions: Mapping[str, ServedVersion]
) -> Iterator[tuple[str, str]]:
    """Pairs (dataset, column) that predicting with a version reads, its upstreams' own needs not included."""
    own = version.dataset
    recipe = version.recipe
    yield from ((own, name) for name in version.declaration.dataset.key)
    yield from ((own, name) for name, _ in recipe.partition)
    yield from ((own, name) for name in recipe.features)
    for item in recipe.inputs:
        names = version.sources.get(item.column, ())
        if not item.match or not names:
            continue
        upstream = versions[names[0]]
        yield from ((upstream.dataset, theirs) for theirs, _ in item.match)
        yield from ((own, mine) for _, mine in item.match)
        yield from _moments(version, upstream)


def _moments(version: ServedVersion, upstream: ServedVersion) -> Iterator[tuple[str, str]]:
    """The columns that say whether an upstream prediction existed when a row's own was made."""
    theirs = upstream.declaration.dataset
    if theirs.time is None or version.declaration.dataset.time is None:
        return
    yield version.dataset, version.declaration.dataset.time
    yield upstream.dataset, theirs.time
    if theirs.ingested is not None:
        yield upstream.dataset, theirs.ingested


def _version(state: NodeState, document: Mapping[str, Any]) -> ServedVersion:
    recipe = recipe_from_json(document["recipe"])
    return ServedVersion(
        node=state.node,
        version=state.version or "",
        recipe=recipe,
        classes=tuple(document["data"]["classes"]),
        graded=_graded(recipe),
        sources={column: tuple(names) for column, names in document["sources"].items()},
        declaration=declaration_from_json(recipe.dataset, document["datasets"][recipe.dataset]),
        made=state.time,
        cut=document["cut_block"],
        recorded=recorded_of(document),
        kept=_kept(document["fits"], document["cut_block"]),
    )


def _kept(fits: Mapping[str, Any], cut: int | None) -> dict[int, BlobPointer]:
    """The stored models of the fits that predict the blocks before the cut."""
    found: dict[int, BlobPointer] = {}
    for name, fit in fits.items():
        left_out = parse_left_out(name)
        if (
            fit["model"] is not None
            and cut is not None
            and isinstance(left_out, Before)
            and left_out.block < cut
        ):
            found[left_out.block] = BlobPointer.from_json(fit["model"])
    return found


def _graded(recipe: Recipe) -> bool:
    info = estimators().get(recipe.estimator)
    return recipe.probabilities if info is None else gives_probabilities(info, recipe.parameters)


def _damaged(state: NodeState, what: str) -> IntegrityError:
    return IntegrityError(
        f"the released version of {state.node} cannot be served: {what}",
        f"make it again: retrain run MANIFEST --force '{state.node}'",
    )
