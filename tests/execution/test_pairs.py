"""The pair check: a champion that stays is scored with a new upstream column before both are released."""

from __future__ import annotations

import numpy as np
import pytest
from oracle.workbench import folds_by_key
from sklearn.metrics import mean_squared_error

from retraining.learn.comparison import compare
from retraining.prediction.releases import open_store
from retraining.release.update import mismatches

from .pair_bench import AS_OF, DAYS, block_of, chained, manifest, outcomes, predicted, ridge, rows

STAYS = "retrain_when: definition"


def release(bench, frame=None, **more):
    frame = rows() if frame is None else frame
    bench.write(manifest(**more), d=frame)
    first = bench.run(AS_OF)
    assert set(outcomes(first).values()) == {"promoted"}
    return frame


def test_upstreams_that_are_made_again_as_they_were_are_no_new_columns(bench):
    frame = release(bench)
    frame.loc[frame.index[::2], "x3"] += 1.0
    bench.write(manifest(b="gate: {limits: {mean_squared_error: {max: 0.000001}}}"), d=frame)
    found = bench.run(AS_OF, force=("a", "b"))
    assert outcomes(found)["b"] == "rejected"
    assert "checked with" not in bench.state("b").attempt.because


def test_a_champion_that_bears_the_new_column_is_released_with_it_and_the_check_is_recorded(bench):
    frame = release(bench, b=STAYS, c=STAYS)
    before = {name: bench.state(name) for name in "abc"}
    bench.write(manifest(b=STAYS, c=STAYS, a_features="[x1, x2]"))
    found = bench.run(AS_OF)
    assert outcomes(found) == {"a": "promoted", "b": "kept", "c": "kept"}
    a, b, c = (bench.state(name) for name in "abc")
    # the versions of the readers are the ones of before, their columns are others
    assert (b.version, c.version) == (before["b"].version, before["c"].version)
    assert b.wiring == {"a": a.version} != before["b"].wiring
    assert b.checked == ("a",)
    assert b.column not in (None, b.version)
    assert c.wiring == {"b": b.column}
    assert c.checked == ("b",)
    assert not mismatches(found.after.nodes)
    (check,) = bench.version("b").document["checks"]
    assert check["passed"]
    assert check["columns"] == {"a": {"before": before["a"].version, "after": a.version}}
    # by hand: the fit before the holdout, which learnt from the old column, fed with both
    block = block_of(frame)
    first = block.max() - 1
    _, old = chained(frame, ["x1"], "y")
    _, new = chained(frame, ["x1", "x2"], "y")
    models, _ = chained(frame, ["x3"], "z", old)
    held = block >= first
    x3, z = frame["x3"].to_numpy()[held], frame["z"].to_numpy()[held]
    fed = [models[first].predict(np.column_stack([column[held], x3])) for column in (old, new)]
    errors = [mean_squared_error(z, one) for one in fed]
    assert check["before"]["mean_squared_error"] == pytest.approx(errors[0], rel=1e-9)
    assert check["after"]["mean_squared_error"] == pytest.approx(errors[1], rel=1e-9)
    difference = check["difference"]
    assert difference["value"] == pytest.approx(errors[1] - errors[0], rel=1e-9)
    assert difference["margin"] == pytest.approx(0.02 * errors[0], rel=1e-9)
    assert (difference["rows"], difference["clusters"]) == (held.sum(), 14)
    days = (frame["t"].dt.floor("D").astype("int64") // 86_400).to_numpy()[held]
    by_hand = compare(
        "mean_squared_error", z, fed[1][:, None], fed[0][:, None], days, resamples=20_000, seed=5
    )
    assert difference["upper"] == pytest.approx(by_hand.upper, rel=0.05)
    # c is checked with b as it will be served: b's champion on a's new column
    (joint,) = bench.version("c").document["checks"]
    assert joint["new"] == ["a"]
    assert joint["columns"] == {"b": {"before": before["b"].version, "after": b.column}}
    readers, _ = chained(frame, ["x4"], "w", chained(frame, ["x3"], "z", old)[1])
    b_new = predicted(models, frame, ["x3"], new)
    w = readers[first].predict(np.column_stack([b_new[held], frame["x4"][held]]))
    assert joint["after"]["mean_squared_error"] == pytest.approx(
        mean_squared_error(frame["w"][held], w), rel=1e-9
    )
    # nothing is left to do, and what is served is what was checked
    again = bench.run(AS_OF)
    assert (again.exit_code, again.after.release, again.fits_made) == (0, 2, 0)


def test_what_is_served_is_the_column_that_a_reader_learns_from(bench):
    frame = rows()
    release(bench, frame, b=STAYS)
    bench.write(manifest(b=STAYS, a_features="[x1, x2]"))
    found = bench.run(AS_OF)
    # c is due by its rule: the column of b changed though its version did not
    assert outcomes(found) == {"a": "promoted", "b": "kept", "c": "promoted"}
    assert bench.state("c").wiring == {"b": bench.state("b").column}
    block = block_of(frame)
    _, old = chained(frame, ["x1"], "y")
    _, new = chained(frame, ["x1", "x2"], "y")
    models, _ = chained(frame, ["x3"], "z", old)
    b_new = predicted(models, frame, ["x3"], new)
    readers, _ = chained(frame, ["x4"], "w", b_new)
    first = block.max() - 1
    recorded = bench.version("c").column(f"<{bench.version('c').document['cut_block'] - 2}")
    expected = predicted({first: readers[first], first + 1: readers[first]}, frame, ["x4"], b_new)
    for i, part in enumerate(sorted(recorded)):
        assert recorded[part][:, 0] == pytest.approx(expected[block == first + i], rel=1e-9)
    # rows of the next block: served by the shipped fits of all three
    fresh = rows(seed=7, days=DAYS + 7).tail(6 * 7).reset_index(drop=True)
    a_model, _ = chained(frame, ["x1", "x2"], "y")
    last = block.max() + 1
    a_fresh = a_model[last].predict(fresh[["x1", "x2"]].to_numpy())
    b_fresh = models[last].predict(np.column_stack([a_fresh, fresh["x3"]]))
    c_fresh = readers[last].predict(np.column_stack([b_fresh, fresh["x4"]]))
    columns = ["id", "t", "x1", "x2", "x3", "x4"]
    answer = open_store(str(bench.folder / "store")).current().predict("c", {"d": fresh[columns]})
    assert answer.outputs[:, 0] == pytest.approx(c_fresh, rel=1e-9)


def test_a_champion_that_does_not_bear_the_new_column_becomes_due_whatever_its_schedule(bench):
    release(bench, b=STAYS, c=STAYS)
    # another unit: no model of the old unit can read it
    bench.write(manifest(b=STAYS, c=STAYS, a_target="y60"))
    found = bench.run(AS_OF)
    assert outcomes(found) == {"a": "promoted", "b": "promoted", "c": "kept"}
    document = bench.version("b").document
    (reason,) = document["decision"]["reasons"]
    assert reason["kind"] == "pair check"
    assert not reason["evidence"]["passed"]
    assert bench.state("b").checked == ()
    assert bench.state("b").wiring == {"a": bench.state("a").version}
    # c was checked with the new b, not with the old one on the new a
    assert bench.version("c").document["checks"][0]["new"] == ["b"]


def test_the_upstream_waits_where_the_reader_may_not_or_cannot_follow(bench):
    release(bench, b=STAYS, c=STAYS)
    bench.write(manifest(b=STAYS, c=STAYS, a_target="y60"))
    alone = bench.run(AS_OF, select=("a",))
    assert outcomes(alone) == {"a": "waiting", "b": "kept", "c": "kept"}
    assert "b (its champion, with the new columns: may be worse" in alone.outcomes["a"][1]
    assert alone.after.release == 1
    # due by the check, and rejected for its limit
    strict = STAYS + ", gate: {refit_shift: 100, limits: {r2: {min: 0.999}}}"
    bench.write(manifest(b=strict, c=STAYS, a_target="y60", a_features="[x1, x3]"))
    limited = bench.run(AS_OF)
    assert outcomes(limited) == {"a": "waiting", "b": "rejected", "c": "kept"}
    assert bench.version("b", attempt=True).document["decision"]["reasons"][-1]["kind"] == "pair check"
    assert limited.after.release == 1


@pytest.mark.parametrize(("policy", "b"), [("retrain", "promoted"), ("rescore", "kept"), ("ignore", "kept")])
def test_an_edge_says_what_a_harmless_new_column_makes_of_the_reader(bench, policy, b):
    edge = f"{{on_upstream_change: {policy}}}"
    release(bench, b_edge=edge)
    bench.write(manifest(a_features="[x1, x2]", b_edge=edge))
    found = bench.run(AS_OF)
    assert outcomes(found) == {"a": "promoted", "b": b, "c": "promoted"}
    action = {"retrain": "retrain", "rescore": "rescore", "ignore": "keep"}[policy]
    (told,) = [one for one in found.record["nodes"] if one["node"] == "b"]
    assert told["decision"]["action"] == action
    again = bench.run(AS_OF)
    assert set(outcomes(again).values()) == {"kept"}


@pytest.mark.parametrize(
    ("policy", "a", "b"), [("rescore", "promoted", "promoted"), ("ignore", "waiting", "kept")]
)
def test_an_edge_says_what_a_harmful_new_column_makes_of_the_reader(bench, policy, a, b):
    edge = f"{{on_upstream_change: {policy}}}"
    release(bench, b_edge=edge)
    bench.write(manifest(a_target="y60", b_edge=edge))
    found = outcomes(bench.run(AS_OF))
    assert (found["a"], found["b"]) == (a, b)


def test_by_folds_a_champion_is_checked_by_the_fits_that_left_out_the_fold(bench):
    frame = rows()
    release(bench, frame, b=STAYS, c=STAYS, scheme="folds")
    bench.write(manifest(b=STAYS, c=STAYS, a_features="[x1, x2]", scheme="folds"))
    assert outcomes(bench.run()) == {"a": "promoted", "b": "kept", "c": "kept"}
    fold = folds_by_key(frame["id"].to_numpy(), 4)

    def column(features, out):
        """Each row by the fit that left out its own fold and `out`."""
        found = np.full(len(frame), np.nan)
        for j in range(4):
            train, here = ~np.isin(fold, [j, *out]), fold == j
            x = np.ascontiguousarray(frame[features].to_numpy())
            found[here] = ridge().fit(x[train], frame["y"][train]).predict(x[here])
        return found

    fed = {"before": np.full(len(frame), np.nan), "after": np.full(len(frame), np.nan)}
    for j in range(4):
        train, here = fold != j, fold == j
        learnt = np.column_stack([column(["x1"], [j]), frame["x3"]])
        model = ridge().fit(learnt[train], frame["z"][train])
        fed["before"][here] = model.predict(learnt[here])
        other = np.column_stack([column(["x1", "x2"], [j]), frame["x3"]])
        fed["after"][here] = model.predict(other[here])
    (check,) = bench.version("b").document["checks"]
    for word, found in fed.items():
        assert check[word]["mean_squared_error"] == pytest.approx(
            mean_squared_error(frame["z"], found), rel=1e-9
        )
    again = bench.run()
    assert (again.after.release, again.fits_made) == (2, 0)


TWO = """
  other: {dataset: d, target: {column: %s, known_after: 1h}, features: [x2]}
  both: {dataset: d, target: {column: z, known_after: 1h}, features: [x3], inputs: {a: {}, other: {}}}
"""


def test_of_several_new_upstreams_only_the_harmful_one_waits_and_the_rest_is_checked_as_released(bench):
    release(bench, b=STAYS, c=STAYS, more=TWO % "y")
    before = bench.state("both")
    bench.write(manifest(b=STAYS, c=STAYS, a_target="y2", more=TWO % "y60"))
    found = bench.run(AS_OF, select=("a", "other"))
    told = outcomes(found)
    assert told == {"a": "promoted", "b": "kept", "c": "kept", "other": "waiting", "both": "kept"}
    assert "both" in found.outcomes["other"][1]
    both = bench.state("both")
    assert both.wiring == {**before.wiring, "a": bench.state("a").version}
    assert both.checked == ("a",)
    assert [one["new"] for one in bench.version("both").document["checks"]] == [["a"]]
    assert not mismatches(found.after.nodes)
    # now the reader may follow: it learns from both, and the one that waited is released
    # (it read the new column of a without having learnt from it, so it is due)
    again = outcomes(bench.run(AS_OF))
    assert again["both"] == "promoted"
