"""A small HTTP page about a server: whether it is well, where it stands, and the report of its newest run.

It is read only and asks for no password, so it binds the loopback interface unless somebody says otherwise, and
there it answers only to names of this machine (no other site's page can read it by a name that it controls).
"""

from __future__ import annotations

import datetime as dt
import html
import ipaddress
import json
import socket
import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from retraining.errors import InputError, RetrainingError
from retraining.manifest.values import Json
from retraining.operations.report import read_run, render_run
from retraining.server.board import Board
from retraining.store.log import open_store

__all__ = ["Page", "newest_report", "parse_listen"]

_LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})
_TIMEOUT_SECONDS = 10
#: A server whose next tick is overdue for so long, without a run under way, is not well.
_OVERDUE_SECONDS = 300
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"


def parse_listen(text: str, *, exposed: bool) -> tuple[str, int]:
    """The host and the port of `--listen`; InputError where it is none, or not of this machine alone.

    With `exposed` any address of this machine is meant as it is written.
    """
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not (colon and host and port.isascii() and port.isdigit() and int(port) < 65_536):
        raise InputError(
            f"--listen {text!r} is no HOST:PORT", "write 127.0.0.1:8080; port 0 takes a free one"
        )
    if not exposed and not _is_loopback(host):
        raise InputError(
            f"--listen {text!r}: other machines could reach it, and the page asks for no password",
            "listen at 127.0.0.1, or add --expose where that is meant",
        )
    return host, int(port)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Page:
    """The HTTP server, in threads of its own; `report` gives the page of the newest run.

    Raises `InputError` where the address cannot be bound.
    """

    def __init__(
        self,
        board: Board,
        report: Callable[[], str],
        listen: tuple[str, int],
        *,
        exposed: bool,
        clock: Callable[[], dt.datetime],
    ) -> None:
        handler = _handler(board, report, exposed, clock)
        family = socket.AF_INET6 if ":" in listen[0] else socket.AF_INET
        server = type("_Server", (ThreadingHTTPServer,), {"address_family": family, "daemon_threads": True})
        try:
            self._server = server(listen, handler)
        except OSError as error:
            reason = error.strerror or str(error)
            raise InputError(
                f"--listen {listen[0]}:{listen[1]}: {reason}", "name another port, or 0 for a free one"
            ) from error
        self._thread = threading.Thread(target=self._server.serve_forever, name="page", daemon=True)

    @property
    def url(self) -> str:
        """Where a browser finds it."""
        host, port = self._server.server_address[:2]
        name = str(host)
        return f"http://{f'[{name}]' if ':' in name else name}:{port}/"

    def __enter__(self) -> Page:
        """Begin to answer."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop answering, and give the port back."""
        self._server.shutdown()
        self._server.server_close()


def newest_report(url: str) -> Callable[[], str]:
    """What gives the report of the newest run of a store; it raises `RetrainingError` where there is none."""
    made: dict[str, str] = {}

    def report() -> str:
        record = read_run(open_store(url), None)
        run = str(record.get("run"))
        if run not in made:
            made.clear()
            made[run] = render_run(record)
        return made[run]

    return report


def _handler(
    board: Board, report: Callable[[], str], exposed: bool, clock: Callable[[], dt.datetime]
) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        """Answers GET and HEAD of three paths."""

        timeout = _TIMEOUT_SECONDS
        server_version = "retraining"
        sys_version = ""

        def do_GET(self) -> None:
            """Answer."""
            self._answer(body=True)

        def do_HEAD(self) -> None:
            """Answer without a body."""
            self._answer(body=False)

        def _answer(self, *, body: bool) -> None:
            host = self.headers.get("Host", "").rpartition(":")
            name = (host[0] if host[1] and host[2].isdigit() else self.headers.get("Host", "")).lower()
            path = self.path.partition("?")[0]
            if not exposed and name not in _LOCAL_NAMES and not _is_loopback(name.strip("[]")):
                self._send(
                    HTTPStatus.MISDIRECTED_REQUEST, "text/plain", "ask for this page by localhost\n", body
                )
            elif path == "/healthz":
                status, text = _health(board, clock())
                self._send(status, "text/plain", text, body)
            elif path == "/status.json":
                document: dict[str, Json] = board.read().to_json()
                self._send(HTTPStatus.OK, "application/json", json.dumps(document, indent=2) + "\n", body)
            elif path == "/":
                self._send(HTTPStatus.OK, "text/html", _page(board, report), body)
            else:
                self._send(
                    HTTPStatus.NOT_FOUND, "text/plain", "there are /, /status.json and /healthz\n", body
                )

        def _send(self, status: HTTPStatus, kind: str, text: str, body: bool) -> None:
            data = text.encode()
            self.send_response(status)
            self.send_header("Content-Type", f"{kind}; charset=utf-8")
            self.send_header("Content-Length", str(len(data)))
            self.send_header("Cache-Control", "no-store")
            self.send_header("X-Content-Type-Options", "nosniff")
            self.send_header("Content-Security-Policy", _POLICY)
            self.end_headers()
            if body:
                self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            """Say nothing: who looked is no news."""

    return Handler


def _health(board: Board, now: dt.datetime) -> tuple[HTTPStatus, str]:
    """Whether the loop turns; what a tick fails of is told, and no reason to start the server anew."""
    status = board.read()
    if status.acting_since is None and status.next is not None:
        overdue = (now - dt.datetime.fromisoformat(status.next)).total_seconds()
        if overdue > _OVERDUE_SECONDS:
            return HTTPStatus.SERVICE_UNAVAILABLE, f"stuck: a tick is overdue for {overdue:.0f} s\n"
    if status.failing:
        since = "1 tick" if status.failing == 1 else f"{status.failing} ticks"
        return HTTPStatus.OK, f"failing since {since}: {status.error}\n"
    return HTTPStatus.OK, "ok\n"


def _page(board: Board, report: Callable[[], str]) -> str:
    try:
        return report()
    except RetrainingError as error:
        return _plain(board, error.message)


def _plain(board: Board, text: str) -> str:
    name = html.escape(board.read().manifest)
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{name}</title>'
        f'<h1>{name}</h1><p>{html.escape(text)}</p><p><a href="status.json">status.json</a></p></html>\n'
    )
