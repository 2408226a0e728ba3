"""gc on the stores of whole runs: the next run costs what it would have cost, and every kept release serves."""

from __future__ import annotations

import datetime as dt
import shutil

import pytest
from oracle.trips import MANIFEST, trips
from oracle.workbench import Bench

from retraining.operations.gc import clean
from retraining.operations.predict import predict
from retraining.operations.stored import open_stored
from retraining.operations.verify import verify
from retraining.store.garbage import Keep

pytestmark = pytest.mark.slow

FOLDS = """
datasets: {d: {path: d.parquet, key: [id]}}
validation: {scheme: folds, folds: 3}
defaults: {gate: {refit_shift: 100}}
models:
  a: {dataset: d, target: y, features: [x1], estimator: {type: Ridge}}
  b: {dataset: d, target: y, features: [x2], estimator: {type: Ridge}, inputs: {a: {}}}
"""


def gc(bench: Bench, releases: int = 1, store: str = "store"):
    """Condemns, and deletes at once: nothing else uses the store."""
    keep = Keep(releases=releases, age=dt.timedelta(0), grace=dt.timedelta(0))
    for _ in range(2):
        found = clean(open_stored(str(bench.folder / store), None), keep, act=True, who="w")
    return found


def copy(bench: Bench, to: str) -> None:
    shutil.copytree(bench.folder / "store", bench.folder / to)


@pytest.fixture
def bench(tmp_path) -> Bench:
    return Bench(tmp_path)


def test_after_a_cleaning_the_next_blocks_cost_the_fits_that_they_would_have_cost(bench):
    hours, frame = trips(n=500, days=110)
    bench.write(MANIFEST, hours=hours, trips=frame)
    bench.run("2024-03-20T00:00:00Z")
    bench.run("2024-04-10T00:00:00Z")
    copy(bench, "untouched")
    found = gc(bench)
    assert list(found.kept) == [bench.store().read_head().release]
    untouched = bench.run("2024-04-20T00:00:00Z", store="untouched")
    cleaned = bench.run("2024-04-20T00:00:00Z")
    assert untouched.fits_made > 0
    assert cleaned.fits_made == untouched.fits_made
    assert cleaned.after.logical() == untouched.after.logical()


def test_after_a_cleaning_a_change_below_uses_the_whole_lattice_above(bench):
    _, frame = trips(n=240, days=60)
    frame["id"] = range(len(frame))
    frame["y"] = frame["x1"] + frame["x2"] ** 2
    bench.write(FOLDS, d=frame)
    bench.run()
    copy(bench, "untouched")
    gc(bench)
    bench.write(
        FOLDS.replace("{type: Ridge}, inputs", "{type: Ridge, parameters: {alpha: 2.0}}, inputs"), d=frame
    )
    untouched, cleaned = bench.run(store="untouched"), bench.run()
    assert cleaned.fits_made == untouched.fits_made
    assert cleaned.fits_reused == untouched.fits_reused


def test_dropped_releases_leave_less_behind_and_all_that_is_kept_is_sound(bench):
    hours, frame = trips(n=400, days=100)
    bench.write(MANIFEST, hours=hours, trips=frame)
    for day in ("2024-03-10", "2024-03-25", "2024-04-08"):
        bench.run(f"{day}T00:00:00Z", force=("base", "weather"))
    before = sum(info.size for info in bench.store().objects.list("packs/"))
    found = gc(bench, releases=2)
    assert sum(info.size for info in bench.store().objects.list("packs/")) < before
    url = str(bench.folder / "store")
    assert verify(open_stored(url, None), everything=True).exit_code == 0
    given = {name: str(bench.folder / f"{name}.parquet") for name in ("trips", "hours")}
    for number in found.kept:
        assert predict(url, "top", given, release=number).prediction.table.num_rows == len(frame)
    # what an unchanged plan finds is what it found before
    assert bench.run("2024-04-08T00:00:00Z").fits_made == 0
