"""What every room's tests share: one private Ray session, and the rule that a skip needs a reason.

A skipped test names in its reason the command after which it runs. Where `RETRAINING_NO_SKIPS` is set
(.ci/run sets it) a skip is a failure, but for the tests of `MAY_SKIP`.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Generator, Iterator, Mapping

import pytest

#: What CI cannot run, by the beginning of its node id, and why. Nothing at present.
MAY_SKIP: Mapping[str, str] = {}


def _forbidden(report: pytest.TestReport | pytest.CollectReport) -> bool:
    """Whether a report is of a skip that must not be; an expected failure (`xfail`) is no skip."""
    return (
        bool(os.environ.get("RETRAINING_NO_SKIPS"))
        and report.skipped
        and not hasattr(report, "wasxfail")
        and not report.nodeid.startswith(tuple(MAY_SKIP))
    )


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    told = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return f"skipped, and RETRAINING_NO_SKIPS is set: {told.removeprefix('Skipped: ')}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test that was skipped failed, where nothing may be skipped."""
    report = yield
    if _forbidden(report):
        report.outcome, report.longrepr = "failed", _reason(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """The same for a module that skips itself while it is read."""
    report = yield
    if _forbidden(report):
        report.outcome, report.longrepr = "failed", _reason(report)
    return report


@pytest.fixture(scope="session")
def ray_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One embedded Ray for the whole test session; the backend reuses a Ray that is already there."""
    # read by Ray when it is imported or started: set before, and only if nobody else has
    os.environ.setdefault("RAY_AUTH_MODE", "token")
    os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_DISABLE_FAILURE_SIGNAL_HANDLER", "1")
    import ray

    if ray.is_initialized():
        yield
        return
    ray.init(
        address="local",
        num_cpus=2,
        include_dashboard=False,
        object_store_memory=100 * 1024 * 1024,
        log_to_driver=False,
        logging_level="ERROR",
        runtime_env=None,
    )
    yield
    ray.shutdown()
