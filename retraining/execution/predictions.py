"""Makes columns: each block or fold predicted by a fit that never saw it.

Every fit that is asked for goes through `predictions`: what is in the store is read, the rest
becomes tasks.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from retraining.decide.fits import Context, LeftOut, contexts
from retraining.execution.candidates import (
    Candidate,
    shipped_fit,
)
from retraining.execution.champions import champion_of
from retraining.execution.flows import Flow, Key
from retraining.execution.inputs import prepare_contexts
from retraining.execution.study import (
    ColumnOf,
    ColumnValues,
    Done,
    Study,
)
from retraining.execution.tasks import FitKind, FitTask, Piece, TaskResult
from retraining.execution.work import array_from
from retraining.manifest.values import TimeScheme
from retraining.release.values import BlobPointer


def column(study: Study, key: ColumnOf) -> Flow:
    """The honest predictions of one version: each block or fold by a fit that never saw it."""
    if key.side == "challenger":
        candidate: Candidate | None = study.challengers[key.node]
    else:
        candidate = champion_of(study, key.node)
    empty = np.zeros((0, 1))
    if candidate is None:
        reason = "the champion's recorded columns are no longer in the data"
        return ColumnValues(rows=np.zeros(0, np.intp), values=empty, first=None, error=reason)
    wanted = candidate.column_fits(key.context)
    error = yield from prepare_contexts(study, candidate, wanted)
    if error is not None:
        return ColumnValues(rows=candidate.rows.rows, values=empty, first=None, error=error)
    fits = candidate.possible(wanted)
    keep = candidate.cut is None  # folds: a later column needs every fit of the lattice again
    kind: FitKind = "block" if key.side == "challenger" else "champion"
    # what will ship is made once: the block fit that predicts the newest rows is the shipped fit
    ships = {shipped_fit(candidate)} if key.side == "challenger" else set()
    values, error = yield from predictions(
        study, candidate, fits, kind, keep_model=keep, keep_models_of=ships
    )
    first = min((part for parts in fits.values() for part in parts), default=None)
    return ColumnValues(rows=candidate.rows.rows, values=values, first=first, error=error)


def reader_columns(study: Study, node: str, candidate: Candidate) -> Flow:
    """Makes the columns that a winner's readers ask for; the value is an error or None."""
    asked: list[Context] = [None]
    scheme = candidate.recipe.scheme
    if not isinstance(scheme, TimeScheme):
        asked = list(contexts(scheme.folds, study.readers[node]))
    found = yield tuple(ColumnOf(node=node, side="challenger", context=context) for context in asked)
    return next((column.error for column in found if column.error is not None), None)


def predictions(
    study: Study,
    candidate: Candidate,
    fits: Mapping[LeftOut, Sequence[int]],
    kind: FitKind,
    *,
    keep_model: bool = False,
    keep_models_of: Collection[LeftOut] = (),
) -> Flow:
    """The predictions of some fits on the node's rows (NaN elsewhere), and an error or None."""
    results = study.known_results(candidate)
    pieces: list[Piece] = []
    tasks: list[FitTask] = []
    for left_out, parts in fits.items():
        keep = keep_model or left_out in keep_models_of
        task, wanted = candidate.task(left_out, parts, kind, results, keep_model=keep)
        # a fit of the lattice predicts all its folds, and this column takes only its own from it
        pieces += [piece for piece in wanted if piece.part in parts]
        if task is not None:
            tasks.append(task)
        else:
            candidate.counts["reused"] = candidate.counts.get("reused", 0) + 1
    done = yield _do(study, candidate, tasks)
    _count(candidate, tasks, done)
    values = np.full((len(candidate.rows.rows), candidate.width), np.nan)
    error = next((result.error for result in done if result.error is not None), None)
    if error is not None:
        return values, error
    pointers: list[BlobPointer] = []
    for piece in pieces:
        record = study.results.find("column", piece.fingerprint)
        pointer = record.blob("column") if record is not None else None
        if pointer is None:
            return values, f"the predictions of {candidate.node} on part {piece.part} are not in the store"
        pointers.append(pointer)
    for piece, data in zip(pieces, study.columns.read(study.world.objects, pointers), strict=True):
        values[candidate.rows.part == piece.part] = array_from(data)
    return values, None


def _count(candidate: Candidate, tasks: Sequence[FitTask], done: Sequence[TaskResult]) -> None:
    for task, result in zip(tasks, done, strict=True):
        word = "made" if task.model is None else "reused"
        candidate.counts[word] = candidate.counts.get(word, 0) + 1
        candidate.seconds += result.ended - result.started
        candidate.peak_bytes = max(candidate.peak_bytes, result.peak_bytes)


def _do(study: Study, candidate: Candidate, tasks: Sequence[FitTask]) -> tuple[Key, ...]:
    low = {"shipped", "comparison"}
    for task in tasks:
        # what ships and what only compares is off the critical path
        priority = 0.0 if task.kind in low else study.paths.get(task.node, 0.0)
        study.submit(task, candidate.recipe.model, priority)
    return tuple(Done(task=task.id) for task in tasks)
