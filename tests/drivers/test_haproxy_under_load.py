"""Is a request lost while a real gateway is changed under a load that does not wait?"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import docker
import pytest
from answering import SLOW
from gateway_contract import TALK, WEB, add, config, drain, remove, seen, serving, up, weigh
from gateway_worlds import HaproxyWorld, look
from open_loop import Load, Running, loaded
from worlds import engine as person

from reconciler.errors import Refused
from reconciler.model.plan import LoadGateway, StageGateway
from reconciler.model.traffic import Certificate, Check, Layer, Listener, TrafficConfig

only_oldest = pytest.mark.parametrize("world", ["2.6"], indirect=True)
"""For what does not differ between versions and takes its time."""


@pytest.fixture(params=["2.6", "3"])
def world(request: pytest.FixtureRequest, engine: docker.APIClient) -> Iterator[HaproxyWorld]:
    world = HaproxyWorld(f"loaded{request.param[0]}-{os.getpid()}", f"local/haproxy:{request.param}")
    try:
        yield world
    finally:
        world.close()


def test_no_request_is_lost_whatever_is_done_to_the_gateway(world: HaproxyWorld) -> None:
    port = serving(world, WEB)[WEB.name]
    first, second = world.replica("web-1"), world.replica("web-2")
    up(world, WEB, first)
    wanted = config((WEB,), {WEB.name: port})
    with loaded(Load(port, rate=60, slow=SLOW)) as running:
        do(world, running, "reloads", lambda: reload_thrice(world, wanted))
        do(world, running, "a reload that is refused", lambda: refused_reload(world, wanted))
        do(world, running, "a replica comes", lambda: up(world, WEB, second))
        do(world, running, "a replica goes", lambda: replace_first(world))
        do(world, running, "another gateway takes over", lambda: succeed(world, wanted))
    world.until(lambda: not is_running(world.gateways[-2].id), "the gateway before does not end")
    assert not running.lost, running.summary()
    assert running.served.keys() == {"web-1", "web-2"}, running.summary()
    assert len(running.answers) > 300, running.summary()
    assert {(one.path, one.kept) for one in running.answers} >= {(SLOW, True), ("/", True), ("/", False)}


def do(world: HaproxyWorld, running: Running, what: str, action: Callable[[], object]) -> None:
    """Do something after there were slow requests in flight for a while, and let some more come."""
    running.phase(what)
    enough = running.begun + 30
    world.until(lambda: running.begun > enough, "nothing is asked any more")
    action()


def reload_thrice(world: HaproxyWorld, wanted: TrafficConfig) -> None:
    for other in (world.port(), world.port()):
        load(world, replace(wanted, listeners=(*wanted.listeners, Listener("", other))))
    load(world, wanted)


def refused_reload(world: HaproxyWorld, wanted: TrafficConfig) -> None:
    with pytest.raises(Refused):
        load(world, replace(wanted, listeners=(*wanted.listeners, Listener("", world.occupied()))))
    rubbish = Certificate("rubbish", b"no certificate")
    secured = Listener("", world.port(), Layer.L7, certificates=(rubbish.name,))
    with pytest.raises(Refused, match=r"does not take the config.*rubbish"):
        load(world, replace(wanted, listeners=(*wanted.listeners, secured), certificates=(rubbish,)))


def replace_first(world: HaproxyWorld) -> None:
    first = world.replica("web-1")
    drain(world, WEB, first)
    world.until(lambda: seen(world, WEB, first).in_flight == 0, "something is in flight still")
    remove(world, WEB, first)
    person("stop", first.id)


def succeed(world: HaproxyWorld, wanted: TrafficConfig) -> None:
    world.gateway.do(StageGateway(world.gateways[-1], wanted))
    world.succeed()
    world.retire()


def is_running(container: str) -> bool:
    return person("inspect", "--format", "{{.State.Running}}", container) == "true"


def load(world: HaproxyWorld, wanted: TrafficConfig) -> None:
    world.gateway.do(LoadGateway(world.gateways[-1], wanted))


@only_oldest
def test_weights_are_exact_shares(world: HaproxyWorld) -> None:
    port = serving(world, WEB)[WEB.name]
    stable, canary = world.replica("web-1"), world.replica("web-2")
    up(world, WEB, stable, canary)
    weigh(world, WEB, stable, 90)
    weigh(world, WEB, canary, 10)
    # A server that takes no connection for the moment gives its turn away, so nobody is asked more than four things at once.
    with ThreadPoolExecutor(4) as clients:
        served = Counter(clients.map(lambda _: world.ask(port), range(2000)))
    assert abs(served["web-2"] / 2000 - 0.10) < 0.01, served
    assert served.total() == served["web-1"] + served["web-2"], served


@only_oldest
def test_a_held_connection_outlives_reloads_and_gateways_of_other_versions(world: HaproxyWorld) -> None:
    ports = serving(world, TALK)
    talk = world.replica("web-1")
    up(world, TALK, talk)
    client = world.talk(ports[TALK.name])
    reload_thrice(world, config((TALK,), ports))
    for version in ("3", "2.6", "3"):
        world.image = f"local/haproxy:{version}"
        succeed(world, config((TALK,), ports))
        client.sendall(b"still\n")
        assert client.recv(6) == b"still\n"
        assert seen(world, TALK, talk).in_flight == 1, version
    client.close()
    world.until(lambda: not is_running(world.gateways[0].id), "the first gateway does not end")
    assert seen(world, TALK, talk).in_flight == 0


@only_oldest
def test_a_server_that_was_down_is_down_after_a_reload(world: HaproxyWorld) -> None:
    port = serving(world, WEB)[WEB.name]
    well, silent = world.replica("web-1"), world.replica("silent", serves=False)
    up(world, WEB, well)
    add(world, WEB, silent)
    weigh(world, WEB, silent)
    world.until(lambda: seen(world, WEB, silent).check is Check.DOWN, "it is not down")
    with loaded(Load(port, rate=40)) as running:
        reload_thrice(world, config((WEB,), {WEB.name: port}))
        assert seen(world, WEB, silent).check is not Check.UP
    assert not running.lost, running.summary()
    assert look(world).servers
