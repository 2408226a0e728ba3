"""Orders the profiles of a champion's inputs from a worker, who reads the table itself."""

from __future__ import annotations

from retraining.decide.recipes import digest_of
from retraining.execution.candidates import shipped_fit
from retraining.execution.champions import GONE, champion_of
from retraining.execution.flows import Flow
from retraining.execution.keys import Done
from retraining.execution.study import Study
from retraining.execution.tasks import ProfileTask

__all__ = ["profile_inputs"]


def profile_inputs(study: Study, node: str) -> Flow:
    """The flow that profiles the features of a node's champion as its order says; the value is an error or None."""
    order = study.world.profiled[node]
    champion = champion_of(study, node)
    if champion is None:
        return GONE
    shipped = str(shipped_fit(champion))
    task = ProfileTask(
        id=digest_of(["profile", node, order.bins_key, *sorted(order.missing)]),
        node=node,
        fit=champion.recorded[shipped]["fingerprint"] if shipped in champion.recorded else "",
        recipe=champion.recipe,
        classes=champion.data.classes,
        as_of=champion.as_of,
        records={part: order.records[part] for part in sorted(order.missing)},
        reference=order.reference,
        bins=order.bins,
        bins_key=order.bins_key,
    )
    study.submit(task, f"{champion.recipe.model} inputs", study.paths.get(node, 0.0))
    (done,) = yield (Done(task=task.id),)
    return done.error
