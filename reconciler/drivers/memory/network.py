"""Which networks are there, who is on them, and under which addresses and host ports?"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from reconciler.drivers.memory.image import make_id
from reconciler.drivers.memory.refusal import EngineError

BUILT_IN = ("bridge", "host", "none")
FIRST_FREE_PORT = 32768
_POOLS = [ipaddress.IPv4Network(f"172.{number}.0.0/16") for number in range(17, 32)]
_POOLS += list(ipaddress.IPv4Network("192.168.0.0/16").subnets(new_prefix=20))

Published = dict[str, list[dict[str, str]]]


@dataclass(slots=True)
class Endpoint:
    """A container's place on a network. `network_id` and the addresses are "" until it runs there.

    asked  what the caller asked for: the engine's EndpointSettings
    """

    network: str
    asked: Mapping[str, Any]
    aliases: tuple[str, ...] = ()
    network_id: str = ""
    id: str = ""
    address: str = ""
    gateway: str = ""
    prefix: int = 0

    @property
    def wanted_address(self) -> str:
        return str((self.asked.get("IPAMConfig") or {}).get("IPv4Address") or "")

    def leave(self) -> None:
        """Give the addresses back, as a container that stops does."""
        self.id, self.address, self.gateway, self.prefix = "", "", "", 0

    def document(self) -> dict[str, Any]:
        """Return the engine's EndpointSettings."""
        return {
            "IPAMConfig": self.asked.get("IPAMConfig"),
            "Links": self.asked.get("Links"),
            "Aliases": list(self.aliases) or None,
            "NetworkID": self.network_id,
            "EndpointID": self.id,
            "Gateway": self.gateway,
            "IPAddress": self.address,
            "IPPrefixLen": self.prefix,
            "IPv6Gateway": "",
            "GlobalIPv6Address": "",
            "GlobalIPv6PrefixLen": 0,
            "MacAddress": self._mac(),
            "DriverOpts": self.asked.get("DriverOpts"),
        }

    def _mac(self) -> str:
        octets = [f"{int(part):02x}" for part in self.address.split(".") if part]
        return ":".join(["02", "42", *octets]) if octets else ""


@dataclass(slots=True)
class Network:
    """A network: its `detail` is the engine's document, `taken` the addresses in use."""

    id: str
    name: str
    labels: Mapping[str, str]
    detail: Mapping[str, Any]
    fixed_subnet: bool
    taken: set[str] = field(default_factory=set)

    def join(self, endpoint: Endpoint, container: str) -> None:
        """Give a container that runs its addresses. Raises EngineError when it asks for one that is not to be had."""
        endpoint.network_id = self.id
        endpoint.id = make_id("endpoint", self.id, container)
        if self.name in ("host", "none"):
            return
        subnet = ipaddress.ip_network(self.detail["IPAM"]["Config"][0]["Subnet"])
        endpoint.address = self._claim(endpoint.wanted_address, subnet)
        endpoint.gateway = self.detail["IPAM"]["Config"][0]["Gateway"]
        endpoint.prefix = subnet.prefixlen

    def leave(self, endpoint: Endpoint) -> None:
        self.taken.discard(endpoint.address)
        endpoint.leave()

    def _claim(self, wanted: str, subnet: ipaddress.IPv4Network | ipaddress.IPv6Network) -> str:
        if wanted and not self.fixed_subnet:
            words = "user specified IP address is supported only when connecting to networks with user configured subnets"
            raise EngineError(400, words)
        if wanted in self.taken:
            raise EngineError(403, "Address already in use")
        gateway = self.detail["IPAM"]["Config"][0]["Gateway"]
        address = wanted or next(str(host) for host in subnet.hosts() if str(host) not in self.taken | {gateway})
        self.taken.add(address)
        return address


@dataclass(slots=True)
class NetworkStore:
    """The engine's networks, by id."""

    by_id: dict[str, Network] = field(default_factory=dict)
    made: int = 0

    def find(self, handle: str) -> Network | None:
        """Return the network of that name, else of that id."""
        named = (network for network in self.by_id.values() if network.name == handle)
        return next(named, None) or self.by_id.get(handle)

    def get(self, handle: str) -> Network:
        network = self.find(handle)
        if network is None:
            raise EngineError(404, f"network {handle} not found")
        return network

    def create(self, name: str, payload: Mapping[str, Any], labels: Mapping[str, str], at: datetime) -> Network:
        """Make a network. Raises EngineError when the name or its subnet is taken."""
        if self.find(name):
            raise EngineError(409, f"network with name {name} already exists")
        self.made += 1
        ranges = (payload.get("IPAM") or {}).get("Config") or []
        id = make_id("network", name, self.made)
        detail = {"Id": id, **_document(name, payload, labels, at, _addresses(ranges, self._subnets()))}
        self.by_id[id] = Network(id, name, dict(labels), detail, bool(ranges))
        return self.by_id[id]

    def remove(self, network: Network, active: bool) -> None:
        """Remove a network. Raises EngineError for the engine's own, and while a running container is on it (`active`)."""
        if network.name in BUILT_IN:
            raise EngineError(403, f"{network.name} is a pre-defined network and cannot be removed")
        if active:
            words = f"network {network.name} id {network.id} has active endpoints"
            raise EngineError(403, f"error while removing network: {words}")
        del self.by_id[network.id]

    def _subnets(self) -> tuple[Any, ...]:
        found = (entry["Subnet"] for network in self.by_id.values() for entry in network.detail["IPAM"]["Config"])
        return tuple(ipaddress.ip_network(subnet) for subnet in found)


def _document(
    name: str, payload: Mapping[str, Any], labels: Mapping[str, str], at: datetime, addresses: list[dict[str, str]]
) -> dict[str, Any]:
    ipam = payload.get("IPAM") or {}
    return {
        "Name": name,
        "Created": at.isoformat().replace("+00:00", "Z"),
        "Scope": "local",
        "Driver": payload.get("Driver") or "bridge",
        "EnableIPv6": bool(payload.get("EnableIPv6")),
        "IPAM": {"Driver": ipam.get("Driver") or "default", "Options": ipam.get("Options"), "Config": addresses},
        "Internal": bool(payload.get("Internal")),
        "Attachable": bool(payload.get("Attachable")),
        "Ingress": False,
        "ConfigFrom": {"Network": ""},
        "ConfigOnly": False,
        "Containers": {},
        "Options": dict(payload.get("Options") or {}),
        "Labels": dict(labels),
    }


def _addresses(ranges: Iterable[Mapping[str, str]], used: tuple[Any, ...]) -> list[dict[str, str]]:
    if not ranges:
        free = next(pool for pool in _POOLS if not any(pool.overlaps(subnet) for subnet in used))
        return [{"Subnet": str(free), "Gateway": str(free[1])}]
    for entry in ranges:
        subnet = ipaddress.ip_network(entry["Subnet"])
        if any(subnet.version == other.version and subnet.overlaps(other) for other in used):
            raise EngineError(403, "Pool overlaps with other one on this address space")
    return [{"Gateway": str(ipaddress.ip_network(entry["Subnet"])[1]), **entry} for entry in ranges]


def publish(bindings: Mapping[str, Any], held: Iterable[Published]) -> Published:
    """Return the host ports a starting container gets. Raises EngineError when one is held by another that runs."""
    holders = [holder for ports in held for holder in _holders(ports)]
    published: Published = {}
    for key, wanted in sorted(bindings.items()):
        protocol = key.partition("/")[2] or "tcp"
        for binding in wanted or [{}]:
            found = _bind(binding.get("HostIp") or "", binding.get("HostPort") or "", protocol, holders)
            published.setdefault(key, []).extend(found)
            holders += _holders({key: found})
    return published


def _holders(published: Published) -> list[tuple[str, str, int]]:
    return [
        (key.partition("/")[2] or "tcp", entry["HostIp"], int(entry["HostPort"]))
        for key, entries in published.items()
        for entry in entries
    ]


def _bind(address: str, port: str, protocol: str, holders: list[tuple[str, str, int]]) -> list[dict[str, str]]:
    addresses = [address] if address else ["0.0.0.0", "::"]
    first, _, last = port.partition("-")
    choices = range(int(first), int(last or first) + 1) if port else range(FIRST_FREE_PORT, 61000)
    for choice in choices:
        if not any(_clash((protocol, each, choice), holder) for each in addresses for holder in holders):
            return [{"HostIp": each, "HostPort": str(choice)} for each in addresses]
    raise EngineError(500, f"Bind for {addresses[0]}:{choices[-1]} failed: port is already allocated")


def _clash(wanted: tuple[str, str, int], held: tuple[str, str, int]) -> bool:
    if wanted[0] != held[0] or wanted[2] != held[2] or (":" in wanted[1]) != (":" in held[1]):
        return False
    return wanted[1] == held[1] or wanted[1] in ("0.0.0.0", "::") or held[1] in ("0.0.0.0", "::")
