"""Where nothing may be skipped, a skip is a failure that repeats the reason; elsewhere it stays a skip."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = Path(__file__).resolve().parents[1] / "conftest.py"
TESTS = """
import pytest

def test_inside():
    pytest.skip("run `make data` first")

@pytest.mark.skip(reason="run `make data` first")
def test_marked():
    raise AssertionError

@pytest.mark.xfail(reason="known", strict=True)
def test_expected():
    raise AssertionError
"""
MODULE = 'import pytest\npytest.importorskip("no_such_package")\n'


def outcome(folder: Path, *, no_skips: bool) -> tuple[int, str]:
    shutil.copy(CONFTEST, folder)
    (folder / "store").mkdir()  # where the shared fixtures read which S3 server there is
    (folder / "store" / "__init__.py").touch()
    shutil.copy(CONFTEST.parent / "store" / "s3_server.py", folder / "store")
    decided_here = ("RETRAINING_NO_SKIPS", "RETRAINING_SLOW")
    settings = {key: value for key, value in os.environ.items() if key not in decided_here}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-rfE", str(folder)],
        env=settings | ({"RETRAINING_NO_SKIPS": "1"} if no_skips else {}),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.returncode, done.stdout


@pytest.mark.parametrize("no_skips", [False, True])
def test_a_skip_is_a_failure_only_where_nothing_may_be_skipped(tmp_path: Path, no_skips: bool) -> None:
    (tmp_path / "test_some.py").write_text(TESTS)
    code, told = outcome(tmp_path, no_skips=no_skips)
    if no_skips:
        assert code == 1, told
        # a mark is read before the test is set up, and counts as an error of the set-up
        assert "1 failed, 1 xfailed, 1 error" in told
        assert told.count("RETRAINING_NO_SKIPS is set: run `make data` first") >= 2
    else:
        assert code == 0, told
        assert "2 skipped, 1 xfailed" in told


@pytest.mark.slow
def test_a_module_that_skips_itself_fails_too(tmp_path: Path) -> None:
    (tmp_path / "test_module.py").write_text(MODULE)
    code, told = outcome(tmp_path, no_skips=True)
    assert code != 0
    assert "no_such_package" in told


@pytest.mark.parametrize("no_skips", [False, True])
@pytest.mark.slow
def test_slow_tests_run_where_nothing_may_be_skipped(tmp_path: Path, no_skips: bool) -> None:
    (tmp_path / "test_slow.py").write_text("import pytest\n\n@pytest.mark.slow\ndef test_it(): pass\n")
    code, told = outcome(tmp_path, no_skips=no_skips)
    assert code == 0, told
    assert ("1 passed" if no_skips else "1 skipped") in told
