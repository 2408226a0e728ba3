"""`--compare-inputs`: what each input brings, asked for at any time, without a release and without another model."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.metrics import mean_squared_error

from retraining.operations.run import RunOptions, run
from retraining.reporting.inputs_text import compared_text

from .test_gate_settings import daily, on

pytestmark = pytest.mark.slow

TEXT = """
datasets: {d: {path: d.parquet, key: [id], time: at}}
validation: {scheme: time, blocks: 2w, min_train: {rows: 20, blocks: 2}}
defaults: {gate: {refit_shift: 100, margin: 50%}, estimator: {type: Ridge, parameters: {alpha: 0.0001}}}
models:
  a: {dataset: d, target: {column: y, known_after: 0d}, features: [x]}
  b: {dataset: d, target: {column: w, known_after: 0d}, features: [x]}
  top: {dataset: d, target: {column: z, known_after: 0d}, features: [w], inputs: {a: {}, b: {missing: drop}}}
"""


def write(bench):
    frame = daily()
    frame["z"] = 3 * frame["x"] + np.random.default_rng(4).normal(size=len(frame))
    return bench.write(TEXT, d=frame.drop(columns="day")), frame


def top(outcome):
    return next(node for node in outcome.record["nodes"] if node["node"] == "top")


def edges(outcome):
    return {edge["column"]: edge for edge in top(outcome)["edges"]}


def test_a_kept_nodes_inputs_are_compared_and_nothing_else_changes(bench):
    bench, frame = write(bench)
    first = bench.run(as_of=on(84))
    assert edges(first).keys() == {"a", "b", "*"}  # each edge was new
    before = bench.state("top")
    asked = bench.run(as_of=on(84), compare_inputs=("top",))
    assert {word for word, _ in asked.outcomes.values()} == {"kept"}
    assert (bench.state("top"), asked.after.release) == (before, first.after.release)
    assert edges(asked) == edges(first)
    assert top(asked)["decision"]["compared"]
    # the fits without an input are in the store since the edge was new
    assert (asked.fits_made, top(asked)["decision"]["comparisons"]) == (0, 3)
    # an oracle: without both, no row lacks anything
    rows = frame["day"] < 70
    plain = Ridge(alpha=0.0001).fit(frame.loc[rows, ["w"]], frame.loc[rows, "z"])
    judged = frame[frame["day"].between(70, 83)]
    alone = mean_squared_error(judged["z"], plain.predict(judged[["w"]]))
    assert edges(asked)["*"]["without"] == pytest.approx(alone, rel=1e-6)
    text = compared_text(asked.record)
    assert "inputs compared, as asked" in text
    assert "a: mean_squared_error" in text


def test_a_node_that_is_due_compares_known_edges_only_when_asked(bench):
    bench, _ = write(bench)
    bench.run(as_of=on(70))
    assert edges(bench.run(as_of=on(84), store="store")) == {}
    asked = bench.run(as_of=on(98), compare_inputs=("*",))
    assert asked.outcomes["top"][0] == "promoted"
    assert edges(asked).keys() == {"a", "b", "*"}
    assert edges(asked)["a"]["difference"] < 0  # it helps
    assert edges(asked)["a"]["clusters"] == 14
    assert bench.version("top").document["edges"] == top(asked)["edges"]


def test_whoever_reads_nobody_and_whoever_was_never_released_has_nothing_to_compare(bench):
    bench, _ = write(bench)
    bench.run(as_of=on(84))
    outcome = run(
        bench.folder / "m.yaml",
        store=str(bench.folder / "store"),
        as_of=on(84),
        compare_inputs=("a",),
        options=RunOptions(backend="serial"),
    )
    assert outcome.run == ""  # nothing to do


def test_the_verdict_does_not_depend_on_what_was_asked(bench):
    bench, _ = write(bench)
    for store, more in (("plain", {}), ("asked", {"compare_inputs": ("*",)})):
        bench.run(as_of=on(70), store=store)
        bench.run(as_of=on(84), store=store, **more)
    assert bench.version("top", "plain").verdict == bench.version("top", "asked").verdict
    assert bench.store("plain").read_head().logical() == bench.store("asked").read_head().logical()
