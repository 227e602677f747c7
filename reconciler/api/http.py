"""How do our pages get to whoever asks over HTTP: in bounded threads, with bounded sizes and times?"""

from __future__ import annotations

import json
import select
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, HTTPServer
from socket import AF_INET6, MSG_DONTWAIT, MSG_PEEK, socket
from socketserver import ThreadingMixIn
from typing import Any
from urllib.parse import parse_qs, unquote

from reconciler.errors import Refused, UsageError

PATIENCE_SECONDS = 10.0
MOST_REQUESTS = 16
MOST_BODY_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Request:
    """What somebody asks for.

    parts      of the path, decoded: ("v1", "health", "service", "web")
    query      each parameter's values, in order; "" where it stands without one
    headers    by name in lower case
    connected  whether whoever asked is still there
    """

    method: str
    path: str
    parts: tuple[str, ...]
    query: Mapping[str, list[str]] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = field(default=b"", repr=False)
    connected: Callable[[], bool] = lambda: True

    def one(self, parameter: str) -> str:
        """Return a parameter's last value, "" where it is not given."""
        return self.query.get(parameter, [""])[-1]

    def flag(self, parameter: str) -> bool:
        """Say whether a parameter is given and does not say no."""
        return parameter in self.query and self.one(parameter).lower() not in ("0", "false")


@dataclass(frozen=True, slots=True)
class Answer:
    status: HTTPStatus
    body: bytes
    kind: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


def document(content: Any, status: HTTPStatus = HTTPStatus.OK, headers: Mapping[str, str] | None = None) -> Answer:
    """Answer with a JSON document."""
    return Answer(status, json.dumps(content).encode() + b"\n", headers=headers or {})


def words(status: HTTPStatus, text: str) -> Answer:
    """Answer with a line of text."""
    return Answer(status, f"{text}\n".encode(), "text/plain; charset=utf-8")


class Wrong(Exception):
    """A request that cannot be answered as it is, in the words of the answer."""

    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(message)
        self.status = status


Respond = Callable[[Request], Answer]


def serve(address: str, respond: Respond, *, option: str = "--listen", most_requests: int = MOST_REQUESTS) -> HTTPServer:
    """Answer at HOST:PORT in threads of its own until `shutdown` is called on the result. Raises UsageError, Refused.

    `option` is what names the address; `most_requests` are answered at once, whoever comes then is hung up on.
    """
    host, port = listen_address(address)
    try:
        server = _Server((host, port), _handler(respond), most_requests)
    except OSError as error:
        hint = f"name a free address of this machine: {option} 127.0.0.1:8470"
        raise Refused(f"cannot listen on {address}: {error.strerror}", hint=hint) from error
    threading.Thread(target=server.serve_forever, name="http", daemon=True).start()
    return server


@contextmanager
def serving(
    address: str, respond: Respond, *, option: str = "--listen", most_requests: int = MOST_REQUESTS
) -> Iterator[HTTPServer]:
    """Serve as long as the block lasts. Raises as `serve` does."""
    server = serve(address, respond, option=option, most_requests=most_requests)
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


def listen_address(text: str) -> tuple[str, int]:
    """Split HOST:PORT; an IPv6 address stands in brackets, no host means all of them. Raises UsageError."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 65535:
        raise UsageError(f"{text!r} is no address to listen on", hint="write HOST:PORT, such as 127.0.0.1:8470")
    return host.strip("[]"), int(port)


class Bounded(ThreadingMixIn):
    """Serves so many at once, and hangs up on more."""

    def bound_to(self, most: int) -> None:
        """Say how many."""
        self._free = threading.BoundedSemaphore(most)

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)  # type: ignore[attr-defined]  # what it is mixed into has it

    def process_request_thread(self, request: socket | tuple[bytes, socket], client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is no news."""


class _Server(Bounded, HTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler], most_requests: int) -> None:
        if ":" in address[0]:
            self.address_family = AF_INET6
        self.bound_to(most_requests)
        super().__init__(address, handler)


def _handler(respond: Respond) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = PATIENCE_SECONDS
        server_version, sys_version = "reconciler", ""

        def do_GET(self) -> None:
            self._say(respond(self._request()))

        def do_PUT(self) -> None:
            length = self.headers.get("Content-Length") or "0"
            if not length.isdecimal() or int(length) > MOST_BODY_BYTES:
                self._say(words(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"more than {MOST_BODY_BYTES} bytes"))
                return
            self._say(respond(self._request(self.rfile.read(int(length)))))

        def _request(self, body: bytes = b"") -> Request:
            path, _, query = self.path.partition("?")
            return Request(
                method=self.command,
                path=path,
                parts=tuple(unquote(part) for part in path.strip("/").split("/")),
                query=parse_qs(query, keep_blank_values=True),
                headers={name.lower(): value for name, value in self.headers.items()},
                body=body,
                connected=lambda: _connected(self.connection),
            )

        def _say(self, answer: Answer) -> None:
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.kind)
            self.send_header("Content-Length", str(len(answer.body)))
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer.body)

        def log_message(self, format: str, *args: object) -> None:
            """Supervisors and clients ask every few seconds: their requests are no news."""

    return Handler


def _connected(connection: socket) -> bool:
    """Say whether the other side has not hung up: then there would be an end to read."""
    readable, _, _ = select.select([connection], [], [], 0)
    try:
        return not readable or connection.recv(1, MSG_PEEK | MSG_DONTWAIT) != b""
    except OSError:
        return False
