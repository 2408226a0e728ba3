"""The plan: for each node a decision and all its reasons, from values alone (DESIGN 4).

No clock, no I/O: the same facts give the same plan. Below an upstream that will retrain, a decision
is conditional (*if its column changes*); `run` settles the condition and records how.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from retraining.decide.calendar import Calendar
from retraining.decide.fits import Before, Folds, LeftOut, enough, lattice_fits, slice_cells
from retraining.decide.recipes import Recipe
from retraining.decide.snapshots import NodeData
from retraining.decide.triggers import NOTHING_CHANGED, Change, Reason, changes_between, due_reasons
from retraining.graph.graph import Graph
from retraining.manifest.values import FoldScheme, Json, Rule, TimeScheme
from retraining.release.values import NodeState, Parts, Pin

SERVED_NOTE = "what is served was made from exactly this"

Action: TypeAlias = Literal["retrain", "keep", "blocked"]

#: Earlier than every block.
_EARLIEST = -(2**31)


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """What the last attempt (or the champion) was made from, as its document records it."""

    definition: Mapping[str, Any]
    data: NodeData
    wiring: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """All that a decision about one node is made from."""

    recipe: Recipe
    data: NodeData
    state: NodeState | None
    baseline: Baseline | None
    rule: Rule


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What will be done with a node, and every reason.

    `conditional`: only if an upstream column changes. `fits` is (least, most); `seconds` the estimate
    from what the node's fits have cost (None: never fitted). `first_predicted` is the first block
    with an honest prediction (time scheme).
    """

    node: str
    action: Action
    reasons: tuple[Reason, ...] = ()
    conditional: bool = False
    note: str = ""
    direct: bool = True
    fits: tuple[int, int] = (0, 0)
    comparisons: int = 0
    seconds: float | None = None
    first_predicted: str | None = None

    def to_json(self) -> dict[str, Json]:
        """The decision as a document."""
        return {
            "node": self.node,
            "action": self.action,
            "conditional": self.conditional,
            "direct": self.direct,
            "reasons": [reason.to_json() for reason in self.reasons],
            "note": self.note,
            "fits": list(self.fits),
            "comparisons": self.comparisons,
            "seconds": self.seconds,
            "first_predicted": self.first_predicted,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All decisions, in topological order."""

    as_of: str
    decisions: tuple[Decision, ...]
    critical_seconds: float | None = None
    _index: Mapping[str, int] = field(init=False, repr=False, compare=False, default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_index", {d.node: i for i, d in enumerate(self.decisions)})

    def __getitem__(self, node: str) -> Decision:
        return self.decisions[self._index[node]]

    @property
    def active(self) -> tuple[Decision, ...]:
        """The decisions to retrain, conditional ones included."""
        return tuple(decision for decision in self.decisions if decision.action == "retrain")

    @property
    def fits(self) -> tuple[int, int]:
        """The least and the most number of fits."""
        return sum(d.fits[0] for d in self.decisions), sum(d.fits[1] for d in self.decisions)

    @property
    def seconds(self) -> float | None:
        """Estimated seconds of work of all fits, None where nothing is known."""
        known = [d.seconds for d in self.active if d.seconds is not None]
        return sum(known) if known else None

    def to_json(self) -> dict[str, Json]:
        """The plan as a document (format 1)."""
        return {
            "format": 1,
            "as_of": self.as_of,
            "fits": list(self.fits),
            "seconds": self.seconds,
            "critical_seconds": self.critical_seconds,
            "decisions": [decision.to_json() for decision in self.decisions],
        }


def make_plan(
    graph: Graph,
    facts: Mapping[str, Facts],
    states: Mapping[str, NodeState],
    *,
    as_of: str,
    environment: str,
    selected: Collection[str],
    forced: Collection[str] = (),
) -> Plan:
    """The decisions for all nodes of the graph."""
    decisions: dict[str, Decision] = {}
    for node in graph.nodes:
        decisions[node.name] = _decide(
            node.name,
            graph,
            facts[node.name],
            states,
            decisions,
            environment,
            node.name in selected,
            node.name in forced,
        )
    ordered = _with_fits(graph, facts, decisions)
    costs = {node.name: ordered[node.name].seconds or 0.0 for node in graph.nodes}
    longest = max(graph.longest_paths_below(costs).values(), default=0.0)
    return Plan(
        as_of=as_of,
        decisions=tuple(ordered[node.name] for node in graph.nodes),
        critical_seconds=longest if longest > 0 else None,
    )


def shipped_left_out(recipe: Recipe, data: NodeData) -> LeftOut:
    """What the fit that would ship leaves out."""
    if data.next_block is None:
        return Folds(frozenset())
    if recipe.ship == "gated" and data.holdout:
        return Before(data.holdout[0])
    return Before(data.next_block)


def _decide(
    node: str,
    graph: Graph,
    facts: Facts,
    states: Mapping[str, NodeState],
    above: Mapping[str, Decision],
    environment: str,
    selected: bool,
    forced: bool,
) -> Decision:
    state = facts.state
    released = state is not None and state.version is not None
    if not selected:
        note = "not selected" if released else "not selected, and never released"
        return Decision(node=node, action="keep", note=note)
    if state is not None and state.pin is not None:
        return Decision(node=node, action="keep", note=pin_note(state.pin))
    lacking = _lacking_inputs(node, graph, states, above)
    if lacking:
        return Decision(node=node, action="blocked", note=_lacking_note(lacking, above))
    served = _went_back(node, graph, facts, states, environment)
    change = NOTHING_CHANGED if served else _change(node, graph, facts, states, environment)
    reasons = list(due_reasons(facts.rule, change))
    attempt = state.attempt if state else None
    if not released:
        reasons.insert(0, Reason(kind="new", text="never released"))
    if attempt is not None and attempt.outcome == "failed":
        reasons.append(Reason(kind="failed before", text=f"the last attempt failed: {attempt.because}"))
    if forced:
        reasons.append(Reason(kind="forced", text="--force"))
    retraining = [name for name in graph.upstreams(node) if above[name].action == "retrain"]
    work = forced or change.any or (attempt is not None and attempt.outcome == "failed")
    if not released and attempt is None:
        work = True
    if reasons and work:
        # another version of an upstream is work only if its column differs on this node's rows
        only_upstream = released and all(reason.kind == "upstream" for reason in reasons)
        return Decision(node=node, action="retrain", reasons=tuple(reasons), conditional=only_upstream)
    if retraining and (due_reasons(facts.rule, change.with_upstreams(retraining)) or not released):
        reason = Reason(
            kind="upstream",
            text=f"{_names(retraining)} will retrain",
            evidence={"upstreams": list(retraining)},
        )
        return Decision(
            node=node, action="retrain", conditional=True, direct=False, reasons=(*reasons, reason)
        )
    note = SERVED_NOTE if served else _keep_note(state, bool(reasons), change)
    return Decision(node=node, action="keep", reasons=tuple(reasons), note=note)


def pin_note(pin: Pin) -> str:
    """Who pinned a node, when, and why."""
    return f"pinned by {pin.who} on {pin.time[:10]}: {pin.because}"


def _lacking_inputs(
    node: str, graph: Graph, states: Mapping[str, NodeState], above: Mapping[str, Decision]
) -> list[str]:
    """Inputs of which no upstream node has a version or will be trained."""
    by_column: dict[str, list[str]] = {}
    for edge in graph.edges_into(node):
        by_column.setdefault(edge.column, []).append(edge.upstream)

    def usable(name: str) -> bool:
        state = states.get(name)
        return above[name].action == "retrain" or (state is not None and state.version is not None)

    return [name for names in by_column.values() if not any(map(usable, names)) for name in names[:1]]


def _lacking_note(lacking: Sequence[str], above: Mapping[str, Decision]) -> str:
    """Which inputs have no version, and why the first of them has none."""
    note = f"no usable version of {_names(lacking)}"
    cause = above[lacking[0]].note
    return f"{note} ({cause})" if cause else note


def _went_back(
    node: str, graph: Graph, facts: Facts, states: Mapping[str, NodeState], environment: str
) -> bool:
    """True where the last attempt was made from other parts than the champion, and today's are the champion's."""
    state = facts.state
    if state is None or state.version is None or state.parts is None or state.attempt is None:
        return False
    shipped = shipped_left_out(facts.recipe, facts.data)
    now = (facts.recipe.digest(), facts.data.slice_digest(shipped), environment)
    current = {name: states[name].version for name in graph.upstreams(node) if name in states}
    return (
        state.attempt.parts != state.parts
        and (state.parts.recipe, state.parts.data, state.parts.environment) == now
        and all(version in (None, state.wiring.get(name)) for name, version in current.items())
    )


def _change(
    node: str, graph: Graph, facts: Facts, states: Mapping[str, NodeState], environment: str
) -> Change:
    state = facts.state
    parts: Parts | None = None
    if state is not None:
        parts = state.attempt.parts if state.attempt is not None else state.parts
    if state is None or parts is None:
        return Change(recipe=True, fields=(), data=None, upstreams=(), environment=False, first=True)
    # an upstream is news if neither the champion nor the last attempt learnt from its current version
    tried = facts.baseline.wiring if facts.baseline is not None else {}
    current = {name: states[name].version for name in graph.upstreams(node) if name in states}
    rewired = sorted(
        name
        for name, version in current.items()
        if version is not None and version not in (state.wiring.get(name), tried.get(name))
    )
    return changes_between(
        parts,
        facts.recipe,
        facts.data,
        shipped_left_out(facts.recipe, facts.data),
        environment=environment,
        baseline_definition=facts.baseline.definition if facts.baseline else None,
        baseline_data=facts.baseline.data if facts.baseline else None,
        upstreams=tuple(rewired),
    )


def _keep_note(state: NodeState | None, due: bool, change: Change) -> str:
    attempt = state.attempt if state else None
    if attempt is not None and attempt.outcome in ("rejected", "insufficient", "waiting"):
        return f"{attempt.outcome} on {attempt.time[:10]} and nothing changed since: {attempt.because}"
    if due:
        return "due, and nothing changed"
    return f"not due: {change.summary()}" if change.any else "nothing changed"


def _with_fits(
    graph: Graph, facts: Mapping[str, Facts], decisions: Mapping[str, Decision]
) -> dict[str, Decision]:
    """The decisions with the number of fits, the cost, and each node's first predicted block."""
    out: dict[str, Decision] = {}
    first: dict[str, int | None] = {}
    depth = readers_below(graph, {name for name, d in decisions.items() if d.action == "retrain"})
    for node in graph.nodes:
        name, decision, fact = node.name, decisions[node.name], facts[node.name]
        first[name] = _first_predicted(fact, _required_begin(name, graph, fact, first))
        if decision.action != "retrain":
            out[name] = decision
            continue
        most = _most_fits(fact, depth[name], first[name])
        again = not decision.direct or any(reason.kind == "forced" for reason in decision.reasons)
        fresh, at_most = (most, most) if again else _changed_fits(fact, depth[name], first[name])
        # what failed leaves an unknown number of its fits behind
        failed = any(reason.kind == "failed before" for reason in decision.reasons)
        rebuilt = (
            not decision.direct
            or failed
            or any(up in out and out[up].action == "retrain" for up in graph.upstreams(name))
        )
        least = 0 if decision.conditional else min(fresh, most)
        largest = most if rebuilt else at_most
        state = fact.state
        each = state.seconds / state.fits if state is not None and state.fits else None
        out[name] = Decision(
            node=name,
            action=decision.action,
            reasons=decision.reasons,
            conditional=decision.conditional,
            note=decision.note,
            direct=decision.direct,
            fits=(least, max(least, largest)),
            comparisons=_comparisons(fact),
            seconds=None if each is None else each * largest,
            first_predicted=_date(fact, first[name]),
        )
    return out


def readers_below(graph: Graph, active: Collection[str]) -> dict[str, int]:
    """For each node the number of levels of active readers below it."""
    depth: dict[str, int] = {}
    for node in reversed(graph.nodes):
        below = [1 + depth[name] for name in graph.downstreams(node.name) if name in active or depth[name]]
        depth[node.name] = max(below, default=0)
    return depth


def _required_begin(node: str, graph: Graph, fact: Facts, first: Mapping[str, int | None]) -> int | None:
    """The block from which on some row has every column that a row may not lack; None: none ever has.

    A column begins with the earliest node that makes it; one that may be missing (`nan`) delays nothing.
    """
    begin = _EARLIEST
    for item in fact.recipe.inputs:
        if fact.recipe.missing_policy(item) == "nan":
            continue
        sources = [first[edge.upstream] for edge in graph.edges_into(node) if edge.column == item.column]
        known = [block for block in sources if block is not None]
        if not known:
            return None
        begin = max(begin, min(known))
    return begin


def _first_predicted(fact: Facts, begin: int | None) -> int | None:
    scheme = fact.recipe.scheme
    if isinstance(scheme, FoldScheme) or begin is None:
        return None
    cells = [cell for cell in fact.data.cells if cell.part >= begin]
    for block in sorted(fact.data.rows):
        learnt = slice_cells(cells, Before(block), fact.recipe.first_block(Before(block)))
        if enough(learnt, scheme.min_rows, scheme.min_blocks):
            return block
    return None


def _column_left_outs(fact: Facts, depth: int, first: int | None) -> list[LeftOut]:
    scheme = fact.recipe.scheme
    if isinstance(scheme, FoldScheme):
        return list(lattice_fits(scheme.folds, depth))
    if first is None or fact.data.next_block is None or not fact.data.holdout:
        return []
    ends = {fact.data.holdout[0], fact.data.next_block}
    blocks = (
        {min(block, fact.data.next_block) for block in fact.data.rows if block >= first} if depth else set()
    )
    return [Before(block) for block in sorted(ends | blocks) if block >= first]


def _most_fits(fact: Facts, depth: int, first: int | None) -> int:
    return len(_column_left_outs(fact, depth, first))


def _changed_fits(fact: Facts, depth: int, first: int | None) -> tuple[int, int]:
    """The least and the most fits that the store lacks since the baseline was made."""
    baseline = fact.baseline
    wanted = _column_left_outs(fact, depth, first)
    if baseline is None or baseline.definition != fact.recipe.definition():
        return len(wanted), len(wanted)

    def differs(one: LeftOut) -> bool:
        begin = fact.recipe.first_block(one)
        return fact.data.slice_digest(one, begin) != baseline.data.slice_digest(one, begin)

    changed = {one for one in wanted if differs(one) or _is_edge(one, baseline.data)}
    # a gate fit predicts blocks that no fit before it was asked for: without its model it is made again
    gate = _gate_fit(fact.data)
    lost = gate is not None and gate in wanted and gate not in {_gate_fit(baseline.data), *changed}
    lost = lost and gate != shipped_left_out(fact.recipe, baseline.data)
    return len(changed), len(changed) + lost


def _gate_fit(data: NodeData) -> Before | None:
    return Before(data.holdout[0]) if data.holdout else None


def _is_edge(one: LeftOut, before: NodeData) -> bool:
    """True for a block that had not begun when the baseline was made: its fit is not in the store."""
    return isinstance(one, Before) and before.next_block is not None and one.block > before.next_block


def _comparisons(fact: Facts) -> int:
    """Fits without one input each, made once when an edge is new."""
    known = (
        {item["column"] for item in fact.baseline.definition.get("inputs", ())} if fact.baseline else set()
    )
    if fact.state is not None and fact.state.version is not None and not fact.baseline:
        return 0
    new = sum(item.column not in known for item in fact.recipe.inputs)
    new += len(fact.recipe.inputs) > 1 and new > 0  # and one without any
    folds = fact.recipe.scheme.folds if isinstance(fact.recipe.scheme, FoldScheme) else 1
    return new * folds


def _date(fact: Facts, block: int | None) -> str | None:
    scheme = fact.recipe.scheme
    if block is None or not isinstance(scheme, TimeScheme):
        return None
    return Calendar(fact.recipe.timezone, scheme.block_days).date(block).isoformat()


def _names(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
