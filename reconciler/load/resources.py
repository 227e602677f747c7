"""Which networks and volumes does a stack declare, as the engine's create calls say them?"""

from __future__ import annotations

from collections.abc import Mapping
from posixpath import join
from typing import Any

from reconciler.errors import InvalidState, Problem
from reconciler.load.compose import Project
from reconciler.load.definition import Context, Definition, definition
from reconciler.model.desired import NeedsApi, Network, Volume


def build_networks(project: Project, context: Context) -> tuple[Network, ...]:
    """Return the networks of a project, ordered by key."""
    found = (definition(project, "networks", key) for key in sorted(project.document.get("networks") or {}))
    return tuple(_network(network, project, context) for network in found)


def build_volumes(project: Project, context: Context) -> tuple[Volume, ...]:
    """Return the volumes of a project, ordered by key. Raises InvalidState where a host directory is not known."""
    problems: list[Problem] = []
    found = (definition(project, "volumes", key) for key in sorted(project.document.get("volumes") or {}))
    volumes = tuple(_volume(volume, project, context, problems) for volume in found)
    if problems:
        raise InvalidState(problems)
    return volumes


def _network(network: Definition, project: Project, context: Context) -> Network:
    values, key = network.values, network.name
    external = bool(values.get("external"))
    return Network(
        stack=context.stack,
        project=project.name,
        key=key,
        name=values.get("name") or key,
        external=external,
        payload={} if external else _network_payload(values),
        needs_api=() if external else _network_needs(network),
        source=network.mark(),
    )


def _network_payload(values: Mapping[str, Any]) -> dict[str, Any]:
    """The flags that are true by default (IPv4) or differ from absence (IPv6) are sent whenever Git says them."""
    fields = {
        "Driver": values.get("driver"),
        "Options": {name: str(value) for name, value in (values.get("driver_opts") or {}).items()},
        "Internal": values.get("internal"),
        "Attachable": values.get("attachable"),
        "IPAM": _ipam(values.get("ipam") or {}),
        "Labels": dict(values.get("labels") or {}),
    }
    flags = {"EnableIPv4": values.get("enable_ipv4"), "EnableIPv6": values.get("enable_ipv6")}
    return {
        **{name: value for name, value in fields.items() if value},
        **{name: on for name, on in flags.items() if on is not None},
    }


def _ipam(ipam: Mapping[str, Any]) -> dict[str, Any]:
    fields = {"Driver": ipam.get("driver"), "Config": [_pool(pool) for pool in ipam.get("config") or ()]}
    return {name: value for name, value in fields.items() if value}


def _pool(pool: Mapping[str, Any]) -> dict[str, Any]:
    fields = {
        "Subnet": pool.get("subnet"),
        "IPRange": pool.get("ip_range"),
        "Gateway": pool.get("gateway"),
        "AuxiliaryAddresses": dict(pool.get("aux_addresses") or {}),
    }
    return {name: value for name, value in fields.items() if value}


def _network_needs(network: Definition) -> tuple[NeedsApi, ...]:
    """Older engines give every network IPv4, so only taking it away needs a newer one."""
    return (network.needs_api("enable_ipv4"),) if network.values.get("enable_ipv4") is False else ()


def _volume(volume: Definition, project: Project, context: Context, problems: list[Problem]) -> Volume:
    values, key = volume.values, volume.name
    external = bool(values.get("external"))
    return Volume(
        stack=context.stack,
        project=project.name,
        key=key,
        name=values.get("name") or key,
        external=external,
        payload={} if external else _volume_payload(volume, context, problems),
        source=volume.mark(),
    )


def _volume_payload(volume: Definition, context: Context, problems: list[Problem]) -> dict[str, Any]:
    options = {name: str(value) for name, value in (volume.values.get("driver_opts") or {}).items()}
    inside = context.inside(options.get("device", ""))
    if inside is not None and context.host_root:
        options["device"] = join(context.host_root, inside).rstrip("/")
    elif inside is not None:
        message = f"{inside or 'the root'} of the repository must stand on the engine's host, and nobody says where"
        hint = "name where the repository's directories stand on the host: `host_root` of the stack"
        problems.append(volume.problem("R168", message, "driver_opts", "device", hint=hint))
    fields = {"Driver": volume.values.get("driver"), "DriverOpts": options, "Labels": dict(volume.values.get("labels") or {})}
    return {name: value for name, value in fields.items() if value}
