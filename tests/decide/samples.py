"""Recipes, data and states of nodes by hand, for plans without a store."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

from retraining.decide.calendar import micros
from retraining.decide.facts import Baseline, Facts, shipped_left_out
from retraining.decide.fingerprints import attempt_fingerprint, version_of
from retraining.decide.fits import Cell
from retraining.decide.plan import make_plan
from retraining.decide.recipes import Recipe
from retraining.decide.signals import Signals
from retraining.decide.snapshots import NodeData
from retraining.graph.graph import Edge, Graph
from retraining.graph.nodes import Node
from retraining.manifest.values import (
    DataCondition,
    DefinitionCondition,
    Input,
    Rule,
    Target,
    TimeScheme,
    UpstreamCondition,
)
from retraining.release.values import Attempt, NodeState, Parts

RULE = Rule(conditions=(DefinitionCondition(), UpstreamCondition(), DataCondition(blocks=1)))
#: The moment of these plans, the one of the attempts that `release` makes.
NOW = micros(dt.datetime(2024, 1, 1, tzinfo=dt.UTC))
SCHEME = TimeScheme(block_days=14, min_rows=10, min_blocks=2)


def recipe(node, inputs=(), **more):
    fields = {
        "node": node,
        "model": node,
        "dataset": "d",
        "partition": (),
        "target": Target(column="y", known_after=dt.timedelta(days=1)),
        "features": ("x",),
        "inputs": tuple(Input(upstream=up, column=up) for up in inputs),
        "estimator": "Ridge",
        "module": "sklearn.linear_model",
        "parameters": {"alpha": 1.0},
        "version": None,
        "task": "regression",
        "preprocess": "auto",
        "accepts_nan": False,
        "needs_scaling": True,
        "probabilities": False,
        "scheme": SCHEME,
        "timezone": "UTC",
        "seed": 0,
        "ship": "refit",
    }
    return Recipe(**{**fields, **more})


def data(node, blocks=8, rows=20, salt=""):
    cells = tuple(Cell(part=b, known=b + 1, rows=rows, digest=f"{salt}{b}") for b in range(100, 100 + blocks))
    return NodeData(
        node=node,
        cells=cells,
        features={cell.part: cell.digest for cell in cells},
        rows={cell.part: cell.rows for cell in cells},
        next_block=100 + blocks,
        holdout=(100 + blocks - 1,),
    )


class World:
    """Nodes with their facts; `release` makes the state that a promoted run leaves behind."""

    def __init__(self, edges, order=None, rule=RULE):
        names = order or list(dict.fromkeys(name for edge in edges for name in edge))
        self.edges = [Edge(upstream=up, downstream=down, column=up) for up, down in edges]
        self.graph = ordered_graph(names, self.edges)
        above = {name: [up for up, down in edges if down == name] for name in names}
        self.recipes = {name: recipe(name, above[name]) for name in names}
        self.data = {name: data(name) for name in names}
        self.rules = dict.fromkeys(names, rule)
        self.states = {}
        self.baselines = {}
        self.signals = dict.fromkeys(names, Signals(as_of=NOW))

    def release(self, name, outcome="promoted"):
        one, found = self.recipes[name], self.data[name]
        shipped = shipped_left_out(one, found)
        wiring = {up: self.states[up].version for up in self.graph.upstreams(name) if up in self.states}
        parts = Parts(recipe=one.digest(), data=found.slice_digest(shipped), upstream={}, environment="env")
        version = version_of(name, parts, shipped)
        attempt = Attempt(
            fingerprint=attempt_fingerprint(name, parts, found.holdout), outcome=outcome, because="so", run="r",
            time="2024-01-01T00:00:00Z", parts=parts, version=version,
        )  # fmt: skip
        before = self.states.get(name, NodeState(node=name))
        if outcome == "promoted":
            self.states[name] = replace(
                before, version=version, parts=parts, wiring=wiring, attempt=attempt, fits=2, seconds=1.0
            )
        else:
            self.states[name] = replace(before, attempt=attempt)
        self.baselines[name] = Baseline(definition=one.definition(), data=found, wiring=wiring)

    def release_all(self):
        for node in self.graph.nodes:
            self.release(node.name)
        return self

    def plan(self, *, selected=None, forced=(), environment="env"):
        names = [node.name for node in self.graph.nodes]
        facts = {
            name: Facts(
                recipe=self.recipes[name], data=self.data[name], state=self.states.get(name),
                baseline=self.baselines.get(name), rule=self.rules[name], signals=self.signals[name],
            )
            for name in names
        }  # fmt: skip
        return make_plan(
            self.graph, facts, self.states, as_of="now", environment=environment,
            selected=names if selected is None else selected, forced=forced,
        )  # fmt: skip


def ordered_graph(names, edges):
    """The graph of these nodes in its one order: topological, ties by name."""
    left, placed = sorted(names), []
    while left:
        name = next(n for n in left if not any(e.downstream == n and e.upstream in left for e in edges))
        left.remove(name)
        placed.append(name)
    return Graph(nodes=tuple(Node(name=n, model=n, partition=()) for n in placed), edges=tuple(edges))
