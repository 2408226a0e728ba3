"""Small graphs for the tests of this room, and random ones, with slow and obvious walks beside them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from pathlib import Path

from hypothesis import strategies as st

from retraining.graph.graph import Graph, build_graph
from retraining.graph.nodes import node_name
from retraining.manifest.values import (
    DataCondition,
    Estimator,
    Input,
    Manifest,
    Model,
    Rule,
    Target,
)


def model(
    name: str, reads: Sequence[str] = (), partition_by: Sequence[str] = (), tags: Sequence[str] = ()
) -> Model:
    return Model(
        name=name,
        dataset="flights",
        target=Target(column="late", known_after=dt.timedelta(0)),
        features=("hour",),
        inputs=tuple(Input(upstream=each, column=each) for each in reads),
        estimator=Estimator(type="Ridge"),
        metrics=("mean_squared_error",),
        retrain_when=Rule(conditions=(DataCondition(blocks=1),)),
        partition_by=tuple(partition_by),
        tags=tuple(tags),
    )


def manifest(*models: Model) -> Manifest:
    return Manifest(
        name="m",
        file=Path("m.yaml"),
        digest="0",
        datasets={},
        models={each.name: each for each in models},
        schemes={},
    )


def flights() -> tuple[Manifest, Graph]:
    """Three airports feed two carriers, which feed one model; WN does not fly from JFK."""
    document = manifest(
        model("weather", tags=["upstream"]),
        model("delay", ["weather"], ["origin"], ["upstream", "hourly"]),
        model("arrival", ["delay"], ["carrier"]),
        model("late", ["arrival", "delay"], tags=["leaf"]),
    )
    origins, carriers = ["EWR", "JFK", "LGA"], ["UA", "WN"]
    flown = [(o, c) for o in origins for c in carriers if (o, c) != ("JFK", "WN")]
    delay = {each: node_name("delay", ["origin"], [each]) for each in origins}
    arrival = {each: node_name("arrival", ["carrier"], [each]) for each in carriers}
    graph = build_graph(
        document,
        {"delay": [(each,) for each in origins], "arrival": [(each,) for each in carriers]},
        {
            ("delay", "weather"): [("weather", each) for each in delay.values()],
            ("arrival", "delay"): [(delay[o], arrival[c]) for o, c in flown],
            ("late", "arrival"): [(each, "late") for each in arrival.values()],
            ("late", "delay"): [(each, "late") for each in delay.values()],
        },
    )
    return document, graph


@st.composite
def random_graphs(draw: st.DrawFn) -> tuple[Manifest, Graph]:
    """A manifest of up to 7 models, some partitioned, with random edges between their nodes."""
    count = draw(st.integers(1, 7))
    names = draw(st.permutations([f"m{position}" for position in range(count)]))
    models, partitions, links = [], {}, {}
    nodes: dict[str, list[str]] = {}
    for position, name in enumerate(names):
        reads = draw(st.lists(st.sampled_from(names[:position]), unique=True)) if position else []
        columns = draw(st.sampled_from([(), ("a",), ("a", "b")]))
        tags = draw(st.lists(st.sampled_from(["red", "blue"]), unique=True))
        models.append(model(name, reads, columns, tags))
        if columns:
            value = st.tuples(*[st.sampled_from(["1", "2", "x y", "*"])] * len(columns))
            partitions[name] = draw(st.lists(value, min_size=1, max_size=4, unique=True))
        nodes[name] = [node_name(name, columns, each) for each in partitions.get(name, [()])]
        for upper in reads:
            pairs = [(up, down) for up in nodes[upper] for down in nodes[name]]
            links[name, upper] = draw(st.lists(st.sampled_from(pairs), unique=True))
    document = manifest(*draw(st.permutations(models)))
    return document, build_graph(document, partitions, links)


def reached(graph: Graph, names: frozenset[str], depth: int | None, *, upward: bool) -> frozenset[str]:
    """`names` and all that is at most `depth` edges away, by walking every edge again and again."""
    pairs = {(e.downstream, e.upstream) if upward else (e.upstream, e.downstream) for e in graph.edges}
    found = names
    for _ in range(len(graph.nodes) if depth is None else depth):
        found = found | {there for here, there in pairs if here in found}
    return found


def states_of(graph: Graph) -> Mapping[str, frozenset[str]]:
    return {"due": frozenset(node.name for node in graph.nodes[::2]), "failed": frozenset()}
