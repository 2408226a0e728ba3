"""Scores a challenger: its gate fits, the champion's, the same fits without an input; then judges it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from retraining.data.columns import align_classes
from retraining.decide.evidence import Kind
from retraining.decide.facts import Decision
from retraining.decide.fingerprints import attempt_fingerprint, version_of
from retraining.decide.fits import Before, LeftOut, fit_context
from retraining.decide.gates import judge, judge_in_pool
from retraining.decide.recipes import digest_of
from retraining.decide.verdicts import Pooled, insufficient, with_notes
from retraining.decide.wording import counted
from retraining.execution.candidates import (
    Candidate,
    fresh_parts,
    gate_fits,
    judged_rows,
    shipped_fit,
    trained_labels,
)
from retraining.execution.champions import GONE, champion_gate, champion_of
from retraining.execution.evidence import edges_of, evidence_of, prior_notes
from retraining.execution.flows import Flow
from retraining.execution.inputs import prepare_contexts
from retraining.execution.keys import Done
from retraining.execution.predictions import predictions, unknown_origin
from retraining.execution.study import Floats, NodeResult, Study
from retraining.execution.tasks import ScoreTask, SliceColumn
from retraining.execution.without import without_inputs
from retraining.learn.source import CODE_CHANGED
from retraining.manifest.own import metric_facts, own_metric
from retraining.manifest.values import Model, TimeScheme
from retraining.release.values import Attempt


def score_challenger(
    study: Study, node: str, decision: Decision, candidate: Candidate, waiting: Attempt | None = None
) -> Flow:
    """The flow that fits and scores a challenger; its value is the node's result, with evidence to judge it by.

    Without evidence the result stands: it failed, or has too little data. One that is `waiting` was made by an
    earlier run: it keeps its name, and is judged on today's holdout.
    """
    if waiting is None:
        parts = candidate.evidence.parts(shipped_fit(candidate))
        candidate.version = version_of(node, parts, shipped_fit(candidate))
    else:
        parts = waiting.parts
    result = NodeResult(
        node=node,
        decision=decision,
        outcome="insufficient",
        because="",
        candidate=candidate,
        parts=parts,
        fingerprint=attempt_fingerprint(node, parts, candidate.data.holdout),
        version=candidate.version,
        wiring=wiring_of(study, candidate),
        waiting=waiting,
    )
    error = yield from prepare_contexts(study, candidate, gate_fits(candidate))
    if error is not None:
        return failed(study, node, decision, candidate, error)
    why = not_judgeable(study, candidate)
    if why:
        result.verdict, result.because = insufficient(why), why
        return result
    fits = candidate.possible(gate_fits(candidate))
    judged = judged_rows(candidate)
    extra = fresh_parts(candidate)
    wide = {left_out: sorted({*own, *extra}) for left_out, own in fits.items()}
    values, error = yield from predictions(
        study, candidate, wide, "gate", keep_model=True, origin=unknown_origin(candidate)
    )
    if error is not None:
        return failed(study, node, decision, candidate, error)
    champion, error, same = yield from champion_on(study, candidate, judged)
    if error is not None:
        return failed(study, node, decision, candidate, f"its champion could not be scored: {error}")
    without = yield from without_inputs(study, candidate, fits)
    answer = yield from scored(study, candidate, values, champion, without, judged, fits)
    if isinstance(answer, str):
        return failed(study, node, decision, candidate, answer)
    kind = _comparison_kind(study, node, candidate, champion, same)
    result.evidence = evidence_of(study, candidate, answer, kind, judged)
    result.edges = edges_of(answer, result.evidence.holdout)
    return result


def judge_challenger(study: Study, result: NodeResult, pool: Pooled | None = None) -> None:
    """Judges a scored challenger, by itself or as one of a model's nodes."""
    candidate, evidence = result.candidate, result.evidence
    assert candidate is not None
    assert evidence is not None
    model = study.world.manifest.models[candidate.recipe.model]
    verdict = judge(evidence, model.gate, better_metrics(model))
    if pool is not None:
        verdict = judge_in_pool(verdict, pool)
    result.verdict = with_notes(verdict, prior_notes(study, candidate, gate_fits(candidate)))
    result.outcome, result.because = result.verdict.word, result.verdict.because


def better_metrics(model: Model) -> dict[str, bool]:
    """For each metric of a model whether greater is better."""
    return {name: metric_facts(name, model.own_metrics).greater_is_better for name in model.metrics}


def not_judgeable(study: Study, candidate: Candidate) -> str:
    """Why a version cannot be scored on its holdout, or ''; the contexts of its gate fits must be prepared."""
    if not candidate.data.rows:
        return "there are no rows"
    if candidate.recipe.task == "classification" and len(candidate.data.classes) < 2:
        found = (
            f"one class so far ({candidate.data.classes[0]})" if candidate.data.classes else "no class so far"
        )
        # what a prior hands down needs its columns: those of `classes`
        hint = (
            "; `degenerate: prior` needs them in `classes`" if candidate.recipe.degenerate == "prior" else ""
        )
        return f"the target has {found}, and a classifier needs two{hint}"
    holdout = candidate.data.holdout
    if candidate.cut is not None and not holdout:
        return "no block of labels is mature yet"
    if not candidate.possible(gate_fits(candidate)):
        if candidate.cut is None:
            return "no fold has rows to learn from"
        return _no_gate_fit(candidate, Before(holdout[0]))
    if not judged_rows(candidate).any():
        return "the holdout has no labelled rows" + (
            "" if candidate.rows.weight is None else " of any weight"
        )
    return ""


def _no_gate_fit(candidate: Candidate, gate: Before) -> str:
    """Why the fit before the holdout cannot be made."""
    scheme = candidate.recipe.scheme
    assert isinstance(scheme, TimeScheme)
    chosen = candidate.training_rows(gate)
    rows, blocks = len(chosen), len(np.unique(candidate.rows.part[chosen]))
    if rows >= scheme.min_rows and blocks >= scheme.min_blocks:
        return f"the {counted(rows, 'labelled row')} before the holdout have one class (see `degenerate`)"
    known = (
        f"only {counted(rows, 'labelled row')} in {counted(blocks, 'block')}" if rows else "no labelled row"
    )
    wanted = f"{scheme.min_rows:,} in {counted(scheme.min_blocks, 'block')}"
    return f"{known} before the holdout, and min_train asks for {wanted}"


def _comparison_kind(
    study: Study, node: str, candidate: Candidate, champion: Floats | None, same: bool
) -> Kind:
    state = study.world.states.get(node)
    if state is None or state.parts is None:
        return "first"
    if champion is None:
        return "incomparable"
    if same:
        return "same recipe"
    return "refresh" if state.parts.recipe == candidate.recipe.digest() else "recipe"


def scored(
    study: Study,
    candidate: Candidate,
    values: Floats,
    champion: Floats | None,
    without: Mapping[str, Floats | None],
    judged: NDArray[np.bool_],
    fits: Mapping[LeftOut, Sequence[int]],
) -> Flow:
    """The numbers of the gate, or the text of the error that prevented them."""
    # a row that was predicted counts whatever the prediction: a NaN of the challenger must not hide
    able = judged.copy()
    for left_out, parts in fits.items():
        inside = np.isin(candidate.rows.part, list(parts))
        able &= ~inside | candidate.usable[fit_context(left_out)]
    able &= np.isin(candidate.rows.part, [part for parts in fits.values() for part in parts])
    if champion is not None:
        able &= ~np.isnan(champion).any(axis=1)
    if not able.any():
        return "no row of the holdout has a prediction of both challenger and champion"
    rows = candidate.rows
    gate = next(iter(fits)) if candidate.cut is not None else None
    trained = trained_labels(candidate, gate) if gate is not None else rows.labelled
    fresh = np.zeros(len(trained), bool)
    if gate is not None:
        # what is learnt from unjudged, and what is judged on: neither may be in another unit
        fresh = (trained_labels(candidate, shipped_fit(candidate)) | judged) & ~trained
    model = study.world.manifest.models[candidate.recipe.model]
    task = ScoreTask(
        id=digest_of(["score", candidate.node, candidate.version, candidate.side == "challenger"]),
        node=candidate.node,
        metrics=model.metrics,
        own_metrics={name: own_metric(metric) for name, metric in model.own_metrics.items()},
        slices=_slice_columns(study, candidate, model.gate.slices, able),
        margin=model.gate.margin,
        add_up=model.gate.by == "model",
        task=candidate.recipe.task,
        classes=candidate.data.classes,
        target=rows.target[able],
        clusters=rows.cluster[able],
        challenger=values[able],
        champion=None if champion is None else champion[able],
        without={name: None if other is None else other[able] for name, other in without.items()},
        train=rows.target[trained],
        train_days=rows.cluster[trained] if gate is not None else None,
        fresh=rows.target[fresh],
        fresh_days=rows.cluster[fresh] if gate is not None else None,
        seed=candidate.recipe.fit_seed("gate"),
        weights=rows.row_weights(able),
        train_weights=rows.row_weights(trained)
        if gate is None
        else rows.fit_weights(gate, np.flatnonzero(trained)),
    )
    study.submit(task, f"{candidate.recipe.model} score", study.paths.get(candidate.node, 0.0))
    (done,) = yield (Done(task=task.id),)
    return done.error if done.error is not None else done.scores


def _slice_columns(
    study: Study, candidate: Candidate, names: Sequence[str], able: NDArray[np.bool_]
) -> tuple[SliceColumn, ...]:
    """The columns of a model's slices on the judged rows."""
    columns = study.world.tables[candidate.recipe.dataset].columns
    found = [(name, columns[name].take(candidate.rows.rows[able]).texts()) for name in names]
    return tuple(SliceColumn(name=name, codes=codes, texts=texts) for name, (codes, texts) in found)


def wiring_of(study: Study, candidate: Candidate) -> dict[str, str]:
    """The name of the column of each upstream node that a candidate reads."""
    return {
        name: study.column_name(name, side)
        for sources in candidate.sources.values()
        for name, side in sources
    }


def failed(study: Study, node: str, decision: Decision, candidate: Candidate, error: str) -> NodeResult:
    """The result of a node whose challenger could not be made, with the error."""
    parts = None
    fingerprint = ""
    shipped = shipped_fit(candidate)
    if (None if candidate.cut is not None else frozenset()) in candidate.inputs:
        parts = candidate.evidence.parts(shipped)
        fingerprint = attempt_fingerprint(node, parts, candidate.data.holdout)
    return NodeResult(
        node=node,
        decision=decision,
        outcome="failed",
        because=error.splitlines()[0] if error else "failed",
        candidate=candidate,
        parts=parts,
        fingerprint=fingerprint,
        version=candidate.version,
        wiring=wiring_of(study, candidate) if parts is not None else {},
        error=error,
    )


def champion_on(study: Study, candidate: Candidate, judged: NDArray[np.bool_]) -> Flow:
    """The champion's honest predictions on the judged rows, an error, and whether its gate fit is the challenger's."""
    champion = champion_of(study, candidate.node)
    if champion is None or _predicts(champion) != _predicts(candidate):
        return None, None, False
    wanted = champion_gate(champion, candidate, judged)
    error = yield from prepare_contexts(study, champion, wanted)
    if error is not None:
        # without its upstream's data or its code a champion cannot be compared
        return None, None if CODE_CHANGED in error or GONE in error else error, False
    fits = {
        left_out: parts
        for left_out, parts in wanted.items()
        if str(left_out) in champion.recorded or champion.exists(left_out)
    }
    if not fits:
        return None, None, False
    own = {candidate.evidence.fit(left_out) for left_out in gate_fits(candidate)}
    theirs = {champion.fingerprint(left_out, study.results)[0] for left_out in fits}
    values, error = yield from predictions(study, champion, fits, "champion")
    if error is not None and CODE_CHANGED in error:
        return None, None, False
    return align_classes(values, champion.data.classes, candidate.data.classes), error, own == theirs


def _predicts(candidate: Candidate) -> tuple[str, str]:
    return candidate.recipe.task, candidate.recipe.target.column
