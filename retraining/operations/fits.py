"""The rows that a released fit learnt from, so that anyone can make it again with plain scikit-learn (design.md 10).

Keys, features and labels come from the data, upstream columns from the very predictions that the release's
lineage names; the digest of the keys must be the one that the worker noted when it made the fit.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from retraining.data.columns import (
    UpstreamColumn,
    align_classes,
    output_names,
    reader_column,
    unite,
    usable_rows,
)
from retraining.data.conversion import from_column
from retraining.data.evidence import RowEvidence
from retraining.data.labels import Classes
from retraining.decide.calendar import micros
from retraining.decide.fits import Context, LeftOut, fit_context, parse_left_out
from retraining.decide.lineage import Feed, Lineage, lineage_from_json
from retraining.decide.recipes import Recipe, recipe_from_json
from retraining.errors import DataError, InputError, NotFoundError
from retraining.execution.predictions import piece_classes
from retraining.execution.work import array_from
from retraining.graph.nodes import is_pool
from retraining.manifest import load_manifest
from retraining.manifest.given import given_data, given_text
from retraining.manifest.values import Input, Json
from retraining.operations.arguments import parse_moment, store_url
from retraining.operations.files import find_dataset_files
from retraining.operations.labels import PinnedFeedback
from retraining.operations.observe import Observation, observe
from retraining.store.documents import digest_of
from retraining.store.log import Store, open_store
from retraining.store.packs import read_blob, read_blobs, read_footer
from retraining.store.results import ResultIndex, load_results
from retraining.store.runs import run_key

__all__ = ["FitRows", "fit_rows"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FitRows:
    """What one fit learnt from, row by row in training order.

    `keys` are the rows' keys, `features` what the model was given, upstream columns first; `target` the
    labels and `weights` how much each row counted (None: all the same). `estimator`, `parameters` and `seed`
    (of every `random_state` that was not written) say what was fitted, `preprocess` what went before it.
    """

    node: str
    fit: str
    keys: pa.Table
    features: pa.Table
    target: pa.Array
    weights: pa.Array | None
    estimator: str
    parameters: Mapping[str, Json]
    preprocess: str
    seed: int


def fit_rows(
    manifest: str | Path,
    node: str,
    fit: str = "shipped",
    *,
    store: str | None = None,
    data: Mapping[str, str] | None = None,
) -> FitRows:
    """The rows that a fit of the current release learnt from, in training order.

    Parameters
    ----------
    manifest
        The manifest that the release was made with; its datasets are read.
    node
        The node's name, as in `arrival_delay[carrier=UA]`.
    fit
        `shipped`, `gate`, or what the fit left out as `retrain explain` shows it: `<1131` (all labels that
        were not known when block 1131 began) or `-2` and `-1,2` (folds).
    store
        The store, instead of the manifest's.
    data
        Other paths of datasets, by name.

    Raises
    ------
    NotFoundError
        If there is no such node or fit, or the store no longer has what the fit was fed with.
    DataError
        If the data are no longer those that the fit learnt from.
    """
    loaded = load_manifest(manifest)
    url = store_url(loaded, store)
    opened = open_store(url)
    node = given_text(node, "the node", "its name, as `retrain status` lists it")
    state = opened.read_head().nodes.get(node)
    if state is None or state.version is None or state.document is None:
        raise NotFoundError(
            f"{url}: no version of {node} is released", "`retrain status` lists the released nodes"
        )
    document: dict[str, Any] = json.loads(read_blob(opened.objects, state.document))
    run = opened.read_json(run_key(state.run))
    begun, through = run.get("as_of"), run.get("feedback_through", 0)
    if not isinstance(begun, str) or not isinstance(through, int):
        raise NotFoundError(
            f"the store does not tell the moment of run {state.run}, which made {node}",
            f"make the version anew: retrain run --force '{node}'",
        )
    as_of = parse_moment(begun, loaded.timezone)
    files = find_dataset_files(loaded, given_data(data))
    feedback = PinnedFeedback(store=opened, through=through)
    seen = observe(loaded, micros(as_of.astimezone(dt.UTC)), None, files, feedback=feedback)
    released = _Released(seen, opened, document, _lineages(opened, state.document.pack))
    return released.rows_of(_left_out(document, fit))


def _left_out(document: Mapping[str, Any], fit: str) -> LeftOut:
    """What the asked fit left out; NotFoundError where the release has no such fit."""
    block, holdout = document["cut_block"], document["data"]["holdout"]
    name = fit
    if fit == "shipped":
        name = "-" if block is None else f"<{block}"
    elif fit == "gate":
        if block is None:
            raise InputError(
                f"{document['node']} is judged by a fit for each fold", "name one: -0 left out fold 0"
            )
        name = f"<{min(block, holdout[0])}" if holdout else fit
    if name not in document["fits"]:
        have = ", ".join(sorted(document["fits"])[:8])
        raise NotFoundError(
            f"the released version of {document['node']} has no fit {fit!r}", f"it has shipped, gate, {have}"
        )
    return parse_left_out(name)


def _lineages(store: Store, pack: str) -> dict[str, Lineage]:
    pointers = [
        pointer
        for record in read_footer(store.objects, pack)
        for pointer in record.blobs
        if pointer.role == "lineage"
    ]
    bodies = read_blobs(store.objects, pointers)
    return {digest_of(body): lineage_from_json(json.loads(body)) for body in bodies}


@dataclass(slots=True)
class _Released:
    """A released version with the data that it was made from, as of its run."""

    seen: Observation
    store: Store
    document: Mapping[str, Any]
    lineages: Mapping[str, Lineage]
    _index: ResultIndex | None = None

    def rows_of(self, left_out: LeftOut) -> FitRows:
        """The rows of one fit."""
        recipe, classes = self._recipe(self.document)
        table = self.seen.tables({recipe.dataset: _columns(recipe)})[recipe.dataset]
        rows = self.seen.rows(recipe, classes)
        told = self._told()
        inputs = tuple(self._input(recipe, item, told, fit_context(left_out)) for item in recipe.inputs)
        chosen = rows.training(left_out, usable_rows(rows.rows, inputs))
        at = rows.rows[chosen]
        dataset = self.seen.datasets[recipe.dataset]
        evidence = RowEvidence(recipe=recipe, table=table, dataset=dataset, rows=rows.rows, part=rows.part)
        self._check(str(left_out), evidence.keys(chosen))
        weights = rows.fit_weights(left_out, chosen)
        handed = {
            name: values for one in inputs for name, values in zip(one.names, one.at(at).T, strict=True)
        }
        features = {name: pa.array(values, from_pandas=True) for name, values in handed.items()}
        features |= {name: from_column(table.columns[name].take(at)) for name in recipe.features}
        return FitRows(
            node=recipe.node,
            fit=str(left_out),
            keys=pa.table({name: from_column(table.columns[name].take(at)) for name in table.key}),
            features=pa.table(features),
            target=from_column(table.label(recipe.target.column).take(at)),
            weights=None if weights is None else pa.array(weights),
            estimator=recipe.estimator,
            parameters=dict(recipe.parameters),
            preprocess=recipe.preprocess,
            seed=recipe.fit_seed(left_out),
        )

    def _recipe(self, document: Mapping[str, Any]) -> tuple[Recipe, Classes]:
        return recipe_from_json(document["recipe"]), tuple(document["data"]["classes"])

    def _told(self) -> Lineage | None:
        """The version's lineage; a leaf needs none."""
        lineage = self.lineages.get(str(self.document.get("lineage")))
        if lineage is None and self.document["recipe"]["definition"]["inputs"]:
            raise NotFoundError(
                f"the store does not tell what fed {self.document['node']}",
                f"make the version anew: retrain run --force '{self.document['node']}'",
            )
        return lineage

    def _check(self, left_out: str, keys: str) -> None:
        trained = self.document["fits"][left_out].get("trained")
        if trained is not None and trained["keys"] != keys:
            raise DataError(
                f"{self.document['node']} {left_out}: the data are no longer those that this fit learnt from",
                "name the files as they were with `data`",
            )

    def _input(
        self, recipe: Recipe, item: Input, lineage: Lineage | None, context: Context
    ) -> UpstreamColumn:
        """An input's column, put together from the pieces that fed it."""
        feeds = () if lineage is None else lineage.feeds
        feed = next((one for one in feeds if (one.column, one.context) == (item.column, context)), None)
        if feed is None:
            raise NotFoundError(
                f"the store does not tell what fed {item.column} of {recipe.node}",
                f"make the version anew: retrain run --force '{recipe.node}'",
            )
        parts, first = [], None
        for place, digest in enumerate(feed.upstreams):
            upstream, classes = self._recipe(self._version(self.lineages[digest]))
            first = first or (upstream, classes)
            rows, values = self._predicted(feed, place, self.lineages[digest], upstream, classes)
            parts.append((is_pool(upstream.node), rows, values, classes))
        parts.sort(key=lambda part: part[0])
        task, classes = ("regression", ()) if first is None else (first[0].task, first[1])
        dataset = recipe.dataset if first is None else first[0].dataset
        united = unite(self.seen.tables()[dataset].n_rows, task, classes, [part[1:] for part in parts])
        names = output_names(item.column, task, classes)
        link = self.seen.link(recipe.dataset, item, dataset)
        return reader_column(item, link, united, names, recipe.missing_policy(item))

    def _predicted(
        self, feed: Feed, place: int, lineage: Lineage, recipe: Recipe, classes: Classes
    ) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
        """An upstream node's rows and its predictions of those parts that were read (NaN elsewhere)."""
        rows = self.seen.rows(recipe, classes)
        width = 1 if recipe.task == "regression" else len(classes)
        values = np.full((len(rows.rows), width), np.nan)
        read = sorted({cell.piece for cell in feed.cells if cell.upstream == place})
        pieces = [lineage.pieces[number] for number in read]
        pointers, own = [], []
        for piece in pieces:
            record = self._results().find("column", piece.fingerprint)
            pointer = record.blob("column") if record is not None else None
            if record is None or pointer is None:
                raise NotFoundError(
                    f"the store no longer has what {recipe.node} predicted for part {piece.part}",
                    f"make the version anew: retrain run --force '{self.document['node']}'",
                )
            pointers.append(pointer)
            own.append(piece_classes(record, classes))
        for piece, known, data in zip(pieces, own, read_blobs(self.store.objects, pointers), strict=True):
            values[rows.part == piece.part] = align_classes(array_from(data), known, classes)
        return rows.rows, values

    def _version(self, lineage: Lineage) -> Mapping[str, Any]:
        """The version document of an upstream."""
        record = self._results().find("version", lineage.version)
        pointer = record.blob("version") if record is not None else None
        if pointer is None:
            raise NotFoundError(
                f"the store no longer has the version {lineage.version} of {lineage.node}",
                f"make the version anew: retrain run --force '{self.document['node']}'",
            )
        document: dict[str, Any] = json.loads(read_blob(self.store.objects, pointer))
        return document

    def _results(self) -> ResultIndex:
        if self._index is None:
            self._index = load_results(self.store.objects)
        return self._index


def _columns(recipe: Recipe) -> set[str]:
    """The columns of its dataset that a recipe names, beside those of today's manifest."""
    optional = (recipe.target.known_at, recipe.weight.column, recipe.train_where)
    return {*recipe.features, recipe.target.column, *(name for name in optional if name is not None)}
