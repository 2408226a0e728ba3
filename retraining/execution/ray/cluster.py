"""A running cluster as it changes under a run: nodes join and are visited first, nodes go and are noticed.

Ray notices a machine that was cut off after a minute, and hangs on its tasks for seven (docs/design.md);
so the list of nodes is read every two seconds, and a worker's death asks its raylet for a sign of life.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Mapping, Sequence

from retraining.errors import ClusterError, InterruptedRunError
from retraining.execution.ray.census import Census
from retraining.execution.ray.scaling import Scaling
from retraining.execution.ray.session import living_nodes
from retraining.execution.requests import amounts_of, unmet_request
from retraining.execution.slots import Node, Slots
from retraining.manifest.values import Resources
from retraining.store.objects import Objects

__all__ = ["Cluster"]

#: How often the list of nodes is read.
LOOK_SECONDS = 2.0
#: How long a raylet may take to accept a connection.
KNOCK_SECONDS = 3.0
#: How long the head may be silent: one that keeps its state elsewhere comes back, and Ray ends this process after 60 s.
HEAD_SECONDS = 30.0


class Cluster:
    """Keeps a table of slots true to the cluster's nodes."""

    def __init__(
        self,
        slots: Slots,
        objects: Objects,
        store_url: str,
        *,
        requests: Mapping[str, Resources],
        wait_seconds: float,
        say: Callable[[str], None],
    ) -> None:
        self._slots = slots
        self._requests = requests
        self._wait_seconds = wait_seconds
        self._say = say
        self._census = Census(objects, store_url)
        self._scaling = Scaling()
        self._known: set[str] = set()  # admitted, being visited, refused or lost
        self._lost: list[Node] = []  # since the last look
        self._places: dict[str, tuple[str, int]] = {}
        self._next_look = 0.0
        self.head_lost = False
        self._head = ("", 0)
        self._head_seen = 0.0

    def begin(self, stop_asked: Callable[[], bool]) -> None:
        """Visits every node that has CPUs, and waits as long as was said for what no node has.

        Raises `ClusterError` where a node cannot take work, or no node can run a fit of some model.
        """
        import ray

        host, _, port = ray.get_runtime_context().gcs_address.rpartition(":")
        self._head, self._head_seen = (host.strip("[]"), int(port)), time.monotonic()
        for node in self._census.all_of(self._new_nodes(), stop_asked):
            self._slots.admit(node)
        more = 0 if self._slots.most is None else max(0, self._slots.most - self._cpus())
        wanted = self._unmet()
        if more or wanted:
            self._scaling.ask(self._slots.most or self._cpus(), wanted)
        self._wait_for_nodes(stop_asked)

    def look(self) -> Sequence[Node]:
        """The nodes that were lost since the last look; those that joined take work once they were visited."""
        self._admit_visited()
        if time.monotonic() >= self._next_look and self._head_answers():
            self._next_look = time.monotonic() + LOOK_SECONDS
            for node in self._new_nodes():
                self._census.begin(node)
            alive = {node.id for node in living_nodes()}
            for node in [node for node in self._slots.nodes.values() if node.id not in alive]:
                self._lose(node)
        lost, self._lost = self._lost, []
        return lost

    def lives(self, node: str) -> bool:
        """Whether a node is there; one that does not answer is lost for this run, before Ray knows it."""
        known = self._slots.nodes.get(node)
        if known is None:
            return False
        # a head that does not answer is not asked: that would take until it does
        listed = not self._head_answers() or any(one.id == node for one in living_nodes())
        if listed and _answers(*self._places[node]):
            return True
        self._lose(known)
        return False

    def check(self) -> None:
        """Raises `ClusterError` where the head does not answer: Ray would end this process a minute later."""
        if time.monotonic() < self._head_seen + LOOK_SECONDS or self._head_answers():
            return
        if time.monotonic() > self._head_seen + HEAD_SECONDS:
            self.head_lost = True
            raise ClusterError(
                f"the cluster's head {self._head[0]} was lost",
                "run the same command again when the cluster is back: it continues with what is missing",
            )

    def close(self) -> None:
        """Asks for no nodes any more, and leaves nothing in the store."""
        if not self.head_lost:
            self._scaling.close()
        self._census.close()

    def _head_answers(self) -> bool:
        """Whether the head accepts connections; what is asked of one that does not hangs."""
        answers = _answers(*self._head)
        if answers:
            self._head_seen = time.monotonic()
        return answers

    # -- joining and leaving ----------------------------------------------------------------------

    def _new_nodes(self) -> list[Node]:
        """The nodes with CPUs that nobody has visited yet."""
        import ray

        self._places = {
            node["NodeID"]: (node["NodeManagerAddress"], int(node["NodeManagerPort"])) for node in ray.nodes()
        }
        new = [node for node in living_nodes() if node.slots and node.id not in self._known]
        self._known |= {node.id for node in new}
        return new

    def _admit_visited(self) -> None:
        for found in self._census.findings():
            if found.problem:
                self._say(f"node {found.node.address} joined and takes no work: {found.problem}")
            else:
                self._slots.admit(found.node)
                self._say(f"node {found.node.address} joined: {self._slots.count} workers")

    def _lose(self, node: Node) -> None:
        self._slots.drop(node.id)
        self._lost.append(node)
        self._say(f"node {node.address} was lost: {self._slots.count} workers; what it had is done elsewhere")

    # -- what no node has -------------------------------------------------------------------------

    def _wait_for_nodes(self, stop_asked: Callable[[], bool]) -> None:
        end = time.monotonic() + self._wait_seconds
        while problem := self._problem():
            if time.monotonic() >= end:
                waited = f"; waited {self._wait_seconds:.0f} s for one that can" if self._wait_seconds else ""
                raise ClusterError(
                    f"{problem}{waited}",
                    "ask for less in `resources`, or add a node that has it; where an autoscaler adds nodes, "
                    "--wait-for-nodes 15m asks it for one",
                )
            if stop_asked():
                raise InterruptedRunError("stopped while waiting for nodes", "run the same command again")
            self.look()
            time.sleep(0.1)

    def _problem(self) -> str | None:
        if not self._slots.nodes:
            return "no node of the cluster has a CPU for work"
        return unmet_request(self._requests, self._slots.amounts())

    def _unmet(self) -> list[Mapping[str, float]]:
        """What models ask for that no node has, as one bundle for each of them."""
        nodes = self._slots.amounts()
        bundles: list[Mapping[str, float]] = [
            amounts_of(asked)
            for model, asked in sorted(self._requests.items())
            if unmet_request({model: asked}, nodes) is not None
        ]
        return bundles or ([{"CPU": 1.0}] if not nodes else [])

    def _cpus(self) -> int:
        return sum(node.slots for node in self._slots.nodes.values())


def _answers(host: str, port: int) -> bool:
    """Whether somebody accepts connections there."""
    try:
        with socket.create_connection((host, port), timeout=KNOCK_SECONDS):
            return True
    except OSError:
        return False
