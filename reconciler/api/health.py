"""Is the process alive, and is it ready? Two pages over HTTP for whoever supervises it.

/healthz  200 while the loop comes round, or waits for an engine that is not up yet; 503 when it hangs
/readyz   200 once a turn was made on a valid revision, with the engine answering; 503 with the reason until then
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import AF_INET6, socket
from typing import Any

from reconciler.errors import Refused, UsageError
from reconciler.ports import Clock
from reconciler.resident import Pulse

HUNG_SECONDS = 180.0
"""A turn waits for the engine a minute at most at each step; a loop that is silent for longer hangs."""
PATIENCE_SECONDS = 10.0
MOST_REQUESTS = 16

Page = tuple[HTTPStatus, Mapping[str, Any]]


def pages(pulse: Pulse, clock: Clock) -> Mapping[str, Callable[[], Page]]:
    """Return what each path answers now."""
    return {"/healthz": lambda: healthz(pulse, clock), "/readyz": lambda: readyz(pulse, clock)}


def healthz(pulse: Pulse, clock: Clock) -> Page:
    """Say whether the loop still comes round."""
    age = clock.monotonic() - pulse.beat
    alive = age <= HUNG_SECONDS
    document = {"status": "ok" if alive else "hung", "beat_age_seconds": round(age, 1), **_last_turn(pulse, clock)}
    return HTTPStatus.OK if alive else HTTPStatus.SERVICE_UNAVAILABLE, document


def readyz(pulse: Pulse, clock: Clock) -> Page:
    """Say whether it does its work, and if not, why."""
    why = _why_not_ready(pulse)
    document = {"status": "not ready" if why else "ready", "reason": why, **_last_turn(pulse, clock)}
    return HTTPStatus.SERVICE_UNAVAILABLE if why else HTTPStatus.OK, document


def _why_not_ready(pulse: Pulse) -> str:
    if pulse.waiting_for is not None:
        return f"{pulse.waiting_for.holder} holds the lease"
    if pulse.report is None:
        return pulse.trouble or "no turn has been made yet"
    return "" if pulse.ready else pulse.report.error or "no valid revision has been seen yet"


def _last_turn(pulse: Pulse, clock: Clock) -> dict[str, Any]:
    report = pulse.report
    if report is None:
        return {"turn": None}
    age = (clock.now() - report.finished).total_seconds()
    revision = report.revision.id if report.revision else ""
    turn = {"age_seconds": round(age, 1), "operation": report.operation.value, "revision": revision, "applied": report.applied}
    return {"turn": turn}


def serve(address: str, answers: Mapping[str, Callable[[], Page]]) -> ThreadingHTTPServer:
    """Answer at HOST:PORT in threads of its own until `shutdown` is called on the result. Raises UsageError, Refused."""
    host, port = listen_address(address)
    try:
        server = _Server((host, port), _handler(answers))
    except OSError as error:
        hint = "name a free address of this machine: --listen 127.0.0.1:8470"
        raise Refused(f"cannot listen on {address}: {error.strerror}", hint=hint) from error
    threading.Thread(target=server.serve_forever, name="http", daemon=True).start()
    return server


def listen_address(text: str) -> tuple[str, int]:
    """Split HOST:PORT; an IPv6 address stands in brackets, no host means all of them. Raises UsageError."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 65535:
        raise UsageError(f"{text!r} is no address to listen on", hint="write HOST:PORT, such as 127.0.0.1:8470")
    return host.strip("[]"), int(port)


class _Server(ThreadingHTTPServer):
    """Serves so many requests at once and hangs up on more."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        if ":" in address[0]:
            self.address_family = AF_INET6
        self._free = threading.BoundedSemaphore(MOST_REQUESTS)
        super().__init__(address, handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: socket | tuple[bytes, socket], client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is no news."""


def _handler(answers: Mapping[str, Callable[[], Page]]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = PATIENCE_SECONDS
        server_version, sys_version = "reconciler", ""

        def do_GET(self) -> None:
            answer = answers.get(self.path.partition("?")[0])
            status, document = answer() if answer else (HTTPStatus.NOT_FOUND, {"status": "no such page"})
            body = json.dumps(document).encode() + b"\n"
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Supervisors ask every few seconds: their requests are no news."""

    return Handler
