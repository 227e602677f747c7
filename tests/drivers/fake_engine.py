"""What answers at an engine's address when no engine, or a sick one, does?"""

from __future__ import annotations

import json
import socketserver
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

Route = Callable[[BaseHTTPRequestHandler], None]

VERSION = {"Version": "24.0.7", "ApiVersion": "1.43", "MinAPIVersion": "1.12"}


def says(document: object, status: int = 200) -> Route:
    """Answer with a JSON document."""
    return raw(json.dumps(document).encode(), status)


def raw(body: bytes, status: int = 200, **headers: str) -> Route:
    """Answer with these bytes."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def hangs(until: threading.Event) -> Route:
    """Take the question and answer nothing until the test is over."""

    def answer(_: BaseHTTPRequestHandler) -> None:
        until.wait(30)

    return answer


def breaks_off(body: bytes) -> Route:
    """Begin a stream and end the connection in the middle of it."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        handler.wfile.write(f"{len(body):x}\r\n".encode() + body + b"\r\n")
        handler.close_connection = True

    return answer


@contextmanager
def fake_engine(socket: Path, **routes: Route) -> Iterator[list[str]]:
    """Answer at the socket; routes are named by the last word of the path. Yields the questions asked so far."""
    asked: list[str] = []
    with socketserver.ThreadingUnixStreamServer(str(socket), _handler(asked, routes)) as server, _serving(server):
        yield asked


@contextmanager
def fake_remote_engine(tls: ssl.SSLContext, **routes: Route) -> Iterator[tuple[int, list[str]]]:
    """Answer at a port of this machine, over TLS. Yields the port and the questions asked so far."""
    asked: list[str] = []
    with ThreadingHTTPServer(("127.0.0.1", 0), _handler(asked, routes)) as server:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
        with _serving(server):
            yield server.server_address[1], asked


@contextmanager
def _serving(server: socketserver.ThreadingMixIn) -> Iterator[None]:
    assert isinstance(server, socketserver.BaseServer)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()


def _handler(asked: list[str], routes: Mapping[str, Route]) -> type[BaseHTTPRequestHandler]:
    known = {"version": says(VERSION), "_ping": says("OK"), "info": says({}), **routes}

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode(errors="replace")
            asked.append(f"{self.command} {self.path} {body}".rstrip())
            word = self.path.partition("?")[0].rpartition("/")[2]
            known.get(word, says({"message": "page not found"}, 404))(self)

        do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = _answer

        def end_headers(self) -> None:
            # A connection kept open would outlive the engine.
            self.send_header("Connection", "close")
            super().end_headers()

        def address_string(self) -> str:
            return "test"

        def log_message(self, format: str, *args: Any) -> None:
            """Tests say what matters."""

    return Handler
