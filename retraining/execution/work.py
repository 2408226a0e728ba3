"""The task body: the same function for the serial backend and for Ray (docs/design.md 12).

It gets text, digests and keys, builds everything else here, and writes one pack for a batch. A
task's own failure is a value; only the store's failure ends the batch.
"""

from __future__ import annotations

import io
import os
import resource
import socket
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from retraining.data.columns import Matrix, UpstreamColumn, assemble, usable_rows
from retraining.data.evidence import RowEvidence
from retraining.data.rows import NodeRows, node_rows
from retraining.data.tables import Table
from retraining.decide.recipes import Recipe
from retraining.errors import InputError, IntegrityError, NotFoundError, StoreError
from retraining.execution.counting import profile_records
from retraining.execution.reducing import measure_records
from retraining.execution.scoring import score_task
from retraining.execution.tasks import Batch, BatchResult, FitTask, MeasureTask, ProfileTask, Task, TaskResult
from retraining.learn.estimators import EstimatorSpec, FitError
from retraining.learn.features import Features
from retraining.learn.fitting import FittedModel, fit
from retraining.learn.narrowing import narrowed
from retraining.learn.persistence import JOBLIB_FORMAT, dump, format_of, load
from retraining.learn.repeating import check_repeats
from retraining.learn.source import check_source
from retraining.learn.storable import joblib_refused
from retraining.learn.threads import one_thread
from retraining.manifest.own import is_own
from retraining.manifest.permissions import Permissions
from retraining.manifest.values import Dataset, Json
from retraining.store.objects import Objects
from retraining.store.packs import Blob, Record, StoredRecord, build_pack, read_blob

# More than this in one answer would crowd Ray's object store; the driver reads the rest from the pack.
_HANDED_OVER_BYTES = 8 * 1024 * 1024

#: Rows on which a stored model must predict what the fitted one did.
RELOAD_ROWS = 1_000


class Resources(Protocol):
    """What a backend supplies to the task body."""

    objects: Objects
    permissions: Permissions

    def table(self, dataset: str) -> Table:
        """The table of a dataset."""
        ...

    def dataset(self, dataset: str) -> Dataset:
        """The declaration of a dataset."""
        ...

    def array(self, key: str) -> NDArray[np.generic]:
        """A column's values or a join, by key."""
        ...


@dataclass(slots=True)
class _Cache:
    """The rows of the last node: fits of one node share a batch, and their rows do not change."""

    key: tuple[object, ...] = ()
    rows: NodeRows | None = None
    evidence: RowEvidence | None = None
    kept: dict[str, object] = field(default_factory=dict)


def execute(
    batch: Batch,
    resources: Resources,
    stop: Callable[[], bool] = lambda: False,
    interruptible: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> BatchResult:
    """Does a batch's tasks one after the other and stores what they made in one pack.

    `stop` is asked between tasks, so that an interrupted batch still stores what it finished; a
    KeyboardInterrupt inside `interruptible()`, which wraps each task, ends the batch in the same way.
    """
    cache = _Cache()
    records: list[Record] = []
    owners: list[int] = []
    results: list[TaskResult] = []
    with one_thread():
        for task in batch.tasks:
            if stop():
                break
            try:
                with interruptible():
                    result, made = _attempt(task, resources, cache)
            except KeyboardInterrupt:
                break
            owners += [len(results)] * len(made)
            records += made
            results.append(result)
    columns: dict[str, bytes] = {}
    if records:
        body, stored = build_pack(batch.pack, records)
        columns = _handed_over(records, stored)
        resources.objects.put(batch.pack, body)
        results = [
            TaskResult(
                id=result.id,
                records=tuple(one for one, owner in zip(stored, owners, strict=True) if owner == index),
                scores=result.scores,
                error=result.error,
                damaged=result.damaged,
                started=result.started,
                ended=result.ended,
                worker=result.worker,
                peak_bytes=result.peak_bytes,
            )
            for index, result in enumerate(results)
        ]
    return BatchResult(batch=batch, results=tuple(results), columns=columns)


def _handed_over(records: Sequence[Record], stored: Sequence[StoredRecord]) -> dict[str, bytes]:
    """The columns that travel with the result, by digest, up to a limit for the whole batch."""
    columns: dict[str, bytes] = {}
    left = _HANDED_OVER_BYTES
    for record, places in zip(records, stored, strict=True):
        for blob, place in zip(record.blobs, places.blobs, strict=True):
            if blob.role == "column" and place.digest not in columns and len(blob.data) <= left:
                columns[place.digest] = blob.data
                left -= len(blob.data)
    return columns


def _attempt(task: Task, resources: Resources, cache: _Cache) -> tuple[TaskResult, list[Record]]:
    started = time.time()
    records: list[Record] = []
    scores: dict[str, Json] = {}
    error: str | None = None
    damaged = False
    try:
        if isinstance(task, FitTask):
            records = _fit_records(task, resources, cache)
        elif isinstance(task, MeasureTask):
            records = measure_records(task, resources.permissions)
        elif isinstance(task, ProfileTask):
            rows, _ = _rows_of(task, resources, cache)
            records = profile_records(task, resources.table(task.recipe.dataset), rows)
        else:
            scores = score_task(task, resources.permissions)
    except FitError as failure:
        error = str(failure)
    except (IntegrityError, NotFoundError) as failure:
        # a task reads nothing of the store but the model that it names
        error, damaged = failure.message, True
    except StoreError:
        raise
    except InputError as failure:  # code that was not allowed
        error = str(failure)
    except MemoryError:
        error = "MemoryError: the fit needs more memory than the worker has"
    except Exception as failure:  # noqa: BLE001 - whatever a model raises must fail that model alone
        error = f"{type(failure).__name__}: {str(failure)[:2000]}"
    # ru_maxrss is in bytes on macOS and in KiB elsewhere
    unit = 1 if sys.platform == "darwin" else 1024
    result = TaskResult(
        id=task.id,
        scores=scores,
        error=error,
        damaged=damaged,
        started=started,
        ended=time.time(),
        worker=f"{socket.gethostname()}:{os.getpid()}",
        peak_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit,
    )
    return result, records


def _fit_records(task: FitTask, resources: Resources, cache: _Cache) -> list[Record]:
    recipe = task.recipe
    table = resources.table(recipe.dataset)
    rows, evidence = _rows_of(task, resources, cache)
    inputs = tuple(
        UpstreamColumn(
            values=resources.array(item.values).astype(np.float64, copy=False),
            join=None if item.join is None else resources.array(item.join).astype(np.intp, copy=False),
            names=item.names,
            policy=item.policy,
        )
        for item in task.inputs
    )
    usable = usable_rows(rows.rows, inputs)
    records: list[Record] = []
    if task.model is not None:
        if task.model.format == JOBLIB_FORMAT and not resources.permissions.joblib:
            raise joblib_refused(f"the model of {task.node}")
        data = read_blob(resources.objects, task.model)
        model = load(data, resources.permissions, f"the model of {task.node}")
    else:
        chosen = rows.training(task.left_out, usable)
        matrix = assemble(recipe, table, rows.rows[chosen], inputs)
        target = rows.target[chosen]
        seed = recipe.fit_seed(task.left_out)
        weights = rows.fit_weights(task.left_out, chosen)
        spec = estimator_spec(recipe, task.classes)
        if recipe.task == "classification" and not recipe.target.classes:
            spec, target = narrowed(spec, target)
        permissions = resources.permissions
        check_source(recipe.estimator, recipe.source, permissions)
        model = fit(
            spec,
            features(matrix),
            target,
            weights=weights,
            seed=seed,
            permissions=permissions,
            degenerate=recipe.degenerate,
        )
        made = _model_record(task, model, matrix, target, permissions)
        records.append(replace(made, metrics={**made.metrics, "trained": evidence.trained(chosen).to_json()}))
    for piece in task.pieces:
        at = np.flatnonzero(rows.part == piece.part)
        found = np.full((len(at), model.spec.n_outputs), np.nan)
        able = usable[at]
        if able.any():
            matrix = assemble(recipe, table, rows.rows[at[able]], inputs)
            found[able] = model.predict(features(matrix))
        blob = Blob(role="column", format="npy", data=array_bytes(found))
        records.append(
            Record(
                action="column",
                fingerprint=piece.fingerprint,
                parts={"fit": task.fingerprint, "part": piece.part},
                blobs=(blob,),
                metrics={
                    "rows": len(at),
                    "finite": bool(np.isfinite(found[able]).all()),
                    "keys": evidence.keys(at),
                    "decided_from": evidence.decided_from(at),
                    **({"classes": list(model.classes)} if model.classes else {}),
                },
            )
        )
    return records


def _model_record(
    task: FitTask, model: FittedModel, matrix: Matrix, target: NDArray[np.generic], permissions: Permissions
) -> Record:
    metrics: dict[str, Json] = {"rows": len(target)}
    if model.is_prior:
        metrics["degenerate"] = "prior"
    blobs: tuple[Blob, ...] = ()
    if task.keep_model:
        data = dump(model, permissions)
        blobs = (Blob(role="model", format=format_of(data), data=data),)
        if task.check_reload:
            sample = features(matrix).take(np.arange(min(len(target), RELOAD_ROWS)))
            metrics["reload_equal"] = bool(
                np.array_equal(load(data, permissions).predict(sample), model.predict(sample), equal_nan=True)
            )
            if model.spec.own:
                check_repeats(model.spec, features(matrix), target, model.seed, permissions)
    parts: dict[str, Json] = {"node": task.node, "left_out": str(task.left_out)}
    return Record(action="fit", fingerprint=task.fingerprint, parts=parts, blobs=blobs, metrics=metrics)


def _rows_of(
    task: FitTask | ProfileTask, resources: Resources, cache: _Cache
) -> tuple[NodeRows, RowEvidence]:
    recipe = task.recipe
    key = (recipe.node, recipe.fit_digest(), task.classes, task.as_of)
    if cache.rows is None or cache.evidence is None or cache.key != key:
        dataset, table = resources.dataset(recipe.dataset), resources.table(recipe.dataset)
        cache.rows = node_rows(recipe, table, dataset, task.as_of, task.classes)
        cache.evidence = RowEvidence(
            recipe=recipe, table=table, dataset=dataset, rows=cache.rows.rows, part=cache.rows.part
        )
        cache.key = key
    return cache.rows, cache.evidence


def estimator_spec(recipe: Recipe, classes: tuple[str | int | float | bool, ...]) -> EstimatorSpec:
    """The estimator of a recipe, as the learn room names it."""
    return EstimatorSpec(
        type=recipe.estimator,
        module=recipe.module,
        parameters=recipe.parameters,
        preprocess=recipe.preprocess,
        task=recipe.task,
        classes=classes,
        accepts_nan=recipe.accepts_nan,
        needs_scaling=recipe.needs_scaling,
        graded=recipe.probabilities or not is_own(recipe.estimator),
    )


def features(matrix: Matrix) -> Features:
    """An assembled matrix as the learn room names it."""
    return Features(names=matrix.names, values=matrix.values, categories=matrix.categories)


def array_bytes(values: NDArray[np.float64]) -> bytes:
    """An array in numpy's own format."""
    buffer = io.BytesIO()
    np.save(buffer, np.ascontiguousarray(values), allow_pickle=False)
    return buffer.getvalue()


def array_from(data: bytes) -> NDArray[np.float64]:
    """The inverse of `array_bytes`."""
    loaded = np.load(io.BytesIO(data), allow_pickle=False)
    return np.asarray(loaded, np.float64)
