"""The servers that tests of buckets run against, where an environment variable names them."""

from __future__ import annotations

import os
import secrets

import pytest

from .s3_server import ENDPOINT, FOLDER, WHY, S3Server

_CLOUD = ("AWS_", "AZURE_", "GOOGLE_")


@pytest.fixture
def no_credentials(monkeypatch, tmp_path):
    """An environment without any cloud's variables and files."""
    for name in list(os.environ):
        if name.startswith(_CLOUD):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture
def s3_server(no_credentials, monkeypatch) -> S3Server:
    """The S3 server, with its address and keys in the environment."""
    if not ENDPOINT:
        pytest.skip(WHY)
    server = S3Server(ENDPOINT, FOLDER)
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    return server


@pytest.fixture
def s3_url(s3_server) -> str:
    """The address of a place in a new bucket."""
    bucket = f"test-{secrets.token_hex(6)}"
    s3_server.make_bucket(bucket)
    return f"s3://{bucket}/some/prefix"
