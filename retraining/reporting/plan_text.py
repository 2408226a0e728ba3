"""A plan for people: a tree of what is due and of what may follow, with every reason, and one line that counts.

Partitions with the same kinds of reasons are told together, so that two thousand nodes are read as easily
as thirty; `every_node` tells each for itself.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from retraining.decide.facts import Decision
from retraining.decide.plan import Plan
from retraining.decide.reasons import Reason
from retraining.decide.states import add_states
from retraining.graph.graph import Graph
from retraining.graph.nodes import parse_node_name
from retraining.manifest.values import Json
from retraining.reporting.grouping import (
    by_cause,
    counted_texts,
    list_nodes,
    partition_values,
    title_of,
    wrapped,
)
from retraining.reporting.inputs_text import asked_text
from retraining.reporting.paint import Paint, plain
from retraining.reporting.states_text import states_of_each, states_text
from retraining.reporting.text import format_duration, format_share, plural

__all__ = ["plan_summary", "plan_text"]

_WIDTH = 80
#: The fewest columns in which facts are told beside a name.
_NARROW = 30
_MOST_CAUSES = 8
_MOST_LISTED = 12
_FEW_NAMES = 3


class SkippedPartition(Protocol):
    """A partition that is no node, and why."""

    @property
    def model(self) -> str:
        """The model's name."""
        ...

    @property
    def partition(self) -> str:
        """Its columns and values."""
        ...

    @property
    def why(self) -> str:
        """The rule that left it out."""
        ...


@dataclass(slots=True, kw_only=True)
class _Group:
    """Nodes of one model whose decisions have the same kinds of reasons, and what stands below them."""

    model: str
    decisions: list[Decision]
    below: list[_Group] = field(default_factory=list)

    @property
    def names(self) -> list[str]:
        """Its nodes."""
        return [decision.node for decision in self.decisions]


def plan_text(
    plan: Plan,
    graph: Graph,
    skipped: Sequence[SkippedPartition] = (),
    *,
    every_node: bool = False,
    rows: bool = False,
    paint: Paint = plain,
) -> str:
    """The plan as lines of text; nothing of it but the names depends on the terminal.

    `rows` adds every node's rows in each state.
    """
    lines: list[str] = []
    if plan.active:
        roots = _tree(plan, graph, every_node)
        lines += [paint("title", "retrain"), *_branches(roots, every_node, paint), ""]
    for action, title in (("blocked", "blocked"), ("rescore", "rescore"), ("keep", "keep")):
        decisions = [decision for decision in plan.decisions if decision.action == action]
        if decisions:
            lines += [paint("title", title), *_noted(decisions, every_node, paint), ""]
    lines += asked_text(plan, paint=paint)
    if skipped:
        lines += [paint("title", "partitions that are no nodes"), *_skipped(skipped, every_node), ""]
    if plan.vanished:
        gone = ", ".join(plan.vanished) if every_node else list_nodes(plan.vanished)
        title = paint("title", "no longer in the data or the manifest; the champion stays")
        lines += [title, *wrapped(gone, "  ", "    "), ""]
    if plan.edges_new or plan.edges_gone:
        lines += [paint("title", "edges that changed"), *_edges(plan, every_node), ""]
    if rows:
        lines += [paint("title", "rows"), *states_of_each(plan.decisions, paint), ""]
    summary = [paint("title", line) for line in wrapped(plan_summary(plan), "", "  ")]
    return "\n".join([*lines, *summary]) + "\n"


def plan_summary(plan: Plan) -> str:
    """One line that counts every decision, the fits, and what they are expected to cost."""
    conditional = sum(decision.conditional for decision in plan.active)
    counts = {
        "to retrain": len(plan.active) - conditional,
        "if an upstream column changes": conditional,
        "to rescore": sum(decision.action == "rescore" for decision in plan.decisions),
        "kept": sum(decision.action == "keep" for decision in plan.decisions),
        "blocked": sum(decision.action == "blocked" for decision in plan.decisions),
    }
    parts = ", ".join(f"{number:,} {what}" for what, number in counts.items() if number)
    text = f"{plural(len(plan.decisions), 'node')}: {parts or 'none'}"
    if plan.active or any(decision.compared for decision in plan.decisions):
        text += f"; {_fits(*plan.fits, sum(decision.comparisons for decision in plan.decisions))}"
    if plan.active and plan.seconds is not None:
        text += f", about {format_duration(plan.seconds)} of work"
        if plan.critical_seconds is not None:
            text += f", {format_duration(plan.critical_seconds)} on the critical path"
    return text


def _tree(plan: Plan, graph: Graph, every_node: bool) -> list[_Group]:
    """The groups that retrain, each below the group that holds the last of its affected upstreams."""
    groups: dict[tuple[object, ...], _Group] = {}
    owner: dict[str, _Group] = {}
    roots: list[_Group] = []
    for decision in plan.active:
        model = graph.node(decision.node).model
        kinds = tuple(reason.kind for reason in decision.reasons)
        key: tuple[object, ...] = (decision.node,) if every_node else (model, decision.conditional, kinds)
        group = groups.get(key)
        if group is None:
            group = groups[key] = _Group(model=model, decisions=[])
            affected = [name for name in graph.upstreams(decision.node) if name in owner]
            parent = max(affected, key=graph.level, default=None)
            (owner[parent].below if parent is not None else roots).append(group)
        group.decisions.append(decision)
        owner[decision.node] = group
    return roots


def _branches(roots: Sequence[_Group], every_node: bool, paint: Paint) -> list[str]:
    """The lines of the tree, names in one column and facts in the next."""
    rows: list[tuple[str, str, _Group]] = []
    stack = [(group, "  ", "  ") for group in reversed(roots)]
    while stack:
        group, lead, indent = stack.pop()
        rows.append((lead, indent + ("│ " if group.below else "  "), group))
        for position in range(len(group.below) - 1, -1, -1):
            last = position == len(group.below) - 1
            deeper = indent + ("   " if last else "│  ")
            stack.append((group.below[position], indent + ("└─ " if last else "├─ "), deeper))
    width = max(len(lead) + len(title_of(group.names)) for lead, _, group in rows)
    lines = []
    for lead, indent, group in rows:
        title = title_of(group.names)
        gap = " " * (width - len(lead) - len(title) + 3)
        lines += _headed(lead, paint("name", title), len(title), gap, _facts(group), f"{indent}  ")
        values = partition_values(group.names)
        if values and not every_node:
            lines += [paint("quiet", line) for line in wrapped(values, f"{indent}  ", f"{indent}  ")]
        for kind, text in _reasons(group.decisions):
            lines += wrapped(f"{kind}: {text}", f"{indent}  ", f"{indent}    ")
        told = states_text(_added(group.decisions))
        lines += [paint("quiet", line) for line in wrapped(told, f"{indent}  ", f"{indent}    ")]
    return lines


def _headed(lead: str, title: str, title_width: int, gap: str, facts: str, indent: str) -> list[str]:
    """The name of a group with its facts beside it, or below it where both are too long for a line."""
    column = len(lead) + title_width + len(gap)
    if column + len(facts) <= _WIDTH:
        return [f"{lead}{title}{gap}{facts}"]
    if column > _WIDTH - _NARROW:
        return [f"{lead}{title}", *wrapped(facts, indent, indent)]
    first, *others = textwrap.wrap(facts, _WIDTH - column)
    return [f"{lead}{title}{gap}{first}", *(indent.ljust(column) + line for line in others)]


def _added(decisions: Sequence[Decision]) -> dict[str, int]:
    """The rows of a group in each state; those that its pool serves too."""
    served = [one.rows["served"] for one in decisions if "served" in one.rows]
    rows = add_states(one.rows for one in decisions)
    return rows | {"served": sum(served)} if served and len(decisions) == 1 else rows


def _edges(plan: Plan, every_node: bool) -> list[str]:
    """The edges that came and went, one line for each pair of upstream and downstream model."""
    lines = []
    for word, edges in (("new", plan.edges_new), ("gone", plan.edges_gone)):
        readers: dict[str, list[str]] = {}
        for upstream, downstream in edges:
            readers.setdefault(downstream if every_node else parse_node_name(downstream)[0], []).append(
                upstream
            )
        for reader, upstreams in readers.items():
            shown = (
                ", ".join(dict.fromkeys(upstreams)) if every_node else list_nodes(dict.fromkeys(upstreams))
            )
            lines += wrapped(f"{word}: {reader} reads {shown}", "  ", "    ")
    return lines


def _facts(group: _Group) -> str:
    decisions = group.decisions
    least, most = (sum(decision.fits[end] for decision in decisions) for end in (0, 1))
    parts = [_fits(least, most, sum(decision.comparisons for decision in decisions))]
    known = [decision.seconds for decision in decisions if decision.seconds is not None]
    if known:
        parts.append(f"about {format_duration(sum(known))}")
    dates = sorted({decision.first_predicted for decision in decisions if decision.first_predicted})
    if dates:
        last = f" to {dates[-1]}" if len(dates) > 1 else ""
        parts.append(f"predicts from {dates[0]}{last}")
    learnt = sorted({decision.gate_until for decision in decisions if decision.gate_until})
    if learnt:
        parts.append(f"gate fit learns to {learnt[-1][:10]}")
    if decisions[0].conditional:
        parts.append("only if an upstream column changes")
    return ", ".join(parts)


def _fits(least: int, most: int, comparisons: int) -> str:
    text = plural(most, "fit") if least == most else f"{least:,} to {plural(most, 'fit')}"
    return f"{text} + {plural(comparisons, 'comparison')}" if comparisons else text


def _reasons(decisions: Sequence[Decision]) -> list[tuple[str, str]]:
    """Every reason of a group: one line for each kind, with the evidence of all its nodes."""
    found: dict[str, list[Reason]] = {}
    for decision in decisions:
        for reason in decision.reasons:
            found.setdefault(reason.kind, []).append(reason)
    return [(kind, text) for kind, reasons in found.items() for text in _merged(kind, reasons, decisions)]


def _merged(kind: str, reasons: Sequence[Reason], decisions: Sequence[Decision]) -> list[str]:
    if kind == "data":
        part = "fold" if all("folds" in reason.evidence for reason in reasons) else "block"
        parts, rows, share = (
            [reason.evidence.get(key) for reason in reasons] for key in (f"{part}s", "rows", "share")
        )
        return [
            f"{_span(parts, f'new or changed {part}')}, {_span(rows, 'row')} ({_span_of_shares(share)})"
            f"{' each' if len(reasons) > 1 else ''}"
        ]
    names = {name: None for reason in reasons for name in _names(reason.evidence)}
    if len({reason.text for reason in reasons}) == 1 and len(names) <= _FEW_NAMES:
        return [reasons[0].text]
    if kind == "upstream":
        verb = "a new version" if all(decision.direct for decision in decisions) else "retraining"
        return [f"{verb} of {list_nodes(names)}"] if names else counted_texts(r.text for r in reasons)
    return counted_texts(reason.text for reason in reasons)


def _names(evidence: Mapping[str, Json]) -> list[str]:
    names = evidence.get("upstreams")
    return [name for name in names if isinstance(name, str)] if isinstance(names, list) else []


def _span(values: Sequence[Json], noun: str) -> str:
    numbers = [int(value) for value in values if isinstance(value, int | float)]
    least, most = min(numbers, default=0), max(numbers, default=0)
    return plural(most, noun) if least == most else f"{least:,} to {plural(most, noun)}"


def _span_of_shares(values: Sequence[Json]) -> str:
    numbers = [float(value) for value in values if isinstance(value, int | float)]
    least, most = format_share(min(numbers, default=0.0)), format_share(max(numbers, default=0.0))
    return least if least == most else f"{least} to {most}"


def _noted(decisions: Sequence[Decision], every_node: bool, paint: Paint) -> list[str]:
    """Nodes that stay as they are, by their sub-reason and whatever made them due."""
    pairs = [
        (one.node, "; ".join([*(f"{r.kind}: {r.text}" for r in one.reasons), one.note])) for one in decisions
    ]
    if every_node:
        return [
            line
            for node, note in pairs
            for line in _headed("  ", paint("name", node), len(node), "  ", note, "    ")
        ]
    causes = by_cause(pairs)
    lines = []
    for note, nodes in causes[:_MOST_CAUSES]:
        many = f"{plural(len(nodes), 'node')}, {note}: {list_nodes(nodes)}"
        lines += wrapped(many if len(nodes) > 1 else f"{nodes[0]}: {note}", "  ", "    ")
    rest = sum(len(nodes) for _, nodes in causes[_MOST_CAUSES:])
    if rest:
        lines.append(f"  {plural(rest, 'more node')} for other reasons; --all lists them")
    return lines


def _skipped(skipped: Sequence[SkippedPartition], every_node: bool) -> list[str]:
    models: dict[str, list[str]] = {}
    for one in skipped:
        models.setdefault(one.model, []).append(f"{one.partition} ({one.why})")
    most = len(skipped) if every_node else _MOST_LISTED
    lines = []
    for model, partitions in models.items():
        more = f" and {len(partitions) - most:,} more" if len(partitions) > most else ""
        lines += wrapped(f"{model}: {', '.join(partitions[:most])}{more}", "  ", "    ")
    return lines
