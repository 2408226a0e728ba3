from __future__ import annotations

import pickle
import random

import pytest
from effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from retraining.graph.graph import Edge, Graph, build_graph
from retraining.graph.nodes import Node, node_name

from .graphs import flights, manifest, model, random_graphs, reached


def test_nodes_are_in_topological_order_with_ties_by_name() -> None:
    _, graph = flights()
    assert [node.name for node in graph.nodes] == [
        "weather", "delay[origin=EWR]", "delay[origin=JFK]", "delay[origin=LGA]",
        "arrival[carrier=UA]", "arrival[carrier=WN]", "late",
    ]  # fmt: skip


def test_an_edge_is_there_only_where_two_nodes_share_a_row() -> None:
    _, graph = flights()
    assert graph.upstreams("arrival[carrier=WN]") == ("delay[origin=EWR]", "delay[origin=LGA]")
    assert graph.downstreams("delay[origin=JFK]") == ("arrival[carrier=UA]", "late")
    edge = Edge(upstream="delay[origin=EWR]", downstream="arrival[carrier=WN]", column="delay")
    assert edge == graph.edges_into("arrival[carrier=WN]")[0]


@given(random_graphs(), st.randoms(use_true_random=False))
@settings(derandomize=True, max_examples=examples(60))
def test_the_order_of_declaration_and_data_does_not_matter(drawn: tuple, shuffler: random.Random) -> None:
    document, graph = drawn
    models = list(document.models.values())
    shuffler.shuffle(models)
    partitions: dict[str, list[tuple[str, ...]]] = {}
    for node in graph.nodes:
        partitions.setdefault(node.model, []).append(node.partition)
    links: dict[tuple[str, str], list[tuple[str, str]]] = {
        (each.name, up.column): [] for each in models for up in each.inputs
    }
    for edge in graph.edges:
        links[graph.node(edge.downstream).model, edge.column].append((edge.upstream, edge.downstream))
    for each in [*partitions.values(), *links.values()]:
        shuffler.shuffle(each)
    assert graph == build_graph(manifest(*models), partitions, links)


@given(random_graphs(), st.data())
@settings(derandomize=True, max_examples=examples(100))
def test_walks_equal_walking_every_edge_again_and_again(drawn: tuple, data: st.DataObject) -> None:
    _, graph = drawn
    names = frozenset(data.draw(st.lists(st.sampled_from([node.name for node in graph.nodes]))))
    depth = data.draw(st.none() | st.integers(0, 4))
    assert reached(graph, names, depth, upward=True) == names | graph.ancestors(names, depth)
    assert reached(graph, names, depth, upward=False) == names | graph.descendants(names, depth)


@given(random_graphs())
@settings(derandomize=True, max_examples=examples(60))
def test_the_order_is_the_smallest_topological_order_by_name(drawn: tuple) -> None:
    _, graph = drawn
    placed: list[str] = []
    while len(placed) < len(graph.nodes):
        free = [
            n.name
            for n in graph.nodes
            if n.name not in placed and set(graph.upstreams(n.name)) <= set(placed)
        ]
        placed.append(min(free))
    assert placed == [node.name for node in graph.nodes]


def test_a_level_is_the_longest_way_from_a_root() -> None:
    _, graph = flights()
    assert [graph.level(node.name) for node in graph.nodes] == [0, 1, 1, 1, 2, 2, 3]


def test_the_longest_path_below_counts_nodes_or_adds_costs() -> None:
    _, graph = flights()
    assert graph.longest_paths_below()["weather"] == 4
    costs = dict.fromkeys((node.name for node in graph.nodes), 1.0) | {"delay[origin=JFK]": 10.0}
    assert {"weather": 13.0, "delay[origin=JFK]": 12.0, "late": 1.0}.items() <= graph.longest_paths_below(
        costs
    ).items()


def test_a_partitioned_model_without_partitions_has_no_nodes() -> None:
    document = manifest(model("delay", partition_by=["origin"]), model("late", ["delay"]))
    assert [node.name for node in build_graph(document, {}, {}).nodes] == ["late"]


def test_single_nodes_need_no_links_and_no_shared_row_makes_no_edge() -> None:
    document = manifest(model("a"), model("b", ["a"]))
    assert build_graph(document, {}, {}).upstreams("b") == ("a",)
    assert build_graph(document, {}, {("b", "a"): []}).upstreams("b") == ()


def test_links_that_do_not_fit_the_manifest_are_refused() -> None:
    document = manifest(model("a", partition_by=["p"]), model("b", ["a"]))
    partitions = {"a": [("1",), ("2",)]}
    with pytest.raises(ValueError, match="no entry for the input 'a' of 'b'"):
        build_graph(document, partitions, {})
    with pytest.raises(ValueError, match=r"unknown nodes: \['a\[p=3\]'\]"):
        build_graph(document, partitions, {("b", "a"): [("a[p=3]", "b")]})


def test_a_circle_is_refused_and_printed() -> None:
    with pytest.raises(ValueError, match="a -> b"):
        build_graph(manifest(model("a", ["b"]), model("b", ["a"])), {}, {})


def test_a_graph_out_of_order_cannot_be_made() -> None:
    nodes = (Node(name="b", model="b"), Node(name="a", model="a"))
    with pytest.raises(ValueError, match="topological order"):
        Graph(nodes=nodes, edges=(Edge(upstream="a", downstream="b", column="a"),))


def test_a_graph_survives_pickling() -> None:
    _, graph = flights()
    copy = pickle.loads(pickle.dumps(graph))
    assert (graph, graph.upstreams("late")) == (copy, copy.upstreams("late"))


def test_twenty_thousand_nodes_are_no_problem() -> None:
    items = [(str(position),) for position in range(10_000)]
    document = manifest(model("a", partition_by=["i"]), model("b", ["a"], ["i"]), model("c", ["b"]))
    a, b = ([node_name(each, ["i"], item) for item in items] for each in "ab")
    links = {("b", "a"): list(zip(a, b, strict=True)), ("c", "b"): [(each, "c") for each in b]}
    graph = build_graph(document, {"a": items, "b": items}, links)
    assert (len(graph), len(graph.ancestors(["c"]))) == (20_001, 20_000)
