"""What every room's tests share: one private Ray session, and servers that an environment variable names."""

from __future__ import annotations

import os
import secrets
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from store.s3_server import ENDPOINT, FOLDER, WHY, S3Server

# No emulator of Google Cloud Storage works with the client library; Azurite comes from another registry.
MAY_SKIP = ("no Google Cloud Storage:", "no Azure:")
_CLOUD = ("AWS_", "AZURE_", "GOOGLE_")


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


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With RETRAINING_NO_SKIPS a test that is skipped has failed, but for what no such machine can run."""
    report = yield
    if os.environ.get("RETRAINING_NO_SKIPS") and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        if not any(reason.removeprefix("Skipped: ").startswith(start) for start in MAY_SKIP):
            report.outcome = "failed"
            report.longrepr = f"{item.nodeid} was skipped where nothing may be: {reason}"
    return report
