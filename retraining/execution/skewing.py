"""Measures the skew of a challenger's edges, on the columns that were assembled for it (`decide.skew`)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from retraining.data.columns import UpstreamColumn
from retraining.decide.calendar import Calendar
from retraining.decide.fits import Context
from retraining.decide.skew import MIN_SKEW_ROWS, Skew, Where
from retraining.decide.verdicts import with_checks
from retraining.execution.candidates import Candidate, block_days, shipped_fit
from retraining.execution.study import Floats, NodeResult, Study
from retraining.learn.comparison import psi
from retraining.manifest.values import Input

__all__ = ["check_skew", "skew_of"]


def check_skew(study: Study, result: NodeResult) -> None:
    """Measures the skew of a judged challenger, which can take a promotion back where an edge has a limit."""
    if result.candidate is None or result.verdict is None:
        return
    result.skew = skew_of(study, result.candidate)
    checks = tuple(one.check() for one in result.skew)
    result.verdict = with_checks(result.verdict, checks, "an upstream column is skewed")
    result.outcome, result.because = result.verdict.word, result.verdict.because


def skew_of(study: Study, candidate: Candidate) -> tuple[Skew, ...]:
    """The skew of each input of a challenger; the contexts of its gate fits and its shipped fit must be prepared.

    Time scheme: its newest training rows against rows that it did not learn from, which its upstreams' shipped
    fits predict. Fold scheme, where every row was learnt from: each fold by fits that also left out the next one
    against the column itself, which stands for the step from there to the shipped fit.
    """
    measure = _by_folds if candidate.cut is None else _by_time
    return tuple(measure(study, candidate, place, item) for place, item in enumerate(candidate.recipe.inputs))


def _by_time(study: Study, candidate: Candidate, place: int, item: Input) -> Skew:
    values, names = _column(study, candidate, place, None)
    rows = candidate.rows
    learnt = np.zeros(len(rows.rows), bool)
    learnt[candidate.training_rows(shipped_fit(candidate))] = True
    compared = rows.part >= _served_from(study, candidate, item)
    where: Where = "fresh"
    if not (compared & _present(values)).any():
        where, compared = "holdout", learnt & np.isin(rows.part, candidate.data.holdout)
        learnt = learnt & ~np.isin(rows.part, candidate.data.holdout)
    learnt = _newest(candidate, learnt, values)
    return _measured(study, candidate, item, names, values, learnt, values, compared, where)


def _by_folds(study: Study, candidate: Candidate, place: int, item: Input) -> Skew:
    values, names = _column(study, candidate, place, frozenset())
    rows, parts = candidate.rows, sorted(candidate.data.rows)
    earlier = np.full_like(values, np.nan)
    for at, part in enumerate(parts):
        context = frozenset({parts[(at + 1) % len(parts)]})
        if context in candidate.inputs:
            other, _ = _column(study, candidate, place, context)
            here = rows.part == part
            earlier[here] = other[here]
    both = rows.labelled & _present(values) & _present(earlier)
    return _measured(study, candidate, item, names, earlier, both, values, both, "folds")


def _measured(
    study: Study,
    candidate: Candidate,
    item: Input,
    names: tuple[str, ...],
    before: Floats,
    learnt: NDArray[np.bool_],
    after: Floats,
    compared: NDArray[np.bool_],
    where: Where,
) -> Skew:
    had, has = learnt & _present(before), compared & _present(after)
    found = {
        name: psi(before[had, output], after[has, output])
        for output, name in enumerate(names)
        if had.any() and has.any()
    }
    model = study.world.manifest.models[candidate.recipe.model]
    limits = {one.column: one.skew for one in model.inputs}
    worst = max(found, key=lambda name: found[name], default=names[0])
    return Skew(
        column=item.column,
        output=worst,
        psi=found.get(worst),
        limit=limits.get(item.column),
        where=where,
        learnt_rows=int(had.sum()),
        compared_rows=int(has.sum()),
        learnt_missing=int(learnt.sum() - had.sum()),
        compared_missing=int(compared.sum() - has.sum()),
        learnt_from=_day(candidate, had),
        compared_from=_day(candidate, has),
    )


def _column(
    study: Study, candidate: Candidate, place: int, context: Context
) -> tuple[Floats, tuple[str, ...]]:
    """An input on the candidate's rows, `(n_rows, n_outputs)`, and the names of its outputs."""
    spec = candidate.inputs[context][place]
    column = UpstreamColumn(
        values=np.asarray(study.arrays[spec.values], np.float64),
        join=None if spec.join is None else np.asarray(study.arrays[spec.join], np.intp),
        names=spec.names,
        policy=spec.policy,
    )
    return column.at(candidate.rows.rows), spec.names


def _served_from(study: Study, candidate: Candidate, item: Input) -> int:
    """The block from which on the reader learnt nothing and its upstreams predict by their shipped fits."""
    above = (study.candidate(name, side) for name, side in candidate.sources.get(item.column, ()))
    cuts = [candidate.cut, *(one.cut for one in above if one is not None)]
    return max(cut for cut in cuts if cut is not None)


def _newest(candidate: Candidate, learnt: NDArray[np.bool_], values: Floats) -> NDArray[np.bool_]:
    """The newest blocks of the training rows: as many as the holdout has, and enough rows to tell."""
    part, able = candidate.rows.part, learnt & _present(values)
    blocks, rows = np.unique(part[able], return_counts=True)
    if not len(blocks):
        return learnt
    enough = int(np.searchsorted(np.cumsum(rows[::-1]), MIN_SKEW_ROWS)) + 1
    first = blocks[-min(len(blocks), max(enough, len(candidate.data.holdout)))]
    return np.asarray(learnt & (part >= first))


def _present(values: Floats) -> NDArray[np.bool_]:
    return np.asarray(~np.isnan(values).any(axis=1))


def _day(candidate: Candidate, chosen: NDArray[np.bool_]) -> str | None:
    """The first day of the first block of some rows; None in the fold scheme."""
    if candidate.cut is None or not chosen.any():
        return None
    calendar = Calendar(candidate.recipe.timezone, block_days(candidate))
    return calendar.date(int(candidate.rows.part[chosen].min())).isoformat()
