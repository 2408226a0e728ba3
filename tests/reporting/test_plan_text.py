"""A plan for people: every decision counted, every reason shown, two thousand nodes as readable as four."""

from __future__ import annotations

from dataclasses import dataclass

from retraining.decide.facts import Decision
from retraining.decide.plan import Plan
from retraining.decide.reasons import Reason
from retraining.graph.graph import Edge, Graph
from retraining.graph.nodes import Node, node_name
from retraining.reporting.plan_text import plan_summary, plan_text


@dataclass(frozen=True)
class Left:
    model: str
    partition: str
    why: str


def data_reason(rows: int) -> Reason:
    return Reason(kind="data", text="", evidence={"blocks": 1, "rows": rows, "share": rows / 1000})


def stores(number: int) -> tuple[Graph, Plan]:
    """One model of so many partitions that are due, one below it that may follow, one that stays."""
    values = [f"s{index:04}" for index in range(number)]
    names = [node_name("demand", ["store"], [value]) for value in values]
    nodes = [
        *(
            Node(name=name, model="demand", partition=(value,))
            for name, value in zip(names, values, strict=True)
        ),
        Node(name="other", model="other"),
        Node(name="total", model="total"),
    ]
    graph = Graph(
        nodes=tuple(nodes),
        edges=tuple(Edge(upstream=name, downstream="total", column="demand") for name in names),
    )
    decisions = [
        Decision(
            node=name,
            action="retrain",
            reasons=(data_reason(100 + index),),
            fits=(1, 2),
            seconds=0.5,
            first_predicted="2024-01-15",
        )
        for index, name in enumerate(names)
    ]
    waits = Reason(kind="upstream", text="some will retrain", evidence={"upstreams": list(names)})
    decisions += [
        Decision(node="other", action="keep", note="nothing changed"),
        Decision(
            node="total",
            action="retrain",
            conditional=True,
            direct=False,
            reasons=(waits,),
            fits=(0, 9),
            comparisons=1,
        ),
    ]
    return graph, Plan(as_of="2024-06-01T00:00:00Z", decisions=tuple(decisions), critical_seconds=4.0)


def test_partitions_with_the_same_kinds_of_reasons_are_told_together() -> None:
    graph, plan = stores(2000)
    told = plan_text(plan, graph)
    assert len(told.splitlines()) < 20
    assert max(map(len, told.splitlines()[:-1])) <= 100
    for words in (
        "demand[store=…] x2,000",
        "2,000 to 4,000 fits",
        "s0000, s0001",
        "and 1,988 more",
        "1 new or changed block, 100 to 2,099 rows (10% to 209.9%) each",
        "└─ total",
        "0 to 9 fits + 1 comparison, only if an upstream column changes",
        "upstream: retraining of demand[store=…] x2,000",
        "other: nothing changed",
    ):
        assert words in " ".join(told.replace("│", "").split()), words


def test_every_node_can_be_told_for_itself() -> None:
    graph, plan = stores(40)
    told = plan_text(plan, graph, every_node=True)
    assert all(decision.node in told for decision in plan.decisions)


def test_the_last_line_counts_every_decision_and_the_work() -> None:
    _, plan = stores(4)
    assert plan_summary(plan) == (
        "6 nodes: 4 to retrain, 1 if an upstream column changes, 1 kept; "
        "4 to 17 fits + 1 comparison, about 2.0 s of work, 4.0 s on the critical path"
    )


def test_groups_with_other_reasons_stand_apart() -> None:
    graph, plan = stores(3)
    first = plan.decisions[0]
    forced = Decision(
        node=first.node,
        action="retrain",
        reasons=(*first.reasons, Reason(kind="forced", text="--force")),
        fits=(2, 2),
    )
    told = plan_text(Plan(as_of=plan.as_of, decisions=(forced, *plan.decisions[1:])), graph)
    assert "demand[store=s0000]" in told
    assert "demand[store=…] x2" in told
    assert "forced: --force" in told


def test_causes_are_bounded_and_partitions_that_are_no_nodes_are_listed() -> None:
    graph, plan = stores(30)
    blocked = [
        Decision(node=one.node, action="blocked", note=f"no usable version of {one.node}")
        for one in plan.decisions
    ]
    skipped = [Left("demand", f"store=t{index}", "3 rows, and min_rows is 100") for index in range(50)]
    told = plan_text(Plan(as_of=plan.as_of, decisions=tuple(blocked)), graph, skipped)
    assert "24 more nodes for other reasons; --all lists them" in told
    assert "store=t0 (3 rows, and min_rows is 100)" in told
    assert "and 38 more" in told
    assert told.endswith("32 nodes: 32 blocked\n")
