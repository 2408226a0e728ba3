"""Makes what is served, off the critical path, and checks it against its own gate fit (MANIFEST 1)."""

from __future__ import annotations

import numpy as np

from retraining.decide.fits import Folds, LeftOut
from retraining.decide.gates import (
    Check,
    with_checks,
)
from retraining.execution.candidates import (
    Candidate,
    fresh_parts,
    gate_fits,
    shipped_fit,
    trained_labels,
)
from retraining.execution.flows import Flow
from retraining.execution.inputs import prepare_contexts
from retraining.execution.predictions import predictions
from retraining.execution.study import (
    Floats,
    Settle,
    Study,
)
from retraining.learn.comparison import psi

#: Rows that neither fit learnt from, below which a shift is only reported (PSI of a few hundred rows is noise).
MIN_SHIFT_ROWS = 500


def ship(study: Study, node: str) -> Flow:
    """The flow that makes and checks what a winner serves; it may take the promotion back."""
    (result,) = yield (Settle(node=node),)
    if not result.won:
        return None
    candidate = result.candidate
    gate = candidate.possible(gate_fits(candidate))
    shipped = shipped_fit(candidate)
    model = study.world.manifest.models[candidate.recipe.model]
    if candidate.cut is None:
        # like with like: both fits learnt from fold 0
        other = Folds(frozenset({1}))
        error = yield from prepare_contexts(study, candidate, {other: [0]})
        compared: dict[LeftOut, list[int]] = {other: [0]}
        parts = [0]
    else:
        error, compared, parts = None, {}, sorted({*candidate.data.holdout, *fresh_parts(candidate)})
    if error is None and shipped not in gate:
        values, error = yield from predictions(study, candidate, {shipped: parts}, "shipped", keep_model=True)
        if error is None:
            source = compared or {next(iter(gate)): parts}
            reference, error = yield from predictions(study, candidate, source, "gate", keep_model=True)
    if error is not None:
        result.outcome, result.because, result.error = "failed", error, error
        return None
    checks = list(_model_checks(study, candidate, shipped))
    if shipped not in gate:
        checks.append(_shift(candidate, reference, values, model.gate.refit_shift))
    result.verdict = with_checks(result.verdict, tuple(checks))
    result.outcome, result.because = result.verdict.word, result.verdict.because
    return None


def _model_checks(study: Study, candidate: Candidate, shipped: LeftOut) -> list[Check]:
    record = study.results.find("fit", candidate.made[str(shipped)])
    reload_equal = bool(record.metrics.get("reload_equal", True)) if record is not None else False
    note = (
        "the stored model predicts what the fitted one did"
        if reload_equal
        else "the stored model predicts otherwise"
    )
    return [Check(name="reload", value=None, limit=None, passed=reload_equal, note=note)]


def _shift(candidate: Candidate, gate: Floats, shipped: Floats, limit: float) -> Check:
    """The shift of predictions between gate fit and shipped fit (MANIFEST 1)."""
    both = ~np.isnan(gate).any(axis=1) & ~np.isnan(shipped).any(axis=1)
    finite = bool(np.isfinite(shipped[both]).all())
    if not finite:
        return Check(
            name="finite", value=None, limit=None, passed=False, note="it predicts values that are not finite"
        )
    blocking, where = True, "on rows that neither fit learnt from"
    chosen = both
    if candidate.cut is not None:
        unseen = both & ~trained_labels(candidate, shipped_fit(candidate))
        blocking = int(unseen.sum()) >= MIN_SHIFT_ROWS
        chosen = unseen if blocking else both
        where = where if blocking else "on the holdout, which the shipped fit learnt from (reported only)"
    else:
        where = "on fold 0, which both fits learnt from"
    # the last output: the value, or the probability of the last class
    shift = psi(gate[chosen, -1], shipped[chosen, -1]) if chosen.any() else 0.0
    note = f"predictions shift by PSI {shift:.3f} between gate fit and shipped fit {where}"
    return Check(
        name="shift",
        value=shift,
        limit=limit,
        passed=shift <= limit or not blocking,
        note=note,
        blocking=blocking,
    )
