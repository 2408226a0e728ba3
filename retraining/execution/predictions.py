"""Makes columns: each block or fold predicted by a fit that never saw it.

Every fit that is asked for goes through `predictions`: what is in the store is read, the rest
becomes tasks.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from retraining.data.columns import align_classes
from retraining.data.labels import Classes
from retraining.decide.fits import Context, LeftOut, contexts
from retraining.decide.lineage import Handed
from retraining.errors import IntegrityError, NotFoundError
from retraining.execution.candidates import (
    Candidate,
    kept_fits,
    shipped_fit,
)
from retraining.execution.champions import GONE, version_of_side
from retraining.execution.flows import Flow, Key
from retraining.execution.inputs import prepare_contexts
from retraining.execution.keys import ColumnOf, Done
from retraining.execution.study import ColumnValues, Study
from retraining.execution.tasks import FitKind, FitTask, Piece, TaskResult
from retraining.execution.work import array_from
from retraining.manifest.values import TimeScheme
from retraining.store.packs import StoredRecord, read_blob

#: A turn for the models that cannot be read, one for the columns, and some for what others find meanwhile.
_MOST_TURNS = 10


def column(study: Study, key: ColumnOf) -> Flow:
    """The honest predictions of one version: each block or fold by a fit that never saw it."""
    candidate = version_of_side(study, key.node, key.side)
    empty, nowhere = np.zeros((0, 1)), np.zeros(0, np.int32)
    if candidate is None:
        none = np.zeros(0, np.intp)
        return ColumnValues(rows=none, values=empty, origin=nowhere, first=None, error=GONE)
    wanted = candidate.column_fits(key.context)
    error = yield from prepare_contexts(study, candidate, wanted)
    if error is not None:
        rows = candidate.rows.rows
        return ColumnValues(rows=rows, values=empty, origin=nowhere, first=None, error=error)
    fits = candidate.possible(wanted)
    kind: FitKind = "block" if key.side == "challenger" else "champion"
    # what will ship is made once: the block fit that predicts the newest rows is the shipped fit
    ships = {shipped_fit(candidate)} if key.side == "challenger" else set()
    origin = unknown_origin(candidate)
    values, error = yield from predictions(
        study,
        candidate,
        fits,
        kind,
        keep_models_of=ships,
        keep_made=kept_fits(fits, study.world.manifest.keep_fits),
        origin=origin,
    )
    first = min((part for parts in fits.values() for part in parts), default=None)
    rows = candidate.rows.rows
    return ColumnValues(rows=rows, values=values, origin=origin, first=first, error=error)


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
    keep_made: Collection[LeftOut] = (),
    origin: NDArray[np.int32] | None = None,
) -> Flow:
    """The predictions of some fits on the node's rows (NaN elsewhere), and an error or None.

    The models of `keep_models_of` (`keep_model`: of all) are there afterwards; those of `keep_made` are kept
    where the fit is made anyway. What the store has and cannot be read, a column or the model of a cached
    fit, is made again.
    Where `origin` is given the candidate takes the pieces among those that it hands down, and each row's
    piece is filled in there.
    """
    models = fits if keep_model else keep_models_of
    for _ in range(_MOST_TURNS):
        error = yield from _base_models(study, candidate, fits)
        if error is not None:
            return np.full((len(candidate.rows.rows), candidate.width), np.nan), error
        tasks, pieces = _wanted(study, candidate, fits, kind, models, keep_made)
        done = yield _do(study, candidate, tasks)
        _count(candidate, tasks, done)
        damaged = [task for task, result in zip(tasks, done, strict=True) if result.damaged]
        values = np.full((len(candidate.rows.rows), candidate.width), np.nan)
        error = next((result.error for result in done if result.error and not result.damaged), None)
        error = error or next(filter(None, (_forget(study, candidate, task) for task in damaged)), None)
        if error is not None:
            return values, error
        lacking = _read(study, candidate, pieces, values, origin)
        if not damaged and not lacking:
            candidate.counts["reused"] = candidate.counts.get("reused", 0) + len(fits) - len(tasks)
            return values, None
    return values, f"the predictions of {candidate.node} are damaged in the store as often as they are made"


def _base_models(study: Study, candidate: Candidate, fits: Mapping[LeftOut, Sequence[int]]) -> Flow:
    """Makes the fits again that a champion fed with other columns lacks the models of; an error or None.

    They learn from the champion's own columns: only what they are fed with is new.
    """
    if candidate.base is None:
        return None
    wanted: dict[LeftOut, list[int]] = {
        left_out: []
        for left_out, parts in fits.items()
        if candidate.needs_model(left_out, parts, study.results)
    }
    if not wanted:
        return None
    _, error = yield from predictions(study, candidate.base, wanted, "champion", keep_model=True)
    return error


def unknown_origin(candidate: Candidate) -> NDArray[np.int32]:
    """For each of a candidate's rows: no piece yet."""
    return np.full(len(candidate.rows.rows), -1, np.int32)


def stored_model(study: Study, candidate: Candidate, left_out: LeftOut) -> Flow:
    """Makes a fit of an earlier run again if its stored model cannot be read; the value is an error or None."""
    fingerprint = candidate.made[str(left_out)]
    record = study.results.find("fit", fingerprint)
    pointer = record.blob("model") if record is not None else None
    if pointer is None or ("fit", fingerprint) in study.made:
        return None
    try:
        read_blob(study.world.objects, pointer)
    except (IntegrityError, NotFoundError):
        study.results.discard("fit", fingerprint)
        _, error = yield from predictions(study, candidate, {left_out: []}, "shipped", keep_model=True)
        return error
    return None


def _wanted(
    study: Study,
    candidate: Candidate,
    fits: Mapping[LeftOut, Sequence[int]],
    kind: FitKind,
    models: Collection[LeftOut],
    keep_made: Collection[LeftOut],
) -> tuple[list[FitTask], list[Piece]]:
    """The tasks that are still to be done for some fits, and the pieces that are there after them."""
    results = study.known_results(candidate)
    tasks: list[FitTask] = []
    pieces: list[Piece] = []
    for left_out, parts in fits.items():
        task, wanted = candidate.task(
            left_out,
            parts,
            kind,
            results,
            keep_model=left_out in models,
            keep_made=left_out in keep_made,
        )
        # a fit of the lattice predicts all its folds, and this column takes only its own from it
        pieces += [piece for piece in wanted if piece.part in parts]
        if task is not None:
            tasks.append(task)
    return tasks, pieces


def _read(
    study: Study,
    candidate: Candidate,
    pieces: Sequence[Piece],
    values: NDArray[np.float64],
    origin: NDArray[np.int32] | None,
) -> list[Piece]:
    """Fills in pieces; those that an earlier run left damaged, or that are gone, are forgotten and answered."""
    records = [study.results.find("column", piece.fingerprint) for piece in pieces]
    pointers = [record.blob("column") if record is not None else None for record in records]
    present = [
        (piece, record, pointer)
        for piece, record, pointer in zip(pieces, records, pointers, strict=True)
        if record is not None and pointer is not None
    ]
    lacking = [piece for piece, pointer in zip(pieces, pointers, strict=True) if pointer is None]
    try:
        read = study.columns.read(study.world.objects, [pointer for _, _, pointer in present])
    except (IntegrityError, NotFoundError):
        if len(present) > 1:  # one by one: the others are as good as ever
            alone = ([one] for one, _, _ in present)
            return lacking + [bad for one in alone for bad in _read(study, candidate, one, values, origin)]
        (piece, _, _), *_ = present
        if ("column", piece.fingerprint) in study.made:
            raise  # written a moment ago: this store cannot be worked with
        study.results.discard("column", piece.fingerprint)
        return [*lacking, piece]
    own = candidate.data.classes
    for (piece, record, _), data in zip(present, read, strict=True):
        at = candidate.rows.part == piece.part
        # a fit knows the classes of its own rows alone
        values[at] = align_classes(array_from(data), piece_classes(record, own), own)
        if origin is not None:
            origin[at] = candidate.hand(_handed(piece, record))
    return lacking


def piece_classes(record: StoredRecord, classes: Classes) -> Classes:
    """The classes in the order of a piece's columns; `classes` where it was made before fits had their own."""
    told = record.metrics.get("classes")
    return (
        tuple(value for value in told if isinstance(value, str | int | float))
        if isinstance(told, list)
        else classes
    )


def _handed(piece: Piece, record: StoredRecord) -> Handed:
    """A piece as its own record tells it."""
    told = record.metrics
    rows, keys, decided_from = told.get("rows"), told.get("keys"), told.get("decided_from")
    return Handed(
        fingerprint=piece.fingerprint,
        fit=str(record.parts.get("fit")),
        part=piece.part,
        rows=rows if isinstance(rows, int) else 0,
        keys=keys if isinstance(keys, str) else None,
        decided_from=decided_from if isinstance(decided_from, int) else None,
    )


def _forget(study: Study, candidate: Candidate, task: FitTask) -> str | None:
    """Forgets a stored model that cannot be read; an error where only that very model would do.

    A released model is not replaced in silence by one that today's rows make.
    """
    node = candidate.node
    candidate = candidate.base or candidate
    released = candidate.side == "champion" and task.left_out == shipped_fit(candidate)
    if released and candidate.evidence.fit(task.left_out) != task.fingerprint and not study.forced(node):
        assert task.model is not None
        return (
            f"the released model of {node} cannot be read from {task.model.pack}: "
            f"restore that file, or make a new one with `retrain run --force {node}`"
        )
    study.results.discard("fit", task.fingerprint)
    candidate.damaged.add(str(task.left_out))
    return None


def _count(candidate: Candidate, tasks: Sequence[FitTask], done: Sequence[TaskResult]) -> None:
    for task, result in zip(tasks, done, strict=True):
        if result.damaged:
            continue
        word = "made" if task.model is None and not result.shared else "reused"
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
