"""The driver's table of nodes: where a batch goes, and what a lost node takes with it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retraining.errors import InputError
from retraining.execution.addresses import check_address
from retraining.execution.slots import Node, Slots


def node(name: str, **amounts: float) -> Node:
    return Node(id=name, address=name, amounts=amounts)


def table(*nodes: Node, most: int | None = None) -> Slots:
    slots = Slots(most=most)
    for one in nodes:
        slots.admit(one)
    return slots


def test_there_is_a_slot_for_each_whole_cpu_and_no_more_than_asked_for():
    nodes = [node("a", CPU=2.0), node("b", CPU=1.5), node("head", memory=9.0)]
    assert table(*nodes).count == 3
    assert table(*nodes, most=2).count == 2
    assert table(*nodes, most=9).count == 3


def test_batches_go_where_most_is_free():
    slots = table(node("a", CPU=2.0), node("b", CPU=3.0))
    assert [slots.place({"CPU": 1.0}) for _ in range(6)] == ["b", "a", "b", "a", "b", None]
    slots.give_back("a", {"CPU": 1.0})
    assert slots.place({"CPU": 1.0}) == "a"


def test_a_batch_goes_only_where_all_that_it_asks_for_is_free():
    slots = table(node("a", CPU=8.0), node("b", CPU=2.0, GPU=1.0, fpga=2.0))
    asked = {"CPU": 1.0, "GPU": 0.5, "fpga": 1.0}
    assert [slots.place(asked) for _ in range(3)] == ["b", "b", None]
    assert slots.place({"CPU": 1.0}) == "a"


def test_tenths_add_up_to_a_whole():
    slots = table(node("a", CPU=1.0))
    assert [slots.place({"CPU": 0.1}) for _ in range(11)] == ["a"] * 10 + [None]


def test_a_lost_node_takes_nothing_more_and_what_comes_back_from_it_is_ignored():
    slots = table(node("a", CPU=1.0), node("b", CPU=1.0))
    assert slots.place({"CPU": 1.0}) == "a"
    slots.drop("a")
    slots.give_back("a", {"CPU": 1.0})
    assert (slots.count, slots.place({"CPU": 1.0}), slots.place({"CPU": 1.0})) == (1, "b", None)


@given(
    cpus=st.lists(st.integers(1, 4), min_size=1, max_size=4),
    steps=st.lists(st.tuples(st.booleans(), st.sampled_from([0.5, 1.0, 2.0])), max_size=40),
)
def test_no_node_ever_holds_more_than_it_has(cpus, steps):
    nodes = [node(str(place), CPU=float(count)) for place, count in enumerate(cpus)]
    slots = table(*nodes)
    held: list[tuple[str, float]] = []
    for begin, amount in steps:
        if begin:
            place = slots.place({"CPU": amount})
            used = {one.id: sum(size for at, size in held if at == one.id) for one in nodes}
            room = any(used[one.id] + amount <= one.amounts["CPU"] for one in nodes)
            assert (place is not None) == room
            if place is not None:
                held.append((place, amount))
        elif held:
            place, amount = held.pop(0)
            slots.give_back(place, {"CPU": amount})
    for one in nodes:
        assert sum(size for at, size in held if at == one.id) <= one.amounts["CPU"]


@pytest.mark.parametrize("address", ["local", "auto", "10.0.0.1:6379", "head.cluster:6379", "[::1]:6379"])
def test_a_run_can_use_a_cluster_that_its_machine_is_part_of(address):
    assert check_address(address) == address


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("ray://head:10001", "a Ray client is no part of the cluster"),
        ("http://head:8265", "a cluster's job server"),
        ("head", "no address of a cluster"),
        ("head:port", "no address of a cluster"),
        ("s3://head:1", "no address of a cluster"),
    ],
)
def test_every_other_address_is_refused_with_the_reason(address, said):
    with pytest.raises(InputError, match=said):
        check_address(address)
