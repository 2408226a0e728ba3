"""The S3 server of the tests (`.ci/s3_server`): where it is, its buckets, its death and its return.

It is found through RETRAINING_TEST_S3_ENDPOINT. Its keys open nothing else, and its endpoint is set
in the environment beside them, so that no test can reach a real cloud.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import os
import subprocess
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

SCRIPT = Path(__file__).resolve().parents[2] / ".ci" / "s3_server"
ENDPOINT = os.environ.get("RETRAINING_TEST_S3_ENDPOINT", "")
FOLDER = os.environ.get("RETRAINING_TEST_S3_FOLDER", "")
WHY = (
    "no S3 server: `.ci/s3_server install` (Debian packages), then "
    '`eval "$(.ci/s3_server start /tmp/s3)"`; `.ci/s3_server stop /tmp/s3` ends it'
)
SECRET = "testsecret"
VERSIONED = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"


@dataclass(frozen=True)
class S3Server:
    """A running server; `environment` is what a user of it sets."""

    endpoint: str
    folder: str

    @property
    def environment(self) -> dict[str, str]:
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": "testkey",
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_REGION": "us-east-1",
        }

    def make_bucket(self, name: str, *, versioned: bool = False) -> None:
        """A new bucket; with versions of every object on request."""
        self.write(f"/{name}")
        if versioned:
            self.write(f"/{name}", "versioning=", VERSIONED)

    def gateway(self, verb: str) -> None:
        """`kill` or `start` the process that answers; the objects stay."""
        subprocess.run([SCRIPT, f"{verb}-gateway", self.folder], check=True, capture_output=True)

    def write(self, path: str, query: str = "", body: bytes = b"") -> None:
        """One signed request (AWS signature 4): the client library makes no buckets."""
        now = dt.datetime.now(dt.UTC).strftime("%Y%m%dT%H%M%SZ")
        host, digest = urlsplit(self.endpoint).netloc, hashlib.sha256(body).hexdigest()
        headers = {"host": host, "x-amz-content-sha256": digest, "x-amz-date": now}
        names = ";".join(headers)
        lines = [f"{name}:{value}" for name, value in headers.items()]
        request = "\n".join(["PUT", path, query, *lines, "", names, digest])
        scope = f"{now[:8]}/us-east-1/s3/aws4_request"
        text = f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
        key = b"AWS4" + SECRET.encode()
        for part in [*scope.split("/"), text]:
            key = hmac.digest(key, part.encode(), "sha256")
        headers["authorization"] = (
            f"AWS4-HMAC-SHA256 Credential=testkey/{scope}, SignedHeaders={names}, Signature={key.hex()}"
        )
        url = f"{self.endpoint}{path}" + (f"?{query}" if query else "")
        with urllib.request.urlopen(urllib.request.Request(url, body, headers, method="PUT")) as reply:
            assert reply.status == 200
