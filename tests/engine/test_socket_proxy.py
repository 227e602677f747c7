"""Does the proxy of the guide let through what the reconciler asks of an engine, all of it, and nothing else?"""

from __future__ import annotations

import re
import tarfile
import threading
from collections.abc import Iterator
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from typing import get_args

import docker
import pytest
from fault_proxy import FaultProxy, fault_proxy, template
from image_registry import image_registry
from socket_proxy import configuration, socket_proxy, status
from worlds import SOCKET, DockerWorld, attachment, instance, look, network, only, owner, volume

from reconciler.drivers.docker import connect
from reconciler.model.desired import ContentFile, Hook
from reconciler.model.holder import container_of
from reconciler.model.observed import Questions
from reconciler.model.plan import (
    Change,
    ConnectNetwork,
    DeliverFiles,
    DisconnectNetwork,
    EngineChange,
    FillVolume,
    HandOver,
    PullImage,
    RemoveImage,
    RemoveInstance,
    RemoveNetwork,
    RemoveVolume,
    RenameInstance,
    RunHook,
    StartInstance,
    StopInstance,
    Target,
    UnpauseInstance,
    UpdateInstance,
)
from reconciler.ports import Runtime

ENVIRONMENT = "socket-proxy"
RULE = re.compile(r"http-request allow if \{ method (\w+) \} \{ var\(txn\.call\) -m reg \^(\S+)\$ \}")


def _allowed() -> set[tuple[str, str]]:
    """Return method and path of each rule, named as a recording names them."""
    rules: list[tuple[str, str]] = RULE.findall(configuration())
    return {(method, template(re.sub(r"\[\^/\]\+|\.\+", "x", path))) for method, path in rules}


@pytest.fixture
def recorder(tmp_path: Path) -> Iterator[FaultProxy]:
    with fault_proxy(tmp_path / "recorded.sock", SOCKET) as recorder:
        yield recorder


@pytest.fixture
def proxied(tmp_path: Path, recorder: FaultProxy) -> Iterator[str]:
    """The address of a HAProxy with the guide's file, behind which a recorder stands before the engine."""
    with socket_proxy(tmp_path, "127.0.0.1", tmp_path / "recorded.sock") as address:
        yield address


@pytest.fixture
def world(engine: docker.APIClient, proxied: str) -> Iterator[DockerWorld]:
    world = DockerWorld(ENVIRONMENT)
    world.runtime = connect(f"tcp://{proxied}")
    yield world
    world.close()


def test_every_change_and_every_look_goes_through_it_and_every_rule_is_used(
    world: DockerWorld, proxied: str, recorder: FaultProxy
) -> None:
    do = Changes()
    _prepare(world, do)
    _look_around(world)
    _live(world, do)
    # Of what another process made the engine is asked whose it is.
    _take_down(world, do, connect(f"tcp://{proxied}"))
    _pull(world.runtime, do)
    assert do.made == set(get_args(EngineChange)), "every kind of change of the engine was made"
    assert set(recorder.endpoints) == _allowed()


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1.41/containers/x/kill"),
        ("POST", "/v1.41/build"),
        ("POST", "/v1.41/swarm/init"),
        ("GET", "/v1.41/secrets"),
        ("GET", "/v1.41/containers/x/export"),
        ("DELETE", "/v1.41/containers"),
        ("POST", "/v1.41/images/../containers/x/tag"),
        ("GET", "/v1.41/containers/%2e%2e/json"),
        ("GET", "/containers/json/../../info"),
    ],
)
def test_nothing_else_goes_through_it(proxied: str, recorder: FaultProxy, method: str, path: str) -> None:
    recorder.begin_anew()
    assert status(proxied, method, path) == 403
    assert recorder.endpoints == []


class Changes:
    """Makes changes, and remembers which kinds there were."""

    def __init__(self) -> None:
        self.made: set[type] = set()

    def __call__(self, runtime: Runtime, *changes: Change) -> None:
        for change in changes:
            runtime.do(change)
            self.made.add(type(change))


def _prepare(world: DockerWorld, do: Changes) -> None:
    """Two networks, a volume with a file, and a container on all of them with another file."""
    file, target = ContentFile("/settings", b"content"), Target(f"{ENVIRONMENT}-web")
    networks = (attachment(world, "front", "web"), attachment(world, "back", "web"))
    do(world.runtime, network(world, "front"), network(world, "back"), volume(world, "data"))
    do(world.runtime, FillVolume(f"{ENVIRONMENT}_data", (file,), world.image, owner(world)))
    do(world.runtime, instance(world, "web", networks=networks), DeliverFiles(target, (file,)), StartInstance(target))


def _look_around(world: DockerWorld) -> None:
    web = only(world)
    answers = world.runtime.answer(Questions(frozenset({world.image}), frozenset({(web.id, "/settings")}), neighbours=True))
    assert answers.images[world.image] is not None
    assert answers.contents[(web.id, "/settings")] is not None
    assert list(world.runtime.logs(web.id)) == []


def _live(world: DockerWorld, do: Changes) -> None:
    """What happens to a running container, heard through the stream of events, too."""
    web, stop, runtime, back = only(world), threading.Event(), world.runtime, f"{ENVIRONMENT}_back"
    target, now = Target(web.name, web.id), look(world).at
    events = runtime.events(stop)
    do(runtime, RunHook(target, Hook(("true",))), UpdateInstance(target, {"Memory": 64 << 20, "MemorySwap": 128 << 20}))
    world.pause(web.id)
    assert next(events).kind == "container"
    stop.set()
    do(runtime, UnpauseInstance(target), DisconnectNetwork(target, back), ConnectNetwork(target, back, {"Aliases": ["web"]}))
    do(runtime, RenameInstance(target, f"{ENVIRONMENT}-site"))
    runtime.claim_lease(ENVIRONMENT, "old", now, 60)
    do(runtime, HandOver(target, ENVIRONMENT, "old", now + timedelta(seconds=60)))
    assert container_of(runtime.claim_lease(ENVIRONMENT, "old", now, 60).holder) == web.id
    do(runtime, StopInstance(target), RemoveInstance(target))
    list(events)  # It ends now that it was told to.


def _take_down(world: DockerWorld, do: Changes, another: Runtime) -> None:
    networks = {one.name: one.id for one in look(world).networks}
    do(another, *(RemoveNetwork(networks[name], name) for name in (f"{ENVIRONMENT}_front", f"{ENVIRONMENT}_back")))
    do(another, RemoveVolume(f"{ENVIRONMENT}_data"))


def _pull(runtime: Runtime, do: Changes) -> None:
    with image_registry() as registry:
        digest = registry.push("good/web:1", _layer(), {"Cmd": ["serve"]})
        reference = registry.reference("good/web:1")
        assert runtime.digests([reference]) == {reference: digest}
        do(runtime, PullImage(reference, digest=digest), RemoveImage(reference))


def _layer() -> bytes:
    buffer = BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("content"))
    return buffer.getvalue()
