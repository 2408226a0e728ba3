"""What rows from before a cut get after all that can become of a release: held against chains fitted by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from retraining.operations.promote import approve_pending
from retraining.operations.rollback import rollback
from retraining.operations.stored import open_stored
from retraining.prediction.predictor import Release
from retraining.prediction.releases import open_store
from tests.execution.pair_bench import AS_OF, block_of, chained, manifest, outcomes, predicted, rows
from tests.oracle.workbench import Bench

STAYS = "retrain_when: definition"
LATER = "2024-04-01T06:00:00Z"


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def current(bench: Bench) -> Release:
    return open_store(str(bench.folder / "store")).current()


def column(bench: Bench, node: str, frame: pd.DataFrame, **more: str) -> NDArray[np.float64]:
    """What is served for all rows, in the order of the frame; every second row is asked for in another call."""
    release = current(bench)
    whole = release.predict(node, frame, **more).outputs[:, 0]
    half = frame.iloc[::2].sample(frac=1.0, random_state=1)
    again = release.predict(node, half, **more).outputs[:, 0]
    np.testing.assert_allclose(again, whole[half.index], rtol=0, atol=1e-9)
    return whole


def test_every_level_of_a_chain_serves_its_honest_column(bench: Bench) -> None:
    frame = rows()
    bench.write(manifest(), d=frame)
    bench.run(AS_OF)
    frame = frame[frame["t"] <= pd.Timestamp(AS_OF)]
    _, a = chained(frame, ["x1"], "y")
    _, b = chained(frame, ["x3"], "z", a)
    np.testing.assert_allclose(column(bench, "a", frame), np.where(np.isnan(a), column(bench, "a", frame), a))
    served = column(bench, "b", frame)
    known = ~np.isnan(b)
    np.testing.assert_allclose(served[known], b[known], rtol=0, atol=1e-9)
    # where a has no fit yet, b's row has no upstream prediction
    assert np.isnan(served[np.isnan(a)]).all()


def test_a_champion_that_is_fed_with_new_columns_serves_what_it_is_fed_with(bench: Bench) -> None:
    frame = rows()
    bench.write(manifest(b=STAYS, c=STAYS), d=frame)
    bench.run(AS_OF)
    bench.write(manifest(b=STAYS, c=STAYS, a_features="[x1, x2]"))
    assert outcomes(bench.run(AS_OF)) == {"a": "promoted", "b": "kept", "c": "kept"}
    frame = frame[frame["t"] <= pd.Timestamp(AS_OF)]
    _, old = chained(frame, ["x1"], "y")
    _, new = chained(frame, ["x1", "x2"], "y")
    models, before = chained(frame, ["x3"], "z", old)
    after = predicted(models, frame, ["x3"], new)
    served = column(bench, "b", frame)
    known = ~np.isnan(after)
    np.testing.assert_allclose(served[known], after[known], rtol=0, atol=1e-9)
    assert current(bench).predict("c", frame).earlier["b"].shipped == 0
    # a rollback serves what was served
    stored = open_stored(str(bench.folder / "store"), None)
    rollback(stored, 1, because="a test")
    served = column(bench, "b", frame)
    np.testing.assert_allclose(served[known], before[known], rtol=0, atol=1e-9)


def test_what_a_person_approves_is_served_with_the_columns_of_its_check(bench: Bench) -> None:
    frame = rows()
    bench.write(manifest(b=STAYS, c=STAYS), d=frame)
    bench.run(AS_OF)
    asks = "gate: {approve: manual, refit_shift: 100}"
    bench.write(manifest(a=asks, b=STAYS, c=STAYS, a_features="[x1, x2]"))
    assert outcomes(bench.run(AS_OF)) == {"a": "pending", "b": "kept", "c": "kept"}
    frame = frame[frame["t"] <= pd.Timestamp(AS_OF)]
    _, old = chained(frame, ["x1"], "y")
    _, new = chained(frame, ["x1", "x2"], "y")
    models, before = chained(frame, ["x3"], "z", old)
    after, known = predicted(models, frame, ["x3"], new), ~np.isnan(before)
    np.testing.assert_allclose(column(bench, "b", frame)[known], before[known], rtol=0, atol=1e-9)
    stored = open_stored(str(bench.folder / "store"), None)
    approve_pending(stored, stored.store.read_head(), ["a"], "looked at")
    np.testing.assert_allclose(column(bench, "b", frame)[known], after[known], rtol=0, atol=1e-9)
    there = ~np.isnan(new)
    np.testing.assert_allclose(column(bench, "a", frame)[there], new[there], rtol=0, atol=1e-9)


def test_a_champion_that_gets_its_first_reader_has_its_column_told_by_the_reader(bench: Bench) -> None:
    frame = rows()
    alone = manifest(a=STAYS).split("  b:")[0]
    bench.write(alone, d=frame)
    bench.run(AS_OF)
    assert current(bench).predict("a", frame).earlier["a"].shipped > 0  # of a model that nobody reads
    bench.write(manifest(a=STAYS))
    assert outcomes(bench.run(AS_OF)) == {"a": "kept", "b": "promoted", "c": "promoted"}
    frame = frame[frame["t"] <= pd.Timestamp(AS_OF)]
    _, a = chained(frame, ["x1"], "y")
    _, b = chained(frame, ["x3"], "z", a)
    served, known = column(bench, "b", frame), ~np.isnan(b)
    np.testing.assert_allclose(served[known], b[known], rtol=0, atol=1e-9)
    found = current(bench).predict("c", frame)
    assert (found.earlier["a"].shipped, found.earlier["b"].shipped) == (0, 0)


def test_a_champion_that_stays_through_blocks_serves_by_its_own_cut(bench: Bench) -> None:
    frame = rows(days=91)
    bench.write(manifest(a=STAYS, b=STAYS), d=frame)
    bench.run(AS_OF)
    assert outcomes(bench.run(LATER)) == {"a": "kept", "b": "kept", "c": "promoted"}
    frame = frame[frame["t"] <= pd.Timestamp(LATER)]
    last = 12  # the champions' cut
    _, a = chained(frame, ["x1"], "y", last=last)
    _, b = chained(frame, ["x3"], "z", a, last=last)
    _, c = chained(frame, ["x4"], "w", b)
    for node, expected in (("a", a), ("b", b)):
        served, known = column(bench, node, frame), ~np.isnan(expected)
        np.testing.assert_allclose(served[known], expected[known], rtol=0, atol=1e-9)
    answer = current(bench).predict("c", frame)
    # of a leaf nothing but what judged it is recorded: the first block of the holdout is its column's
    block = block_of(frame)
    there = (block == 11) | (block == 13)
    np.testing.assert_allclose(answer.outputs[there, 0], c[there], rtol=0, atol=1e-9)
    assert answer.earlier["c"].recorded == (block == 11).sum()
    assert "may have learnt from them: no prediction of that time is recorded" in answer.summary()


def test_what_ships_as_it_was_judged_serves_from_its_own_cut(bench: Bench) -> None:
    frame = rows()
    bench.write(manifest(a="ship: gated"), d=frame)
    bench.run(AS_OF)
    frame = frame[frame["t"] <= pd.Timestamp(AS_OF)]
    _, a = chained(frame, ["x1"], "y", last=10)
    served, known = column(bench, "a", frame), ~np.isnan(a)
    np.testing.assert_allclose(served[known], a[known], rtol=0, atol=1e-9)


def test_rows_that_came_late_are_predicted_by_the_fit_of_their_time_where_it_was_kept(bench: Bench) -> None:
    frame = rows()
    bench.write("keep_fits: all\n" + manifest(), d=frame)
    bench.run(AS_OF)
    frame = frame[frame["t"] <= pd.Timestamp(AS_OF)]
    _, a = chained(frame, ["x1"], "y")
    late = frame.iloc[100::50].assign(id=lambda rows: rows["id"] + 10_000)
    found = current(bench).predict("a", pd.concat([frame, late]))
    known = ~np.isnan(a[100::50])
    np.testing.assert_allclose(found.outputs[len(frame) :, 0][known], a[100::50][known], rtol=0, atol=1e-9)
    assert found.earlier["a"].block_fit >= known.sum() - 1


def test_shipped_history_says_what_the_released_model_says_now(bench: Bench) -> None:
    frame = rows()
    bench.write(manifest(), d=frame)
    bench.run(AS_OF)
    frame = frame[frame["t"] <= pd.Timestamp(AS_OF)]
    models, _ = chained(frame, ["x1"], "y")
    now = models[max(models)].predict(frame[["x1"]].to_numpy())
    np.testing.assert_allclose(column(bench, "a", frame, history="shipped"), now, rtol=0, atol=1e-9)
