"""The plan: for each node a decision and all its reasons, from values alone (docs/design.md 5).

No clock, no I/O: the same facts give the same plan. Below an upstream that will retrain, a decision
is conditional (*if its column changes*); `run` settles the condition and records how.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Set
from dataclasses import dataclass, field, replace

from retraining.decide.changes import NOTHING_CHANGED, Change, changes_between
from retraining.decide.costs import with_comparisons, with_fits
from retraining.decide.facts import TO_BE_CHECKED, Decision, Facts, edge_policies, shipped_left_out
from retraining.decide.notes import (
    feedback_notes,
    keep_note,
    lacking_note,
    pending_note,
    pin_note,
    time_notes,
    unread_note,
    upstream_reason,
)
from retraining.decide.reasons import Reason
from retraining.decide.resuming import resumes
from retraining.decide.states import add_states
from retraining.decide.triggers import evaluate_rule
from retraining.graph.graph import Graph
from retraining.manifest.values import Json
from retraining.release.values import NodeState, Parts

#: A plan of more fits is carried out only where the user said so.
MOST_FITS = 10_000

#: Reasons that no rule says, and no rule holds back.
_ABOVE_RULES = ("new", "failed before", "forced")

SERVED_NOTE = "what is served was made from exactly this"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All decisions, in topological order.

    `edges_new` and `edges_gone` are pairs (upstream, downstream) that differ from what the released version of
    the downstream reads; `vanished` are released nodes that the graph no longer has: they keep their champion.
    """

    as_of: str
    decisions: tuple[Decision, ...]
    critical_seconds: float | None = None
    edges_new: tuple[tuple[str, str], ...] = ()
    edges_gone: tuple[tuple[str, str], ...] = ()
    vanished: tuple[str, ...] = ()
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
    def idle(self) -> bool:
        """True where a run would train nothing."""
        return not any(d.action == "retrain" or d.resumes or d.compared for d in self.decisions)

    @property
    def consumed(self) -> dict[str, Mapping[str, int]]:
        """The cursors that move although nothing is done, by node: it is due, and nothing changed."""
        return {one.node: one.consumes for one in self.decisions if one.consumes}

    @property
    def fits(self) -> tuple[int, int]:
        """The least and the most number of fits."""
        return sum(d.fits[0] for d in self.decisions), sum(d.fits[1] for d in self.decisions)

    @property
    def seconds(self) -> float | None:
        """Estimated seconds of work of all fits, None where nothing is known."""
        known = [d.seconds for d in self.active if d.seconds is not None]
        return sum(known) if known else None

    def fits_beyond(self, allowed: int | None) -> int | None:
        """The most fits of the plan where they are more than `allowed` (None: `MOST_FITS`), else None."""
        most = self.fits[1]
        return most if most > (MOST_FITS if allowed is None else allowed) else None

    def to_json(self) -> dict[str, Json]:
        """The plan as a document (format 1)."""
        return {
            "format": 1,
            "as_of": self.as_of,
            "fits": list(self.fits),
            "asks_for_max_fits": self.fits_beyond(None),
            "seconds": self.seconds,
            "critical_seconds": self.critical_seconds,
            "decisions": [decision.to_json() for decision in self.decisions],
            "rows": dict(add_states(decision.rows for decision in self.decisions)),
            "edges_new": [{"upstream": up, "downstream": down} for up, down in self.edges_new],
            "edges_gone": [{"upstream": up, "downstream": down} for up, down in self.edges_gone],
            "vanished": list(self.vanished),
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
    compared: Collection[str] = (),
    promoted: Mapping[str, str] | None = None,
) -> Plan:
    """The decisions for all nodes of the graph.

    Of `compared` nodes that have inputs somebody asked what each of them brings. `promoted` are nodes whose
    challengers a person releases, whatever the gate says, each with the person's words.
    """
    resuming: frozenset[str] = frozenset()
    while True:
        decisions = _decide_all(graph, facts, states, environment, selected, forced, promoted or {}, resuming)
        again = frozenset(n.name for n in graph.nodes if resumes(n.name, graph, facts, decisions))
        if again <= resuming:
            break
        resuming |= again  # what a waiting challenger may make due can be what another waits for
    ordered = with_comparisons(facts, with_fits(graph, facts, decisions), compared)
    costs = {node.name: ordered[node.name].seconds or 0.0 for node in graph.nodes}
    longest = max(graph.longest_paths_below(costs).values(), default=0.0)
    new, gone = _edge_changes(graph, states)
    return Plan(
        as_of=as_of,
        decisions=tuple(ordered[node.name] for node in graph.nodes),
        critical_seconds=longest if longest > 0 else None,
        edges_new=new,
        edges_gone=gone,
        vanished=tuple(
            sorted(name for name, state in states.items() if state.version is not None and name not in graph)
        ),
    )


def _edge_changes(
    graph: Graph, states: Mapping[str, NodeState]
) -> tuple[tuple[tuple[str, str], ...], tuple[tuple[str, str], ...]]:
    """The edges that released nodes of the graph do not have in their version, and those that only it has."""
    new: list[tuple[str, str]] = []
    gone: list[tuple[str, str]] = []
    # one that was tried and never released is no news: nobody could read it
    tried = {name for name, state in states.items() if state.version is None}
    for node in graph.nodes:
        state = states.get(node.name)
        if state is None or state.version is None:
            continue
        now = set(graph.upstreams(node.name)) - tried
        new += [(name, node.name) for name in sorted(now - state.wiring.keys())]
        gone += [(name, node.name) for name in sorted(state.wiring.keys() - now)]
    return tuple(new), tuple(gone)


def _decide_all(
    graph: Graph,
    facts: Mapping[str, Facts],
    states: Mapping[str, NodeState],
    environment: str,
    selected: Collection[str],
    forced: Collection[str],
    promoted: Mapping[str, str],
    resuming: Set[str],
) -> dict[str, Decision]:
    """Each node's decision, where the challengers of `resuming` are tried again."""
    decisions: dict[str, Decision] = {}
    moving: set[str] = set()  # what may hand down another column after this run
    for each in graph.nodes:
        node = each.name
        decision = _decide(
            node,
            graph,
            facts[node],
            states,
            decisions,
            moving,
            environment,
            node in selected,
            node in forced,
            promoted.get(node),
        )
        if node in resuming and decision.action in ("keep", "rescore"):
            decision = replace(decision, resumes=True, note=f"{decision.note}; tried for release again")
        decisions[node] = decision
        above = not moving.isdisjoint(graph.upstreams(node))
        if decision.action == "retrain" or decision.resumes or above:
            moving.add(node)
    return decisions


def _decide(
    node: str,
    graph: Graph,
    facts: Facts,
    states: Mapping[str, NodeState],
    above: Mapping[str, Decision],
    moving: Set[str],
    environment: str,
    selected: bool,
    forced: bool,
    promoted: str | None,
) -> Decision:
    state = facts.state
    released = state is not None and state.version is not None
    changing = [name for name in graph.upstreams(node) if name in moving]
    checked = TO_BE_CHECKED if released and changing else ""
    if not selected:
        note = f"not selected{checked}" if released else "not selected, and never released"
        return Decision(node=node, action="keep", note=note, fixed=True)
    if state is not None and state.pin is not None:
        return Decision(node=node, action="keep", note=pin_note(state.pin) + checked, fixed=True)
    blocked = _blocked(node, graph, facts, states, above)
    if blocked:
        if state is not None and state.attempt is not None and state.attempt.outcome == "pending":
            return Decision(node=node, action="keep", note=pending_note(state.attempt))
        return Decision(node=node, action="blocked", note=blocked)
    if promoted is not None:
        reason = Reason(kind="promote", text=promoted)
        return Decision(node=node, action="retrain", reasons=(reason,))
    served = _went_back(node, graph, facts, states, environment)
    change = NOTHING_CHANGED if served else _change(node, graph, facts, states, environment)
    said = evaluate_rule(facts.rule, change, facts.signals)
    reasons = list(said.reasons)
    attempt = state.attempt if state else None
    if not released:
        reasons.insert(0, Reason(kind="new", text="never released"))
    if attempt is not None and attempt.outcome == "failed":
        reasons.append(Reason(kind="failed before", text=f"the last attempt failed: {attempt.because}"))
    if forced:
        reasons.append(Reason(kind="forced", text="--force"))
    policies = edge_policies(node, graph, facts.recipe)
    felt = [name for name in changing if policies[name] == "retrain" or not released]
    work = forced or change.any or (attempt is not None and attempt.outcome in ("failed", "cancelled"))
    if not released and attempt is None:
        work = True
    if reasons and work:
        # another version of an upstream is work only if its column differs on this node's rows
        only_upstream = change.upstreams and {reason.kind for reason in reasons}.isdisjoint(_ABOVE_RULES)
        alone = change.with_upstreams(())
        due_alone = alone.any and evaluate_rule(facts.rule, alone, facts.signals).reasons
        return Decision(
            node=node,
            action="retrain",
            reasons=tuple(reasons),
            conditional=bool(only_upstream and not due_alone),
            cursors=said.cursors,
        )
    if felt:
        below = evaluate_rule(facts.rule, change.with_upstreams(felt), facts.signals)
        if below.reasons or not released:
            unruled = (reason for reason in reasons if reason.kind in _ABOVE_RULES)
            ruled = (reason for reason in below.reasons if reason.kind != "upstream")
            return Decision(
                node=node,
                action="retrain",
                conditional=True,
                direct=False,
                reasons=(*unruled, *ruled, upstream_reason(felt, above)),
                cursors=below.cursors,
            )
    pending = attempt is not None and attempt.outcome == "pending"
    note = SERVED_NOTE if served and not pending else keep_note(state, bool(reasons), change)
    note = "; ".join([note, *time_notes(facts, said), *feedback_notes(facts)])
    if released and any(policies[name] == "rescore" for name in changing):
        return Decision(
            node=node,
            action="rescore",
            conditional=True,
            direct=False,
            reasons=(*reasons, upstream_reason(changing, above)),
            note=note,
            cursors=said.cursors if reasons else {},
        )
    return Decision(
        node=node, action="keep", reasons=tuple(reasons), note=note + checked, cursors=said.cursors
    )


def _blocked(
    node: str,
    graph: Graph,
    facts: Facts,
    states: Mapping[str, NodeState],
    above: Mapping[str, Decision],
) -> str:
    """Why a node cannot be made, or '': of an input no upstream has a version or will be trained, or none is read."""
    by_column: dict[str, list[str]] = {}
    for edge in graph.edges_into(node):
        by_column.setdefault(edge.column, []).append(edge.upstream)

    def usable(name: str) -> bool:
        state = states.get(name)
        tried = above[name].action == "retrain" or above[name].resumes
        return tried or (state is not None and state.version is not None)

    lacking = [names[0] for names in by_column.values() if not any(map(usable, names))]
    if lacking:
        return lacking_note(lacking, above)
    unread = [item.column for item in facts.recipe.inputs if item.column not in by_column]
    released = facts.state is not None and facts.state.version is not None
    return unread_note(unread[0]) if unread and not released else ""


def _went_back(
    node: str, graph: Graph, facts: Facts, states: Mapping[str, NodeState], environment: str
) -> bool:
    """True where the last attempt was made from other parts than the champion, and today's are the champion's."""
    state = facts.state
    if state is None or state.version is None or state.parts is None or state.attempt is None:
        return False
    shipped = shipped_left_out(facts.recipe, facts.data)
    now = (facts.recipe.digest(), facts.data.slice_digest(shipped), environment)
    current = {name: states[name].hands_down for name in graph.upstreams(node) if name in states}
    return (
        not state.checked
        and state.attempt.parts != state.parts
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
    # an upstream is news if neither the champion nor the last attempt learnt from its current column
    tried = facts.baseline.wiring if facts.baseline is not None else {}
    policies = edge_policies(node, graph, facts.recipe)
    learnt = {name: column for name, column in state.wiring.items() if name not in state.checked}
    current = {name: states[name].hands_down for name in graph.upstreams(node) if name in states}
    rewired = sorted(
        name
        for name, column in current.items()
        if column is not None
        and column not in (learnt.get(name), tried.get(name))
        and policies[name] == "retrain"
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
