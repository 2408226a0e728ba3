"""A bench for each test, on one thread as every fit is."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from retraining.learn.threads import one_thread

from .workbench import Bench


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    with one_thread():
        yield


@pytest.fixture
def bench(tmp_path) -> Bench:
    return Bench(tmp_path)
