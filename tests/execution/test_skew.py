"""The skew of an edge: the column that a reader learnt from against what its upstream serves on fresh rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from oracle.workbench import folds_by_key

from retraining.learn.comparison import psi

from .pair_bench import FIRST, block_of, chained, manifest, outcomes, ridge, rows

pytestmark = pytest.mark.slow

A_DAY, DAYS, CUT = 120, 89, 12
AS_OF = "2024-03-30T06:00:00Z"


def skews(outcome) -> dict[str, dict]:
    return {node["node"]: one for node in outcome.record["nodes"] for one in node["skew"]}


def known_before(frame, block):
    """Rows whose label was known, an hour after them, when a block began."""
    return (frame["t"] + pd.Timedelta("1h") <= FIRST + block * pd.Timedelta("7D")).to_numpy()


def fresh_shift(by: float):
    """Rows of twelve weeks and five days; in the last days x1, which the upstream reads, is another."""
    frame = rows(a_day=A_DAY, days=DAYS)
    frame.loc[block_of(frame) >= CUT, "x1"] += by
    return frame


def test_the_numbers_are_those_of_the_columns_and_nothing_is_rejected_without_a_limit(bench):
    frame = fresh_shift(0.7)
    bench.write(manifest(), d=frame)
    found = bench.run(AS_OF)
    assert set(outcomes(found).values()) == {"promoted"}
    block = block_of(frame)
    _, column = chained(frame, ["x1"], "y", last=CUT)
    told = skews(found)["b"]
    assert (told["where"], told["limit"], told["blocking"], told["passed"]) == ("fresh", None, False, True)
    # as many blocks as the holdout has, and no row whose label was not known
    newest = (block < CUT) & (block >= CUT - 2) & known_before(frame, CUT)
    assert told["psi"] == pytest.approx(psi(column[newest], column[block >= CUT]), rel=1e-6)
    assert (told["learnt_rows"], told["compared_rows"]) == (newest.sum(), (block >= CUT).sum())
    assert (told["learnt_from"], told["compared_from"]) == ("2024-03-11", "2024-03-25")
    assert told["psi"] > 0.1
    check = bench.version("b").verdict["checks"]
    assert [one["passed"] for one in check if one["name"] == "skew a"] == [True]


@pytest.mark.parametrize(("by", "b"), [(0.0, "promoted"), (2.0, "rejected")])
def test_a_limit_rejects_what_learnt_from_another_column_than_it_would_be_served(bench, by, b):
    bench.write(manifest(b_edge="{skew: 0.2}"), d=fresh_shift(by))
    found = bench.run(AS_OF)
    # c has no upstream then
    assert outcomes(found) == {"a": "promoted", "b": b, "c": "promoted" if b == "promoted" else "blocked"}
    if b == "rejected":
        assert found.outcomes["b"][1].startswith("an upstream column is skewed: a shifts by PSI")


def test_without_fresh_rows_the_holdout_is_compared_and_only_reported(bench):
    frame = rows(a_day=A_DAY, days=84)
    frame.loc[block_of(frame) >= 10, "x1"] += 3
    bench.write(manifest(b_edge="{skew: 0.2}"), d=frame)
    found = bench.run("2024-03-25T06:00:00Z")
    told = skews(found)["b"]
    assert (told["where"], told["blocking"], told["passed"]) == ("holdout", False, False)
    assert outcomes(found)["b"] == "promoted"
    _, column = chained(frame, ["x1"], "y")
    block = block_of(frame)
    before = (block < 10) & (block >= 8)
    held = (block >= 10) & known_before(frame, 12)
    assert told["psi"] == pytest.approx(psi(column[before], column[held]), rel=1e-6)


def test_by_folds_fits_of_one_fold_less_stand_for_the_step_to_the_shipped_fit(bench):
    frame = rows()
    bench.write(manifest(scheme="folds"), d=frame)
    told = skews(bench.run())["b"]
    assert (told["where"], told["learnt_rows"], told["blocking"]) == ("folds", len(frame), False)
    fold = folds_by_key(frame["id"].to_numpy(), 4)
    x = np.ascontiguousarray(frame[["x1"]].to_numpy())

    def column(more):
        found = np.full(len(frame), np.nan)
        for j in range(4):
            train = ~np.isin(fold, [j, *more(j)])
            found[fold == j] = ridge().fit(x[train], frame["y"][train]).predict(x[fold == j])
        return found

    assert told["psi"] == pytest.approx(psi(column(lambda j: [(j + 1) % 4]), column(lambda _: [])), abs=1e-9)
