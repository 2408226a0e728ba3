"""Serving gives what the run recorded: the shipped fits' predictions of the block that nobody learnt from."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from retraining.prediction.predictor import Release
from retraining.prediction.releases import Releases
from retraining.prediction.releases import open_store as open_releases
from retraining.store.log import Store, open_store
from retraining.store.packs import StoredRecord, read_blob, read_footer
from tests.prediction.commuters import FIRST_RUN, SECOND_RUN, newest_week

RUNS = [(1, FIRST_RUN), (2, SECOND_RUN)]


def records(store: Store) -> list[StoredRecord]:
    keys = [info.key for info in store.objects.list("packs/")]
    return [record for key in keys for record in read_footer(store.objects, key)]


def recorded(url: str, number: int, node: str) -> NDArray[np.float64]:
    """The column of a node's version on the block after its cut, as the run stored it, in key order."""
    store = open_store(url)
    state = store.read_release(number).nodes[node]
    assert state.document is not None
    document = json.loads(read_blob(store.objects, state.document))
    cut = document["cut_block"]
    fit = document["fits"][f"<{cut}"]["fingerprint"]
    found = [
        one for one in records(store) if one.action == "column" and one.parts == {"fit": fit, "part": cut}
    ]
    pointer = found[0].blob("column")
    assert pointer is not None
    return np.load(io.BytesIO(read_blob(store.objects, pointer)))


@pytest.mark.parametrize(("number", "as_of"), RUNS)
@pytest.mark.parametrize("node", ["crowd", "delay[line=1]", "delay[line=2]", "late", "strict"])
def test_one_call_gives_the_recorded_column_bit_for_bit(
    releases: Releases, number: int, as_of: str, node: str
) -> None:
    expected = recorded(releases.url, number, node)
    found = releases.release(number).predict(node, newest_week(as_of))
    assert len(expected) > 10
    assert np.isfinite(expected).any()
    np.testing.assert_array_equal(found.outputs, expected)
    assert set(found.table["release"].to_pylist()) == {number}


def test_a_model_is_its_nodes_row_by_row(current: Release) -> None:
    frames = newest_week(SECOND_RUN)
    whole = current.predict("delay", frames, unknown="null").to_pandas().set_index("id")
    for line in ("1", "2"):
        one = current.predict(f"delay[line={line}]", frames).to_pandas().set_index("id")
        rows = frames["trips"].set_index("id").loc[one.index]
        assert set(rows["line"]) == {line}
        pd.testing.assert_frame_equal(whole.loc[one.index], one)


@pytest.mark.parametrize("target", ["crowd", "delay", "late", "strict"])
def test_other_batches_differ_by_rounding_only(current: Release, target: str) -> None:
    frames = newest_week(SECOND_RUN)
    home = "hours" if target == "crowd" else "trips"
    whole = current.predict(target, frames, unknown="null").outputs
    random = np.random.default_rng(0)
    order = random.permutation(len(frames[home]))
    shuffled = current.predict(target, {**frames, home: frames[home].iloc[order]}, unknown="null").outputs
    np.testing.assert_allclose(shuffled, whole[order], rtol=0, atol=1e-9)
    for at in random.choice(len(whole), 5, replace=False):
        alone = current.predict(target, {**frames, home: frames[home].iloc[[at]]}, unknown="null").outputs
        np.testing.assert_allclose(alone[0], whole[at], rtol=0, atol=1e-9)


def test_a_row_reads_only_upstream_predictions_that_existed_when_it_was_made(current: Release) -> None:
    frames = newest_week(SECOND_RUN)
    early = frames["trips"].assign(at=frames["trips"]["hour"] - pd.Timedelta(minutes=1))
    found = current.predict("strict", {**frames, "trips": early})
    assert found.predicted == 0
    assert found.missing == {"crowd": len(early)}
    assert found.unusable == len(early)


def test_a_release_that_predicted_once_needs_nothing_of_the_store(releases: Releases, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(releases.url.removeprefix("file://"), copy)
    release = open_releases(str(copy)).current()
    frames = newest_week(SECOND_RUN)
    first = release.predict("late", frames, unknown="null").outputs
    shutil.rmtree(copy)
    np.testing.assert_array_equal(release.predict("late", frames, unknown="null").outputs, first)
