"""Scores a champion twice on its holdout: fed with the columns that it has, and with those of challengers above it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from retraining.decide.facts import shipped_left_out
from retraining.decide.fingerprints import Evidence
from retraining.decide.fits import Context
from retraining.decide.losses import ClusterLosses
from retraining.decide.pairs import PairCheck, judge_pair
from retraining.decide.recipes import digest_of
from retraining.decide.wording import counted
from retraining.execution.candidates import Candidate, gate_fits, judged_rows, shipped_fit, trained_labels
from retraining.execution.champions import champion_of, fed_champion
from retraining.execution.evidence import difference_of, holdout_of
from retraining.execution.flows import Flow
from retraining.execution.inputs import prepare, prepare_contexts, thin_inputs
from retraining.execution.judging import not_judgeable
from retraining.execution.keys import Done, PairOf
from retraining.execution.predictions import predictions
from retraining.execution.study import Floats, Study
from retraining.execution.tasks import ScoreTask
from retraining.manifest.own import own_metric
from retraining.release.values import Parts

_GONE = "its recorded columns are no longer in the data, so it cannot be checked"


def check_pair(study: Study, key: PairOf) -> Flow:
    """The flow of one node's pair check; its value is the `PairCheck` by the node's own numbers."""
    node = key.node
    base, fed = champion_of(study, node), fed_champion(study, node, key.new)
    columns = _columns(study, key)

    learnt: tuple[str, ...] = ()

    def found(passed: bool, because: str, **numbers: Any) -> PairCheck:
        return PairCheck(
            node=node,
            new=tuple(sorted(key.new)),
            columns=columns,
            passed=passed,
            because=because,
            learnt=learnt,
            **numbers,
        )

    if base is None or fed is None:
        return found(False, _GONE)
    whole: Context = None if base.cut is not None else frozenset()
    error = yield from prepare(study, fed, whole)
    if error is None:
        learnt = _learnt(study, fed, columns)
        if _learnt_the_same(study, fed):
            return found(True, "its columns are the same on every row that it learnt from")
    fits = gate_fits(base)
    why = error or (yield from prepare_contexts(study, fed, fits)) or ""
    why = why or _other_outputs(base, fed) or thin_inputs(study, fed)
    if why:
        return found(False, why)
    lacking = not_judgeable(study, base)
    if lacking:
        return found(False, lacking, lacking=True)
    fits = base.possible(fits)
    # the new feeding first: where a fit has to be made again, both are predicted by it
    after, error = yield from predictions(study, fed, fits, "champion")
    before = after
    if error is None:
        before, error = yield from predictions(study, base, fits, "champion")
    if error is not None:
        return found(False, f"it could not be scored: {error}")
    judged = judged_rows(base) & ~np.isnan(before).any(axis=1)
    able = judged & _usable(fed, fits)
    lost = int((judged & ~able).sum())
    holdout = holdout_of(base, able)
    if not judged.any():
        return found(False, "its champion predicts no row of the holdout", lacking=True)
    if not able.any():
        return found(False, "no row of the holdout has both predictions", lost=lost)
    if np.array_equal(before[able], after[able]):
        rows = counted(int(able.sum()), "row")
        return found(True, f"it predicts the same on all {rows} of its holdout", holdout=holdout, lost=lost)
    numbers = yield from _compared(study, key, base, before, after, able)
    if isinstance(numbers, str):
        return found(False, f"it could not be scored: {numbers}", holdout=holdout, lost=lost)
    if not np.isfinite(after[able]).all():
        return found(False, "it predicts no finite number on some rows", holdout=holdout, lost=lost)
    difference, losses = difference_of(numbers["difference"]), numbers["losses"]
    assert difference is not None
    rules = study.world.manifest.models[base.recipe.model].gate
    passed, because, margin = judge_pair(difference, rules, "day" if base.cut is not None else "group")
    return found(
        passed,
        because,
        before=numbers["champion"],
        after=numbers["challenger"],
        difference=difference,
        margin=margin,
        holdout=holdout,
        lost=lost,
        losses=None if losses is None else ClusterLosses.from_json(losses),
    )


def _columns(study: Study, key: PairOf) -> dict[str, tuple[str, str]]:
    """The names of the upstream columns that would be others: (before, after)."""
    before = study.world.states[key.node].wiring
    after = study.wiring_under(key.node, key.new)
    return {name: (before[name], after[name]) for name in sorted(after) if after[name] != before[name]}


def _learnt(study: Study, fed: Candidate, columns: Collection[str]) -> tuple[str, ...]:
    """The upstreams of whose new columns the champion's training rows hold what it learnt from them."""
    found = _as_of_today(study, fed)
    if found is None:
        return ()
    evidence, parts = found
    now = evidence.upstream_parts(shipped_fit(fed))
    others = {
        edge.upstream
        for edge in study.world.graph.edges_into(fed.node)
        if now.get(edge.column) != parts.upstream.get(edge.column)
    }
    return tuple(name for name in columns if name not in others)


def _learnt_the_same(study: Study, fed: Candidate) -> bool:
    """True where a version made today would learn from what the champion learnt from, new columns included."""
    found = _as_of_today(study, fed)
    if found is None:
        return False
    evidence, parts = found
    facts = study.world.facts[fed.node]
    now = evidence.parts(shipped_left_out(facts.recipe, facts.data))
    return (now.data, now.upstream) == (parts.data, dict(parts.upstream))


def _as_of_today(study: Study, fed: Candidate) -> tuple[Evidence, Parts] | None:
    """Today's rows with the new columns, and the champion's parts; None where its recipe is another by now."""
    facts, state = study.world.facts[fed.node], study.world.states[fed.node]
    if state.parts is None or state.parts.recipe != facts.recipe.digest():
        return None
    evidence = Evidence(
        recipe=facts.recipe, data=facts.data, upstream=fed.digests, environment=fed.environment
    )
    return evidence, state.parts


def _other_outputs(base: Candidate, fed: Candidate) -> str:
    """Why a champion cannot read the new columns at all, or ''."""
    for context, specs in fed.inputs.items():
        for before, after in zip(base.inputs.get(context, ()), specs, strict=False):
            if before.names != after.names:
                return f"it reads {', '.join(before.names)}, and the new version hands down {', '.join(after.names)}"
    return ""


def _usable(fed: Candidate, fits: Mapping[Any, Any]) -> Any:
    """True for rows that have every column which a fit of their block or fold may not lack."""
    able = np.zeros(len(fed.rows.rows), bool)
    for left_out, parts in fits.items():
        context = None if fed.cut is not None else left_out.folds
        able |= np.isin(fed.rows.part, list(parts)) & fed.usable[context]
    return able


def _compared(study: Study, key: PairOf, base: Candidate, before: Floats, after: Floats, able: Any) -> Flow:
    """The numbers of both feedings, or the text of the error that prevented them."""
    rows = base.rows
    gate = next(iter(gate_fits(base))) if base.cut is not None else None
    trained = trained_labels(base, gate) if gate is not None else rows.labelled
    model = study.world.manifest.models[base.recipe.model]
    together = model.gate.by == "model"
    task = ScoreTask(
        id=digest_of(["pair", key.node, [*sorted(key.new)], base.version]),
        node=key.node,
        metrics=_metrics(study, base),
        own_metrics={name: own_metric(metric) for name, metric in model.own_metrics.items()},
        add_up=together,
        task=base.recipe.task,
        classes=base.data.classes,
        target=rows.target[able],
        clusters=rows.cluster[able],
        challenger=after[able],
        champion=before[able],
        without={},
        train=rows.target[trained],
        train_days=rows.cluster[trained] if together and gate is not None else None,
        fresh=rows.target[:0],
        fresh_days=None,
        seed=base.recipe.fit_seed("gate"),
        weights=rows.row_weights(able),
        train_weights=rows.row_weights(trained),
    )
    study.submit(task, f"{base.recipe.model} score", study.paths.get(key.node, 0.0))
    (done,) = yield (Done(task=task.id),)
    return done.error if done.error is not None else done.scores


def _metrics(study: Study, base: Candidate) -> tuple[str, ...]:
    """The model's metrics; those of the champion's own verdict where the model answers another question now."""
    facts, state = study.world.facts[base.node], study.world.states[base.node]
    asked = study.world.manifest.models[base.recipe.model].metrics
    if facts.recipe.task == base.recipe.task:
        return asked
    verdict = (study.document(state.document) or {}).get("verdict") or {}
    return tuple(verdict.get("challenger") or ()) or asked
