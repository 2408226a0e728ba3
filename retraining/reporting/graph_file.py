"""The graph as an SVG file that stands alone: with its style and signs, for a page, a README or a slide."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from retraining.graph.graph import Graph
from retraining.graph.nodes import parse_node_name
from retraining.reporting.assets import asset
from retraining.reporting.graph_svg import picture_of
from retraining.reporting.icons import symbols
from retraining.reporting.markup import tag, trusted
from retraining.reporting.view import DrawnNode

__all__ = ["Standing", "as_svg"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What became of the last attempt at a node, and the sentence for it."""

    outcome: str
    because: str = ""


def as_svg(
    graph: Graph,
    selected: Collection[str],
    estimators: Mapping[str, str],
    standings: Mapping[str, Standing],
) -> str:
    """The selected nodes and their edges as an SVG document; upstreams stand left of their readers.

    `estimators` is by model, `standings` by node: nodes without one were never tried. Past `graph_svg.MOST_NODES`
    nodes models show counts, past `graph_svg.MOST_MODELS` models levels do.
    """
    never = Standing(outcome="new", because="never tried")
    inside = [node for node in graph.nodes if node.name in set(selected)]
    nodes = [
        DrawnNode(
            place=place,
            name=node.name,
            model=node.model,
            label=", ".join(value for _, value in parse_node_name(node.name)[1])
            or ("*" if node.pool else ""),
            estimator=estimators[node.model],
            upstreams=tuple(graph.upstreams(node.name)),
            outcome=standings.get(node.name, never).outcome,
            because=standings.get(node.name, never).because,
        )
        for place, node in enumerate(inside)
    ]
    if not nodes:
        return str(tag("svg", {"xmlns": _SVG, "viewBox": "0 0 1 1"})) + "\n"
    picture = picture_of(nodes)
    return (
        str(
            tag(
                "svg",
                {
                    "xmlns": _SVG,
                    "class": "graph",
                    "role": "img",
                    "aria-labelledby": "graph-title graph-desc",
                    "viewBox": f"0 0 {picture.width:.0f} {picture.height:.0f}",
                    "width": f"{picture.width:.0f}",
                    "height": f"{picture.height:.0f}",
                },
                tag("style", None, trusted(asset("graph.css"))),
                symbols(),
                tag("rect", {"width": "100%", "height": "100%", "style": "fill:var(--panel)"}),
                picture.content,
            )
        )
        + "\n"
    )


_SVG = "http://www.w3.org/2000/svg"
