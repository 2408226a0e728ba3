"""Measures a champion: its honest column before and since its cut, put together for a worker that adds it up.

Nothing is trained for it: blocks from the cut on come from the released model, earlier ones from the store. Only
the column of an upstream is made as for any reader, so that what of it was lost is made again.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from retraining.data.columns import align_classes
from retraining.data.labels import Classes
from retraining.data.rows import NodeRows
from retraining.decide.fits import Before, LeftOut, column_fit, fit_context
from retraining.decide.recipes import digest_of
from retraining.execution.candidates import Candidate, shipped_fit
from retraining.execution.champions import GONE, champion_of
from retraining.execution.flows import Flow
from retraining.execution.inputs import prepare_contexts
from retraining.execution.keys import Done
from retraining.execution.orders import Order
from retraining.execution.predictions import predictions
from retraining.execution.study import Floats, Study
from retraining.execution.tasks import MeasureTask
from retraining.manifest.own import own_metric

__all__ = ["measure"]


def measure(study: Study, node: str) -> Flow:
    """The flow that measures a node's champion as its order says; the value is an error or None."""
    order = study.world.orders[node]
    champion = champion_of(study, node)
    if champion is None:
        return GONE
    wanted: dict[LeftOut, list[int]] = {}
    for part in sorted({*order.reference, *order.since}):
        wanted.setdefault(_fit_of(champion, order, part), []).append(part)
    error = yield from prepare_contexts(study, champion, wanted)
    if error is not None:
        return error
    fits = {
        left_out: parts
        for left_out, parts in wanted.items()
        if not champion.needs_model(left_out, parts, study.results)
    }
    values, error = yield from predictions(study, champion, fits, "champion")
    if error is not None:
        return error
    lost = tuple(sorted(part for left_out, parts in wanted.items() if left_out not in fits for part in parts))
    task = _task(study, champion, order, fits, values, lost)
    study.submit(task, f"{champion.recipe.model} measure", study.paths.get(node, 0.0))
    (done,) = yield (Done(task=task.id),)
    return done.error


def _fit_of(champion: Candidate, order: Order, part: int) -> LeftOut:
    """The fit that a block's honest predictions come from: of those that it was judged on, the gate fit."""
    if champion.cut is not None and part in order.judged:
        return Before(min(champion.cut, *order.judged))
    return column_fit(part, champion.cut, None if champion.cut is not None else frozenset())


def _task(
    study: Study,
    champion: Candidate,
    order: Order,
    fits: Mapping[LeftOut, list[int]],
    values: Floats,
    lost: tuple[int, ...],
) -> MeasureTask:
    rows, classes, values = _labelled(study, champion, values)
    model = study.world.manifest.models[champion.recipe.model]
    counted = rows.labelled & rows.known_now & np.isin(rows.part, rows.mature)
    if rows.weight is not None:
        counted &= rows.weight > 0
    at_hand = np.zeros(len(rows.rows), bool)
    for left_out, parts in fits.items():
        here = np.isin(rows.part, parts)
        at_hand |= here
        # a row that was predicted counts whatever the prediction, as in a gate
        counted &= ~here | champion.usable[fit_context(left_out)]
    counted &= at_hand
    shipped = str(shipped_fit(champion))
    own = {name: own_metric(metric) for name, metric in model.own_metrics.items()}
    return MeasureTask(
        id=digest_of(["measure", champion.node, order.worth, *sorted(order.missing)]),
        node=champion.node,
        fit=champion.recorded[shipped]["fingerprint"] if shipped in champion.recorded else "",
        metrics=order.metrics,
        own_metrics={name: own[name] for name in order.metrics if name in own},
        task=champion.recipe.task,
        classes=classes,
        part=rows.part[at_hand],
        day=_units(rows, champion)[at_hand],
        target=rows.target[at_hand],
        counted=counted[at_hand],
        prediction=values[at_hand],
        weights=None if rows.weight is None else rows.weight[at_hand],
        records={
            part: name for part, name in {**order.reference, **order.since}.items() if part in order.missing
        },
        lost=lost,
        mature=frozenset(rows.mature),
        reference=frozenset(order.reference),
        judged=order.judged,
        since=tuple(sorted(part for part in order.since if part in rows.mature and part not in lost)),
        bins=order.bins,
        bins_key=order.bins_key,
        worth=order.worth,
        compared=order.compared,
        margin=model.gate.margin,
        seed=champion.recipe.fit_seed("worth"),
    )


def _labelled(study: Study, champion: Candidate, values: Floats) -> tuple[NodeRows, Classes, Floats]:
    """The rows with their labels as of now; a class that came after the champion's fits has the probability 0."""
    facts = study.world.facts[champion.node]
    if champion.recipe.digest() != facts.recipe.digest():
        return champion.rows, champion.data.classes, values
    classes = facts.data.classes
    return (
        study.world.rows(facts.recipe, classes),
        classes,
        align_classes(values, champion.data.classes, classes),
    )


def _units(rows: NodeRows, champion: Candidate) -> NDArray[np.int64]:
    """The day of each row; by folds its fold."""
    return rows.cluster if champion.cut is not None else rows.part.astype(np.int64)
