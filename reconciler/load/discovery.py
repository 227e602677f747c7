"""Under which name, at which port and address are the replicas of a service found?"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from reconciler.errors import Problem
from reconciler.load.notes import Path
from reconciler.load.places import Marks, problem_at
from reconciler.model.desired import Discovery, Service

KEY = "x-discovery"

Values = Mapping[str, Any]
"""A canonical service, or what it says under `x-discovery`."""


def check_discovery(path: Path, service: Values, asked: Values, held: Collection[int], marks: Marks) -> Iterator[Problem]:
    """Yield why replicas could not be found as a service asks; `held` are those of its ports that the gateway holds for it."""
    at = (*path, KEY)
    port, exposed = _port(service, asked), sorted(_exposed(service))
    if not port:
        several = f"it exposes {', '.join(map(str, exposed))}" if exposed else "it exposes none"
        yield problem_at("R199", f"{path[-1]} needs a port to be found at: {several}", marks, at, "say `port: 8080`, or such")
    address = asked.get("address", "")
    network = address.removeprefix("network:")
    if network != address:
        if network not in (service.get("networks") or {}):
            yield problem_at("R199", f"the service is not on the network {network}", marks, (*at, "address"))
    elif not port:
        return
    elif address and port not in held and not _on_host(service, port, fixed=address == "gateway"):
        kind = "no fixed port" if address == "gateway" else "nothing"
        message = f"{path[-1]} publishes {kind} of the host for its port {port}"
        yield problem_at("R199", message, marks, (*at, "address"), "publish it under `ports`, or say `address: network:NAME`")
    elif not (service.get("networks") or _on_host(service, port)):
        message = f"{path[-1]} is on no network and publishes nothing, so nobody can reach it"
        yield problem_at("R199", message, marks, at, "publish its port, or attach it to a network")


def discovery_of(service: Service, values: Values, asked: Values | None) -> Discovery | None:
    """Return how a service's replicas are found, with what it leaves open filled in: its name, its only port, its address."""
    port = _port(values, asked) if asked is not None else 0
    if asked is None or not port:
        return None
    address = asked.get("address") or ("host" if _on_host(values, port) or not service.networks else "network")
    key = address.removeprefix("network:")
    networks = {one.key: one.network for one in service.networks}
    first = service.networks[0].network if service.networks else ""
    return Discovery(
        name=registry_name(service.name, asked),
        port=port,
        network="" if address in ("host", "gateway") else networks.get(key, first),
        gateway=address == "gateway",
        tags=tuple(asked["tags"]),
        meta=asked["meta"],
    )


def registry_name(service: str, asked: Values) -> str:
    """Return what a service is called in the registry; names differ by more than case there."""
    return str(asked.get("name", service)).lower()


def _port(service: Values, asked: Values) -> int:
    """Return the port that entries carry, 0 where that is open."""
    exposed = _exposed(service)
    return int(asked.get("port") or (next(iter(exposed)) if len(exposed) == 1 else 0))


def _exposed(service: Values) -> set[int]:
    exposed = {str(port).partition("/")[0] for port in service.get("expose") or ()}
    exposed |= {str(port["target"]) for port in service.get("ports") or ()}
    return {int(port) for port in exposed if port.isdecimal()}


def _on_host(service: Values, port: int, *, fixed: bool = False) -> bool:
    """Say whether the host has an address for a port of the container; `fixed`: one that stands in Git."""
    if service.get("network_mode") == "host":
        return not fixed
    published = [str(one.get("published") or "") for one in service.get("ports") or () if str(one["target"]) == str(port)]
    return any(one.isdecimal() and one != "0" for one in published) if fixed else bool(published)
