"""Does the old container stop before the new one starts, or after?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reconciler.model.desired import Order, Service, Stack


def order_of(service: Service, stack: Stack) -> tuple[Order, str]:
    """Return the order and the reason a person can check.

    Git's word counts, except that two containers can never hold one fixed host port. Where Git says nothing,
    start-first needs proof that old and new do not disturb each other: two databases on one volume corrupt it.
    """
    port = _fixed_port(service)
    if recreates(service):
        return Order.STOP_FIRST, "x-rollout.strategy recreate"
    if is_staged(service):
        return Order.START_FIRST, f"x-rollout.strategy {_strategy(service)}"
    if service.update.order is Order.START_FIRST and port:
        return Order.STOP_FIRST, f"host port {port} cannot be held twice, whatever update_config.order says"
    if service.update.order is not None:
        return service.update.order, "update_config.order"
    obstacle = _obstacle(service, stack)
    return (Order.STOP_FIRST, obstacle) if obstacle else (Order.START_FIRST, "no writable mounts")


def recreates(service: Service) -> bool:
    """Say whether all slots are replaced at once, the old container of each first."""
    return _strategy(service) == "recreate"


def is_staged(service: Service) -> bool:
    """Say whether the new containers take over as a whole set, at once or step by step."""
    return _strategy(service) in ("blue-green", "canary")


def _strategy(service: Service) -> str:
    return str(service.extensions.get("x-rollout", {}).get("strategy", ""))


def needs_first(stack: Stack) -> tuple[Service, ...]:
    """Return the services in the order they start: lower waves first, dependencies first, ties by name."""
    services = {service.name: service for service in stack.services}
    order: dict[str, Service] = {}

    def place(service: Service) -> None:
        if service.name in order:
            return
        for dependency in sorted(service.depends_on, key=lambda one: one.on):
            if dependency.on in services and services[dependency.on].wave <= service.wave:
                place(services[dependency.on])
        order[service.name] = service

    for service in sorted(stack.services, key=lambda one: (one.wave, one.name)):
        place(service)
    return tuple(order.values())


def only_one_can_have(service: Service) -> str:
    """Return what of a service no two running containers can have at a time, "" for nothing."""
    if port := _fixed_port(service):
        return f"host port {port}"
    if service.network_mode == "host" or service.network_mode.startswith(("service:", "container:")):
        return f"network_mode {service.network_mode}"
    if address := _fixed_address(service):
        return f"fixed address {address}"
    return ""


def _obstacle(service: Service, stack: Stack) -> str:
    host: Mapping[str, Any] = service.container.get("HostConfig", {})
    if mount := _writable_mount(service, host):
        return f"writable mount {mount}"
    if sole := only_one_can_have(service):
        return sole
    if user := _namespace_user(service, stack):
        return f"{user} shares its namespaces"
    if host.get("VolumesFrom"):
        return "volumes_from"
    return ""


def _writable_mount(service: Service, host: Mapping[str, Any]) -> str:
    for bind in host.get("Binds") or ():
        _, target, *options = str(bind).split(":")
        if "ro" not in "".join(options).split(","):
            return target
    for mount in host.get("Mounts") or ():
        if mount.get("Type") in ("bind", "volume") and not mount.get("ReadOnly"):
            return str(mount.get("Target"))
    return service.anonymous[0] if service.anonymous else ""


def _fixed_port(service: Service) -> str:
    """Return a published host port that only one container can hold, as `8080` or `53/udp`."""
    for container, bindings in (service.container.get("HostConfig", {}).get("PortBindings") or {}).items():
        for binding in bindings or ():
            published = str(binding.get("HostPort") or "")
            if published and "-" not in published:
                protocol = str(container).partition("/")[2]
                return published if protocol in ("", "tcp") else f"{published}/{protocol}"
    return ""


def _fixed_address(service: Service) -> str:
    for attachment in service.networks:
        pinned = attachment.endpoint.get("IPAMConfig") or {}
        address = pinned.get("IPv4Address") or pinned.get("IPv6Address") or attachment.endpoint.get("MacAddress")
        if address:
            return str(address)
    return str(service.container.get("MacAddress") or "")


def _namespace_user(service: Service, stack: Stack) -> str:
    return next((other.name for other in stack.services if service.name in owners(other)), "")


def owners(service: Service) -> tuple[str, ...]:
    """Return the services whose namespaces it lives in."""
    host: Mapping[str, Any] = service.container.get("HostConfig", {})
    modes = (service.network_mode, host.get("IpcMode"), host.get("PidMode"))
    return tuple(str(mode).removeprefix("service:") for mode in modes if str(mode).startswith("service:"))


def lenders(service: Service) -> tuple[str, ...]:
    """Return the services whose containers must be there before one of its own can be made."""
    host: Mapping[str, Any] = service.container.get("HostConfig", {})
    entries = [entry.removeprefix("service:") for entry in host.get("VolumesFrom") or () if entry.startswith("service:")]
    return (*owners(service), *(entry.partition(":")[0] for entry in entries))
