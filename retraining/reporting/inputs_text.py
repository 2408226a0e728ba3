"""What was asked of upstream columns: which nodes' are compared, and what each brings."""

from __future__ import annotations

from collections.abc import Mapping

from retraining.decide.plan import Plan
from retraining.manifest.values import Json
from retraining.reporting.grouping import list_nodes, wrapped
from retraining.reporting.paint import Paint, plain
from retraining.reporting.record import read_record
from retraining.reporting.story_text import edges_text
from retraining.reporting.text import plural

__all__ = ["asked_text", "compared_text"]

# Past this many nodes the report is the better place.
_MOST_NODES = 20


def asked_text(plan: Plan, *, paint: Paint = plain) -> list[str]:
    """The nodes whose inputs will be compared because somebody asked, as lines of a plan."""
    asked = [decision for decision in plan.decisions if decision.compared]
    if not asked:
        return []
    count = plural(sum(decision.comparisons for decision in asked), "fit")
    told = f"{list_nodes([decision.node for decision in asked])}: {count} without one input or all of them"
    return [paint("title", "inputs to compare, as asked"), *wrapped(told, "  ", "    "), ""]


def compared_text(record: Mapping[str, Json], *, paint: Paint = plain) -> str:
    """What the inputs bring whose comparison was asked for, from a run's record; '' where nobody asked."""
    nodes = record.get("nodes")
    asked = [node for node in nodes if _asked(node)] if isinstance(nodes, list) else []
    if not asked:
        return ""
    view = read_record({"format": 1, "nodes": asked})
    lines = [paint("title", "inputs compared, as asked")]
    for node in view.nodes[:_MOST_NODES]:
        lines.append(f"  {paint('name', node.name)}")
        lines += edges_text(node.edges) or ["    could not be compared"]
    rest = len(view.nodes) - _MOST_NODES
    if rest > 0:
        lines.append(f"  and {plural(rest, 'more node')}; see `retrain report`")
    return "".join(f"{line}\n" for line in lines)


def _asked(node: Json) -> bool:
    decision = node.get("decision") if isinstance(node, dict) else None
    return isinstance(decision, dict) and decision.get("compared") is True
