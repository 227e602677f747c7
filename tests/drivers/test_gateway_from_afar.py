"""Can a gateway be driven where the engine is on another host, so that its volume is not in sight?"""

from __future__ import annotations

import os
import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import suppress

import docker
import pytest
from gateway_contract import TALK, drain, remove, seen, serving, up
from gateway_worlds import HaproxyWorld, look
from worlds import SOCKET

from reconciler.errors import Refused, Unreachable
from reconciler.model.plan import LoadGateway
from reconciler.model.traffic import Admission, Certificate, Layer, Listener, TrafficConfig


@pytest.fixture
def world(engine: docker.APIClient) -> Iterator[HaproxyWorld]:
    with _Tunnel(("127.0.0.1", 0), _Relay) as relay:
        listening = threading.Thread(target=relay.serve_forever, kwargs={"poll_interval": 0.05})
        listening.start()
        world = HaproxyWorld(f"afar-{os.getpid()}", "local/haproxy:2.6", f"tcp://127.0.0.1:{relay.server_address[1]}")
        try:
            yield world
        finally:
            world.close()
            relay.shutdown()
            listening.join()


class _Tunnel(socketserver.ThreadingTCPServer):
    # The driver keeps its connections for the next call.
    daemon_threads = True


class _Relay(socketserver.BaseRequestHandler):
    """Carries bytes between a client and the engine of this machine, as a tunnel to another host does."""

    def handle(self) -> None:
        with socket.socket(socket.AF_UNIX) as engine, suppress(OSError):
            engine.connect(str(SOCKET))
            back = threading.Thread(target=_carry, args=(engine, self.request))
            back.start()
            _carry(self.request, engine)
            back.join()


def _carry(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while piece := source.recv(1 << 16):
            sink.sendall(piece)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


def test_everything_can_be_done_through_the_engine(world: HaproxyWorld) -> None:
    port = serving(world, TALK)[TALK.name]
    talk = world.replica("web-1")
    up(world, TALK, talk)
    client = world.talk(port)
    other = TrafficConfig((Listener("", port, backend=TALK.name), Listener("", world.port())), (TALK,))
    world.gateway.do(LoadGateway(world.gateways[-1], other))
    drain(world, TALK, talk)
    now = seen(world, TALK, talk)
    assert (look(world).written, now.admission, now.in_flight) == (other.digest, Admission.DRAIN, 1)
    client.close()
    world.until(lambda: seen(world, TALK, talk).in_flight == 0, "something is in flight still")
    remove(world, TALK, talk)
    assert look(world).servers == ()


def test_what_haproxy_has_against_a_config_is_said_in_its_words(world: HaproxyWorld) -> None:
    listener = Listener("", world.port(), Layer.L7, certificates=("shop",))
    wanted = TrafficConfig((listener,), certificates=(Certificate("shop", b"no certificate"),))
    with pytest.raises(Refused, match="unable to load certificate from file"):
        world.gateway.do(LoadGateway(world.gateways[-1], wanted))


def test_what_is_no_gateway_is_said_to_be_none(world: HaproxyWorld) -> None:
    with pytest.raises(Unreachable, match="mounts no volume at /gateway"):
        world.gateway.observe(world.replica("web-1").id)
