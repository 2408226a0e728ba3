"""Which machine runs a batch: what each node of a cluster has, and what this run's batches hold of it.

The driver places every batch itself (docs/design.md 12), so it knows where each is and sees by itself who went
down with a node. What other programs use of a cluster is not in this table; Ray makes a batch wait for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

__all__ = ["Node", "Slots"]

#: Amounts are sums of fractions: a tenth ten times is a little less than one.
_ROUNDING = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A living node: its id, its address for people, and its amounts by the names that Ray gives them."""

    id: str
    address: str
    amounts: Mapping[str, float]

    @property
    def slots(self) -> int:
        """One for each whole CPU."""
        return int(self.amounts.get("CPU", 0.0) + _ROUNDING)


@dataclass(slots=True)
class Slots:
    """The nodes that take batches, in the order in which they were admitted, and what is free on each.

    `most` is how many batches may run at once (None: as many as there are CPUs).
    """

    most: int | None = None
    nodes: dict[str, Node] = field(default_factory=dict)
    _free: dict[str, dict[str, float]] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """How many batches run at once."""
        cpus = sum(node.slots for node in self.nodes.values())
        return cpus if self.most is None else min(cpus, self.most)

    def admit(self, node: Node) -> None:
        """Lets a node take batches."""
        if node.id not in self.nodes:
            self.nodes[node.id] = node
            self._free[node.id] = dict(node.amounts)

    def drop(self, node: str) -> None:
        """Forgets a node that is lost."""
        self.nodes.pop(node, None)
        self._free.pop(node, None)

    def place(self, asked: Mapping[str, float]) -> str | None:
        """The node that now holds what was asked for: the one with most free CPUs; None where none has it free."""
        able = [node for node in self.nodes if self._has(node, asked)]
        if not able:
            return None
        node = max(able, key=lambda one: self._free[one].get("CPU", 0.0))
        self._add(node, asked, -1.0)
        return node

    def give_back(self, node: str, asked: Mapping[str, float]) -> None:
        """Frees what a batch held."""
        if node in self._free:
            self._add(node, asked, 1.0)

    def amounts(self) -> Sequence[Mapping[str, float]]:
        """What each node has in all."""
        return [node.amounts for node in self.nodes.values()]

    def _has(self, node: str, asked: Mapping[str, float]) -> bool:
        free = self._free[node]
        return all(free.get(name, 0.0) + _ROUNDING >= amount for name, amount in asked.items())

    def _add(self, node: str, asked: Mapping[str, float], sign: float) -> None:
        free = self._free[node]
        for name, amount in asked.items():
            free[name] = free.get(name, 0.0) + sign * amount
