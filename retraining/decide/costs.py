"""How many fits each decision takes and what they cost; each node's first predicted block (docs/design.md 5)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from retraining.decide.calendar import Calendar, moment
from retraining.decide.facts import Decision, Facts, edge_policies, shipped_left_out
from retraining.decide.fits import Before, LeftOut, enough, lattice_fits, slice_cells
from retraining.decide.snapshots import NodeData
from retraining.graph.graph import Graph
from retraining.manifest.values import FoldScheme, TimeScheme
from retraining.release.values import NodeState

#: Earlier than every block.
_EARLIEST = -(2**31)


def with_fits(
    graph: Graph, facts: Mapping[str, Facts], decisions: Mapping[str, Decision]
) -> dict[str, Decision]:
    """The decisions with the number of fits, the cost, and each node's first predicted block."""
    out: dict[str, Decision] = {}
    first: dict[str, int | None] = {}
    states = {name: fact.state for name, fact in facts.items() if fact.state is not None}
    depth = readers_below(graph, column_readers(decisions.values(), states))
    for node in graph.nodes:
        name, decision, fact = node.name, decisions[node.name], facts[node.name]
        first[name] = _first_predicted(fact, _required_begin(name, graph, fact, first))
        until = fact.data.gate_until
        decision = replace(
            decision,
            first_predicted=_date(fact, first[name]),
            rows=fact.data.states,
            gate_until=None if until is None else moment(until).isoformat().replace("+00:00", "Z"),
        )
        most = _most_fits(fact, depth[name], first[name])
        if decision.action != "retrain":
            out[name] = (
                replace(decision, fits=(0, most))
                if _may_be_due(name, graph, fact, decision, out)
                else decision
            )
            continue
        again = not decision.direct or any(reason.kind == "forced" for reason in decision.reasons)
        fresh, at_most = (most, most) if again else _changed_fits(fact, depth[name], first[name])
        # what failed leaves an unknown number of its fits behind
        failed = any(reason.kind == "failed before" for reason in decision.reasons)
        rebuilt = (
            not decision.direct
            or failed
            or any(up in out and out[up].fits[1] for up in graph.upstreams(name))
        )
        least = 0 if decision.conditional else min(fresh, most)
        largest = most if rebuilt else at_most
        state = fact.state
        each = state.seconds / state.fits if state is not None and state.fits else None
        out[name] = replace(
            decision,
            fits=(least, max(least, largest)),
            comparisons=_comparisons(fact),
            seconds=None if each is None else each * largest,
        )
    return out


def with_comparisons(
    facts: Mapping[str, Facts], decisions: Mapping[str, Decision], asked: Collection[str]
) -> dict[str, Decision]:
    """The decisions with what was asked of inputs: of nodes that retrain, and of champions that stay."""
    out = dict(decisions)
    for name, decision in decisions.items():
        fact = facts[name]
        there = fact.state is not None and fact.state.version is not None
        if name in asked and fact.recipe.inputs and (decision.action == "retrain" or there):
            out[name] = replace(decision, compared=True, comparisons=_all_comparisons(fact))
    return out


def _may_be_due(
    node: str, graph: Graph, fact: Facts, decision: Decision, above: Mapping[str, Decision]
) -> bool:
    """True for a champion that is retrained where the check with new upstream columns fails."""
    if decision.action == "blocked" or decision.fixed or fact.state is None or fact.state.version is None:
        return False
    policies = edge_policies(node, graph, fact.recipe)
    return any(above[name].fits[1] and policies[name] != "ignore" for name in graph.upstreams(node))


def column_readers(decisions: Iterable[Decision], states: Mapping[str, NodeState]) -> frozenset[str]:
    """The nodes that read the columns of this run: those that retrain, and champions that are checked with them."""
    released = (name for name, state in states.items() if state.version is not None)
    return frozenset((*(one.node for one in decisions if one.action == "retrain"), *released))


def readers_below(graph: Graph, active: Collection[str]) -> dict[str, int]:
    """For each node the number of levels below it that have active readers."""
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
    shipped = shipped_left_out(fact.recipe, fact.data)
    assert isinstance(shipped, Before)
    ends = {fact.data.holdout[0], shipped.block}
    blocks = {min(block, shipped.block) for block in fact.data.rows if block >= first} if depth else set()
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

    shipped = shipped_left_out(fact.recipe, baseline.data)
    changed = {one for one in wanted if differs(one) or _is_later(one, shipped)}
    # a gate fit predicts blocks that no fit before it was asked for: without its model it is made again
    gate = _gate_fit(fact.data)
    lost = gate is not None and gate in wanted and gate not in {_gate_fit(baseline.data), *changed}
    lost = lost and gate != shipped
    return len(changed), len(changed) + lost


def _gate_fit(data: NodeData) -> Before | None:
    return Before(data.holdout[0]) if data.holdout else None


def _is_later(one: LeftOut, shipped: LeftOut) -> bool:
    """True for a fit after the one that shipped, or would have, when the baseline was made: it is not in the store."""
    return isinstance(one, Before) and isinstance(shipped, Before) and one.block > shipped.block


def _comparisons(fact: Facts) -> int:
    """Fits without one input each, made once when an edge is new."""
    known = (
        {item["column"] for item in fact.baseline.definition.get("inputs", ())} if fact.baseline else set()
    )
    if fact.state is not None and fact.state.version is not None and not fact.baseline:
        return 0
    return _fits_without(fact, sum(item.column not in known for item in fact.recipe.inputs))


def _all_comparisons(fact: Facts) -> int:
    return _fits_without(fact, len(fact.recipe.inputs))


def _fits_without(fact: Facts, inputs: int) -> int:
    """Fits without one of so many inputs each, and of several one without any; by folds each is one for each fold."""
    count = inputs + (len(fact.recipe.inputs) > 1 and inputs > 0)
    return count * (fact.recipe.scheme.folds if isinstance(fact.recipe.scheme, FoldScheme) else 1)


def _date(fact: Facts, block: int | None) -> str | None:
    scheme = fact.recipe.scheme
    if block is None or not isinstance(scheme, TimeScheme):
        return None
    return Calendar(fact.recipe.timezone, scheme.block_days).date(block).isoformat()
