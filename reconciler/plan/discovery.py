"""Which containers can be found by name, where, and are they able to serve?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from reconciler.model import catalog
from reconciler.model.catalog import Entry, Standing
from reconciler.model.desired import DesiredState, Discovery, Kind, Service
from reconciler.model.observed import Instance, Phase, Probe
from reconciler.model.plan import Action, Announcement, DrainServer, RemoveInstance, StartInstance, StopInstance
from reconciler.model.traffic import server_name
from reconciler.plan.readiness import is_ready
from reconciler.plan.traffic.names import backends
from reconciler.plan.traffic.standing import SERVES, standing
from reconciler.plan.view import ServiceView, World

ALIVE = (Phase.RUNNING, Phase.PAUSED, Phase.RESTARTING)
"""Whatever else a container is, nobody can find it."""


def entries(world: World) -> tuple[Entry, ...]:
    """Return what the registry says of our containers, by name, then by container.

    Every version of a service stands as itself: an old container under the port it was made for. What is ready is
    passing, what is starting, paused or unhealthy is critical, and what does not run is not there. Where the gateway
    knows a container, it is passing as long as the gateway sends to it.
    """
    last = _last(world.previous)
    found = [*_of_services(world, last), *_of_orphans(world, last)]
    return tuple(sorted(found, key=lambda entry: (entry.name, entry.title, entry.id)))


def leaving(actions: Iterable[Action]) -> frozenset[str]:
    """Return the containers that these actions stop, or let end what they do: by id, or by its beginning."""
    return frozenset(id for action in actions if (id := left_by(action)))


def left_by(action: Action) -> str:
    """Return the container that an action takes from those who ask for it: its id, or the beginning; "" for none."""
    match action.change:
        case StopInstance(target=target) | RemoveInstance(target=target):
            return target.id
        case DrainServer(server=server):
            return server
        case _:
            return ""


def announced(found: Iterable[Entry], views: Mapping[str, ServiceView], actions: Iterable[Action]) -> Iterator[Announcement]:
    """Yield what the steps of a plan lead to in the registry: nobody has to do it, it follows.

    `views` are those of the plan's services, by id.
    """
    passing = {server_name(entry.instance): entry for entry in found if entry.standing is Standing.PASSING}
    for action in actions:
        match action.change:
            case StopInstance(target) if server_name(target.id) in passing:
                yield Announcement(action.group, f"deregister {passing.pop(server_name(target.id)).title} before it stops")
            case DrainServer(server=server) if server in passing:
                yield Announcement(action.group, f"deregister {passing.pop(server).title} before it gets nothing new")
            case StartInstance(target) if action.group in views and views[action.group].service.discovery:
                yield Announcement(action.group, f"register {target.name} once it is ready")
            case _:
                pass


def _of_services(world: World, last: Mapping[str, Service]) -> Iterator[Entry]:
    for view in world.views.values():
        before = last.get(view.service.id)
        if view.service.kind is Kind.JOB or not (view.service.discovery or (before and before.discovery)):
            continue
        for member in view.members:
            made_as = view.service if member.current or before is None else before
            yield from _entry(world, made_as, member.instance)


def _of_orphans(world: World, last: Mapping[str, Service]) -> Iterator[Entry]:
    """What Git no longer has serves on until it is stopped."""
    for place, instance in world.fleet.orphans:
        before = last.get(place.service_id)
        if before is not None and before.kind is not Kind.JOB:
            yield from _entry(world, before, instance)


def _last(previous: DesiredState | None) -> Mapping[str, Service]:
    """Return the services of the last good revision, by id."""
    return {service.id: service for stack in previous.stacks for service in stack.services} if previous else {}


def _entry(world: World, service: Service, instance: Instance) -> Iterator[Entry]:
    discovery = service.discovery
    if discovery is None or instance.phase not in ALIVE:
        return
    place = _place(discovery, service, instance)
    if place is None:
        return
    trouble = _trouble(instance, service, world.now) or _left_out(world, discovery, service, instance)
    yield Entry(
        name=discovery.name,
        id=f"{discovery.name}-{instance.id[:12]}",
        address=place[0],
        port=place[1],
        tags=discovery.tags,
        meta={**discovery.meta, **_marks(world, service, instance)},
        standing=Standing.CRITICAL if trouble else Standing.PASSING,
        output=trouble or "serves",
        instance=instance.id,
        title=instance.name,
        service=service.id,
    )


def _marks(world: World, service: Service, instance: Instance) -> dict[str, str]:
    return {
        catalog.ENVIRONMENT: world.desired.environment.name,
        catalog.STACK: service.stack,
        catalog.SERVICE: service.name,
        catalog.CONTAINER: instance.name,
    }


def _trouble(instance: Instance, service: Service, now: datetime) -> str:
    """Say why it cannot serve, "" when it can."""
    if is_ready(instance, service, now):
        return ""
    if instance.phase is not Phase.RUNNING:
        return f"is {instance.phase.value}"
    return "is unhealthy" if instance.probe is Probe.UNHEALTHY else "is starting"


def _left_out(world: World, discovery: Discovery, service: Service, instance: Instance) -> str:
    """Say why the gateway sends nothing to it, "" where it does, or has no say.

    It has none while it is silent. Nor has it, over clients that go to containers themselves, while it sends to nobody at
    all: it was just started, and they need not suffer from that.
    """
    gateway, names = world.observed.gateway, {backend.name for backend in backends(service)}
    if gateway is None:
        return ""
    if discovery.network and not any(standing(one) == SERVES for one in gateway.servers if one.backend in names):
        return ""
    known = (gateway.server(name, server_name(instance.id)) for name in sorted(names))
    return next((why for server in known if (why := standing(server)) != SERVES), "")


def _place(discovery: Discovery, service: Service, instance: Instance) -> tuple[str, int] | None:
    """Return address and port, None while it has none. The address "" is the host's own."""
    if discovery.network:
        return _on_network(discovery, instance)
    if instance.detail.get("HostConfig", {}).get("NetworkMode") == "host":
        return "", discovery.port
    for entry in service.entrusted.entries if service.entrusted else ():
        if entry.target == discovery.port:
            return entry.address, entry.port
    published = service.container.get("HostConfig", {}).get("PortBindings") if discovery.gateway else _published(instance)
    return _on_host(discovery.port, published or {})


def _published(instance: Instance) -> Mapping[str, Any]:
    """What the engine has bound, random ports included; absent before the container runs."""
    ports: Mapping[str, Any] = instance.detail.get("NetworkSettings", {}).get("Ports") or {}
    return ports


def _on_network(discovery: Discovery, instance: Instance) -> tuple[str, int] | None:
    networks = instance.detail.get("NetworkSettings", {}).get("Networks") or {}
    endpoint = networks.get(discovery.network) or {}
    address = endpoint.get("IPAddress") or endpoint.get("GlobalIPv6Address")
    return (address, discovery.port) if address else None


def _on_host(port: int, published: Mapping[str, Any]) -> tuple[str, int] | None:
    for protocol in ("tcp", "udp"):
        for binding in published.get(f"{port}/{protocol}") or ():
            if str(binding.get("HostPort") or "").isdecimal():
                address = str(binding.get("HostIp") or "")
                return "" if address in ("0.0.0.0", "::") else address, int(binding["HostPort"])
    return None
