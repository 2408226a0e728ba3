"""Makes what is served, off the critical path, and checks it against its own gate fit (docs/design.md 1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from retraining.decide.evidence import Check
from retraining.decide.fits import LeftOut, fit_context
from retraining.decide.verdicts import with_checks, with_notes
from retraining.decide.wording import counted
from retraining.execution.candidates import (
    Candidate,
    Results,
    gate_fits,
    shift_fits,
    shipped_fit,
    trained_labels,
)
from retraining.execution.evidence import prior_notes
from retraining.execution.flows import Flow
from retraining.execution.inputs import prepare_contexts
from retraining.execution.keys import Settle
from retraining.execution.predictions import predictions, stored_model
from retraining.execution.study import Floats, Study
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
    compared = candidate.possible(shift_fits(candidate))
    parts = sorted({part for found in compared.values() for part in found})
    error = None
    if not gate and not candidate.exists(shipped):
        error = "there are too few rows to learn from, or they have one class (see min_train)"
    elif shipped not in gate:
        # the gate fits' predictions are there since they were judged
        error = yield from prepare_contexts(study, candidate, compared)
        if error is None:
            values, error = yield from predictions(
                study, candidate, {shipped: parts}, "shipped", keep_model=True
            )
        if error is None:
            reference, error = yield from predictions(study, candidate, compared, "gate", keep_model=True)
    if error is None:
        error = yield from stored_model(study, candidate, shipped)
    if error is not None:
        result.outcome, result.because, result.error = "failed", error, error
        return None
    known = str(shipped) in candidate.recorded
    checks = [reload_check(study.results, candidate.made[str(shipped)], recorded=known)]
    if shipped not in gate:
        checks.append(_finite_check(candidate, shipped, values, parts))
        shift = _shift_check(candidate, reference, values, model.gate.refit_shift)
        # who overrules the gate overrules the shift too; that the model works at all is no matter of opinion
        checks.append(replace(shift, blocking=False) if node in study.world.promoted else shift)
    result.verdict = with_checks(result.verdict, tuple(checks))
    if shipped not in gate:
        result.verdict = with_notes(result.verdict, prior_notes(study, candidate, [shipped]))
    result.outcome, result.because = result.verdict.word, result.verdict.because
    return None


def reload_check(results: Results, fingerprint: str, *, recorded: bool = False) -> Check:
    """Whether a fit's stored model predicts what the fitted one did, as its worker found when it stored it.

    A `recorded` fit is that of a version document, whose worker's record may be gone.
    """
    record = results.find("fit", fingerprint)
    known = record is not None or recorded
    equal = record.metrics.get("reload_equal") if record is not None else None if known else False
    notes = {
        True: "the stored model predicts what the fitted one did",
        False: "the stored model predicts otherwise than the fitted one",
        None: "the model was stored by an earlier run, and made these predictions itself",
    }
    note = notes[None if equal is None else bool(equal)]
    return Check(name="reload", value=None, limit=None, passed=equal is not False, note=note)


def _finite_check(candidate: Candidate, shipped: LeftOut, values: Floats, parts: Sequence[int]) -> Check:
    predicted = candidate.usable[fit_context(shipped)] & np.isin(candidate.rows.part, parts)
    wrong = int((~np.isfinite(values[predicted])).any(axis=1).sum())
    note = (
        f"{wrong:,} of {int(predicted.sum()):,} predictions are not finite"
        if wrong
        else "all predictions are finite"
    )
    return Check(name="finite", value=float(wrong), limit=0.0, passed=not wrong, note=note)


def _shift_check(candidate: Candidate, gate: Floats, shipped: Floats, limit: float) -> Check:
    """The shift of predictions between gate fit and shipped fit (docs/design.md 1)."""
    chosen = np.isfinite(gate).all(axis=1) & np.isfinite(shipped).all(axis=1)
    where = "on folds that both learnt from"
    blocking = int(chosen.sum()) >= MIN_SHIFT_ROWS
    if candidate.cut is not None:
        unseen = chosen & ~trained_labels(candidate, shipped_fit(candidate))
        blocking = int(unseen.sum()) >= MIN_SHIFT_ROWS
        chosen = unseen if blocking else chosen
        where = (
            "on rows that neither fit learnt from"
            if blocking
            else "on the holdout, which the shipped fit learnt from"
        )
    # of two classes one probability says all
    outputs = range(gate.shape[1])[1 if gate.shape[1] == 2 else 0 :]
    rows = int(chosen.sum())
    shift = max(psi(gate[chosen, one], shipped[chosen, one]) for one in outputs) if rows else 0.0
    note = f"predictions shift by PSI {shift:.3f} between gate fit and shipped fit {where}, {counted(rows, 'row')}"
    if blocking and shift > limit:
        note += f"; `refit_shift` allows {limit:g}"
    return Check(
        name="shift",
        value=shift,
        limit=limit,
        passed=shift <= limit or not blocking,
        note=note if blocking else f"{note} (reported only)",
        blocking=blocking,
    )
