"""How do DNS queries come in and answers go out, over UDP and TCP, with bounded threads, sizes and times?"""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from socket import AF_INET6
from typing import Any

from reconciler.api.http import Bounded, listen_address
from reconciler.errors import Refused

PATIENCE_SECONDS = 5.0
MOST_CONNECTIONS = 32
MOST_UDP_QUERY_BYTES = 4096

Answer = Callable[[bytes, bool], bytes | None]
"""A query, and whether it came over UDP, to its answer; None for no answer."""


@contextmanager
def answering(address: str, answer: Answer) -> Iterator[tuple[str, int]]:
    """Answer at HOST:PORT over both as long as the block lasts. Yields the address in use. Raises UsageError, Refused."""
    host, port = listen_address(address)
    with ExitStack() as running:
        try:
            tcp = running.enter_context(_Tcp((host, port), answer))
            udp = running.enter_context(_Udp(tcp.server_address[:2], answer))
        except OSError as error:
            hint = "name a free address of this machine: --registry-dns 127.0.0.1:8600"
            raise Refused(f"cannot listen on {address}: {error.strerror}", hint=hint) from error
        for server in (tcp, udp):
            threading.Thread(target=server.serve_forever, name="dns", daemon=True).start()
            running.callback(server.shutdown)
        yield host, int(tcp.server_address[1])


class _Udp(socketserver.UDPServer):
    """One after the other: every answer is in memory."""

    max_packet_size = MOST_UDP_QUERY_BYTES

    def __init__(self, address: Any, answer: Answer) -> None:
        if ":" in address[0]:
            self.address_family = AF_INET6

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                packet, door = self.request
                if (said := answer(packet, True)) is not None:
                    door.sendto(said, self.client_address)

        super().__init__(address, Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that is gone is no news."""


class _Tcp(Bounded, socketserver.ThreadingTCPServer):
    """Messages with their length before them (RFC 1035, 4.2.2), as many as the client sends."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, address: tuple[str, int], answer: Answer) -> None:
        if ":" in address[0]:
            self.address_family = AF_INET6

        class Handler(socketserver.StreamRequestHandler):
            timeout = PATIENCE_SECONDS

            def handle(self) -> None:
                while len(prefix := self.rfile.read(2)) == 2:
                    said = answer(self.rfile.read(int.from_bytes(prefix)), False)
                    if said is None:
                        return
                    self.wfile.write(len(said).to_bytes(2) + said)

        self.bound_to(MOST_CONNECTIONS)
        super().__init__(address, Handler)
