"""A proxy in front of a server that loses, spoils or withholds answers, and counts requests.

A request is forwarded as a whole before the fault, so that the server has applied it while the
client learns nothing: the one thing that no wrapper above the client library can show.
"""

from __future__ import annotations

import socket
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import BinaryIO, Literal, TypeAlias
from urllib.parse import urlsplit

Fault: TypeAlias = Literal["lost", "spoiled", "refused", "cut"]
REFUSED = b"<Error><Code>ConditionalRequestConflict</Code><Message>conflict</Message></Error>"


@dataclass
class FlakyProxy:
    """What passes and what happens to it; `fault` is asked for every request: its number, method and path.

    lost: applied, and the connection ends without an answer. spoiled: applied, answered with 503.
    refused: answered with 409 and not applied. cut: the answer ends in its middle.
    """

    server: str
    fault: Callable[[int, str, str], Fault | None] = lambda number, method, path: None
    requests: list[tuple[str, str]] = field(default_factory=list)
    faults: int = 0
    endpoint: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def noted(self, method: str, path: str) -> Fault | None:
        with self.lock:
            self.requests.append((method, path))
            fault = self.fault(len(self.requests), method, path)
            self.faults += fault is not None
            return fault


class _Handler(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        proxy: FlakyProxy = self.server.proxy  # type: ignore[attr-defined]
        address = urlsplit(proxy.server)
        try:
            while message := _message(self.rfile):
                method, path = message[0].decode().split(" ")[:2]
                fault = proxy.noted(method, path)
                if fault == "refused":
                    self.wfile.write(_plain(409, REFUSED))
                    continue
                with socket.create_connection((address.hostname, address.port)) as upstream:
                    upstream.sendall(b"".join(message))
                    answer = b"".join(_message(upstream.makefile("rb"), method == "HEAD"))
                if fault == "lost":
                    return
                if fault == "cut":
                    self.wfile.write(answer[: len(answer) - 1 - len(answer) // 4])
                    return
                self.wfile.write(_plain(503, b"") if fault == "spoiled" else answer)
        except OSError:
            # a client or a server that went away: the other side learns it from the closed connection
            return


def _plain(status: int, body: bytes) -> bytes:
    return f"HTTP/1.1 {status} Fault\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def _message(stream: BinaryIO, bodiless: bool = False) -> list[bytes]:
    """The first line, the headers and the body of a request or an answer; empty at the end."""
    first = stream.readline()
    if not first:
        return []
    lines, length, chunked = [first], 0, False
    while (line := stream.readline()) not in (b"\r\n", b""):
        name, _, value = line.lower().partition(b":")
        if name == b"content-length":
            length = int(value)
        chunked |= name == b"transfer-encoding" and b"chunked" in value
        lines.append(line)
    lines.append(line)
    if chunked and not bodiless:
        while (size := stream.readline()).strip():
            lines += [size, stream.read(int(size.split(b";")[0], 16) + 2)]
            if int(size.split(b";")[0], 16) == 0:
                break
    elif not bodiless:
        lines.append(stream.read(length))
    return lines


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = 64


@contextmanager
def flaky_proxy(
    server: str, fault: Callable[[int, str, str], Fault | None] | None = None
) -> Iterator[FlakyProxy]:
    """A proxy on a free port of loopback, until the end of the block."""
    proxy = FlakyProxy(server=server)
    if fault is not None:
        proxy.fault = fault
    with _Server(("127.0.0.1", 0), _Handler) as listener:
        listener.proxy = proxy  # type: ignore[attr-defined]
        proxy.endpoint = f"http://127.0.0.1:{listener.server_address[1]}"
        thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield proxy
        finally:
            listener.shutdown()
            thread.join()
