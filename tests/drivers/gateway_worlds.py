"""Where can a gateway be tried: one in memory, or a real HAProxy with containers behind it?

The contract suite (gateway_contract.py) knows only `GatewayWorld`; each kind of gateway has one.
"""

from __future__ import annotations

import json
import socket
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

import docker
from answering import ANSWERS
from surroundings import remove_labelled
from waiting import free_port, until
from worlds import engine as person

from reconciler.drivers.clock import SystemClock, VirtualClock
from reconciler.drivers.docker import connect
from reconciler.drivers.haproxy import HaproxyGateway
from reconciler.drivers.memory import MemoryGateway, World
from reconciler.model.gateway_container import CAPABILITIES, ENTRYPOINT, STOP_SIGNAL, USER, command
from reconciler.model.plan import RemoveServer, Target
from reconciler.model.traffic import DIRECTORY, ObservedGateway, server_name
from reconciler.ports import Gateway


@dataclass(frozen=True, slots=True)
class Replica:
    """A container that serves, if it is told to."""

    name: str
    id: str
    address: str

    @property
    def server(self) -> str:
        return server_name(self.id)


class GatewayWorld(Protocol):
    """A gateway that runs, containers that serve, and clients. `gateways` are its containers, the newest last."""

    gateway: Gateway
    gateways: list[Target]

    def port(self) -> int:
        """A port of the host that nobody holds."""

    def replica(self, name: str, *, serves: bool = True) -> Replica:
        """A container that runs; one that does not serve takes no connection."""

    def ask(self, port: int) -> str:
        """The name of the replica that answers a request now, "" when none does."""

    def hold(self, port: int) -> Callable[[], None]:
        """Have a connection that lasts until what is returned is called. One replica must take what is new there."""

    def occupied(self) -> int:
        """A port of the host that somebody else holds."""

    def restart(self) -> None:
        """Restart the newest gateway's container, as the engine does when it restarts."""

    def succeed(self) -> None:
        """Start one more gateway on the same volume, while the one before runs."""

    def retire(self) -> None:
        """Ask the gateway before the newest one to end, and do not wait for it."""

    def until(self, holds: Callable[[], bool], what: str) -> None:
        """Let time pass until it holds; fail with `what` when it does not."""


def look(world: GatewayWorld) -> ObservedGateway:
    return world.gateway.observe(world.gateways[-1].id)


class HaproxyWorld:
    """A real HAProxy on this machine's engine, reached through `host`. Containers are started once: each takes its time.

    image  what the next gateway runs
    """

    def __init__(self, environment: str, image: str, host: str | None = None) -> None:
        self.environment = environment
        self.image = image
        self.gateway: Gateway = HaproxyGateway(connect(host).inside(), SystemClock())
        self.gateways: list[Target] = []
        self._replicas: dict[str, Replica] = {}
        self._sockets: list[socket.socket] = []
        self._own = ("--label", f"test={environment}")
        person("network", "create", *self._own, environment)
        person("volume", "create", *self._own, environment)
        self.succeed()

    def port(self) -> int:
        return free_port("")

    def replica(self, name: str, *, serves: bool = True) -> Replica:
        if name not in self._replicas:
            self._replicas[name] = self._started(name, ANSWERS if serves else "exec sleep 3600")
        return self._replicas[name]

    def ask(self, port: int) -> str:
        with suppress(urllib.error.HTTPError), urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10) as answer:
            return str(answer.read().decode().strip())
        return ""

    def hold(self, port: int) -> Callable[[], None]:
        return self.talk(port).close

    def talk(self, port: int) -> socket.socket:
        """Speak with the replica that repeats what it hears; it has heard something already."""
        client = socket.create_connection(("127.0.0.1", port), timeout=10)
        self._sockets.append(client)
        client.sendall(b"hello\n")
        assert client.recv(6) == b"hello\n"
        return client

    def occupied(self) -> int:
        holder = socket.create_server(("", 0))
        self._sockets.append(holder)
        return int(holder.getsockname()[1])

    def restart(self) -> None:
        person("restart", "--time", "0", self.gateways[-1].id)

    def succeed(self) -> None:
        name = f"{self.environment}-gateway-{len(self.gateways)}"
        rights = [word for one in CAPABILITIES for word in ("--cap-add", one)]
        how = ("--network", "host", "--user", USER, "--cap-drop", "ALL", *rights, "--stop-signal", STOP_SIGNAL, "--read-only")
        where = ("--volume", f"{self.environment}:{DIRECTORY}", "--security-opt", "no-new-privileges:true")
        start, *words = (*ENTRYPOINT, *command())
        id = person("run", "--detach", "--name", name, *self._own, *how, *where, "--entrypoint", start, self.image, *words)
        self.gateways.append(Target(name, id))
        until(lambda: self._answers(id), "the gateway does not answer")

    def retire(self) -> None:
        person("kill", "--signal", STOP_SIGNAL, self.gateways[-2].id)

    def until(self, holds: Callable[[], bool], what: str) -> None:
        until(holds, what)

    def reset(self) -> None:
        """Let go of everything that a test may have left."""
        for one in self._sockets:
            one.close()
        self._sockets.clear()
        for server in look(self).servers:
            self.gateway.do(RemoveServer(self.gateways[-1], server.backend, server.name))

    def close(self) -> None:
        for one in self._sockets:
            one.close()
        client = docker.APIClient(**docker.utils.kwargs_from_env(), version="auto")
        remove_labelled(client, f"test={self.environment}")
        client.close()

    def _answers(self, container: str) -> bool:
        with suppress(Exception):
            self.gateway.observe(container)
            return True
        return False

    def _started(self, name: str, script: str) -> Replica:
        full = f"{self.environment}-{name}"
        where = ("--network", self.environment, "--hostname", name)
        id = person("run", "--detach", "--name", full, *self._own, *where, "busybox:1.36", "sh", "-c", script)
        (about,) = json.loads(person("inspect", id))
        return Replica(name, id, about["NetworkSettings"]["Networks"][self.environment]["IPAddress"])


class MemoryGatewayWorld:
    """A gateway in memory, its time moved by the test."""

    def __init__(self, environment: str) -> None:
        self.clock = VirtualClock()
        self.world = World(self.clock)
        self.world.image("haproxy:3.2")
        self.world.image("web:1")
        self.world.image("sick:1", unhealthy_after=0.0)
        self.memory = MemoryGateway(self.world)
        self.gateway: Gateway = self.memory
        self.gateways: list[Target] = []
        self._environment = environment
        self._ports = iter(range(8000, 9000))
        self.world.engine.create_network(environment, {}, {})
        self.succeed()

    def port(self) -> int:
        return next(self._ports)

    def replica(self, name: str, *, serves: bool = True) -> Replica:
        image = "web:1" if serves else "sick:1"
        container = self.world.engine.create(name, {"Image": image, "HostConfig": {"NetworkMode": self._environment}})
        self.world.start(container.id)
        self.clock.advance(0)
        return Replica(name, container.id, container.endpoints[self._environment].address)

    def ask(self, port: int) -> str:
        return next(iter(self.memory.sends_to(port)), "")

    def hold(self, port: int) -> Callable[[], None]:
        server = server_name(self.world.container(self.ask(port)).id)
        self.memory.in_flight[server] += 1

        def release() -> None:
            self.memory.in_flight[server] -= 1

        return release

    def occupied(self) -> int:
        port = self.port()
        self.world.foreign_container(f"neighbour-{port}", {"80/tcp": str(port)})
        return port

    def restart(self) -> None:
        self.world.kill(self.gateways[-1].id)
        self.world.start(self.gateways[-1].id)

    def succeed(self) -> None:
        mount = {"Type": "volume", "Source": self._environment, "Target": DIRECTORY}
        name = f"gateway-{len(self.gateways)}"
        payload = {"Image": "haproxy:3.2", "HostConfig": {"NetworkMode": "host", "Mounts": [mount]}}
        container = self.world.engine.create(name, payload)
        self.world.start(container.id)
        self.gateways.append(Target(name, container.id))

    def retire(self) -> None:
        self.world.stop(self.gateways[-2].id)

    def until(self, holds: Callable[[], bool], what: str) -> None:
        for _ in range(600):
            if holds():
                return
            self.clock.advance(0.1)
        raise AssertionError(f"not within a minute: {what}")
