"""What every room's tests share: one private Ray session, and the rule that a skip needs a reason.

A skipped test names in its reason the command after which, or with which, it runs. Where `RETRAINING_NO_SKIPS`
is set (.ci/run sets it) slow tests run, and a skip is a failure, but for the tests of `MAY_SKIP`.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Generator, Iterator
from pathlib import Path

import hypothesis
import pytest
from store.s3_server import ENDPOINT, FOLDER, WHY, S3Server

#: What CI cannot run, by the beginning of its reason: no emulator of Google Cloud Storage works with the client
#: library; KubeRay's definitions are where somebody has put them.
MAY_SKIP = ("no Google Cloud Storage:", "no KubeRay definitions:")
_SLOW = "slow: RETRAINING_SLOW=1 python -m pytest"
_CLOUD = ("AWS_", "AZURE_", "GOOGLE_")

# the same examples each time, however slow the machine is
hypothesis.settings.register_profile("same", derandomize=True, deadline=None)
hypothesis.settings.load_profile("same")


def pytest_configure() -> None:
    """Say how Ray is used, unless somebody has: it reads that once, for whichever test comes to it first."""
    os.environ.setdefault("RAY_AUTH_MODE", "token")
    os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_DISABLE_FAILURE_SIGNAL_HANDLER", "1")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Slow tests run where nothing may be skipped, and where they are asked for."""
    if os.environ.get("RETRAINING_NO_SKIPS") or os.environ.get("RETRAINING_SLOW"):
        return
    for item in items:
        if item.get_closest_marker("slow") is not None:
            item.add_marker(pytest.mark.skip(reason=_SLOW))


def _forbidden(report: pytest.TestReport | pytest.CollectReport) -> bool:
    """Whether a report is of a skip that must not be; an expected failure (`xfail`) is no skip."""
    return (
        bool(os.environ.get("RETRAINING_NO_SKIPS"))
        and report.skipped
        and not hasattr(report, "wasxfail")
        and not _told(report).startswith(MAY_SKIP)
    )


def _told(report: pytest.TestReport | pytest.CollectReport) -> str:
    told = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return told.removeprefix("Skipped: ")


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    return f"skipped, and RETRAINING_NO_SKIPS is set: {_told(report)}"


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sentences are told on one line each, so that a test can look for them."""
    monkeypatch.setenv("COLUMNS", "100000")


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


@pytest.fixture
def no_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An environment without any cloud's variables and files."""
    for name in list(os.environ):
        if name.startswith(_CLOUD):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture
def s3_server(no_credentials: None, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    """The S3 server, with its address and keys in the environment."""
    if not ENDPOINT:
        pytest.skip(WHY)
    server = S3Server(ENDPOINT, FOLDER)
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    return server


@pytest.fixture
def s3_url(s3_server: S3Server) -> str:
    """The address of a place in a new bucket."""
    bucket = f"test-{secrets.token_hex(6)}"
    s3_server.make_bucket(bucket)
    return f"s3://{bucket}/some/prefix"
