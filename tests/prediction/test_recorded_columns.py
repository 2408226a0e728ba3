"""Serving gives what the run recorded: of every block of a version's column, and bit for bit in one call."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from retraining.errors import DataError, InputError
from retraining.prediction.predictor import Release
from retraining.prediction.releases import Releases
from retraining.prediction.releases import open_store as open_releases
from retraining.store.log import Store, open_store
from retraining.store.packs import StoredRecord, read_blob, read_footer
from tests.prediction.commuters import FIRST_RUN, SECOND_RUN, newest_week, until

RUNS = [(1, FIRST_RUN), (2, SECOND_RUN)]


def records(store: Store) -> list[StoredRecord]:
    keys = sorted(info.key for info in store.objects.list("packs/"))
    return [record for key in keys for record in read_footer(store.objects, key)]


def recorded_blocks(url: str, number: int, node: str) -> dict[int, NDArray[np.float64]]:
    """The column of a node's version by block, as the runs' packs have it, in key order.

    Found by the packs' own footers: of each block what the fit before it, or before the cut, predicted, the last
    word of those that the run which made the version could know.
    """
    store = open_store(url)
    state = store.read_release(number).nodes[node]
    assert state.document is not None
    document = json.loads(read_blob(store.objects, state.document))
    cut, fits = document["cut_block"], document["fits"]
    classes = document["data"]["classes"]
    found: dict[int, NDArray[np.float64]] = {}
    for one in records(store):
        block = one.parts.get("part")
        if one.action != "column" or not isinstance(block, int):
            continue
        fit = fits.get(f"<{min(block, cut)}")
        pointer = one.blob("column")
        if fit is None or one.parts["fit"] != fit["fingerprint"] or pointer is None:
            continue
        if pointer.pack.split("/")[1] > state.run:
            continue
        values = np.load(io.BytesIO(read_blob(store.objects, pointer)))
        known = one.metrics.get("classes", classes)
        if known != classes:
            assert isinstance(known, list)
            wide = np.zeros((len(values), len(classes)))
            wide[:, [classes.index(value) for value in known]] = values
            wide[np.isnan(values).any(axis=1)] = np.nan
            values = wide
        found[block] = values
    return dict(sorted(found.items()))


def recorded(url: str, number: int, node: str) -> NDArray[np.float64]:
    """The column of a node's version on the block after its cut."""
    blocks = recorded_blocks(url, number, node)
    return blocks[max(blocks)]


def blocks_of(moments: pd.Series, days: int = 7) -> NDArray[np.int64]:
    """The block of each moment: so many days since Monday 1970-01-05."""
    return ((moments - pd.Timestamp("1970-01-05", tz="UTC")) // pd.Timedelta(days=days)).to_numpy()


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


@pytest.mark.parametrize(("number", "as_of"), RUNS)
@pytest.mark.parametrize("node", ["crowd", "delay[line=1]", "delay[line=2]", "late", "strict"])
def test_one_call_gives_every_recorded_block_bit_for_bit(
    releases: Releases, number: int, as_of: str, node: str
) -> None:
    expected = recorded_blocks(releases.url, number, node)
    frames = until(as_of)
    found = releases.release(number).predict(node, frames)
    home, moment, key = ("hours", "hour", ["site", "hour"]) if node == "crowd" else ("trips", "at", ["id"])
    rows = frames[home].reset_index().merge(found.to_pandas()[key].reset_index(drop=True), on=key)
    rows = rows.assign(place=np.arange(len(rows))).sort_values(key)
    blocks = blocks_of(rows[moment])
    read_by_others = node in ("crowd", "delay[line=1]", "delay[line=2]")
    assert len(expected) >= (5 if read_by_others else 2)
    for block, values in expected.items():
        np.testing.assert_array_equal(found.outputs[rows["place"][blocks == block]], values)
    earlier = found.earlier[node]
    assert earlier.recorded == sum(
        int(np.isfinite(values).all(axis=1).sum())
        for block, values in expected.items()
        if block < max(expected)
    )


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


@pytest.mark.parametrize("target", ["crowd", "delay", "late", "strict"])
def test_in_other_batches_the_past_is_the_same(current: Release, target: str) -> None:
    frames = until(SECOND_RUN)
    home = "hours" if target == "crowd" else "trips"
    whole = current.predict(target, frames, unknown="null").outputs
    random = np.random.default_rng(1)
    for at in random.choice(len(whole), 12, replace=False):
        alone = current.predict(target, {**frames, home: frames[home].iloc[[at]]}, unknown="null").outputs
        np.testing.assert_allclose(alone[0], whole[at], rtol=0, atol=1e-9)


def test_a_row_that_changed_is_not_answered_from_the_record(current: Release) -> None:
    frames = until(SECOND_RUN)
    whole = current.predict("strict", frames)
    changed = frames["trips"].assign(weekday=~frames["trips"]["weekday"])
    found = current.predict("strict", {**frames, "trips": changed})
    assert whole.earlier["strict"].recorded > 20
    assert found.earlier["strict"].recorded == 0
    crowd = frames["hours"].assign(temperature=frames["hours"]["temperature"].fillna(3.0) + 1)
    found = current.predict("strict", {**frames, "hours": crowd})
    # a kept fit of the time takes the place of the record, for the row itself and for what it reads
    assert found.earlier["strict"].recorded == 0
    assert found.earlier["strict"].block_fit > 20
    assert found.earlier["crowd"].block_fit > 20
    assert "upstream rows from before a cut are predicted by the released model" in found.summary()
    early = found.earlier["crowd"]
    assert 0 < early.changed <= early.shipped
    assert f"({early.changed:,} of them are new or have changed since)" in found.summary()


def test_shipped_history_is_the_released_models_alone(current: Release) -> None:
    frames = until(SECOND_RUN)
    shipped = current.predict("strict", frames, history="shipped")
    assert not shipped.earlier
    assert shipped.predicted == len(frames["trips"])
    recorded = current.predict("strict", frames)
    newest = frames["trips"]["at"] >= newest_week(SECOND_RUN)["trips"]["at"].min().normalize()
    np.testing.assert_allclose(
        shipped.outputs[newest.to_numpy()], recorded.outputs[newest.to_numpy()], rtol=0, atol=1e-9
    )
    assert np.nanmax(np.abs(shipped.outputs - recorded.outputs)) > 1e-6
    with pytest.raises(InputError, match="expected 'recorded' or 'shipped'"):
        current.predict("strict", frames, history="future")  # type: ignore[arg-type]


def test_a_row_whose_moment_is_not_given_is_a_new_one(current: Release) -> None:
    hours = until(SECOND_RUN)["hours"]
    assert "hour" in current.needs("crowd")["hours"]  # it is a part of the key
    trips = until(SECOND_RUN)["trips"]
    moments = trips["at"].where(trips.index % 2 == 0)
    with pytest.raises(DataError, match="time column at is missing in"):
        current.predict("strict", {"hours": hours, "trips": trips.assign(at=moments)})


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
