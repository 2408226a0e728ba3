"""Which nodes of a running cluster may take work: the same program, the same libraries, the same store.

Every node that has CPUs is visited before it takes work, also one that joins later. A folder as store is
seen by all only where it is a shared file system, so each node reads a word that the driver wrote, and
the driver reads what each node wrote.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import retraining
from retraining.errors import ClusterError, InterruptedRunError, NotFoundError, StoreError
from retraining.execution.ray import visit as visiting
from retraining.execution.slots import Node
from retraining.learn.environment import library_versions
from retraining.store.cloud.addresses import scheme_of
from retraining.store.objects import Objects

if TYPE_CHECKING:
    import ray

__all__ = ["Census", "Finding"]

#: How long a node may take to answer: it imports the package first.
VISIT_SECONDS = 120.0
#: How many nodes an error names.
_MOST_NAMED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What a visit found: a node that may work (`problem` is empty), or why it may not, and what that is about."""

    node: Node
    problem: str = ""
    about: str = ""


class Census:
    """Visits nodes; to be closed, so that nothing of it stays in the store."""

    def __init__(self, objects: Objects, store_url: str) -> None:
        self._objects = objects
        self._store_url = store_url
        self._place = f"probes/{os.urandom(8).hex()}"
        self._word = os.urandom(16)
        self._expected: tuple[str, str, dict[str, str]] | None = None
        self._written: set[str] = set()
        self._visits: dict[ray.ObjectRef, tuple[Node, float]] = {}

    @property
    def under_way(self) -> bool:
        """True while a node has not answered yet."""
        return bool(self._visits)

    def begin(self, node: Node) -> None:
        """Begins to visit a node."""
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        if self._expected is None:
            root = str(Path(retraining.__file__).parent)
            self._expected = (retraining.__version__, visiting.code_digest(root), library_versions())
            self._objects.put(f"{self._place}/driver", self._word)
            self._written.add(f"{self._place}/driver")
            ray.cloudpickle.register_pickle_by_value(visiting)
        here = NodeAffinitySchedulingStrategy(node.id, soft=False)
        task = ray.remote(num_cpus=0, max_retries=0, scheduling_strategy=here)(visiting.visit)
        ref = task.options(name="visit").remote(*self._expected, self._store_url, self._place, self._word)
        self._visits[ref] = (node, time.monotonic() + VISIT_SECONDS)

    def findings(self, timeout_seconds: float = 0.0) -> Sequence[Finding]:
        """What was found since the last call, waiting up to the timeout for the first."""
        import ray

        if not self._visits:
            return []
        done, waiting = ray.wait(list(self._visits), num_returns=len(self._visits), timeout=timeout_seconds)
        found = [self._finding(ref) for ref in done]
        for ref in waiting:
            node, deadline = self._visits[ref]
            if time.monotonic() > deadline:
                del self._visits[ref]
                found.append(Finding(node=node, problem=f"it did not answer within {VISIT_SECONDS:.0f} s"))
        return found

    def all_of(self, nodes: Sequence[Node], stop_asked: Callable[[], bool]) -> Sequence[Node]:
        """The nodes, after each was visited; `ClusterError` names those that may not work, and why."""
        for node in nodes:
            self.begin(node)
        found: list[Finding] = []
        while self.under_way:
            if stop_asked():
                raise InterruptedRunError(
                    "stopped while the cluster was looked at", "run the same command again"
                )
            found += self.findings(0.2)
        bad = [one for one in found if one.problem]
        if bad:
            raise ClusterError(_refusal(bad, len(found)), self._step(bad[0]))
        return nodes

    def close(self) -> None:
        """Removes what the visits left in the store; a store that fails now is no concern of the run."""
        with contextlib.suppress(StoreError):
            self._objects.delete(sorted(self._written))

    def _finding(self, ref: ray.ObjectRef) -> Finding:
        import ray

        node, _ = self._visits.pop(ref)
        try:
            problem, about = ray.get(ref)
        except ray.exceptions.RayError as error:
            words = str(error).strip().splitlines() or [type(error).__name__]
            return Finding(node=node, problem=f"it could not be looked at: {words[-1]}")
        return Finding(node=node, problem=problem, about=about) if problem else self._seen_by_us(node)

    def _seen_by_us(self, node: Node) -> Finding:
        key = f"{self._place}/{node.id}"
        self._written.add(key)
        try:
            same = self._objects.get(key) == self._word
        except NotFoundError:
            same = False
        if same:
            return Finding(node=node)
        return Finding(node=node, problem="what it writes into the store does not arrive here", about="store")

    def _step(self, finding: Finding) -> str:
        """What helps."""
        if finding.about == "program":
            return f"install retraining {retraining.__version__} for every node's Python, as here"
        if finding.about == "libraries":
            return "install the same versions on every node: equal results are promised for equal versions"
        if finding.about == "store" and scheme_of(self._store_url) in (None, "file"):
            return (
                "a folder is a store for several machines only where all see it under this path (a shared "
                "file system): use one, or a bucket (--store s3://BUCKET/PREFIX)"
            )
        if finding.about == "store":
            return "give every node the store's credentials and address in its environment (docs/stores.md)"
        return "mend the node, or take it out of the cluster"


def _refusal(bad: Sequence[Finding], visited: int) -> str:
    told = "; ".join(f"{one.node.address}: {one.problem}" for one in bad[:_MOST_NAMED])
    more = f" (and {len(bad) - _MOST_NAMED} more)" if len(bad) > _MOST_NAMED else ""
    return f"{len(bad)} of the cluster's {visited} nodes cannot take work: {told}{more}"
