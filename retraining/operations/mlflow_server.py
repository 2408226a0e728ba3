"""An MLflow server as it is talked to: its package, whether it answers, and its errors in our own words."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from retraining.errors import InputError, StoreError

__all__ = ["check_reachable", "client_library", "told", "tracking", "without_credentials"]

_CONNECT_SECONDS = 10.0


def client_library() -> Any:
    """MLflow's package; InputError where it is not installed."""
    try:
        import mlflow
    except ImportError as error:
        raise InputError(
            f"MLflow is not installed ({error})", "pip install 'retraining[mlflow]', then run it again"
        ) from error
    return mlflow


def without_credentials(uri: str) -> str:
    """The address without user and password."""
    parts = urlsplit(uri)
    host = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=host).geturl() if "@" in parts.netloc else uri


def check_reachable(uri: str, server: str) -> None:
    """Raises StoreError where nobody listens, since MLflow would try again for minutes."""
    parts = urlsplit(uri)
    if parts.scheme not in ("http", "https"):
        return
    try:
        port = parts.port or (443 if parts.scheme == "https" else 80)
        socket.create_connection((parts.hostname or "", port), timeout=_CONNECT_SECONDS).close()
    except (OSError, ValueError) as error:
        raise StoreError(
            f"the MLflow server {server} cannot be reached: {error}", "check --mlflow, and that it runs"
        ) from error


@contextlib.contextmanager
def told(mlflow: Any, server: str) -> Iterator[None]:
    """What MLflow raises as a StoreError."""
    try:
        yield
    except mlflow.exceptions.MlflowException as error:
        text = " ".join(str(error).split())[:300]
        raise StoreError(
            f"the MLflow server {server} refused: {text}",
            "check its rights and its version, and run it again",
        ) from error


@contextlib.contextmanager
def tracking(mlflow: Any, uri: str) -> Iterator[None]:
    """While MLflow 2 is at work: its client asks the process, and not itself, for the server of artifacts."""
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(uri)
    try:
        yield
    finally:
        mlflow.set_tracking_uri(before)
