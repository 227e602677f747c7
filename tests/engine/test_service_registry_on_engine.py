"""Does a replica leave the registry before it stops serving, on a real engine, and how soon when it dies?"""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import docker
import pytest
from shelf import ask
from surroundings import Remote
from waiting import free_port, until

from reconciler.drivers.clock import SystemClock

ENVIRONMENT = "registry-on-engine"
WEB = """\
name: registry-on-engine-shop
services:
  web:
    image: {image}
    init: true
    stop_grace_period: {grace}
    command: [sh, -c, "mkdir /srv; echo here > /srv/index.html; exec httpd -f -p 8080 -h /srv"]
    expose: ["8080"]
    deploy: {{replicas: {replicas}}}
    healthcheck: {{test: [CMD, wget, -q, -O-, "http://127.0.0.1:8080/"], interval: 1s, timeout: 2s, retries: 1}}
    x-discovery: {{tags: [web], address: "{address}"}}
{ports}"""
SECONDS = 60.0
GATEWAY = "local/haproxy:2.6"


@dataclass
class Watcher:
    """A client that is always asking, and notes when each container is among those that pass, and when it is not."""

    address: str
    seen: list[tuple[float, frozenset[str]]] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)

    def watch(self) -> None:
        index, clock = 0, SystemClock()
        while not self.stop.is_set():
            try:
                reply = ask(self.address, f"/v1/health/service/web?passing&index={index}&wait=2s")
            except OSError:
                continue
            if reply.status == 200:
                names = frozenset(one["Service"]["Meta"]["reconciler-container"] for one in reply.document)
                self.seen.append((clock.now().timestamp(), names))
                index = reply.index

    def passing(self) -> frozenset[str]:
        return self.seen[-1][1] if self.seen else frozenset()

    def left_at(self, name: str) -> float:
        """When a container that passed did so no longer, for the last time."""
        lost = [at for (_, before), (at, after) in zip(self.seen, self.seen[1:], strict=False) if name in before - after]
        return lost[-1]


@dataclass(frozen=True)
class Shop:
    remote: Remote
    engine: docker.APIClient
    watcher: Watcher
    port: int = 0

    def push(self, replicas: int) -> None:
        settings = f"api: v1\nname: {ENVIRONMENT}\ninterval: 1s\nstacks:\n  shop: {{path: shop}}\n"
        ports = f'    ports: ["127.0.0.1:{self.port}:8080"]\n    x-traffic: gateway\n' if self.port else ""
        address = "gateway" if ports else "network:default"
        web = WEB.format(image="busybox:1.36", replicas=replicas, ports=ports, grace="20s" if ports else "2s", address=address)
        self.remote.push({"reconciler.yaml": settings, "shop/compose.yaml": web}, "change")

    def await_passing(self, *numbers: int) -> None:
        wanted = frozenset(name(number) for number in numbers)
        until(lambda: self.watcher.passing() == wanted, lambda: f"passing: {sorted(self.watcher.passing())}", SECONDS)

    def died_at(self, since: float, container: str) -> float:
        """When the engine says that a container's process ended."""
        clock = SystemClock()
        filters = {"container": container, "event": "die"}
        events = self.engine.events(since=int(since), until=clock.now().timestamp(), filters=filters, decode=True)
        return max(event["timeNano"] for event in events) / 1e9


def name(number: int) -> str:
    return f"registry-on-engine-shop-web-{number}"


@pytest.fixture(params=[False], ids=["direct"])
def shop(
    request: pytest.FixtureRequest,
    engine: docker.APIClient,
    busybox_image: str,
    tmp_path: Path,
    git_remote: Callable[[Path], Remote],
    clean_environment: Callable[[str], str],
    command_environment: dict[str, str],
) -> Iterator[Shop]:
    clean_environment(ENVIRONMENT)
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "README.md").write_text("what is deployed here follows\n")
    remote = git_remote(tmp_path / "shop")
    watcher = Watcher(f"127.0.0.1:{free_port()}")
    shop = Shop(remote, engine, watcher, free_port() if request.param else 0)
    shop.push(2)
    words = (
        sys.executable,
        "-m",
        "reconciler",
        "run",
        remote.url,
        "--registry-http",
        watcher.address,
        "--gateway-image",
        GATEWAY,
    )
    thread = threading.Thread(target=watcher.watch)
    with subprocess.Popen(words, env=command_environment, stderr=subprocess.PIPE, text=True) as process:
        try:
            thread.start()
            yield shop
        finally:
            process.terminate()
            watcher.stop.set()
            said = process.communicate(timeout=SECONDS)[1]
            thread.join(SECONDS)
            sys.stderr.write(said)


def test_what_stops_or_sickens_leaves_first_and_what_dies_leaves_at_once(shop: Shop) -> None:
    shop.await_passing(1, 2)
    networks = shop.engine.inspect_container(name(1))["NetworkSettings"]["Networks"]
    address = networks["registry-on-engine-shop_default"]["IPAddress"]
    (found,) = (one for one in _entries(shop) if one["Meta"]["reconciler-container"] == name(1))
    assert (found["Address"], found["Port"], found["Tags"]) == (address, 8080, ["web"])

    began = SystemClock().now().timestamp()
    shop.push(1)
    shop.await_passing(1)
    until(lambda: not shop.engine.containers(all=True, filters={"name": name(2)}), f"{name(2)} is removed", SECONDS)
    lead = shop.died_at(began, name(2)) - shop.watcher.left_at(name(2))
    assert lead > 0, f"{name(2)} stopped {-lead:.3f} s before it left the registry"

    _sicken(shop, name(1))
    until(lambda: name(1) not in shop.watcher.passing(), "the sick one leaves", SECONDS)
    shop.await_passing(1)  # it was restarted

    began = SystemClock().now().timestamp()
    shop.engine.kill(name(1), "KILL")
    until(lambda: shop.watcher.left_at(name(1)) > began, "the dead one leaves", SECONDS)
    took = shop.watcher.left_at(name(1)) - shop.died_at(began, name(1))
    print(f"left {lead:.3f} s before it stopped; left {took:.3f} s after it died")
    assert took < 10
    shop.await_passing(1)


@pytest.mark.parametrize("shop", [True], ids=["gated"], indirect=True)
def test_behind_the_gateway_a_replica_is_not_found_any_more_while_it_ends_what_it_has(shop: Shop) -> None:
    shop.await_passing(1, 2)
    # Connections go to one replica after the other, so of two each has one.
    with ExitStack() as held:
        clients = [held.enter_context(socket.create_connection(("127.0.0.1", shop.port), SECONDS)) for _ in range(2)]
        began = SystemClock().now().timestamp()
        shop.push(1)
        shop.await_passing(1)
        assert [_asked(client) for client in clients] == ["here", "here"]
    until(lambda: not shop.engine.containers(all=True, filters={"name": name(2)}), f"{name(2)} is removed", SECONDS)
    lead = shop.died_at(began, name(2)) - shop.watcher.left_at(name(2))
    assert lead > 0, f"{name(2)} stopped {-lead:.3f} s before it left the registry"


def _asked(client: socket.socket) -> str:
    """Ask over a connection that is open since long; return the last line of the answer, "" for none."""
    client.sendall(b"GET /index.html HTTP/1.0\r\n\r\n")
    with client.makefile() as answer:
        return answer.read().rpartition("\n\n")[2].strip()


def _entries(shop: Shop) -> list[dict[str, Any]]:
    return [one["Service"] for one in ask(shop.watcher.address, "/v1/health/service/web").document]


def _sicken(shop: Shop, container: str) -> None:
    """Take away what its healthcheck asks for; its process goes on."""
    made = shop.engine.exec_create(container, ["rm", "/srv/index.html"])
    shop.engine.exec_start(made["Id"])
