"""One store with two releases for the whole room: runs take seconds, predicting does not."""

from __future__ import annotations

import pytest

from retraining.prediction.predictor import Release
from retraining.prediction.releases import Releases, open_store
from tests.prediction.commuters import release_twice


@pytest.fixture(scope="package")
def releases(tmp_path_factory: pytest.TempPathFactory) -> Releases:
    return open_store(release_twice(tmp_path_factory.mktemp("commuters")))


@pytest.fixture(scope="package")
def current(releases: Releases) -> Release:
    return releases.current()
