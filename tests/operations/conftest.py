"""A bench for each test (see tests/oracle/workbench.py)."""

from __future__ import annotations

import pytest
from oracle.workbench import Bench


@pytest.fixture
def bench(tmp_path) -> Bench:
    return Bench(tmp_path)
