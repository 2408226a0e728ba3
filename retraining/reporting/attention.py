"""What needs a look: every node that failed, was refused or waits, those of one cause together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from retraining.reporting.icons import icon, outcome_class
from retraining.reporting.markup import Markup, join, tag
from retraining.reporting.outcomes import describe_outcome, order_of_outcome
from retraining.reporting.tables import code, disclose, outcome_badge
from retraining.reporting.text import plural
from retraining.reporting.view import NodeView, RunView

__all__ = ["draw_attention"]

_MOST_GROUPS = 40
_MOST_NAMES = 12


def draw_attention(run: RunView) -> Markup:
    """The section of what needs a look: nodes of one outcome and one cause together, errors in full."""
    groups: defaultdict[tuple[str, str, str], list[NodeView]] = defaultdict(list)
    for node in run.nodes:
        if describe_outcome(node.outcome).attention or node.error:
            groups[node.outcome, node.because, node.error].append(node)
    if not groups:
        text = "Nothing: no node failed, was rejected or waits." if run.nodes else "The record has no nodes."
        return tag("p", {"class": "fine-line"}, icon("promoted") if run.nodes else "", text)
    ordered = sorted(groups.items(), key=lambda item: item[1][0].place)
    ordered.sort(key=lambda item: order_of_outcome(item[0][0]), reverse=True)
    items = (
        _group(outcome, because, error, nodes) for (outcome, because, error), nodes in ordered[:_MOST_GROUPS]
    )
    more = len(ordered) - _MOST_GROUPS
    rest = (
        tag("p", {"class": "quiet"}, f"{plural(more, 'more cause')}: see the decisions below.")
        if more > 0
        else ""
    )
    return join([tag("ul", {"class": "attention"}, *items), rest])


def _group(outcome: str, because: str, error: str, nodes: Sequence[NodeView]) -> Markup:
    names = [tag("a", {"href": f"#n{node.place}"}, code(node.name)) for node in nodes[:_MOST_NAMES]]
    more = f" and {len(nodes) - _MOST_NAMES:,} more" if len(nodes) > _MOST_NAMES else ""
    many = f" {plural(len(nodes), 'node')}:" if len(nodes) > 1 else ""
    return tag(
        "li",
        {"class": outcome_class(outcome)},
        tag("p", None, outcome_badge(outcome), f"{many} ", join(names, ", "), more),
        tag("p", None, because) if because else "",
        tag("pre", None, nodes[0].error_line) if error and nodes[0].error_line != because else "",
        disclose("The whole error", tag("pre", None, error)) if error != nodes[0].error_line else "",
    )
