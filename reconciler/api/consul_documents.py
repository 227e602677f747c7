"""What does Consul's HTTP API say of a listing: of its services, its checks, and the one node there is?"""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from reconciler import __version__
from reconciler.model.catalog import Entry, Listing, check_of

DATACENTER = "reconciler"

Document = dict[str, Any]


def services(listing: Listing) -> Document:
    """Every name, with the tags of all its entries."""
    tags: dict[str, set[str]] = {}
    for entry in listing.entries:
        tags.setdefault(entry.name, set()).update(entry.tags)
    return {name: sorted(found) for name, found in tags.items()}


def catalog_entry(entry: Entry, listing: Listing) -> Document:
    """An entry and its node in one, as the catalog tells it."""
    node, service = node_of(listing), service_of(entry, listing)
    return {
        **{field: node[field] for field in ("ID", "Node", "Address", "Datacenter", "TaggedAddresses")},
        "NodeMeta": {},
        **{f"Service{field}": service[field] for field in _TOLD_BY_THE_CATALOG},
        "ServiceName": entry.name,
        "ServiceProxy": {},
        "ServiceConnect": {},
        "CreateIndex": service["CreateIndex"],
        "ModifyIndex": service["ModifyIndex"],
    }


_TOLD_BY_THE_CATALOG = (
    "Kind", "ID", "Tags", "Meta", "Address", "Port", "TaggedAddresses", "SocketPath", "Weights", "EnableTagOverride",
)  # fmt: skip


def health_entry(entry: Entry, listing: Listing) -> Document:
    """An entry with its node and its check beside it."""
    return {"Node": node_of(listing), "Service": service_of(entry, listing), "Checks": [check_document(entry, listing)]}


def node_of(listing: Listing) -> Document:
    """This machine."""
    return {
        "ID": _id_of(listing.node),
        "Node": listing.node,
        "Address": listing.address,
        "Datacenter": DATACENTER,
        "TaggedAddresses": {"lan": listing.address, "wan": listing.address},
        "Meta": {},
        "CreateIndex": 1,
        "ModifyIndex": 1,
    }


def _id_of(node: str) -> str:
    """Return a UUID that is the same for the same name."""
    digest = sha256(node.encode()).hexdigest()
    return "-".join((digest[:8], digest[8:12], digest[12:16], digest[16:20], digest[20:32]))


def service_of(entry: Entry, listing: Listing) -> Document:
    """An entry by itself."""
    created, modified = listing.changed_at(entry)
    place = {"Address": entry.address, "Port": entry.port}
    return {
        "Kind": "",
        "ID": entry.id,
        "Service": entry.name,
        "Tags": list(entry.tags),
        "Meta": dict(entry.meta),
        **place,
        "TaggedAddresses": {"lan_ipv6" if ":" in entry.address else "lan_ipv4": place},
        "SocketPath": "",
        "Weights": {"Passing": 1, "Warning": 1},
        "EnableTagOverride": False,
        "Datacenter": DATACENTER,
        "CreateIndex": created,
        "ModifyIndex": modified,
    }


def check_document(entry: Entry, listing: Listing) -> Document:
    """How an entry is."""
    created, modified = listing.changed_at(entry)
    return {
        "Node": listing.node,
        "CheckID": check_of(entry.id),
        "Name": f"Service '{entry.name}' check",
        "Status": entry.standing.value,
        "Notes": "",
        "Output": entry.output,
        "ServiceID": entry.id,
        "ServiceName": entry.name,
        "ServiceTags": list(entry.tags),
        "Type": "docker" if entry.instance else "ttl",
        "ExposedPort": 0,
        "Definition": {},
        "CreateIndex": created,
        "ModifyIndex": modified,
    }


def node_services(listing: Listing) -> Document:
    """This machine and everything on it."""
    return {"Node": node_of(listing), "Services": {entry.id: service_of(entry, listing) for entry in listing.entries}}


def agent(listing: Listing) -> Document:
    """Who answers here."""
    config = {
        "Datacenter": DATACENTER,
        "PrimaryDatacenter": DATACENTER,
        "NodeName": listing.node,
        "NodeID": _id_of(listing.node),
        "Server": True,
        "Version": __version__,
        "Revision": "",
    }
    member = {"Name": listing.node, "Addr": listing.address, "Port": 0, "Tags": {"dc": DATACENTER}, "Status": 1}
    return {"Config": config, "DebugConfig": {}, "Coord": None, "Member": member, "Meta": {}, "Stats": {}}


def leader(listing: Listing) -> str:
    """Who answers is who knows."""
    address = f"[{listing.address}]" if ":" in listing.address else listing.address
    return f"{address}:8300"
