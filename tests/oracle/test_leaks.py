"""The audit finds what is planted into the engine: later fits, in-sample fits, rows of the future, at any depth."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from retraining.data import edges
from retraining.data.rows import NodeRows
from retraining.decide.fits import Before, Folds
from retraining.execution.candidates import Candidate
from retraining.operations.audit import audit_release
from retraining.operations.stored import open_stored

from .test_edges import MANIFEST as SHOP
from .test_edges import shop
from .trips import MANIFEST, trips
from .workbench import Bench

TIME, SHOP_TIME = "2024-04-22T12:00:00Z", "2024-04-01T18:00:00Z"
CHAIN = """
validation: {scheme: folds, folds: 4}
datasets: {d: {path: d.parquet, key: [id]}}
defaults: {gate: {refit_shift: 100}, estimator: {type: Ridge}}
models:
  a: {dataset: d, target: y, features: [x0, x1]}
  b: {dataset: d, target: y, features: [x0, x1], inputs: {a: {}}}
  c: {dataset: d, target: y, features: [x0, x1], inputs: {b: {}}}
"""


def proof(bench: Bench, *, store="store", **more):
    return audit_release(open_stored(str(bench.folder / store), None), **more).found


def three_levels(bench: Bench):
    hours, frame = trips(n=500, days=120)
    bench.write(MANIFEST, hours=hours, trips=frame)
    outcome = bench.run(TIME)
    assert {word for word, _ in outcome.outcomes.values()} == {"promoted"}, outcome.outcomes


def folds(bench: Bench):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(200, 3)), columns=["x0", "x1", "y"])
    frame["id"] = np.arange(200)
    bench.write(CHAIN, d=frame)
    outcome = bench.run()
    assert {word for word, _ in outcome.outcomes.values()} == {"promoted"}, outcome.outcomes


def a_shop(bench: Bench):
    devices, sales, days = shop()
    text = SHOP.format(moment="noon", more="coverage: 20%")
    bench.write(text, devices=devices, sales=sales, days=days)
    bench.run(SHOP_TIME)


def patch_columns(monkeypatch, node, fit):
    """`fit(part, cut, context)` predicts each part of one node's columns, instead of the fit that may."""
    honest = Candidate.column_fits

    def planted(self, context):
        if self.node != node:
            return honest(self, context)
        wanted = {}
        for part in sorted(self.data.rows):
            wanted.setdefault(fit(part, self.cut, context), []).append(part)
        return wanted

    monkeypatch.setattr(Candidate, "column_fits", planted)


def leaks(found):
    return {(one.leak, one.node, one.upstream) for one in found.violations}


@pytest.mark.parametrize("release", [three_levels, folds, a_shop])
def test_an_honest_release_is_proven(bench: Bench, release):
    release(bench)
    found = proof(bench)
    assert (found.violations, found.gaps) == ([], [])
    assert found.nodes == 3
    assert found.edges == 2
    assert min(found.fits, found.rows, found.cells, found.predictions) > 3


def test_a_column_by_the_fit_that_ships_is_found_at_both_depths(bench: Bench, monkeypatch):
    patch_columns(monkeypatch, "weather", lambda part, cut, _: Before(cut))
    three_levels(bench)
    found = proof(bench)
    assert leaks(found) == {
        ("label", "weather", None),
        ("label", "base", "weather"),
        ("label", "base", None),
        ("label", "top", "base"),
        ("label", "top", None),
    }
    one = next(one for one in found.violations if one.node == "top" and one.upstream == "base")
    assert one.column == "base"
    assert "weather <" in one.text  # the fit that knew too much, two edges up


def test_a_fit_that_ends_one_block_late_is_found_in_its_readers_alone(bench: Bench, monkeypatch):
    patch_columns(monkeypatch, "base", lambda part, cut, _: Before(min(part + 1, cut)))
    three_levels(bench)
    assert leaks(proof(bench)) == {("label", "base", None), ("label", "top", "base"), ("label", "top", None)}


def test_a_fit_that_learns_from_labels_of_the_block_it_predicts_is_found(bench: Bench, monkeypatch):
    honest = NodeRows.learnable

    def planted(self, left_out):
        return honest(self, Before(left_out.block + 1))

    monkeypatch.setattr(NodeRows, "learnable", planted)
    three_levels(bench)
    assert {node for _, node, _ in leaks(proof(bench))} == {"weather", "base", "top"}


@pytest.mark.parametrize("node", ["a", "b"])
def test_an_in_sample_fold_is_found(bench: Bench, monkeypatch, node):
    patch_columns(monkeypatch, node, lambda fold, _, context: Folds(context or frozenset({(fold + 1) % 4})))
    folds(bench)
    found = leaks(proof(bench))
    assert ("label", node, None) in found
    assert ("label", {"a": "b", "b": "c"}[node], node) in found


def test_the_shortcut_that_most_stackers_take_is_found(bench: Bench, monkeypatch):
    # fold j's score by a fit whose upstream columns came from fits that saw fold j
    patch_columns(monkeypatch, "a", lambda fold, _, context: Folds(frozenset({fold})))
    folds(bench)
    found = proof(bench)
    assert ("label", "b", None) in leaks(found)
    assert any("behind which a -" in one.text for one in found.violations if one.node == "b")


def test_predictions_of_the_afternoon_that_are_read_at_noon_are_found(bench: Bench, monkeypatch):
    honest = edges.available_from
    early = 12 * 3600 * 1_000_000
    monkeypatch.setattr(edges, "available_from", lambda table, dataset: honest(table, dataset) - early)
    a_shop(bench)
    found = proof(bench)
    assert ("availability", "total", "amount") in leaks(found)
    assert ("availability", "amount", "risk") in leaks(found)
    one = next(one for one in found.violations if one.node == "total" and one.leak == "availability")
    assert one.column == "amount"
    assert " h" in one.text


def test_a_rating_that_came_in_late_is_found_where_it_is_read_early(bench: Bench, monkeypatch):
    # what has a decision time and comes in later is there only from then on
    decided = lambda table, dataset: table.columns[dataset.time].values.astype(np.int64)  # noqa: E731
    monkeypatch.setattr(edges, "available_from", decided)
    a_shop(bench)
    assert leaks(proof(bench)) == {("availability", "amount", "risk")}


def test_a_selection_is_proven_with_what_stands_behind_it(bench: Bench, monkeypatch):
    patch_columns(monkeypatch, "base", lambda part, cut, _: Before(cut))
    three_levels(bench)
    assert proof(bench, select=("weather",)).proven
    assert not proof(bench, select=("top",)).proven
    assert {one.node for one in proof(bench, select=("top",)).violations} == {"base", "top"}


def test_a_row_at_midnight_whose_label_is_known_at_once_is_predicted_by_a_fit_without_it(bench: Bench):
    rng = np.random.default_rng(2)
    frame = pd.DataFrame({"day": pd.date_range("2024-01-01", periods=90, tz="UTC"), "x": rng.normal(size=90)})
    frame["y"] = rng.normal(size=90)
    bench.write(
        """
validation: {scheme: time, blocks: 1w, holdout: 1, min_train: {rows: 10, blocks: 1}}
datasets: {d: {path: d.parquet, key: [day], time: day}}
defaults: {gate: {refit_shift: 100}, estimator: {type: KNeighborsRegressor, parameters: {n_neighbors: 1}}}
models:
  up: {dataset: d, target: {column: y, known_after: 0d}, features: [x]}
  down: {dataset: d, target: {column: y, known_after: 0d}, features: [x], inputs: {up: {}}}
""",
        d=frame,
    )
    bench.run("2024-03-30")
    assert proof(bench).proven
    version, block = bench.version("up"), (frame["day"] - pd.Timestamp("1970-01-05", tz="UTC")).dt.days // 7
    own = [b for b in set(block) if b in (version.column(f"<{b}") if f"<{b}" in version.fits else {})]
    assert len(own) > 5
    for b in own:
        # the nearest neighbour of a row that was learnt from is the row itself
        assert not np.isin(version.column(f"<{b}")[b][:, 0], frame["y"][block == b]).any()
