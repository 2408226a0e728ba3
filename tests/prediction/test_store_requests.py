"""What serving asks of a store (docs/design.md 11): little, once, and nothing of the past for rows that are new."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from retraining.errors import IntegrityError
from retraining.prediction.predictor import Release
from retraining.prediction.releases import Releases
from retraining.store.local import LocalObjects
from retraining.store.log import open_store, store_on
from retraining.store.verification import verify
from tests.prediction.commuters import SECOND_RUN, newest_week, until


class Counting(LocalObjects):
    """A folder's objects that count how often each is read."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.asked: list[str] = []
        self.lost = ""

    def get_range(self, key: str, start: int, length: int) -> bytes:
        self.asked.append(key.rpartition("/")[2])
        if self.lost and self.lost in key:
            raise IntegrityError(f"{key}: lost")
        return super().get_range(key, start, length)


@pytest.fixture
def counted(releases: Releases) -> tuple[Counting, Release]:
    objects = Counting(Path(releases.url.removeprefix("file://")))
    store = store_on(objects)
    return objects, Release(store, store.read_head())


def test_new_rows_ask_for_documents_and_models_and_for_nothing_twice(
    counted: tuple[Counting, Release],
) -> None:
    objects, release = counted
    frames = newest_week(SECOND_RUN)
    release.predict("late", frames, unknown="null")
    asked = Counter(objects.asked)
    assert asked["rows-1"] == 0
    models = 4  # late, delay of two lines, crowd
    assert len(objects.asked) <= models + 3  # the documents of each level of the graph lie together
    objects.asked.clear()
    release.predict("late", frames, unknown="null")
    release.predict("delay[line=1]", frames)
    assert objects.asked == []


def test_the_past_is_read_where_rows_ask_for_it_once(counted: tuple[Counting, Release]) -> None:
    objects, release = counted
    first = release.predict("late", until(SECOND_RUN), unknown="null")
    assert Counter(objects.asked)["rows-1"] >= 1
    assert len(objects.asked) <= 60
    objects.asked.clear()
    again = release.predict("late", until(SECOND_RUN), unknown="null")
    np.testing.assert_array_equal(again.outputs, first.outputs)
    assert objects.asked == []


def test_a_record_that_is_lost_is_an_error_and_not_another_number(counted: tuple[Counting, Release]) -> None:
    objects, release = counted
    objects.lost = "rows-1"
    with pytest.raises(IntegrityError, match=r"the recorded column of .* cannot be read.*lost"):
        release.predict("late", until(SECOND_RUN), unknown="null")
    found = release.predict("late", until(SECOND_RUN), unknown="null", history="shipped")
    assert found.predicted > 500
    assert release.predict("late", newest_week(SECOND_RUN), unknown="null").predicted > 0


def test_verify_tells_of_a_damaged_record_as_of_something_that_a_release_needs(
    releases: Releases, tmp_path: Path
) -> None:
    shutil.copytree(releases.url.removeprefix("file://"), tmp_path / "copy")
    path = next((tmp_path / "copy").glob("packs/*/rows-1"))
    data = bytearray(path.read_bytes())
    data[40] ^= 1
    path.write_bytes(data)
    found = verify(open_store(str(tmp_path / "copy")))
    (damage,) = found.damages
    assert (damage.kind, damage.key) == ("release", path.relative_to(tmp_path / "copy").as_posix())
    assert "predict --history shipped" in damage.remedy
