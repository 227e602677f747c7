"""Where can a runtime be tried: on a real engine, or on one in memory?

A world is an engine with somebody beside us: a person who kills containers, a neighbour who runs their own.
The contract suite (runtime_contract.py) knows only `World`; each runtime has one.
"""

from __future__ import annotations

import json
import os
import subprocess
import tarfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from enum import StrEnum
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any, Protocol

import docker
from waiting import until

from reconciler.model import labels
from reconciler.model.desired import Attachment, Network
from reconciler.model.observed import Instance, ObservedState
from reconciler.model.plan import (
    Change,
    CreateInstance,
    CreateNetwork,
    CreateVolume,
    StartInstance,
    Target,
)
from reconciler.ports import Depth, Runtime

SOCKET = Path(os.environ.get("DOCKER_HOST", "/var/run/docker.sock").removeprefix("unix://"))
"""Where the engine is that the tests use, for what takes a path. Theirs is always on this machine."""


class Behaviour(StrEnum):
    """What a container of the world does once it was started."""

    RUNS = "runs until it is stopped, ends at once on TERM"
    STUBBORN = "runs and ignores TERM"
    SUCCEEDS = "exits 0 at once"
    FAILS = "exits 3 at once"
    HEALTHY = "runs; its healthcheck soon says healthy"
    UNHEALTHY = "runs; its healthcheck soon says unhealthy"
    SPEAKS = "writes `to stdout`, then `to stderr`, each on its stream, and runs on"


class World(Protocol):
    """An engine, an environment on it that nobody else uses, and the hands of other people."""

    runtime: Runtime
    environment: str
    image: str
    """A reference that is there locally."""

    def another(self) -> Runtime:
        """A second runtime on the same engine, as a second process would have."""

    def payload(self, behaviour: Behaviour) -> dict[str, Any]:
        """The create payload (Config fields at the top, `HostConfig` below) of a container that behaves so."""

    def foreign(self, name: str, *, labels: Mapping[str, str] | None = None, port: int = 0) -> str:
        """Run somebody else's container, its port 80 published on `port` if that is set; return its id."""

    def kill(self, handle: str) -> None:
        """Kill a container behind our back."""

    def remove(self, handle: str) -> None:
        """Remove a container by force, behind our back."""

    def pause(self, handle: str) -> None:
        """Pause a container behind our back."""

    def until(self, holds: Callable[[], bool], what: str, seconds: float = 20.0) -> None:
        """Let time pass until it holds; fail with `what` when it does not within the time."""

    def close(self) -> None:
        """Remove everything the test made."""


# What every test does with a world, whichever it is.


def owner(world: World) -> dict[str, str]:
    return {labels.ENVIRONMENT: world.environment}


def instance(
    world: World,
    name: str,
    behaviour: Behaviour = Behaviour.RUNS,
    *,
    networks: tuple[Attachment, ...] = (),
    host: Mapping[str, Any] | None = None,
    own: Mapping[str, str] | None = None,
    **config: Any,
) -> CreateInstance:
    """A change that creates a container of ours; `host` extends HostConfig, `own` our labels, `config` the rest."""
    payload = world.payload(behaviour)
    payload["HostConfig"] = {**payload.get("HostConfig", {}), **(host or {})}
    payload["Labels"] = {**owner(world), labels.SERVICE: "web", labels.SLOT: "1", **(own or {})}
    full = f"{world.environment}-{name}"
    return CreateInstance(full, "stack/web", 1, world.image, {**payload, **config}, networks)


def network(world: World, key: str, **payload: Any) -> CreateNetwork:
    return CreateNetwork(Network("stack", "p", key, f"{world.environment}_{key}", payload=payload), owner(world))


def volume(world: World, key: str, **own: str) -> CreateVolume:
    return CreateVolume(f"{world.environment}_{key}", {"Driver": "local"}, {**owner(world), **own})


def attachment(world: World, key: str, *aliases: str) -> Attachment:
    return Attachment(f"{world.environment}_{key}", key, aliases, {"Aliases": list(aliases)})


def look(world: World, depth: Depth = Depth.LISTED) -> ObservedState:
    return world.runtime.observe(world.environment, depth=depth)


def only(world: World) -> Instance:
    """The one container of ours."""
    (found,) = look(world).instances
    return found


def do(world: World, *changes: Change) -> None:
    for change in changes:
        world.runtime.do(change)


def run(world: World, name: str, behaviour: Behaviour = Behaviour.RUNS, **more: Any) -> Target:
    """Create and start a container; return it as a later plan would name it."""
    created = instance(world, name, behaviour, **more)
    do(world, created, StartInstance(Target(created.name)))
    (found,) = (one for one in look(world).instances if one.name == created.name)
    return Target(found.name, found.id)


@contextmanager
def heard(world: World) -> Iterator[list[str]]:
    """Collect `kind action name` of every event while the block runs. The list grows behind the reader's back."""
    stop, lines = threading.Event(), list[str]()
    events = world.runtime.events(stop)

    def listen() -> None:
        for event in events:
            lines.append(f"{event.kind} {event.action} {event.name}")

    listener = threading.Thread(target=listen)
    listener.start()
    try:
        yield lines
    finally:
        stop.set()
        listener.join(10)
        assert not listener.is_alive(), "the event stream did not end within ten seconds of being told to"


IMAGE = "local/busybox:test"
_BUSYBOX = Path("/bin/busybox")
_APPLETS = ["cat", "echo", "false", "httpd", "id", "ls", "mount", "nc", "nslookup", "sh", "sleep", "stat", "true", "wget"]
_TERM = "trap 'exit 0' TERM; "
_WAIT = "sleep 3600 & wait"
_COMMANDS = {
    Behaviour.RUNS: _TERM + _WAIT,
    Behaviour.STUBBORN: "trap '' TERM; sleep 3600",
    Behaviour.SUCCEEDS: "exit 0",
    Behaviour.FAILS: "exit 3",
    Behaviour.HEALTHY: _TERM + _WAIT,
    Behaviour.UNHEALTHY: _TERM + _WAIT,
    Behaviour.SPEAKS: _TERM + "echo to stdout; sleep 0.2; echo to stderr >&2; " + _WAIT,
}
_CHECKS = {Behaviour.HEALTHY: "exit 0", Behaviour.UNHEALTHY: "exit 1"}
_SECOND = 10**9


class DockerWorld:
    """The machine's own engine, through its command line where another person would use theirs."""

    def __init__(self, environment: str) -> None:
        from reconciler.drivers.docker import connect

        self.environment = environment
        self.image = IMAGE
        self.runtime: Runtime = connect()
        _provide_image()

    def another(self) -> Runtime:
        from reconciler.drivers.docker import connect

        return connect()

    def payload(self, behaviour: Behaviour) -> dict[str, Any]:
        # A stop that comes before the shell has set its trap is lost, and must not cost ten seconds.
        payload: dict[str, Any] = {"Entrypoint": ["/bin/sh", "-c"], "Cmd": [_COMMANDS[behaviour]], "StopTimeout": 2}
        if check := _CHECKS.get(behaviour):
            timing = {"Interval": _SECOND // 5, "Timeout": _SECOND, "Retries": 1}
            payload["Healthcheck"] = {"Test": ["CMD-SHELL", check], **timing}
        return payload

    def foreign(self, name: str, *, labels: Mapping[str, str] | None = None, port: int = 0) -> str:
        marks = [f"--label={key}={value}" for key, value in {"test": self.environment, **(labels or {})}.items()]
        ports = [f"--publish=127.0.0.1:{port}:80"] if port else []
        command = ["/bin/sh", "-c", _COMMANDS[Behaviour.RUNS]]
        return engine("run", "--detach", f"--name={self.environment}-{name}", *marks, *ports, self.image, *command)

    def kill(self, handle: str) -> None:
        engine("kill", handle)

    def remove(self, handle: str) -> None:
        engine("rm", "--force", "--volumes", handle)

    def pause(self, handle: str) -> None:
        engine("pause", handle)

    def until(self, holds: Callable[[], bool], what: str, seconds: float = 20.0) -> None:
        until(holds, what, seconds)

    def close(self) -> None:
        """Remove by label and name whatever this environment left: the engine belongs to others too."""
        for label in (f"{labels.ENVIRONMENT}={self.environment}", f"test={self.environment}"):
            containers = _api().containers(all=True, filters={"label": label})
            for container in containers:
                _api().remove_container(container["Id"], force=True, v=True)
            # An inherited anonymous volume goes with neither of its containers.
            for name in {mount["Name"] for one in containers for mount in one["Mounts"] if len(mount.get("Name", "")) == 64}:
                with suppress(docker.errors.NotFound):
                    _api().remove_volume(name)
            for network in _api().networks(filters={"label": label}):
                _api().remove_network(network["Id"])
            for volume in _api().volumes(filters={"label": label})["Volumes"] or ():
                _api().remove_volume(volume["Name"])
        # A container that names a volume has the engine make it, without a label.
        for volume in _api().volumes(filters={"name": f"{self.environment}_"})["Volumes"] or ():
            _api().remove_volume(volume["Name"])
        leases = ({"name": f"reconciler-lease-{self.environment}"}, {"label": f"{labels.LEASE}={self.environment}"})
        for lease in {one["Name"] for mark in leases for one in _api().volumes(filters=mark)["Volumes"] or ()}:
            _api().remove_volume(lease)


@cache
def _api() -> docker.APIClient:
    """A client of our own for tidying up, which a test does a hundred times."""
    return docker.APIClient(**docker.utils.kwargs_from_env(), version="auto")


def engine(*words: str) -> str:
    """Say something to the engine as a person would; return what it prints."""
    done = subprocess.run(["docker", *words], capture_output=True, text=True, timeout=60)
    assert not done.returncode, f"docker {' '.join(words)}: {done.stderr.strip()}"
    return done.stdout.strip()


def _provide_image() -> None:
    if not _api().images(IMAGE):
        assert _BUSYBOX.exists(), "the tests build their image from /bin/busybox: install busybox-static"
        subprocess.run(["docker", "import", "-", IMAGE], input=small_root(), capture_output=True, check=True, timeout=60)


def small_root() -> bytes:
    """A root directory with a static busybox and a shell, as a tar."""
    busybox = _BUSYBOX.read_bytes()
    archive = BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for name in ("bin", "tmp", "etc", "run"):
            _add(tar, name, tarfile.DIRTYPE, 0o1777 if name == "tmp" else 0o755)
        _add(tar, "bin/busybox", tarfile.REGTYPE, 0o755, busybox)
        for applet in _APPLETS:
            _add(tar, f"bin/{applet}", tarfile.SYMTYPE, 0o777, link="busybox")
        _add(tar, "etc/passwd", tarfile.REGTYPE, 0o644, b"root:x:0:0:root:/:/bin/sh\nweb:x:1000:1000::/:/bin/sh\n")
    return archive.getvalue()


def _add(tar: tarfile.TarFile, name: str, kind: bytes, mode: int, content: bytes = b"", link: str = "") -> None:
    member = tarfile.TarInfo(name)
    member.type, member.mode, member.size, member.linkname = kind, mode, len(content), link
    tar.addfile(member, BytesIO(content))


def document(handle: str) -> dict[str, Any]:
    """What the engine says about a container."""
    (found,) = json.loads(engine("inspect", handle))
    return dict(found)
