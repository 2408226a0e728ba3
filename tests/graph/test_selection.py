from __future__ import annotations

import dataclasses
from fnmatch import fnmatchcase

import pytest
from effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from retraining.errors import SelectionError
from retraining.graph.expressions import (
    Intersection,
    ModelAtom,
    StateAtom,
    TagAtom,
    Union,
    parse_selection,
)
from retraining.graph.graph import Graph, build_graph
from retraining.graph.nodes import PartitionValue, parse_node_name
from retraining.graph.selection import resolve_selection, select
from retraining.manifest.values import Manifest

from .graphs import flights, manifest, model, random_graphs, reached, states_of

DELAYS = {"delay[origin=EWR]", "delay[origin=JFK]", "delay[origin=LGA]"}
ARRIVALS = {"arrival[carrier=UA]", "arrival[carrier=WN]"}
EVERYTHING = DELAYS | ARRIVALS | {"weather", "late"}


def nodes_of(text: str) -> set[str]:
    document, graph = flights()
    return set(select(parse_selection(text), graph, document, {"due": {"late"}, "failed": set()}))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("delay", DELAYS),
        ("late", {"late"}),
        ("delay[origin=JFK]", {"delay[origin=JFK]"}),
        ('delay[origin="JFK"]', {"delay[origin=JFK]"}),
        ("delay[origin=?F?]", {"delay[origin=JFK]"}),
        ("delay[origin=*]", DELAYS),
        ("+delay", DELAYS | {"weather"}),
        ("delay+", DELAYS | ARRIVALS | {"late"}),
        ("delay[origin=JFK]+1", {"delay[origin=JFK]", "arrival[carrier=UA]", "late"}),
        ("1+arrival[carrier=WN]", {"arrival[carrier=WN]", "delay[origin=EWR]", "delay[origin=LGA]"}),
        ("0+late", {"late"}),
        ("2+late", EVERYTHING),
        ("1+delay+1", EVERYTHING),
        ("@arrival[carrier=WN]", EVERYTHING),
        ("weather late", {"weather", "late"}),
        ("  weather   late ", {"weather", "late"}),
        ("delay,1+arrival[carrier=WN]", {"delay[origin=EWR]", "delay[origin=LGA]"}),
        ("delay,tag:hourly weather", DELAYS | {"weather"}),
        ("tag:upstream", DELAYS | {"weather"}),
        ("tag:u*", DELAYS | {"weather"}),
        ("state:due", {"late"}),
        ("1+state:due", {"late"} | ARRIVALS | DELAYS),
        ("state:failed", set()),
        ("weather,state:due", set()),
        ("*a*", EVERYTHING),
        ("?ela?", DELAYS),
        ("*[origin=JFK]", {"delay[origin=JFK]"}),
    ],
)
def test_an_expression_selects(text: str, expected: set[str]) -> None:
    assert expected == nodes_of(text)


def test_a_pool_is_selected_by_its_name() -> None:
    document = manifest(model("delay", partition_by=["origin"]), model("late", ["delay"]))
    nodes = ["delay[*]", 'delay[origin="*"]']
    links = {("late", "delay"): [(node, "late") for node in nodes]}
    graph = build_graph(document, {"delay": [(), ("*",)]}, links)

    def chosen(text: str) -> set[str]:
        return set(select(parse_selection(text), graph, document, {}))

    assert chosen("delay[*]") == {"delay[*]"}
    assert chosen("*[*]+") == {"delay[*]", "late"}
    assert chosen("delay[origin=*]") == {'delay[origin="*"]'}
    assert chosen("delay") == {*nodes}
    with pytest.raises(SelectionError, match="has no pool"):
        chosen("late[*]")


def test_the_tree_says_what_was_written() -> None:
    tree = parse_selection('2+a+1 @b,tag:x,state:due m[c="x, y",d=*]')
    assert isinstance(tree, Union)
    first, middle, last = tree.parts
    assert isinstance(middle, Intersection)
    assert (ModelAtom(model="a"), 2, 1, False) == (first.atom, first.upstream, first.downstream, first.closed)
    assert (ModelAtom(model="b"), TagAtom(tag="x"), StateAtom(state="due")) == tuple(
        t.atom for t in middle.terms
    )
    assert [term.closed for term in middle.terms] == [True, False, False]
    values = (
        PartitionValue(column="c", value="x, y", quoted=True, position=27),
        PartitionValue(column="d", value="*", quoted=False, position=36),
    )
    assert values == last.atom.values


def test_a_partition_of_several_columns_may_be_named_by_some_of_them() -> None:
    document = manifest(model("sales", partition_by=["shop", "item"]))
    graph = build_graph(document, {"sales": [("a, b", "1"), ("a, b", "2"), ("c", "1")]}, {})
    found = select(parse_selection('sales[shop="a, b"]'), graph, document, {})
    assert {'sales[shop="a, b",item=1]', 'sales[shop="a, b",item=2]'} == found
    with pytest.raises(SelectionError, match="no node has all of them"):
        select(parse_selection("sales[shop=c,item=2]"), graph, document, {})


@pytest.mark.parametrize(
    ("text", "place", "says"),
    [
        ("", None, "selection is empty"),
        ("   ", None, "selection is empty"),
        ("a,", 2, "expected the name of a model"),
        (",a", 0, "expected the name of a model"),
        ("a, b", 2, "expected the name of a model"),
        ("a,,b", 2, "expected the name of a model"),
        ("a b+2c", 5, "expected a space, a comma or the end"),
        ("a++", 2, "expected a space, a comma or the end"),
        ("++a", 1, "expected the name of a model"),
        ("@", 1, "expected the name of a model"),
        ("@+a", 0, "already selects upstream"),
        ("@a+", 2, "already selects downstream"),
        ("a[UA]", 4, "expected '=' after the column 'UA'"),
        ("a[]", 2, "expected a column"),
        ("a[c=UA", 1, "never closed"),
        ("a[c=UA WN]", 6, "quote a value"),
        ("a[c=UA,c=WN]", 7, "named twice"),
        ('a[c="UA]', 4, "double quotes"),
        ("a[c=1][d=2]", 6, "expected a space, a comma or the end"),
        ("tags:x", 0, "no selection method 'tags'"),
        ("tag:", 4, "expected the name of a tag"),
        ("tag:x[a=1]", 5, "cannot be followed by a partition"),
    ],
)
def test_what_cannot_be_read_has_a_caret_under_the_place(text: str, place: int | None, says: str) -> None:
    with pytest.raises(SelectionError) as error:
        parse_selection(text)
    assert says in error.value.message
    if place is not None:
        assert [f"    {text}", " " * (4 + place) + "^"] == error.value.message.splitlines()[-2:]


@pytest.mark.parametrize(
    ("text", "message", "next_step"),
    [
        ("dalay", "no model is named 'dalay'", "did you mean delay?"),
        ("Delay", "no model is named 'Delay'", "did you mean delay?"),
        ("x*", "no model is named 'x*'", "there is arrival, delay, late, weather"),
        ("delay[origin=JKF]", "no node has origin=JKF", "did you mean JFK?"),
        ('delay[origin="*"]', "no node has origin=*", "there is EWR, JFK, LGA"),
        ("delay[carrier=UA]", "not partitioned by 'carrier'", "its partition columns are origin"),
        ("late[origin=JFK]", "late has no partitions", ""),
        ("tag:hurly", "no tag is named 'hurly'", "did you mean hourly?"),
        ("state:du", "no state is named 'du'", "did you mean due?"),
        ("weather,late", "no node is in all parts of the intersection 'weather,late'", "for 'or'"),
    ],
)
def test_what_names_nothing_is_an_error_that_names_what_there_is(
    text: str, message: str, next_step: str
) -> None:
    with pytest.raises(SelectionError) as error:
        nodes_of(text)
    assert message in error.value.message
    assert next_step in error.value.next_step


def test_a_model_without_nodes_is_an_error_that_says_so() -> None:
    document = manifest(model("delay", partition_by=["origin"]), model("late"))
    with pytest.raises(SelectionError, match="delay has no nodes"):
        select(parse_selection("delay"), build_graph(document, {}, {}), document, {})


def test_without_an_expression_every_node_is_selected_and_exclusions_are_taken_away() -> None:
    document, graph = flights()
    assert resolve_selection([], [], graph, document, {}) == EVERYTHING
    assert resolve_selection([], ["delay+"], graph, document, {}) == {"weather"}
    assert resolve_selection(["weather", "late"], ["late"], graph, document, {}) == {"weather"}
    with pytest.raises(SelectionError, match="'wether'"):
        resolve_selection([], ["wether"], graph, document, {})


@given(random_graphs())
@settings(derandomize=True, max_examples=examples(60))
def test_the_name_of_a_node_selects_exactly_that_node(drawn: tuple[Manifest, Graph]) -> None:
    document, graph = drawn
    for node in graph.nodes:
        assert {node.name} == select(parse_selection(node.name), graph, document, {})


atoms = st.one_of(
    st.sampled_from(
        ["m0", "m1", "m2", "m3", "m?", "*", "m0[a=1]", "m*[a=1]", 'm*[a="x y"]', 'm?[a="*",b=2]', "m1[b=?]"]
    ),
    st.sampled_from(["tag:red", "tag:b*", "state:due", "state:failed"]),
)
depths = st.sampled_from(["", "+", "1+", "2+"])
terms = st.tuples(depths, atoms, depths) | st.tuples(st.just("@"), atoms, st.just(""))
expressions = st.lists(st.lists(terms, min_size=1, max_size=3), min_size=1, max_size=3)


def obvious(atom: str, graph: Graph, document: Manifest) -> frozenset[str]:
    """What an atom selects, by matching every node with the standard library's wildcards."""
    method, _, value = atom.partition(":")
    if method == "tag":
        return frozenset(
            n.name
            for n in graph.nodes
            if any(fnmatchcase(tag, value) for tag in document.models[n.model].tags)
        )
    if method == "state":
        return states_of(graph)[value]
    name, wanted = atom.partition("[")[0], []
    if "[" in atom:
        for pair in atom.partition("[")[2][:-1].split(","):
            column, _, text = pair.partition("=")
            wanted.append((column, text.replace("*", "[*]").strip('"') if text.startswith('"') else text))
    found = set()
    for node in graph.nodes:
        partition = dict(parse_node_name(node.name)[1])
        if fnmatchcase(node.model, name) and all(
            c in partition and fnmatchcase(partition[c], t) for c, t in wanted
        ):
            found.add(node.name)
    return frozenset(found)


def obvious_term(before: str, atom: str, after: str, graph: Graph, document: Manifest) -> frozenset[str]:
    nodes = obvious(atom, graph, document)
    if before == "@":
        return reached(graph, reached(graph, nodes, None, upward=False), None, upward=True)
    steps = {"": 0, "+": None, "1+": 1, "2+": 2}
    return reached(graph, nodes, steps[before], upward=True) | reached(
        graph, nodes, steps[after], upward=False
    )


@given(random_graphs(), expressions)
@settings(derandomize=True, max_examples=examples(250))
def test_a_selection_equals_the_obvious_evaluation_on_sets(
    drawn: tuple[Manifest, Graph], expression: list[list[tuple[str, str, str]]]
) -> None:
    document, graph = drawn
    text = " ".join(",".join(f"{b}{atom}{a[::-1]}" for b, atom, a in group) for group in expression)
    expected = frozenset[str]()
    for group in expression:
        sets = [obvious_term(b, atom, a, graph, document) for b, atom, a in group]
        expected |= frozenset.intersection(*sets)
    try:
        found = select(parse_selection(text), graph, document, states_of(graph))
    except SelectionError:
        empty_atom = any(
            not obvious(atom, graph, document) and not atom.startswith("state:")
            for group in expression
            for _, atom, _ in group
        )
        empty_group = any(
            not frozenset.intersection(*(obvious_term(b, atom, a, graph, document) for b, atom, a in group))
            for group in expression
        )
        assert empty_atom or empty_group
    else:
        assert expected == found


@given(st.text(alphabet=st.sampled_from('ab12+@,:[]="* \\tagse?'), max_size=14))
@settings(derandomize=True, max_examples=examples(400))
def test_any_text_is_read_or_refused_with_a_selection_error(text: str) -> None:
    try:
        tree = parse_selection(text)
    except SelectionError:
        return
    assert dataclasses.is_dataclass(tree)
