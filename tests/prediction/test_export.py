"""A released node with its ancestors as one estimator, in memory and in files, without its store."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.inspection import permutation_importance
from sklearn.metrics import accuracy_score
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

import retraining
from retraining.errors import DataError, InputError, IntegrityError, RetrainingError
from tests.prediction.commuters import SECOND_RUN, newest_week

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def frames():
    return newest_week(SECOND_RUN)


def day_rows(frames):
    trips = frames["trips"]
    return trips[trips["line"] != "night"].reset_index(drop=True)


@pytest.mark.parametrize("target", ["crowd", "delay", "delay[line=1]", "late", "strict"])
def test_an_export_predicts_the_bits_of_its_release(current, frames, target, tmp_path):
    frames["trips"] = day_rows(frames)
    if target == "delay[line=1]":
        frames["trips"] = frames["trips"][frames["trips"]["line"] == "1"].reset_index(drop=True)
    expected = current.predict(target, frames)
    for model in (
        current.export(target),
        retraining.load_exported(current.export(target).save(tmp_path / "folder")),
        retraining.load_exported(current.export(target).save(tmp_path / "one.zip")),
    ):
        assert (model.target, model.release) == (target, current.number)
        np.testing.assert_array_equal(model.answer(frames).outputs, expected.outputs)
        if is_classifier(model):
            np.testing.assert_array_equal(model.predict_proba(frames), expected.outputs)
            assert list(model.predict(frames)) == expected.table["prediction"].to_pylist()
            assert model.classes_.tolist() == ["early", "good", "late"]
        else:
            assert is_regressor(model)
            assert not hasattr(model, "predict_proba")
            assert not hasattr(model, "classes_")
            np.testing.assert_array_equal(model.predict(frames), expected.outputs[:, 0])


def test_the_features_are_what_the_rows_need_without_key_and_known_partition(current):
    crowd = current.export("crowd")
    assert crowd.feature_names_in_.tolist() == ["temperature", "weather"]
    assert crowd.n_features_in_ == 2
    one = current.export("delay[line=1]")
    assert one.feature_names_in_.tolist() == ["at", "distance", "hour", "site"]
    assert one.needs == {
        "trips": ("at", "distance", "hour", "site"),
        "hours": ("hour", "site", "temperature", "weather"),
    }
    assert current.export("delay").feature_names_in_.tolist() == ["at", "distance", "hour", "line", "site"]
    assert one.nodes == ("crowd", "delay[line=1]")


def test_rows_without_a_key_in_any_order_and_repeated_are_what_they_are(current, frames):
    model = current.export("crowd")
    hours = frames["hours"]
    whole = model.predict(hours)
    chosen = np.random.default_rng(1).integers(0, len(hours), 50)
    bare = hours[["weather", "temperature"]].iloc[chosen]
    np.testing.assert_allclose(model.predict(bare), whole[chosen], rtol=1e-9)
    np.testing.assert_allclose(model.predict(hours.iloc[chosen]), whole[chosen], rtol=1e-9)
    named = bare[list(model.feature_names_in_)]
    np.testing.assert_array_equal(model.predict(named.to_numpy()), model.predict(named))
    np.testing.assert_array_equal(model.predict(pa.Table.from_pandas(named)), model.predict(named))
    assert model.predict(bare.iloc[:0]).shape == (0,)


def test_a_partition_that_is_left_out_is_the_nodes_own(current, frames):
    model = current.export("delay[line=1]")
    trips = frames["trips"][frames["trips"]["line"] == "1"]
    given = {"trips": trips.drop(columns=["id", "line"]), "hours": frames["hours"]}
    expected = current.predict("delay[line=1]", {**frames, "trips": trips}).outputs[:, 0]
    np.testing.assert_allclose(model.predict(given), expected, rtol=1e-9)
    with pytest.raises(DataError, match="are of other partitions than"):
        model.predict({**frames, "trips": day_rows(frames)})
    with pytest.raises(InputError, match="predicts rows of trips"):
        model.predict({"hours": frames["hours"]})


def test_rows_without_an_upstream_prediction_have_none(current, frames):
    trips = day_rows(frames)
    model = current.export("strict")
    some = {"trips": trips, "hours": frames["hours"].iloc[:10]}
    without = np.isnan(current.predict("strict", some).outputs[:, 0])
    assert 0 < without.sum() < len(trips)
    np.testing.assert_array_equal(np.isnan(model.predict(some)), without)
    late = current.export("late")
    some["trips"] = frames["trips"]  # `night` has no delay, and `late` drops such rows
    found = late.predict(some)
    np.testing.assert_array_equal([value is None for value in found], frames["trips"]["line"] == "night")
    assert np.isnan(late.predict_proba(some)[frames["trips"]["line"] == "night"]).all()


def test_scikit_learn_takes_it_for_a_fitted_estimator(current, frames):
    model = current.export("crowd")
    hours = frames["hours"]
    assert clone(model) is model
    assert model.fit(hours) is model
    assert model.get_params() == {}
    with pytest.raises(ValueError, match="has no parameters"):
        model.set_params(alpha=1)
    pipeline = make_pipeline(FunctionTransformer(), model)
    np.testing.assert_array_equal(pipeline.predict(hours), model.predict(hours))
    assert model.score(hours, hours["people"]) > 0.9
    scores = cross_val_score(model, hours, hours["people"], cv=3)
    assert (scores > 0.8).all()
    found = permutation_importance(model, hours[["temperature", "weather"]], hours["people"], random_state=0)
    assert (found["importances_mean"] > 0).all()
    late = current.export("late")
    given = {**frames, "trips": day_rows(frames)}
    truth = given["trips"]["lateness"]
    assert late.score(given, truth) == pytest.approx(accuracy_score(truth, late.predict(given)))
    copy = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(copy.predict(hours), model.predict(hours))


def test_an_export_works_in_a_process_that_has_no_store_and_opens_no_connection(current, frames, tmp_path):
    path = current.export("crowd").save(tmp_path / "crowd.zip")
    frames["hours"].to_parquet(tmp_path / "hours.parquet")
    program = (
        "import socket, sys\n"
        "def no(*_): raise SystemExit('a connection was opened')\n"
        "socket.socket.connect = no\n"
        "import retraining\n"
        "model = retraining.load_exported(sys.argv[1])\n"
        "print(model.predict(sys.argv[2])[:3].tolist())\n"
        "print('obstore' in sys.modules, 'ray' in sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(path), str(tmp_path / "hours.parquet")],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    assert json.loads(first) == current.predict("crowd", frames).outputs[:3, 0].tolist()
    assert second == "False False"


def test_a_whole_release_is_a_folder_for_each_node_whose_digests_check(current, frames, tmp_path):
    from retraining.operations.export import export

    store = current.url.removeprefix("file://")
    summary = export(store, tmp_path / "release")
    assert summary.release == 2
    assert set(summary.nodes) == set(current.nodes)
    folder = tmp_path / "release"
    sums = dict(reversed(line.split("  ")) for line in (folder / "SHA256SUMS").read_text().splitlines())
    there = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert there == {*sums, "SHA256SUMS"}
    for name, digest in sums.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
    if shutil.which("sha256sum"):
        assert subprocess.run(["sha256sum", "-c", "--quiet", "SHA256SUMS"], cwd=folder).returncode == 0
    index = json.loads((folder / "export.json").read_text())
    assert index["manifest"]["name"] == "commuters"
    assert {Path(entry["folder"]).name for entry in index["nodes"].values()} == {
        *("crowd", "delay-line-1", "delay-line-2", "late", "strict")
    }
    metrics = json.loads((folder / "nodes" / "crowd" / "metrics.json").read_text())
    assert metrics["challenger"]["mean_squared_error"] > 0
    model = retraining.load_exported(folder, "crowd")
    np.testing.assert_array_equal(
        model.predict(frames["hours"]), current.predict("crowd", frames).outputs[:, 0]
    )
    with pytest.raises(InputError, match="an export of a whole release"):
        retraining.load_exported(folder)
    with pytest.raises(InputError, match="did you mean `crowd`"):
        retraining.load_exported(folder, "crowds")


def test_the_models_of_an_export_are_in_their_own_formats(current, frames, tmp_path):
    import skops.io
    import xgboost

    folder = current.export("late").save(tmp_path / "late")
    booster = xgboost.Booster(model_file=str(folder / "nodes" / "delay-line-1" / "model.ubj"))
    assert booster.num_features() == 2
    crowd = folder / "nodes" / "crowd" / "model.skops"
    assert skops.io.get_untrusted_types(file=crowd) == []
    ridge = skops.io.load(crowd)
    header = json.loads((crowd.parent / "model.json").read_text())
    encoding = header["encoding"]
    hours = frames["hours"]
    temperature = hours["temperature"].fillna(encoding["fill"][0]).to_numpy()
    matrix = [(temperature - encoding["centre"][0]) / encoding["scale"][0]]
    matrix += [(hours["weather"] == text).to_numpy(float) for text in encoding["vocabulary"][0][1]]
    by_hand = ridge.predict(np.stack(matrix, axis=1))
    np.testing.assert_allclose(by_hand, current.predict("crowd", frames).outputs[:, 0], rtol=1e-9)


def test_equal_exports_are_equal_files_and_none_replaces_anything(current, tmp_path):
    first = current.export("late").save(tmp_path / "a.zip")
    assert first.read_bytes() == current.export("late").save(tmp_path / "b.zip").read_bytes()
    for place in (first, tmp_path, tmp_path / "nowhere" / "x"):
        with pytest.raises(InputError, match=r"is there already|is not a folder"):
            current.export("late").save(place)
    (tmp_path / "link").symlink_to(tmp_path / "missing")
    with pytest.raises(InputError, match="is there already"):
        current.export("late").save(tmp_path / "link")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.zip", "b.zip", "link"]


def test_a_failure_leaves_nothing_half_written(current, tmp_path, monkeypatch):
    calls = []

    def failing(handle):
        calls.append(handle)
        if len(calls) == 5:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(InputError, match="No space left on device"):
        current.export("late").save(tmp_path / "late")
    assert list(tmp_path.iterdir()) == []


def test_every_damaged_byte_that_matters_is_found_before_it_is_parsed(current, frames, tmp_path):
    folder = current.export("crowd").save(tmp_path / "crowd")
    node = folder / "nodes" / "crowd"
    for name in ("model.skops", "model.json", "version.json"):
        good = (node / name).read_bytes()
        for bad in (good[:-1], b"", good[:10] + bytes([good[10] ^ 1]) + good[11:]):
            (node / name).write_bytes(bad)
            with pytest.raises(IntegrityError, match="wrong digest"):
                retraining.load_exported(folder).predict(frames["hours"])
        (node / name).write_bytes(good)
    (node / "model.json").unlink()
    with pytest.raises(InputError, match=r"lacks model\.json"):
        retraining.load_exported(folder)


@pytest.mark.parametrize(
    "change",
    [
        lambda index: {**index, "format": 2},
        lambda index: {**index, "kind": "other"},
        lambda index: [],
        lambda index: {**index, "nodes": []},
        lambda index: {**index, "nodes": {"crowd": {**index["nodes"]["crowd"], "folder": "../../etc"}}},
        lambda index: {**index, "nodes": {"crowd": {**index["nodes"]["crowd"], "folder": "/etc/x"}}},
        lambda index: {
            **index,
            "nodes": {"crowd": {**index["nodes"]["crowd"], "files": {"../x": {"bytes": 1}}}},
        },
        lambda index: {**index, "nodes": {"crowd": {}}},
    ],
)
def test_an_index_that_is_none_is_an_error_and_reads_nothing_elsewhere(current, tmp_path, change):
    folder = current.export("crowd").save(tmp_path / "crowd")
    index = json.loads((folder / "export.json").read_text())
    (folder / "export.json").write_text(json.dumps(change(index)))
    with pytest.raises(RetrainingError) as caught:
        retraining.load_exported(folder)
    assert "export" in str(caught.value)


def test_what_is_no_export_is_an_error(tmp_path, current):
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.zip").write_text("hello")
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("a", "b")
    for name in ("missing", "empty", "text.zip", "other.zip"):
        with pytest.raises(InputError, match="export"):
            retraining.load_exported(tmp_path / name)
    path = current.export("crowd").save(tmp_path / "crowd.zip")
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(InputError, match="is no export that can be read"):
        retraining.load_exported(path)


def test_columns_that_lack_are_named(current, frames):
    with pytest.raises(DataError, match="hours lacks temperature"):
        current.export("crowd").predict(frames["hours"][["weather"]])
    with pytest.raises(DataError, match=r"an array of shape \(2, 3\)"):
        current.export("crowd").predict(np.zeros((2, 3)))
    with pytest.raises(InputError, match="needs the dataset hours"):
        current.export("delay").predict(pd.DataFrame({"line": ["1"]}))
