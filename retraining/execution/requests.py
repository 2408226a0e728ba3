"""What models ask of a cluster for each fit, and whether any of its nodes can give it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from retraining.manifest.values import Resources

__all__ = ["amounts_of", "roomier", "unmet_request"]

Amounts = Mapping[str, float]


def amounts_of(resources: Resources) -> dict[str, float]:
    """The resources by the names that Ray gives them; memory is in bytes."""
    asked = {"CPU": resources.cpus, "GPU": resources.gpus, "memory": float(resources.memory or 0)}
    return {name: amount for name, amount in (asked | dict(resources.custom)).items() if amount}


def roomier(resources: Resources, times: int, nodes: Sequence[Amounts]) -> Resources:
    """So many times the CPUs and the memory that are asked for, where a node has that; else what is asked for.

    A fit that says nothing of memory gets its room by the neighbours that it then does not have.
    """
    memory = None if resources.memory is None else resources.memory * times
    more = replace(resources, cpus=resources.cpus * times, memory=memory)
    return resources if unmet_request({"": more}, nodes) is not None else more


def unmet_request(requests: Mapping[str, Resources], nodes: Sequence[Amounts]) -> str | None:
    """What is wrong with the first model whose fits no node can ever take, as a sentence; None: all can run.

    `requests` is by model; `nodes` says of each living node what it has in all, free or not.
    """
    for model, resources in sorted(requests.items()):
        asked = amounts_of(resources)
        if any(all(node.get(name, 0.0) >= amount for name, amount in asked.items()) for node in nodes):
            continue
        most = {name: max((node.get(name, 0.0) for node in nodes), default=0.0) for name in asked}
        short = [name for name, amount in asked.items() if most[name] < amount]
        told = [
            f"{_told(name, asked[name])} (the largest node has {_told(name, most[name])})" for name in short
        ]
        together = f"{', '.join(_told(name, amount) for name, amount in asked.items())} on one node"
        return (
            f"no node of the cluster can run a fit of {model}, which asks for {', '.join(told) or together}"
        )
    return None


def _told(name: str, amount: float) -> str:
    if name == "memory":
        return f"{amount / 2**30:.3g} GiB of memory"
    return f"{amount:g} {name}"
