"""What each model was worth under each policy, on the rows that all of them predicted."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from retraining.decide.measures import Measure, mean_of, merge
from retraining.decide.recipes import digest_of
from retraining.graph.graph import Graph
from retraining.learn.paired import paired_difference
from retraining.manifest.catalog import METRICS
from retraining.manifest.values import Manifest
from retraining.operations.served import Served
from retraining.reporting.backtest_text import Difference, ModelLosses, Quality

__all__ = ["worths"]

_ROOT = "root_mean_squared_error"


def worths(
    manifest: Manifest, graph: Graph, served: Mapping[str, Served], baseline: str, reference: str
) -> tuple[ModelLosses, ...]:
    """The models whose blocks were measured, those that nobody reads first, else the farthest from the data first."""
    blocks = sorted({block for one in served.values() for block in one.blocks})
    found = []
    for model in _sinks_first(graph):
        own = [block for block in blocks if graph.node(block[0]).model == model]
        if own:
            found.append(_model(manifest, model, own, served, baseline, reference))
    return tuple(found)


def _sinks_first(graph: Graph) -> list[str]:
    levels: dict[str, int] = {}
    for node in graph.nodes:
        levels[node.model] = max(levels.get(node.model, 0), graph.level(node.name))
    read = {graph.node(edge.upstream).model for edge in graph.edges}
    return sorted(levels, key=lambda model: (model in read, -levels[model], model))


def _model(
    manifest: Manifest,
    model: str,
    blocks: Sequence[tuple[str, int]],
    served: Mapping[str, Served],
    baseline: str,
    reference: str,
) -> ModelLosses:
    common = [block for block in blocks if all(block in one.measured for one in served.values())]
    days = {
        policy: [day for day in merge(*(one.measured[block] for block in common)) if day.weight > 0]
        for policy, one in served.items()
    }
    metric = next((one.metrics[model] for one in served.values() if model in one.metrics), "")
    first = next(iter(days.values()))
    losses = {policy: _loss(metric, sums) for policy, sums in days.items()}
    best = min((loss for loss in losses.values() if math.isfinite(loss)), default=math.nan)
    return ModelLosses(
        model=model,
        metric=metric,
        nodes=len({node for node, _ in common}),
        blocks=len(common),
        rows=sum(day.labelled for day in first),
        days=len(first),
        left_out=len(blocks) - len(common),
        policies=tuple(
            Quality(
                policy=policy,
                value=mean_of(metric, sums),
                loss=losses[policy],
                change=None if policy == baseline else _change(losses[policy], losses[baseline]),
                difference=None
                if policy == reference
                else _difference(manifest, model, metric, sums, days[reference], reference),
                best=len(served) > 1 and losses[policy] == best,
            )
            for policy, sums in days.items()
        )
        if first
        else (),
    )


def _loss(metric: str, days: Sequence[Measure]) -> float:
    value = mean_of(metric, days) if days else math.nan
    return 1.0 - value if metric and METRICS[metric].greater_is_better else value


def _change(loss: float, before: float) -> float:
    return loss / before - 1.0 if before > 0 else 0.0 if loss == before else math.nan


def _difference(
    manifest: Manifest,
    model: str,
    metric: str,
    days: Sequence[Measure],
    others: Sequence[Measure],
    reference: str,
) -> Difference:
    value, lower, upper = paired_difference(
        [day.losses[metric] for day in days],
        [day.losses[metric] for day in others],
        [day.weight for day in days],
        root=metric == _ROOT,
        # the same draws for every policy, so that bounds do not differ by chance
        seed=int(digest_of(["backtest", manifest.seed, model]).rpartition(":")[2][:12], 16),
    )
    if len(days) < manifest.models[model].gate.min_clusters and (lower, upper) != (0.0, 0.0):
        lower = upper = math.nan
    return Difference(reference=reference, value=value, lower=lower, upper=upper)
