"""One decision for the nodes of a model (`gate: {by: model}`): their losses are added up by cluster.

`pool_of` judges challengers, `check_together` champions that stay below new versions.

Nodes are judged together with those whose challenger is compared in the same way: all that have no champion,
all whose recipe is as it was, all whose recipe changed. A node whose challenger failed, has too little data,
or whose own predictions or labels cannot be, is left out, keeps its champion, and blocks nobody. The pool of a
model (`model[*]`) has the rows of all nodes again, and is judged by itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from retraining.decide.evidence import Difference, GateEvidence, Kind
from retraining.decide.gates import judge, own_fault
from retraining.decide.losses import ClusterLosses, add_up
from retraining.decide.pairs import PairCheck, PairPool, judge_pair, judge_pair_in_pool
from retraining.decide.recipes import seed_of
from retraining.decide.slices import Slice, judge_slices
from retraining.decide.verdicts import Pooled, Verdict
from retraining.execution.flows import Flow
from retraining.execution.judging import better_metrics
from retraining.execution.keys import Challenge, PoolOf
from retraining.execution.scoring import SLICE_DRAWS, slice_margin
from retraining.execution.study import NodeResult, Study
from retraining.learn.comparison import Comparison, compare_sums
from retraining.manifest.own import metric_facts
from retraining.manifest.values import Json, Model

__all__ = ["check_together", "is_judged_together", "pool_of", "pools"]


def is_judged_together(study: Study, node: str) -> bool:
    """Whether a node is judged with the others of its model."""
    recipe = study.world.facts[node].recipe
    return study.world.manifest.models[recipe.model].gate.by == "model" and not recipe.pool


def pools(study: Study) -> dict[str, str]:
    """The model of each node that is judged with others of it."""
    graph = study.world.graph
    return {node.name: node.model for node in graph.nodes if is_judged_together(study, node.name)}


def pool_of(study: Study, key: PoolOf) -> Flow:
    """The flow of a model's verdicts, by kind of comparison: waits until every challenger of the model is scored."""
    facts = study.world.facts
    names = [
        decision.node
        for decision in study.world.plan.decisions
        if (decision.node in study.late if key.late else decision.action == "retrain" or decision.resumes)
        and facts[decision.node].recipe.model == key.model
        and is_judged_together(study, decision.node)
    ]
    results: Sequence[NodeResult] = yield tuple(Challenge(node=name, late=key.late) for name in names)
    groups: dict[Kind, list[GateEvidence]] = {}
    for result in results:
        evidence = result.evidence
        if evidence is not None and _takes_part(evidence):
            groups.setdefault(evidence.kind, []).append(evidence)
    model = study.world.manifest.models[key.model]
    seed = seed_of(study.world.manifest.seed, model.name, "gate")
    return {
        kind: Pooled(
            model=model.name, nodes=len(found), verdict=_judged(model, kind, found, seed), late=key.late
        )
        for kind, found in groups.items()
    }


def check_together(study: Study, own: Mapping[str, PairCheck]) -> dict[str, PairCheck]:
    """The pair checks of champions that would stay side by side, where those of a model pass together or not at all.

    Into the sums goes who has predictions that can be compared and that differ. Who has none because its holdout is
    empty goes with the others; who cannot be served at all with the new columns does not pass, whatever they do.
    """
    found = dict(own)
    by_model: dict[str, list[str]] = {}
    for node, check in own.items():
        if is_judged_together(study, node) and (check.lacking or _is_summable(study, check)):
            by_model.setdefault(study.world.facts[node].recipe.model, []).append(node)
    for model, names in by_model.items():
        pool = _pair_pool(study, study.world.manifest.models[model], [own[name] for name in names])
        if pool is not None:
            found |= {name: judge_pair_in_pool(own[name], pool) for name in names}
    return found


def _is_summable(study: Study, check: PairCheck) -> bool:
    """True for finite losses of the model's deciding metric (a champion may answer another question)."""
    losses, difference = check.losses, check.difference
    if losses is None or losses.champion is None or difference is None:
        return False
    model = study.world.manifest.models[study.world.facts[check.node].recipe.model]
    return difference.metric == model.metrics[0] and all(
        map(math.isfinite, (*losses.challenger, *losses.champion))
    )


def _pair_pool(study: Study, model: Model, parts: Sequence[PairCheck]) -> PairPool | None:
    """What the sums of several checks say; None where none has any."""
    known = [one.losses for one in parts if one.losses is not None]
    if not known:
        return None
    seed = seed_of(study.world.manifest.seed, model.name, "gate")
    difference = _difference(_compared(model, add_up(known), seed, 2000), seed)
    cluster = "day" if any("blocks" in one.holdout for one in parts) else "group"
    passed, because, margin = judge_pair(difference, model.gate, cluster)
    return PairPool(
        model=model.name,
        nodes=len(known),
        passed=passed,
        because=because,
        difference=difference,
        margin=margin,
    )


def _takes_part(evidence: GateEvidence) -> bool:
    """False for a node whose own data speaks against it, or whose losses are no numbers."""
    losses = evidence.losses
    if losses is None or own_fault(evidence):
        return False
    return all(map(math.isfinite, (*losses.challenger, *(losses.champion or ()))))


def _judged(model: Model, kind: Kind, parts: Sequence[GateEvidence], seed: int) -> Verdict:
    """The verdict on the nodes of one kind together."""
    compared = kind not in ("first", "incomparable")
    losses = add_up([_without_champion(one.losses, compared) for one in parts if one.losses is not None])
    names = [name for name in model.metrics if metric_facts(name, model.own_metrics).made_of_sums]
    weights = [sum(one.losses.weight) for one in parts if one.losses is not None]

    def pooled(of: Callable[[GateEvidence], Mapping[str, float]]) -> dict[str, float]:
        found = {}
        for name in names:
            squared = name == "root_mean_squared_error"
            values = np.array([of(one).get(name, math.nan) for one in parts])
            mean = float(np.average(values**2 if squared else values, weights=weights))
            found[name] = math.sqrt(mean) if squared else mean
        return found

    slices = judge_slices(_pooled_slices(model, parts, compared, seed), model.gate.min_clusters)
    evidence = GateEvidence(
        kind=kind,
        metrics=tuple(names),
        challenger=pooled(lambda one: one.challenger),
        champion=pooled(lambda one: one.champion or {}) if compared else None,
        dummy=pooled(lambda one: one.dummy),
        difference=_difference(_compared(model, losses, seed, 2000), seed) if compared else None,
        holdout=_holdout(parts, losses),
        slices=slices,
    )
    return judge(evidence, model.gate, better_metrics(model))


def _without_champion(losses: ClusterLosses, compared: bool) -> ClusterLosses:
    if compared or losses.champion is None:
        return losses
    return ClusterLosses(
        cluster=losses.cluster,
        rows=losses.rows,
        weight=losses.weight,
        challenger=losses.challenger,
        champion=None,
    )


def _compared(
    model: Model,
    losses: ClusterLosses,
    seed: int,
    draws: int,
    threshold: Callable[[float], float] | None = None,
) -> Comparison:
    assert losses.champion is not None
    return compare_sums(
        model.metrics[0],
        np.array(losses.weight),
        np.array(losses.challenger),
        np.array(losses.champion),
        rows=sum(losses.rows),
        resamples=draws,
        seed=seed,
        threshold=threshold,
    )


def _difference(found: Comparison, seed: int) -> Difference:
    return Difference(
        metric=found.metric,
        value=found.difference,
        lower=found.lower,
        upper=found.upper,
        champion_loss=found.champion,
        rows=found.rows,
        clusters=found.clusters,
        draws=found.draws,
        seed=seed,
    )


def _pooled_slices(model: Model, parts: Iterable[GateEvidence], compared: bool, seed: int) -> list[Slice]:
    """The slices of all nodes, those of one value added up, by column and value."""
    found: dict[tuple[int, str, str | None], list[Slice]] = {}
    for evidence in parts:
        for one in evidence.slices:
            place = (model.gate.slices.index(one.column), one.value or "", one.value)
            found.setdefault(place, []).append(one)
    margin = slice_margin(model.gate.margin)
    slices = []
    for place in sorted(found, key=lambda key: key[:2]):
        column, value = model.gate.slices[place[0]], place[2]
        known = [one.losses for one in found[place] if one.losses is not None]
        losses = add_up([_without_champion(one, compared) for one in known])
        facts = {"column": column, "value": value, "rows": sum(losses.rows), "clusters": len(losses.cluster)}
        if not compared:
            scores = [one.challenger for one in found[place]]
            weights = [sum(one.weight) for one in known]
            slices.append(Slice(**facts, challenger=float(np.average(scores, weights=weights))))  # type: ignore[arg-type]
            continue
        numbers = _compared(model, losses, seed, SLICE_DRAWS, margin)
        slices.append(
            Slice(
                **facts,  # type: ignore[arg-type]
                challenger=numbers.challenger,
                champion=numbers.champion,
                difference=numbers.difference,
                lower=numbers.lower,
                upper=numbers.upper,
                margin=margin(numbers.champion),
                probability=math.nan if numbers.beyond is None else numbers.beyond,
            )
        )
    return slices


def _holdout(parts: Sequence[GateEvidence], losses: ClusterLosses) -> dict[str, Json]:
    """The judged rows of all nodes: each has its own last mature blocks, so the days are those of any."""
    doc: dict[str, Json] = {"rows": sum(losses.rows), "clusters": len(losses.cluster)}
    first = [str(one.holdout["from"]) for one in parts if "from" in one.holdout]
    last = [str(one.holdout["to"]) for one in parts if "to" in one.holdout]
    blocks = [one.holdout["blocks"] for one in parts if "blocks" in one.holdout]
    if first and last:
        doc |= {"from": min(first), "to": max(last), "blocks": max(blocks, key=lambda count: int(str(count)))}
    return doc
