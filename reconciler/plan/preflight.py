"""Can this engine do what the service asks?"""

from __future__ import annotations

from reconciler.model.desired import Service
from reconciler.model.observed import Engine
from reconciler.model.plan import Blocked


def blocked_by_engine(service: Service, engine: Engine) -> Blocked | None:
    """Return why not: the host is too small, or only a newer engine API has what is asked for, naming both versions."""
    if too_much := _too_much(service, engine):
        mark = service.mark("deploy.resources.limits.cpus", "cpus", "deploy.resources.reservations.memory")
        return Blocked(service.id, "R139", too_much, "ask for less, or use a larger host", mark)
    for need in service.needs_api:
        if _version(engine.api) < _version(need.minimum):
            message = f"{need.attribute} needs engine API {need.minimum}; this engine ({engine.version}) has {engine.api}"
            return Blocked(service.id, "R138", message, "update the engine, or leave the attribute out", need.source)
    return None


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
