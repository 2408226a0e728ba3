"""What drift means and what to do, by where in the graph it is (docs/design.md).

A worse loss says retrain, but which model? Below an upstream whose own loss is worse: that one, since its reader only
repeats the error. Where something that it reads has moved and the upstreams still hold: the model itself, since the
world has changed. Where all that it reads is quiet: the model itself, since what its inputs mean has changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from retraining.decide.drift import Finding
from retraining.graph.graph import Graph
from retraining.manifest.values import Json

__all__ = ["Advice", "Scan", "Story", "advise", "names"]

Story: TypeAlias = Literal["upstream", "world", "concept", "worse", "moved", "unknown", "inputs"]

_MEANS: Final[Mapping[Story, str]] = {
    "upstream": "an upstream is worse too, and it reads that one's predictions",
    "world": "what it reads has moved, and its upstreams are as good as they were: the world has changed",
    "concept": "what it reads has not moved: the same inputs mean something else now (concept drift)",
    "worse": "whether what it reads has moved was not looked at; `retrain drift` does",
    "moved": "it predicts other values and is as good as it was: the world has changed, and its readers see that",
    "unknown": "it predicts other values; whether it is worse is not known before labels are",
    "inputs": "inputs differ; predictions and losses say whether that matters (seasons do this all the time)",
}
_RANK: Final[Mapping[Story, int]] = {
    "upstream": 0, "world": 0, "concept": 0, "worse": 0, "moved": 1, "unknown": 2, "inputs": 3
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """What the drift around one node means. `retrain` are the nodes to retrain, in that order; `causes` are columns."""

    node: str
    story: Story
    causes: tuple[str, ...] = ()
    retrain: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """What it means, in a sentence."""
        return _MEANS[self.story]

    @property
    def action(self) -> str:
        """What to do about it, in a sentence."""
        match self.story:
            case "upstream":
                above = names(self.causes)
                return f"retrain {above} first; {self.node} only if it then fails its gate on the new column"
            case "world" | "concept" | "worse":
                return f"retrain {self.node}"
            case "moved":
                return (
                    f"retrain its readers: {names(self.retrain)}"
                    if self.retrain
                    else "nothing: nobody reads it"
                )
            case "unknown":
                return "watch it, and look again when its labels are known"
            case _:
                return "nothing"

    def to_json(self) -> dict[str, Json]:
        """The advice as a document."""
        return {
            "node": self.node,
            "story": self.story,
            "causes": list(self.causes),
            "retrain": list(self.retrain),
            "means": self.text,
            "do": self.action,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """One look at the drift of a release: what was found, most severe first, and what it means.

    `nodes` were looked at; `unmeasured` says of which nothing, or not all, is known, and why. `length` is the longest
    window in days.
    """

    release: int
    as_of: str
    nodes: int
    length: int
    findings: tuple[Finding, ...]
    advice: tuple[Advice, ...]
    unmeasured: Mapping[str, str]

    def to_json(self) -> dict[str, Json]:
        """The scan as a document."""
        return {
            "release": self.release,
            "as_of": self.as_of,
            "nodes": self.nodes,
            "window_days": self.length,
            "findings": [one.to_json() for one in self.findings],
            "advice": [one.to_json() for one in self.advice],
            "unmeasured": dict(self.unmeasured),
        }


def advise(findings: Sequence[Finding], graph: Graph) -> tuple[Advice, ...]:
    """One advice for each node that something drifts at, those to act on first, then in the graph's order."""
    worse = _nodes(findings, "loss")
    moved = _nodes(findings, "prediction")
    known = _nodes(findings, "loss", drifted=False)
    seen = _nodes(findings, "prediction", drifted=False)
    read_by = _nodes(findings, "inputs", drifted=False)
    inputs: dict[str, list[str]] = {}
    for one in findings:
        if one.kind == "inputs" and one.drifted:
            for node in one.nodes:
                inputs.setdefault(node, []).append(one.column)
    out: list[Advice] = []
    for each in graph.nodes:
        node = each.name
        above = list(graph.upstreams(node))
        if node in worse:
            bad = _worse_above(node, graph, worse)
            read = [*(name for name in above if name in moved), *inputs.get(node, ())]
            if bad:
                out.append(Advice(node=node, story="upstream", causes=bad, retrain=(*bad, node)))
            elif read:
                out.append(Advice(node=node, story="world", causes=tuple(read), retrain=(node,)))
            elif seen.issuperset(above) and (above or node in read_by):
                out.append(Advice(node=node, story="concept", retrain=(node,)))
            else:
                out.append(Advice(node=node, story="worse", retrain=(node,)))
        elif node in moved:
            below = tuple(graph.downstreams(node))
            if node in known:
                out.append(
                    Advice(node=node, story="moved", causes=tuple(inputs.get(node, ())), retrain=below)
                )
            else:
                out.append(Advice(node=node, story="unknown", causes=tuple(inputs.get(node, ()))))
        elif node in inputs:
            out.append(Advice(node=node, story="inputs", causes=tuple(inputs[node])))
    return tuple(sorted(out, key=lambda one: _RANK[one.story]))


def names(found: Sequence[str], most: int = 3) -> str:
    """The first of some names, and how many more there are."""
    more = len(found) - most
    return ", ".join(found[:most]) + (f" and {more} more" if more > 0 else "")


def _nodes(findings: Iterable[Finding], kind: str, *, drifted: bool = True) -> set[str]:
    """The nodes that findings of a kind are about; of those that drift, or of all that were tested."""
    chosen = (one for one in findings if one.kind == kind and (one.drifted if drifted else one.tested))
    return {node for one in chosen for node in one.nodes}


def _worse_above(node: str, graph: Graph, worse: set[str]) -> tuple[str, ...]:
    """The highest nodes above that are worse themselves: what they hand down is repeated by all below."""
    seen: set[str] = set()
    waiting = [name for name in graph.upstreams(node) if name in worse]
    top: list[str] = []
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        higher = [one for one in graph.upstreams(name) if one in worse]
        if higher:
            waiting += higher
        else:
            top.append(name)
    return tuple(sorted(top))
