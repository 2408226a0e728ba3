"""Judges a challenger: its gate fits, the champion's, the same fits without an input, the verdict."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retraining.data.columns import align_classes
from retraining.decide.calendar import Calendar
from retraining.decide.facts import Decision
from retraining.decide.fingerprints import attempt_fingerprint, version_of
from retraining.decide.fits import Before, LeftOut, fit_context
from retraining.decide.gates import (
    Check,
    Difference,
    GateEvidence,
    Kind,
    insufficient,
    judge,
    with_notes,
)
from retraining.decide.recipes import digest_of
from retraining.decide.wording import counted
from retraining.execution.candidates import (
    Candidate,
    block_days,
    fresh_parts,
    gate_fits,
    judged_rows,
    shipped_fit,
    trained_labels,
)
from retraining.execution.champions import champion_gate, champion_of
from retraining.execution.flows import Flow
from retraining.execution.inputs import prepare_contexts
from retraining.execution.predictions import predictions, unknown_origin
from retraining.execution.study import (
    Done,
    Floats,
    NodeResult,
    Study,
)
from retraining.execution.tasks import ScoreTask
from retraining.manifest.own import metric_facts, own_metric
from retraining.manifest.values import Input, TimeScheme
from retraining.release.values import Attempt

#: The name under which the comparison without any upstream column is recorded.
ALL_INPUTS = "*"
#: A verdict's document has the sums of each day of a holdout up to so many days.
_MOST_DAYS = 100


def judge_challenger(
    study: Study, node: str, decision: Decision, candidate: Candidate, waiting: Attempt | None = None
) -> Flow:
    """The flow that fits, scores and judges a challenger; its value is the node's result.

    One that is `waiting` was made by an earlier run: it keeps its name, and is judged on today's holdout.
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
    without = yield from _without_inputs(study, candidate, fits)
    scored = yield from _scored(study, candidate, values, champion, without, judged, fits)
    if isinstance(scored, str):
        return failed(study, node, decision, candidate, scored)
    answer, kind = scored, _comparison_kind(study, node, candidate, champion, same)
    _conclude(study, result, candidate, answer, kind, judged)
    return result


def not_judgeable(study: Study, candidate: Candidate) -> str:
    """Why a version cannot be scored on its holdout, or ''; the contexts of its gate fits must be prepared."""
    if not candidate.data.rows:
        return "there are no rows"
    if candidate.recipe.task == "classification" and len(candidate.data.classes) < 2:
        found = (
            f"one class so far ({candidate.data.classes[0]})" if candidate.data.classes else "no class so far"
        )
        return f"the target has {found}, and a classifier needs two"
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


def _without_inputs(study: Study, candidate: Candidate, fits: Mapping[LeftOut, Sequence[int]]) -> Flow:
    """Predictions of the same fits without each *new* input, and without all (None: nothing would be left).

    Made once when an edge is new: a due model costs one or two fits, and these would double them.
    """
    state = study.world.states.get(candidate.node)
    document = study.document(state.document) if state is not None else None
    known = set(document["edges_known"]) if document else set()
    inputs = candidate.recipe.inputs
    dropped = {item.column: {item.column} for item in inputs if item.column not in known}
    if len(inputs) > 1 and dropped:
        dropped[ALL_INPUTS] = {item.column for item in inputs}
    without: dict[str, Floats | None] = {}
    for name, columns in dropped.items():
        rest = tuple(item for item in inputs if item.column not in columns)
        if not rest and not candidate.recipe.features:
            without[name] = None
            continue
        variant = replace_inputs(candidate, rest)
        values, error = yield from predictions(study, variant, fits, "comparison")
        if error is None:
            without[name] = values
        _charge(candidate, variant)
    return without


def _charge(candidate: Candidate, variant: Candidate) -> None:
    made = variant.counts.get("made", 0)
    candidate.counts["comparisons"] = candidate.counts.get("comparisons", 0) + made


def _scored(
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
    for other in [champion, *without.values()]:
        if other is not None:
            able &= ~np.isnan(other).any(axis=1)
    if not able.any():
        return "no row of the holdout has a prediction of everybody who is compared"
    rows = candidate.rows
    gate = next(iter(fits)) if candidate.cut is not None else None
    trained = trained_labels(candidate, gate) if gate is not None else rows.labelled
    fresh = np.zeros(len(trained), bool)
    if gate is not None:
        # what is learnt from unjudged, and what is judged on: neither may be in another unit
        fresh = (trained_labels(candidate, shipped_fit(candidate)) | judged) & ~trained
    model = study.world.manifest.models[candidate.recipe.model]
    task = ScoreTask(
        id=digest_of(["score", candidate.node, candidate.version]),
        node=candidate.node,
        metrics=model.metrics,
        own_metrics={name: own_metric(metric) for name, metric in model.own_metrics.items()},
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


def _conclude(
    study: Study,
    result: NodeResult,
    candidate: Candidate,
    answer: Mapping[str, Any],
    kind: Kind,
    judged: NDArray[np.bool_],
) -> None:
    model = study.world.manifest.models[candidate.recipe.model]
    labels = answer["labels"]
    main = model.metrics[0]
    if answer["champion"] is not None and _no_value(answer["champion"][main], answer["challenger"][main]):
        kind = "incomparable"
    evidence = GateEvidence(
        kind=kind,
        metrics=model.metrics,
        challenger=answer["challenger"],
        champion=answer["champion"],
        dummy=answer["dummy"],
        difference=None if kind == "incomparable" else difference_of(answer["difference"]),
        holdout=holdout_of(candidate, judged),
        checks=() if labels is None else (Check(**labels),),
        not_finite=answer["not_finite"],
    )
    better = {name: metric_facts(name, model.own_metrics).greater_is_better for name in model.metrics}
    result.verdict = with_notes(
        judge(evidence, model.gate, better), prior_notes(study, candidate, gate_fits(candidate))
    )
    result.outcome, result.because = result.verdict.word, result.verdict.because
    result.edges = [
        {
            "column": column,
            **numbers,
            "difference": numbers["value"],
            "from": evidence.holdout.get("from"),
            "to": evidence.holdout.get("to"),
        }
        for column, numbers in answer["without"].items()
    ]


def prior_notes(study: Study, candidate: Candidate, fits: Iterable[LeftOut]) -> tuple[str, ...]:
    """Sentences on those of some fits that could learn nothing and predict a constant (`degenerate: prior`)."""
    made = [(left_out, candidate.made.get(str(left_out))) for left_out in fits]
    found = [(left_out, study.results.find("fit", name)) for left_out, name in made if name is not None]
    names = [
        fit_name(candidate, left_out)
        for left_out, record in found
        if record is not None and record.metrics.get("degenerate") == "prior"
    ]
    what = "class" if candidate.recipe.task == "classification" else "value"
    return tuple(f"the fit {name} learnt from rows of one {what} and predicts it" for name in names)


def fit_name(candidate: Candidate, left_out: LeftOut) -> str:
    """A fit's name for people."""
    if isinstance(left_out, Before):
        calendar = Calendar(candidate.recipe.timezone, block_days(candidate))
        return f"before {calendar.date(left_out.block).isoformat()}"
    folds = ", ".join(str(fold) for fold in sorted(left_out.folds))
    return f"without fold {folds}" if folds else "of all folds"


def _no_value(champion: float, challenger: float) -> bool:
    """True where the champion alone has no value of the deciding metric: it cannot win, nor be compared with."""
    return math.isfinite(challenger) and not math.isfinite(champion)


def difference_of(numbers: Mapping[str, Any] | None) -> Difference | None:
    """The difference that a score task answered with."""
    if numbers is None:
        return None
    days = numbers["by_cluster"]
    by_cluster = None
    if days is not None and len(days["day"]) <= _MOST_DAYS:
        epoch = dt.date(1970, 1, 1)
        by_cluster = {**days, "day": [(epoch + dt.timedelta(days=day)).isoformat() for day in days["day"]]}
    return Difference(
        metric=numbers["metric"],
        value=numbers["value"],
        lower=numbers["lower"],
        upper=numbers["upper"],
        champion_loss=numbers["without"],
        rows=numbers["rows"],
        clusters=numbers["clusters"],
        draws=numbers["draws"],
        seed=numbers["seed"],
        by_cluster=by_cluster,
    )


def holdout_of(candidate: Candidate, judged: NDArray[np.bool_]) -> dict[str, Any]:
    """The judged rows in numbers: rows, clusters, and in the time scheme from, to and blocks."""
    clusters = len(np.unique(candidate.rows.cluster[judged]))
    doc: dict[str, Any] = {"rows": int(judged.sum()), "clusters": clusters}
    if candidate.cut is not None:
        calendar = Calendar(candidate.recipe.timezone, block_days(candidate))
        blocks = candidate.data.holdout
        doc |= {
            "from": calendar.date(blocks[0]).isoformat(),
            "to": (calendar.date(blocks[-1] + 1) - dt.timedelta(days=1)).isoformat(),
            "blocks": len(blocks),
        }
    return doc


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
        return None, error, False
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
    return align_classes(values, champion.data.classes, candidate.data.classes), error, own == theirs


def _predicts(candidate: Candidate) -> tuple[str, str]:
    return candidate.recipe.task, candidate.recipe.target.column


def replace_inputs(candidate: Candidate, inputs: tuple[Input, ...]) -> Candidate:
    """The candidate with fewer inputs: same rows, same other columns, other fits."""
    recipe = replace(candidate.recipe, inputs=inputs)
    kept = {item.column for item in inputs}
    position = [index for index, item in enumerate(candidate.recipe.inputs) if item.column in kept]
    return Candidate(
        node=candidate.node,
        side=candidate.side,
        recipe=recipe,
        data=candidate.data,
        rows=candidate.rows,
        as_of=candidate.as_of,
        environment=candidate.environment,
        cut=candidate.cut,
        sources={column: sources for column, sources in candidate.sources.items() if column in kept},
        inputs={context: tuple(specs[i] for i in position) for context, specs in candidate.inputs.items()},
        digests={key: digest for key, digest in candidate.digests.items() if key[1] in kept},
        # asked only whether a fit can be made, which is answered as with the input
        usable=candidate.usable,
    )
