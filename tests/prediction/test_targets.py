"""Which nodes a name asks for, when nodes have left the manifest or were never released."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retraining.errors import InputError
from retraining.graph.nodes import node_name
from retraining.prediction.targets import find_nodes
from retraining.release.values import Attempt, NodeState, Parts


def state(node: str, *, orphaned: bool = False) -> NodeState:
    return NodeState(node=node, version="v", orphaned=orphaned)


def states(*nodes: NodeState) -> dict[str, NodeState]:
    return {node.node: node for node in nodes}


def test_a_vanished_partition_is_still_served() -> None:
    known = states(state("m[a=1]"), state("m[a=2]", orphaned=True))
    assert find_nodes("m", known) == ("m[a=1]", "m[a=2]")


def test_nodes_of_an_older_cut_are_served_by_name_only() -> None:
    known = states(state("m[a=1]"), state("m", orphaned=True), state("m[b=1]", orphaned=True))
    assert find_nodes("m", known) == ("m[a=1]",)
    assert find_nodes("m[b=1]", known) == ("m[b=1]",)


def test_a_model_that_left_the_manifest_is_served_whole() -> None:
    assert find_nodes("m", states(state("m", orphaned=True))) == ("m",)


def test_a_node_that_never_won_says_what_became_of_it() -> None:
    parts = Parts(recipe="", data="", upstream={}, environment="")
    attempt = Attempt(
        fingerprint="f",
        outcome="insufficient",
        because="too few days",
        run="r",
        time="t",
        parts=parts,
        version="v",
    )
    known = states(state("other"), NodeState(node="m[a=1]", attempt=attempt))
    for target in ("m[a=1]", "m"):
        with pytest.raises(InputError, match=r"its last attempt was insufficient \(too few days\)"):
            find_nodes(target, known)
    pending = states(NodeState(node="m", attempt=replace(attempt, outcome="pending")))
    with pytest.raises(InputError, match="retrain promote"):
        find_nodes("m", pending)


@settings(max_examples=100, derandomize=True)
@given(
    st.dictionaries(st.text(min_size=1, max_size=3), st.text(max_size=3), min_size=1, max_size=3),
    st.randoms(),
)
def test_the_order_and_quoting_of_partition_values_does_not_matter(
    pairs: dict[str, str], random: object
) -> None:
    name = node_name("m", list(pairs), list(pairs.values()))
    turned = node_name("m", list(pairs)[::-1], list(pairs.values())[::-1])
    assert find_nodes(turned, states(state(name))) == (name,)
