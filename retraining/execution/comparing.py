"""Compares a champion that stays with the same fits without an input, because somebody asked."""

from __future__ import annotations

from retraining.execution.candidates import gate_fits, judged_rows
from retraining.execution.champions import champion_of
from retraining.execution.evidence import edges_of, holdout_of
from retraining.execution.flows import Flow
from retraining.execution.inputs import prepare_contexts
from retraining.execution.judging import not_judgeable, scored
from retraining.execution.predictions import predictions
from retraining.execution.study import NodeResult, Study
from retraining.execution.without import without_inputs

__all__ = ["compare_inputs"]


def compare_inputs(study: Study, result: NodeResult) -> Flow:
    """The flow that adds to a kept node's result what each of its champion's inputs brings, or why that is unknown."""
    why = yield from _compared(study, result)
    if why:
        result.because = f"{result.because}; its inputs could not be compared: {why}"


def _compared(study: Study, result: NodeResult) -> Flow:
    champion = champion_of(study, result.node)
    if champion is None:
        return "its recorded columns are no longer in the data"
    if not champion.recipe.inputs:
        return ""
    wanted = gate_fits(champion)
    error = yield from prepare_contexts(study, champion, wanted)
    if error is not None:
        return error
    why = not_judgeable(study, champion)
    if why:
        return why
    fits, judged = champion.possible(wanted), judged_rows(champion)
    values, error = yield from predictions(study, champion, fits, "champion")
    if error is not None:
        return error
    without = yield from without_inputs(study, champion, fits)
    answer = yield from scored(study, champion, values, None, without, judged, fits)
    if isinstance(answer, str):
        return answer
    result.edges = edges_of(answer, holdout_of(champion, judged))
    result.candidate = champion
    return ""
