"""Damaged bytes in the store: what is cached is made again, what a release needs is an error with a remedy."""

from __future__ import annotations

import os

import pandas as pd
import pytest
from oracle.trips import MANIFEST, trips
from oracle.workbench import Bench

from retraining.errors import DataError, IntegrityError, InterruptedRunError, StoreError
from retraining.operations.predict import predict
from retraining.operations.run import Watcher
from retraining.store.packs import read_blob, read_footer

from .conftest import AS_OF

pytestmark = pytest.mark.slow

FOLDS = """
datasets: {d: {path: d.parquet, key: [id]}}
validation: {scheme: folds, folds: 3}
defaults: {gate: {refit_shift: 100}}
models:
  a: {dataset: d, target: y, features: [x], estimator: {type: Ridge}}
  b: {dataset: d, target: y, features: [z], estimator: {type: Ridge}, inputs: {a: {}}}
"""


def packs(bench, store="store"):
    return sorted(path for path in (bench.folder / store / "packs").rglob("*") if path.is_file())


def flip(path, at):
    data = bytearray(path.read_bytes())
    data[at] ^= 0x10
    path.write_bytes(data)


def spoil(bench, pointer, store="store"):
    flip(bench.folder / store / pointer.pack, pointer.offset + pointer.stored // 2)


def stopped(bench, turns, **more):
    asked = iter(range(10_000))
    with pytest.raises(InterruptedRunError):
        bench.run(watcher=Watcher(stop_asked=lambda: next(asked) > turns), **more)


def few(n=300, corrected=0):
    hours, frame = trips(n=n, days=120)
    frame.loc[frame.index[:corrected], "x1"] += 3.0
    return {"hours": hours, "trips": frame}


def rows():
    frame = trips(n=240, days=60)[1]
    table = pd.DataFrame({"id": range(len(frame)), "x": frame["x1"], "z": frame["x2"]})
    table["y"] = table["x"] + frame["x2"] ** 2
    return table


def written_to(bench, manifest):
    """The bench, with a manifest of one of the schemes."""
    return bench.write(MANIFEST, **few()) if manifest == "time" else bench.write(FOLDS, d=rows())


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """What the releases must be."""
    return {
        scheme: written_to(Bench(tmp_path_factory.mktemp(scheme)), scheme).run(AS_OF).after.logical()
        for scheme in ("time", "folds")
    }


@pytest.mark.parametrize("manifest", ["time", "folds"])
@pytest.mark.parametrize("damage", ["blobs", "gone", "half"])
def test_cached_fits_that_cannot_be_read_are_made_again(bench, manifest, damage, undisturbed):
    written_to(bench, manifest)
    stopped(bench, 12 if manifest == "folds" else 25, as_of=AS_OF)
    written = packs(bench)
    assert len(written) > 3
    for path in written:
        if damage == "blobs":
            # every blob of the pack, and nothing of its footer
            for pointer in {p for r in read_footer(bench.store().objects, key(path)) for p in r.blobs}:
                spoil(bench, pointer)
        elif damage == "gone":
            path.unlink()
        else:
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    resumed = bench.run(AS_OF)
    assert resumed.exit_code == 0
    assert resumed.after.logical() == undisturbed[manifest]
    for state in resumed.after.nodes.values():
        assert read_blob(bench.store().objects, state.artifact)


def key(path):
    return "/".join(path.parts[-3:])


def test_a_model_that_was_stored_by_an_earlier_run_is_read_before_it_is_released(bench):
    bench.write(FOLDS, d=rows())
    bench.run()
    artifact = bench.state("b").artifact
    for name in ("log", "index"):  # the release is forgotten, its fits are not
        for path in sorted((bench.folder / "store" / name).rglob("*")):
            if path.is_file():
                path.unlink()
    spoil(bench, artifact)
    again = bench.run()
    assert {word for word, _ in again.outcomes.values()} == {"promoted"}
    assert 0 < again.fits_made < 4
    assert read_blob(bench.store().objects, again.after.nodes["b"].artifact)


def test_a_damaged_released_model_is_an_error_whose_remedy_helps(bench):
    bench.write(FOLDS, d=rows())
    bench.run()
    spoil(bench, bench.state("a").artifact)
    new = {"d": str(bench.folder / "d.parquet")}
    with pytest.raises(IntegrityError, match="released model of a cannot be read") as failure:
        predict(str(bench.folder / "store"), "b", new)
    assert "retrain run --force 'a'" in failure.value.next_step
    assert bench.run().exit_code == 0
    assert bench.run(force=("a",)).exit_code == 0
    assert predict(str(bench.folder / "store"), "b", new).prediction.table.num_rows == len(rows())


def test_a_champion_that_cannot_be_read_nor_made_again_fails_its_node_alone_until_it_is_forced(bench):
    before, after = "2024-03-20T00:00:00Z", AS_OF
    bench.write(MANIFEST, **few(n=600))
    bench.run(before)
    spoil(bench, bench.state("base").artifact)
    # other rows than those that the champion learnt from, and newer ones to judge it on
    bench.write(MANIFEST, **few(n=600, corrected=300))
    failed = bench.run(after)
    assert failed.outcomes["base"][0] == "failed"
    assert "retrain run --force base" in failed.outcomes["base"][1]
    assert failed.outcomes["weather"][0] != "failed"
    assert bench.run(after, force=("base",)).outcomes["base"][0] in ("promoted", "rejected", "waiting")


def test_a_damaged_document_of_a_release_is_an_error_of_the_store(bench):
    bench.write(FOLDS, d=rows())
    bench.run()
    spoil(bench, bench.state("a").document)
    with pytest.raises(IntegrityError, match="documents-1"):
        bench.run(force=("a",))


def test_a_table_that_is_replaced_after_the_plan_was_made_is_an_error_and_not_a_release(bench):
    bench.write(FOLDS, d=rows())
    # old enough to be known by its metadata alone in the next run
    os.utime(bench.folder / "d.parquet", (1.7e9, 1.7e9))
    bench.run()
    replaced = rows().assign(y=0.0)

    def planned(_):
        replaced.to_parquet(bench.folder / "d.parquet", index=False)

    with pytest.raises(DataError, match="changed while it was read"):
        bench.run(force=("a",), watcher=Watcher(planned=planned))


@pytest.mark.parametrize("backend", ["serial", pytest.param("ray", marks=pytest.mark.ray)])
def test_a_store_that_takes_no_packs_ends_the_run_with_the_store_s_own_words(bench, backend, request):
    if backend == "ray":
        request.getfixturevalue("ray_session")
    bench.write(FOLDS, d=rows())

    def planned(_):
        (bench.folder / "store" / "packs").write_text("a file where the folder should be")

    with pytest.raises(StoreError, match="cannot") as failure:
        bench.run(backend=backend, watcher=Watcher(planned=planned))
    assert "store" in failure.value.next_step
