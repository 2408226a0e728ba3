"""Every test of this room runs on one thread, as every fit does."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from retraining.learn.threads import one_thread


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    with one_thread():
        yield
