"""How are the things of a service called at the gateway?"""

from __future__ import annotations

from datetime import timedelta

from reconciler.model.desired import Service
from reconciler.model.observed import Instance, ObservedState
from reconciler.model.plan import Target
from reconciler.model.traffic import Backend, Layer, ObservedServer, server_name

GLANCE = timedelta(milliseconds=250)
"""How soon to look again at what the gateway tells nobody by itself: a check that passes, a request that ends."""

FULL = 100
"""The weight of a server that takes its whole share: one of canary servers beside it divides well."""


def backends(service: Service) -> tuple[Backend, ...]:
    """Return the backends of a service that the gateway serves, one for each port of its containers."""
    trust = service.entrusted
    if trust is None:
        return ()
    return tuple(_backend(service, target) for target in trust.targets)


def _backend(service: Service, target: int) -> Backend:
    assert service.entrusted is not None
    routing = service.entrusted.routing
    routed = routing is not None and routing.target == target
    layer = Layer.L7 if routed else Layer.L4
    health = routing.health if routing is not None and routed else ""
    return Backend(backend_name(service, target), service.id, target, layer, health, service.entrusted.proxy_protocol)


def backend_name(service: Service, target: int) -> str:
    return f"{service.stack}.{service.name}.{target}"


def servers_of(observed: ObservedState, instance_id: str) -> tuple[ObservedServer, ...]:
    """Return what the gateway knows of a container, by backend."""
    known = observed.gateway.servers if observed.gateway else ()
    return tuple(one for one in known if one.name == server_name(instance_id))


def target_of_gateway(observed: ObservedState) -> Target:
    """Return the gateway's container as a target."""
    assert observed.gateway is not None
    id = observed.gateway.container
    return Target(next((one.name for one in observed.instances if one.id == id), id), id)


def address_of(instance: Instance, service: Service) -> str:
    """Return where a running container is reached from the host, "" while it is nowhere."""
    networks = instance.detail.get("NetworkSettings", {}).get("Networks") or {}
    first = [networks[one.network] for one in service.networks if one.network in networks]
    found = (str(one.get("IPAddress") or one.get("GlobalIPv6Address") or "") for one in (*first, *networks.values()))
    return next(filter(None, found), "")
