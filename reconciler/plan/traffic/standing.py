"""Who gets the requests now: which listeners does the gateway have, which services are behind them, how do their servers do?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from reconciler.model.traffic import Admission, Check, Listener, ObservedGateway, ObservedServer, server_name
from reconciler.plan.traffic.listening import wanted_config
from reconciler.plan.traffic.names import backends
from reconciler.plan.traffic.telling import named_route
from reconciler.plan.view import ServiceView, World

SERVES = "serves"


@dataclass(frozen=True, slots=True)
class ServerStanding:
    """A container as the gateway knows it.

    container  its name; the gateway's own name of it where nobody knows it any more
    standing   "serves", or what keeps requests from it
    """

    container: str
    address: str
    port: int
    weight: int
    standing: str
    in_flight: int
    queued: int


@dataclass(frozen=True, slots=True)
class Way:
    """From a listener to the replicas of a service.

    route  which requests go there: "shop.example.org/"; "" for all of them
    why    what made the gateway hold the port, and `source` where that is written, "" if nowhere
    """

    service: str
    route: str
    port: int
    why: str
    source: str
    servers: tuple[ServerStanding, ...]


@dataclass(frozen=True, slots=True)
class ListenerStanding:
    """A port of the host that is, or is to be, the gateway's.

    listens  whether it is already
    """

    name: str
    layer: str
    tls: bool
    listens: bool
    ways: tuple[Way, ...]


def listeners(world: World) -> tuple[ListenerStanding, ...]:
    """Return the listeners that are wanted, and those that the gateway still has besides."""
    gateway = world.observed.gateway
    there = gateway.listeners if gateway else ()
    wanted = wanted_config(world).listeners
    found = [_listener(world, one, one.name in there) for one in wanted]
    left = sorted(set(there) - {one.name for one in wanted})
    return (*found, *(ListenerStanding(name, "", tls=False, listens=True, ways=()) for name in left))


def _listener(world: World, listener: Listener, listens: bool) -> ListenerStanding:
    names = {listener.backend, *(route.backend for route in listener.routes)}
    views = (view for view in world.views.values() if view.service.entrusted)
    ways = tuple(way for view in views for way in _ways(world, view, names))
    return ListenerStanding(listener.name, listener.layer.name, bool(listener.certificates), listens, ways)


def _ways(world: World, view: ServiceView, names: set[str]) -> Iterator[Way]:
    service, trust, gateway = view.service, view.service.entrusted, world.observed.gateway
    assert trust is not None
    for backend in (one for one in backends(service) if one.name in names):
        servers = tuple(_servers(view, backend.name, gateway)) if gateway else ()
        source = str(service.mark(*trust.keys) or "")
        yield Way(service.id, named_route(service, backend.port), backend.port, trust.why, source, servers)


def _servers(view: ServiceView, backend: str, gateway: ObservedGateway) -> Iterator[ServerStanding]:
    containers = {server_name(member.instance.id): member.instance.name for member in view.members}
    known = (one for one in gateway.servers if one.backend == backend)
    for server in sorted(known, key=lambda one: containers.get(one.name, one.name)):
        yield ServerStanding(
            containers.get(server.name, server.name),
            server.address,
            server.port,
            server.weight,
            standing(server),
            server.in_flight,
            server.queued,
        )


def standing(server: ObservedServer | None) -> str:
    """Return SERVES, or what keeps requests from a server of the gateway, in words."""
    if server is None:
        return "is not known to the gateway yet"
    match server.admission, server.check:
        case Admission.DRAIN, _:
            return "drains"
        case Admission.MAINT, _:
            return "is out of use"
        case _, Check.PENDING:
            return "is being checked"
        case _, Check.DOWN:
            return f"is down: {server.said}" if server.said else "is down"
    return SERVES if server.weight else "stands by"
