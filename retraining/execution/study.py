"""What a run knows and what its flows share: results, and the study that every flow is given.

A `World` is read once when a run starts and never changed. A `Study` adds what the flows make on the
way: candidates, assembled columns, documents that were read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from retraining.data.edges import Link
from retraining.data.identities import Identities
from retraining.data.labels import Classes
from retraining.data.rows import NodeRows
from retraining.data.tables import Table
from retraining.decide.costs import column_readers, readers_below
from retraining.decide.evidence import GateEvidence
from retraining.decide.facts import Decision, Facts
from retraining.decide.pairs import PairCheck
from retraining.decide.plan import Plan
from retraining.decide.recipes import Recipe, digest_of
from retraining.decide.skew import Skew
from retraining.decide.snapshots import NodeData
from retraining.decide.verdicts import Verdict
from retraining.execution.candidates import (
    Candidate,
    Fed,
    Results,
    Side,
    Source,
)
from retraining.execution.orders import InputOrder, Order
from retraining.execution.recent import RecentColumns
from retraining.execution.tasks import Task
from retraining.graph.graph import Graph
from retraining.manifest.values import Input, Manifest
from retraining.release.values import Attempt, BlobPointer, NodeState, Parts
from retraining.store.objects import Objects
from retraining.store.packs import Action, StoredRecord, read_document
from retraining.store.results import ResultIndex

Floats: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnValues:
    """A node's honest predictions on its visible rows, `(n_rows, n_outputs)`; or the error that prevented them.

    `origin` has the piece of each row, as a position in the candidate's `handed` (-1: none).
    """

    rows: NDArray[np.intp]
    values: Floats
    origin: NDArray[np.int32]
    first: int | None
    error: str | None = None


@dataclass(slots=True, kw_only=True)
class NodeResult:
    """What became of a node, and all that its records are written from.

    `waiting` is the attempt of an earlier run whose challenger was tried for release again.
    """

    node: str
    decision: Decision
    outcome: str
    because: str
    candidate: Candidate | None = None
    evidence: GateEvidence | None = None
    verdict: Verdict | None = None
    parts: Parts | None = None
    fingerprint: str = ""
    version: str = ""
    wiring: Mapping[str, str] = field(default_factory=dict)
    edges: list[dict[str, Any]] = field(default_factory=list)
    skew: tuple[Skew, ...] = ()
    pair: PairCheck | None = None
    waiting: Attempt | None = None
    error: str | None = None

    @property
    def won(self) -> bool:
        """True while the challenger is what the node's readers should learn from."""
        return self.outcome == "promoted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewired:
    """A champion that is released with other upstream columns: `wiring` names them, `column` its own then.

    Of the upstreams `checked` it reads a column that it did not learn from. `candidate` is the champion as it
    is fed then.
    """

    candidate: Candidate
    wiring: Mapping[str, str]
    column: str
    checked: tuple[str, ...]
    check: PairCheck


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseSet:
    """What is released together: the winners, the champions that it rewires, and who waits for whom.

    `failed` are the checks that kept winners out. `pending` are winners that could be released with these and
    that wait for a person: those of `approve`, and what fits only with them; `pending_rewired` are the champions
    that would be rewired then.
    """

    new: frozenset[str] = frozenset()
    rewired: Mapping[str, Rewired] = field(default_factory=dict)
    approve: frozenset[str] = frozenset()
    pending: frozenset[str] = frozenset()
    pending_rewired: Mapping[str, Rewired] = field(default_factory=dict)
    waiting: Mapping[str, frozenset[str]] = field(default_factory=dict)
    failed: tuple[PairCheck, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """All that a run knows when it starts; read once, never changed.

    `orders` says whose champions are to be measured, and how far, `profiled` whose inputs are. `promoted` are nodes
    whose challengers a person releases against the gate, with the person's words.
    """

    manifest: Manifest
    graph: Graph
    plan: Plan
    facts: Mapping[str, Facts]
    states: Mapping[str, NodeState]
    tables: Mapping[str, Table]
    rows: Callable[[Recipe, Classes], NodeRows]
    describe: Callable[[Recipe, Classes], NodeData]
    link: Callable[[str, Input, str], Link]
    objects: Objects
    as_of: int
    environment: str
    promoted: Mapping[str, str] = field(default_factory=dict)
    orders: Mapping[str, Order] = field(default_factory=dict)
    profiled: Mapping[str, InputOrder] = field(default_factory=dict)


class Study:
    """The shared state of one run's flows.

    `submit` takes a new task with its cost group and priority; `put_array` hands an array to the workers;
    `made` are the (action, fingerprint) pairs that this run has stored itself.
    """

    def __init__(
        self,
        world: World,
        results: ResultIndex,
        submit: Callable[[Task, str, float], None],
        put_array: Callable[[str, NDArray[np.generic]], None],
        made: Set[tuple[str, str]],
    ) -> None:
        self.world = world
        self.results = results
        self.submit = submit
        self.put_array = put_array
        self.made = made
        self.arrays: dict[str, NDArray[np.generic]] = {}
        # of united columns, by the key of their values: which piece each row comes from, and what it is
        self.origins: dict[str, NDArray[np.int64]] = {}
        self.identities: dict[str, Identities] = {}
        self.columns = RecentColumns()
        self.challengers: dict[str, Candidate] = {}
        self.champions: dict[str, Candidate | None] = {}
        self.fed: dict[tuple[str, frozenset[str]], Candidate] = {}
        self.won: set[str] = set()
        self.touched: set[str] = set()  # winners, and every node below one
        self.late: dict[str, Decision] = {}  # what a lost pair check made of the plan's decision
        # by node: the winners that a winner learnt from, and those that something above the node keeps out
        self.needs: dict[str, frozenset[str]] = {}
        self.out: dict[str, frozenset[str]] = {}
        self._names: dict[tuple[str, frozenset[str]], str] = {}
        self._documents: dict[str, dict[str, Any]] = {}
        self.readers = readers_below(world.graph, column_readers(world.plan.decisions, world.states))
        costs = {decision.node: decision.seconds or 1.0 for decision in world.plan.decisions}
        self.paths = world.graph.longest_paths_below(costs)

    def document(self, pointer: BlobPointer | None) -> dict[str, Any] | None:
        """A version document, read once."""
        if pointer is None:
            return None
        if pointer.digest not in self._documents:
            self._documents[pointer.digest] = read_document(self.world.objects, pointer)
        return self._documents[pointer.digest]

    def candidate(self, node: str, side: Side) -> Candidate | None:
        """The challenger or champion of a node, where there is one."""
        if side == "challenger":
            return self.challengers[node]
        return self.champions.get(node) if side == "champion" else self.fed.get((node, side.new))

    def column_name(self, node: str, side: Side) -> str:
        """The name of the column that a side of a node hands down: its version, unless it is fed with others."""
        if side == "challenger":
            return self.challengers[node].version
        state = self.world.states.get(node)
        if state is None or side == "champion":
            return (state and state.hands_down) or ""
        if (node, side.new) not in self._names:
            wiring = self.wiring_under(node, side.new)
            document = self.document(state.document) or {}
            own = state.version or ""
            name = own if wiring == document.get("wiring") else digest_of([own, {**wiring}])[7:23]
            self._names[(node, side.new)] = name
        return self._names[(node, side.new)]

    def wiring_under(self, node: str, new: frozenset[str]) -> dict[str, str]:
        """The upstream columns of a released node, by name, where `new` are released and all others stay."""
        return {
            name: self.column_name(name, self.side_under(name, new))
            for name in self.world.states[node].wiring
        }

    def side_under(self, node: str, new: frozenset[str]) -> Side:
        """What a node hands down where the challengers `new` are released and all others stay."""
        if node in new:
            return "challenger"
        above = self.reached(node, new.__contains__, known=False)
        return Fed(above) if above else "champion"

    def may_ship(self, node: str, out: Set[str]) -> bool:
        """True for a winner that is not known to stay out, nor learnt from one that is, as far as `out` tells."""
        if node not in self.won or not out:
            return node in self.won
        seen, waiting = {node}, [node]
        while waiting:
            name = waiting.pop()
            if name in out:
                return False
            more = self.needs[name] - seen
            seen |= more
            waiting += more
        return True

    def reached(self, node: str, new: Callable[[str], bool], *, known: bool) -> frozenset[str]:
        """The challengers `new` whose columns reach a node's champion, directly or through other champions.

        With `known` by edges of the graph alone: the nodes at their upper ends have their results.
        """
        graph, states = self.world.graph, self.world.states
        found: set[str] = set()
        seen, waiting = {node}, [node]
        while waiting:
            name = waiting.pop()
            state = states.get(name)
            for upstream in state.wiring if state is not None else ():
                if upstream in seen or upstream not in graph:
                    continue
                if known and upstream not in graph.upstreams(name):
                    continue
                seen.add(upstream)
                if new(upstream):
                    found.add(upstream)
                else:
                    waiting.append(upstream)
        return frozenset(found)

    def known_results(self, candidate: Candidate) -> Results:
        """What the store has for a candidate; for a forced challenger, what this run has made."""
        forced = candidate.side == "challenger" and self.forced(candidate.node)
        return FreshResults(self.results, self.made) if forced else self.results

    def needs_approval(self, node: str) -> bool:
        """True where a person has to approve what the node's challenger wins."""
        gate = self.world.manifest.models[self.world.graph.node(node).model].gate
        state = self.world.states.get(node)
        first = state is None or state.version is None
        asked = gate.first_release if first else gate.approve
        return asked == "manual" and node not in self.world.promoted

    def forced(self, node: str) -> bool:
        """True where `--force` asked for the node."""
        return any(reason.kind == "forced" for reason in self.world.plan[node].reasons)

    def new_candidate(
        self,
        node: str,
        side: Side,
        recipe: Recipe,
        data: NodeData,
        cut: int | None,
        sources: Mapping[str, tuple[Source, ...]],
    ) -> Candidate:
        """A candidate on the run's rows and libraries."""
        return Candidate(
            node=node,
            side=side,
            recipe=recipe,
            data=data,
            rows=self.world.rows(recipe, data.classes),
            as_of=self.world.as_of,
            environment=self.world.environment,
            cut=cut,
            sources=sources,
        )


class FreshResults:
    """The results of this run alone, for `--force`: it fits again in spite of what the store has."""

    def __init__(self, results: ResultIndex, made: Set[tuple[str, str]]) -> None:
        self._results = results
        self._made = made

    def find(self, action: Action, fingerprint: str) -> StoredRecord | None:
        """The record, if this run has made it."""
        return self._results.find(action, fingerprint) if (action, fingerprint) in self._made else None
