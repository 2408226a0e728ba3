"""What reaches a reader: the version that won, never one that lost, and no work where its column is the same."""

from __future__ import annotations

import pytest
from oracle.workbench import Bench

from retraining.release.update import mismatches

from .pair_bench import AS_OF, manifest, outcomes, rows

STRICT = "gate: {refit_shift: 100, limits: {r2: {min: 0.999}}}"


@pytest.fixture(params=["time", "folds"])
def scheme(request) -> str:
    return request.param


def released(bench: Bench, scheme: str):
    frame = rows()
    bench.write(manifest(scheme=scheme), d=frame)
    assert set(outcomes(bench.run(AS_OF)).values()) == {"promoted"}
    return frame


def made(outcome) -> dict[str, int]:
    return {one["node"]: one["fits"]["made"] for one in outcome.record["nodes"]}


def test_below_an_upstream_that_lost_nothing_is_trained(bench, scheme):
    released(bench, scheme)
    before = bench.store().read_head().nodes
    bench.write(manifest(a=STRICT, a_features="[x1, x3]", scheme=scheme))
    found = bench.run(AS_OF)
    assert outcomes(found) == {"a": "rejected", "b": "kept", "c": "kept"}
    assert made(found)["b"] == made(found)["c"] == 0
    assert found.after.release == 1
    assert all(found.after.nodes[name].wiring == before[name].wiring for name in "abc")


def test_a_reader_learns_from_the_version_that_won_and_the_reader_below_from_what_that_hands_down(
    bench, scheme
):
    released(bench, scheme)
    bench.write(manifest(a_features="[x1, x2]", scheme=scheme))
    found = bench.run(AS_OF)
    assert outcomes(found) == {"a": "promoted", "b": "promoted", "c": "promoted"}
    nodes = found.after.nodes
    assert nodes["b"].wiring == {"a": nodes["a"].version}
    assert nodes["c"].wiring == {"b": nodes["b"].version}
    assert not mismatches(nodes)
    leaves = found.record["set"]["leaves"]
    assert [(one["node"], one["by"]) for one in leaves] == [("c", "gate")]
    assert leaves[0]["after"] < leaves[0]["before"]


def test_a_rejected_reader_hands_its_champion_on_with_the_columns_that_it_bears(bench, scheme):
    released(bench, scheme)
    bench.write(manifest(b=STRICT, a_features="[x1, x2]", scheme=scheme))
    found = bench.run(AS_OF)
    assert outcomes(found) == {"a": "promoted", "b": "rejected", "c": "promoted"}
    nodes = found.after.nodes
    assert nodes["b"].checked == ("a",)
    assert nodes["c"].wiring == {"b": nodes["b"].column}
    assert found.record["set"]["rewired"] == ["b"]
    assert "its champion was checked with the new columns of a" in found.outcomes["b"][1]
    again = bench.run(AS_OF)
    assert (again.run, again.after.release) == ("", 2)
