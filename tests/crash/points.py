"""What is left of an operation whose process is killed at one of its calls, once it is asked for again?"""

from __future__ import annotations

import os
import signal
import tarfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Literal, Protocol

import docker
import docker.utils
from fault_proxy import Drop, FaultProxy, fault_proxy, nth
from operations import Operation
from surroundings import Outcome, remove_container, remove_labelled
from waiting import free_port
from worlds import SOCKET

from reconciler.drivers.clock import SystemClock
from reconciler.drivers.docker import connect
from reconciler.drivers.haproxy import HaproxyGateway
from reconciler.errors import ReconcilerError
from reconciler.model import labels
from reconciler.model.desired import GATEWAY_STACK
from reconciler.model.traffic import Admission, server_name

SETTLE_SECONDS = 10.0
"""What a contestant does not wait for, such as health, has so long to come about."""

CLOCK = SystemClock()


@dataclass(frozen=True, slots=True)
class Point:
    """The process is killed at the nth call that changes something; with it goes its state directory, or not."""

    nth: int
    when: Literal["before", "after"]
    forgets: bool = False

    def __str__(self) -> str:
        return f"killed {self.when} call {self.nth}" + (", state lost" if self.forgets else "")


@dataclass(frozen=True, slots=True)
class Lane:
    """Where one operation at a time is tried: a project of its own, a directory, the engine and the proxy in front of it.

    port     one that a gateway may have
    foreign  tells all about what somebody else has on the engine
    """

    project: str
    directory: Path
    engine: docker.APIClient
    socket: Path
    proxy: FaultProxy
    proxied: Path
    port: int
    foreign: Callable[[], Sequence[object]]


@contextmanager
def lane(project: str, directory: Path) -> Iterator[Lane]:
    """Open a lane for a project that nobody else has."""
    listens = directory / "engine.sock"
    with (
        closing(docker.APIClient(**docker.utils.kwargs_from_env(), version="auto", timeout=60)) as engine,
        foreigners(engine, project) as foreign,
        fault_proxy(listens) as proxy,
    ):
        proxy.only_look = _only_look
        yield Lane(project, directory, engine, SOCKET, proxy, listens, free_port(""), foreign)


def _only_look(words: Sequence[str]) -> bool:
    """Say of a program that is run in a gateway's container whether it only asks HAProxy something."""
    return words[-1].rpartition("@!")[2].lstrip("0123456789 ").startswith("show ")


class Running(Protocol):
    """A process that leads a group of its own."""

    pid: int

    def end(self) -> Outcome:
        """Wait for its end."""


Command = Callable[[Path], Running]
"""Starts a process that finds its engine at a socket."""


class Contestant(Protocol):
    """Who does an operation in a lane.

    command  does it
    again    is what a person or a machine says after a crash
    """

    command: Command
    again: Command

    def prepare(self) -> Outcome:
        """Bring about what there is before the operation, then ask for what is wanted after it; do not do that yet."""

    def forget(self) -> None:
        """Lose the state directory."""

    def complaints(self) -> Iterable[str]:
        """Say what is wrong in the contestant's own eyes, once it says that it is done."""

    def close(self) -> None:
        """Give back whatever it holds."""


def play(contestant: Contestant, lane: Lane, operation: Operation, point: Point | None) -> tuple[str, ...] | None:
    """Kill the operation at a point, ask for it again, and return what is wrong then.

    Without a point nobody is killed. Returns None for a point that lies beyond the last call.
    """
    forgotten = operation.forgotten if point and point.forgets else ()
    wanted = forgotten or operation.wanted
    # A verb that does what it is for has nothing to complain of; whoever applies later has.
    code = int(operation.kept_back and not forgotten and not (operation.verb and point is None))
    foreign = lane.foreign()
    try:
        prepared = contestant.prepare()
        assert prepared.code == 0, f"{operation.name} cannot be prepared: {prepared.out}{prepared.err}"
        done = _attempt(contestant, lane, point)
        if point is not None:
            if not lane.proxy.spoilt:
                return None
            done = _recover(contestant, lane, forgets=point.forgets)
        left = _left(lane.engine, lane.project, wanted)
        touched = () if lane.foreign() == foreign else ("what others have was touched",)
        return (*_ended(done, code), *_differences(left, wanted), *contestant.complaints(), *touched)
    finally:
        sweep(lane.engine, lane.project)


def _attempt(contestant: Contestant, lane: Lane, point: Point | None) -> Outcome:
    lane.proxy.begin_anew()
    begun: SimpleQueue[int] = SimpleQueue()
    if point is not None:
        lane.proxy.rules.append((nth(point.nth), Drop(point.when, lambda: os.killpg(begun.get(), signal.SIGKILL))))
    process = contestant.command(lane.proxied)
    begun.put(process.pid)
    return process.end()


def _recover(contestant: Contestant, lane: Lane, *, forgets: bool) -> Outcome:
    if not forgets:
        return contestant.again(lane.socket).end()
    contestant.forget()
    # The first one after a loss removes nothing, and says so.
    first = contestant.again(lane.socket).end()
    return contestant.again(lane.socket).end() if first.code else first


# --- what is there then --------------------------------------------------------------------------------------------------


def _ended(done: Outcome, code: int) -> Iterator[str]:
    if done.code != code:
        last = (done.err.strip() or done.out.strip()).splitlines()[-1:]
        yield f"ended with {done.code}, not {code}: {' '.join(last)}"


def _left(engine: docker.APIClient, project: str, wanted: Iterable[str]) -> list[str]:
    """Return what there is of a project, as soon as it is what is wanted, or when that does not come about."""
    until = CLOCK.monotonic() + SETTLE_SECONDS
    while (left := sorted(_there(engine, project))) != sorted(wanted) and CLOCK.monotonic() < until:
        CLOCK.sleep(0.1)
    return left


def _there(engine: docker.APIClient, project: str) -> Iterator[str]:
    containers = [engine.inspect_container(one) for one in _containers(engine, project)]
    for container in containers:
        yield _said(container, project)
    for network in engine.networks(filters={"name": f"^{project}"}):
        yield f"network {_short(network['Name'], project)}"
    for volume in engine.volumes(filters={"name": f"^{project}"})["Volumes"] or ():
        yield f"volume {_short(volume['Name'], project)}"
    yield from (f"ran {version}" for version in _runs(engine, containers))
    yield from _sent_to(engine, containers, project)


def _containers(engine: docker.APIClient, project: str) -> set[str]:
    """Return the ids of what carries the project's name or label: what lost one of them is a leftover, too."""
    filters: tuple[dict[str, str], ...] = ({"name": f"^/{project}"}, {"label": f"{labels.COMPOSE_PROJECT}={project}"})
    return {one["Id"] for by in filters for one in engine.containers(all=True, filters=by)}


def _said(container: Mapping[str, Any], project: str) -> str:
    state = container["State"]
    probe = state.get("Health", {}).get("Status", "without a healthcheck")
    phase = probe if state["Status"] == "running" else f"{state['Status']} {state['ExitCode']}"
    version = next(one for one in container["Config"]["Env"] if one.startswith("VERSION=")).partition("=")[2]
    networks = sorted(_short(name, project) for name in container["NetworkSettings"]["Networks"])
    return f"{_short(container['Name'][1:], project)} version {version} {phase} on {' '.join(networks)}"


def _sent_to(engine: docker.APIClient, containers: Iterable[Mapping[str, Any]], project: str) -> Iterator[str]:
    """Say who gets what of the project's gateway, if it has one that answers."""
    marks = {"label": [f"{labels.ENVIRONMENT}={project}", f"{labels.STACK}={GATEWAY_STACK}"]}
    names = {server_name(one["Id"]): _short(one["Name"][1:], project) for one in containers}
    for gateway in engine.containers(filters=marks):
        with suppress(ReconcilerError):
            for server in HaproxyGateway(connect().inside(), CLOCK).observe(gateway["Id"]).servers:
                share = server.weight if server.admission is Admission.READY else 0
                yield f"{names.get(server.name, server.name)} gets {share} of port {server.port}"


def _short(name: str, project: str) -> str:
    return name.removeprefix(project).lstrip("-_")


def _runs(engine: docker.APIClient, containers: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return which versions the job noted down as it ran, from a container that mounts its volume."""
    for container in containers:
        if any(mount["Destination"] == "/ran" for mount in container["Mounts"]):
            pieces, _ = engine.get_archive(container["Id"], "/ran/versions")
            with tarfile.open(fileobj=BytesIO(b"".join(pieces))) as archive:
                noted = archive.extractfile("versions")
                assert noted is not None
                return noted.read().decode().split()
    return []


def _differences(left: Iterable[str], wanted: Iterable[str]) -> Iterator[str]:
    there, asked = Counter(left), Counter(wanted)
    yield from (f"left over: {one}" for one in (there - asked).elements())
    yield from (f"missing: {one}" for one in (asked - there).elements())


# --- what others have ----------------------------------------------------------------------------------------------------


@contextmanager
def foreigners(engine: docker.APIClient, project: str) -> Iterator[Callable[[], Sequence[object]]]:
    """Put somebody else's container, network and volume beside a project; yield what tells all about them."""
    name = f"aside-{project}"
    marks = {labels.COMPOSE_PROJECT: name, labels.COMPOSE_SERVICE: "web"}
    network = engine.create_network(name, check_duplicate=True, labels=marks)["Id"]
    engine.create_volume(name, labels=marks)
    host = engine.create_host_config(binds=[f"{name}:/data"], network_mode=name, init=True)
    container = engine.create_container("busybox:1.36", ["sleep", "100000"], name=name, labels=marks, host_config=host)["Id"]
    try:
        engine.start(container)
        yield lambda: (engine.inspect_container(container), engine.inspect_network(network), engine.inspect_volume(name))
    finally:
        remove_labelled(engine, f"{labels.COMPOSE_PROJECT}={name}")


def sweep(engine: docker.APIClient, project: str) -> None:
    """Leave nothing of a project on the engine."""
    for container in _containers(engine, project):
        remove_container(engine, container)
    for label in (labels.COMPOSE_PROJECT, labels.ENVIRONMENT, labels.LEASE):
        remove_labelled(engine, f"{label}={project}")
