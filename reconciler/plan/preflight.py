"""Can this engine do what the service asks?"""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.model.desired import GATEWAY_STACK, Service
from reconciler.model.observed import Engine, ObservedNetwork
from reconciler.model.plan import Blocked
from reconciler.model.traffic import BRIDGE


def blocked_by_engine(service: Service, engine: Engine) -> Blocked | None:
    """Return why not: the host is too small, or only a newer engine API has what is asked for, naming both versions."""
    if too_much := _too_much(service, engine):
        mark = service.mark("deploy.resources.limits.cpus", "cpus", "deploy.resources.reservations.memory")
        return Blocked(service.id, "R139", too_much, "ask for less, or use a larger host", mark)
    if engine.rootless and (service.entrusted or service.stack == GATEWAY_STACK):
        hint = "use an engine that runs as root, or one replica with `x-traffic: direct`"
        needs = f"{service.id} needs the gateway, which" if service.entrusted else "the gateway"
        message = f"{needs} needs the host's own network, and this engine is rootless"
        return Blocked(service.id, "R147", message, hint, service.mark(*_keys(service)))
    for need in service.needs_api:
        if _version(engine.api) < _version(need.minimum):
            message = f"{need.attribute} needs engine API {need.minimum}; this engine ({engine.version}) has {engine.api}"
            return Blocked(service.id, "R138", message, "update the engine, or leave the attribute out", need.source)
    return None


def blocked_by_network(service: Service, networks: Iterable[ObservedNetwork]) -> Blocked | None:
    """Return why the gateway would not reach a service's containers: the host is only on bridges."""
    first = service.networks[0].network if service.entrusted and service.networks else ""
    found = next((one for one in networks if one.name == first), None)
    driver = str(found.detail.get("Driver") or BRIDGE) if found else BRIDGE
    if driver == BRIDGE:
        return None
    message = f"the gateway reaches containers on bridge networks, and {first}, the first one of {service.id}, is {driver}"
    hint = "give a bridge network the highest `priority`, or say x-traffic: direct"
    return Blocked(service.id, "R148", message, hint, service.mark("networks"))


def _keys(service: Service) -> tuple[str, ...]:
    return service.entrusted.keys if service.entrusted else ()


def _too_much(service: Service, engine: Engine) -> str:
    """Say which limit or reservation of one container is beyond the whole host; the engine would refuse it."""
    host = service.container.get("HostConfig", {})
    if engine.cpus and (host.get("NanoCpus") or 0) > engine.cpus * 10**9:
        return f"{service.id} may use {host['NanoCpus'] / 1e9:g} CPUs; the host has {engine.cpus}"
    if engine.memory_bytes and (host.get("MemoryReservation") or 0) > engine.memory_bytes:
        return f"{service.id} reserves {host['MemoryReservation'] >> 20} MiB; the host has {engine.memory_bytes >> 20} MiB"
    return ""


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".") if part.isdecimal())
