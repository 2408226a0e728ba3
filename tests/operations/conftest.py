"""A bench for each test (see tests/oracle/workbench.py), and a release of scheduled models to begin with."""

from __future__ import annotations

import pytest
from oracle.workbench import Bench

from tests.operations.scheduled import Sundays


@pytest.fixture
def bench(tmp_path) -> Bench:
    return Bench(tmp_path)


@pytest.fixture(scope="session")
def sundays(tmp_path_factory) -> Sundays:
    return Sundays(tmp_path_factory.mktemp("sundays"))
