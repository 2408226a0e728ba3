from __future__ import annotations

import json
import re

from hypothesis import given, settings

from retraining.graph.graph import Graph, build_graph
from retraining.graph.nodes import node_name
from retraining.graph.rendering import as_json, as_mermaid, as_text
from retraining.manifest.values import Manifest

from .graphs import flights, manifest, model, random_graphs


def all_of(graph: Graph) -> frozenset[str]:
    return frozenset(node.name for node in graph.nodes)


def test_text_has_a_line_for_each_model_below_its_last_upstream() -> None:
    _, graph = flights()
    assert as_text(graph, all_of(graph)).splitlines() == [
        "weather",
        "└─ delay[origin=…] x3: EWR, JFK, LGA",
        "   └─ arrival[carrier=…] x2: UA, WN",
        "      └─ late  (also reads delay)",
        "7 nodes, 4 models, 13 edges on 4 levels",
    ]


def test_text_says_which_upstreams_are_not_selected() -> None:
    _, graph = flights()
    assert as_text(graph, {"delay[origin=JFK]", "late"}).splitlines() == [
        "delay[origin=JFK]  (reads weather, not selected)",
        "└─ late  (reads arrival, not selected)",
        "2 nodes, 2 models, 1 edge on 2 levels",
    ]


def test_text_stays_short_with_two_thousand_nodes() -> None:
    items = [("shop", str(position)) for position in range(2000)]
    document = manifest(model("sales", partition_by=["shop", "item"]), model("total", ["sales"]))
    pairs = [(node_name("sales", ["shop", "item"], item), "total") for item in items]
    graph = build_graph(document, {"sales": items}, {("total", "sales"): pairs})
    assert as_text(graph, all_of(graph)).splitlines() == [
        "sales[shop=…,item=…] x2000",
        "└─ total",
        "2,001 nodes, 2 models, 2,000 edges on 2 levels",
    ]
    assert as_mermaid(graph, all_of(graph)).splitlines() == [
        "flowchart LR",
        '  m0["sales#91;shop=…,item=…#93; x2000"]',
        '  m1["total"]',
        "  m0 --> m1",
    ]


def test_nothing_selected_is_drawn_as_nothing() -> None:
    _, graph = flights()
    assert as_text(graph, ()) == "0 nodes, 0 models, 0 edges on 0 levels\n"
    assert as_mermaid(graph, ()) == "flowchart LR\n"


LINE = re.compile(
    r"flowchart LR|  end"
    r'|  (subgraph |  )?[nm]\d+\["[^"<>&\[\]]*"\]'
    r'|  n\d+ -->(\|"[^"]*"\|)? n\d+'
)


@given(random_graphs())
@settings(derandomize=True, max_examples=60)
def test_every_line_of_a_flowchart_is_one_that_mermaid_reads(drawn: tuple[Manifest, Graph]) -> None:
    _, graph = drawn
    lines = as_mermaid(graph, all_of(graph)).splitlines()
    assert [line for line in lines if not LINE.fullmatch(line)] == []
    assert len(graph.nodes) == sum(bool(re.match(r" +n\d+\[", line)) for line in lines)
    assert len(graph.edges) == sum("-->" in line for line in lines)
    assert sum("subgraph" in line for line in lines) == sum(line == "  end" for line in lines)


def test_what_mermaid_might_read_is_escaped_in_labels() -> None:
    document = manifest(model("m", partition_by=["a"]))
    graph = build_graph(document, {"m": [('`"<b>#]',)]}, {})
    assert '    n0["#34;#96;#92;#34;#60;b#62;#35;#93;#34;"]' in as_mermaid(graph, all_of(graph))


@given(random_graphs())
@settings(derandomize=True, max_examples=40)
def test_the_json_document_holds_the_whole_graph(drawn: tuple[Manifest, Graph]) -> None:
    _, graph = drawn
    document = json.loads(json.dumps(as_json(graph, all_of(graph))))
    assert document["format"] == 1
    assert [node.name for node in graph.nodes] == [node["name"] for node in document["nodes"]]
    assert [(e.upstream, e.downstream, e.column) for e in graph.edges] == [
        (e["upstream"], e["downstream"], e["column"]) for e in document["edges"]
    ]
    assert [list(node.partition) for node in graph.nodes] == [
        list(n["partition"].values()) for n in document["nodes"]
    ]
