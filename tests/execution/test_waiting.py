"""A winner that cannot be released yet waits: for whom, since when, and without being made again."""

from __future__ import annotations

import pytest

from retraining.operations.plan import plan

from .pair_bench import AS_OF, manifest, outcomes, rows

pytestmark = pytest.mark.slow

STAYS = "retrain_when: definition"
STRICT = "gate: {refit_shift: 100, limits: {r2: {min: 0.999}}}"
LATER = "2024-04-01T06:00:00Z"


def decisions(bench, as_of):
    found = plan(bench.folder / "m.yaml", store=str(bench.folder / "store"), as_of=as_of)
    return {one.node: one for one in found.decisions}, found


def test_a_waiting_challenger_is_released_by_the_run_that_may_train_its_reader(bench):
    bench.write(manifest(b=STAYS, c=STAYS), d=rows())
    bench.run(AS_OF)
    bench.write(manifest(b=STAYS, c=STAYS, a_target="y60"))
    alone = bench.run(AS_OF, select=("a",))
    assert outcomes(alone) == {"a": "waiting", "b": "kept", "c": "kept"}
    waiting = bench.state("a").attempt
    assert (waiting.outcome, waiting.waits_for, waiting.since) == ("waiting", ("b",), waiting.time)
    # a run that may not train b either has nothing to do
    assert bench.run(AS_OF, select=("c",)).run == ""
    told, planned = decisions(bench, AS_OF)
    assert told["a"].action == "keep"
    assert told["a"].resumes
    assert "waits since" in told["a"].note
    assert not planned.idle
    found = bench.run(AS_OF)
    assert outcomes(found) == {"a": "promoted", "b": "promoted", "c": "kept"}
    assert bench.state("a").version == waiting.version
    made = {one["node"]: one["fits"]["made"] for one in found.record["nodes"]}
    assert made["a"] == 0
    assert made["b"] > 0
    # as if it had been released at once
    assert bench.run(AS_OF, store="other").exit_code == 0
    assert bench.run(AS_OF).run == ""


def test_a_challenger_goes_on_waiting_until_its_reader_wins_though_the_data_moved_on(bench):
    frame = rows(days=91)
    bench.write(manifest(a=STAYS, b=STRICT.replace("0.999", "0"), c=STAYS), d=frame.head(84 * 6))
    bench.run(AS_OF)
    bench.write(manifest(a=STAYS, b=STRICT, c=STAYS, a_target="y60"))
    first = bench.run(AS_OF)
    assert outcomes(first) == {"a": "waiting", "b": "rejected", "c": "kept"}
    waiting = bench.state("a").attempt
    assert "since" in first.outcomes["a"][1]
    # nothing changed: nothing is tried again
    assert bench.run(AS_OF).run == ""
    # a new block makes b due, not a: the challenger of a is fed to it as it is, and b loses again
    bench.write(manifest(a=STAYS, b=STRICT, c=STAYS, a_target="y60"), d=frame)
    again = bench.run(LATER)
    assert outcomes(again) == {"a": "waiting", "b": "rejected", "c": "kept"}
    assert bench.state("a").attempt == waiting
    (told,) = [one for one in again.record["nodes"] if one["node"] == "a"]
    # the fit before the newer holdout judges it: a block fit of which the model was kept
    assert told["fits"]["made"] == 0
    assert told["verdict"]["holdout"]["to"] == "2024-03-31"
    # a definition makes b due once more, and now it wins: both are released, a as it was made
    bench.write(manifest(a=STAYS, c=STAYS, a_target="y60", b_features="[x1, x2, x3]"))
    last = bench.run(LATER)
    assert outcomes(last)["a"] == "promoted"
    assert outcomes(last)["b"] == "promoted"
    a = bench.state("a")
    assert (a.version, a.cut) == (waiting.version, "2024-03-25T00:00:00Z")
    assert bench.state("b").wiring == {"a": a.version}
    assert bench.version("a").document["waits_for"] is None


def test_a_new_challenger_takes_the_place_of_one_that_waits_and_the_wait_goes_on(bench):
    frame = rows(days=91)
    bench.write(manifest(b=STRICT.replace("0.999", "0"), c=STAYS), d=frame.head(84 * 6))
    bench.run(AS_OF)
    bench.write(manifest(b=STRICT, c=STAYS, a_target="y60"))
    bench.run(AS_OF)
    waiting = bench.state("a").attempt
    bench.write(manifest(b=STRICT, c=STAYS, a_target="y60"), d=frame)
    assert outcomes(bench.run(LATER))["a"] == "waiting"
    newer = bench.state("a").attempt
    assert newer.version != waiting.version
    assert newer.run != waiting.run
    assert newer.since == waiting.since
