"""What of the engine's inspect documents says how a container, network or volume was made, and nothing else?

Two ways of making one are the same when these agree. Left out: ids, times, addresses, labels of Compose and ours, and
the order of lists without one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from reconciler.model import labels


def container(document: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """Return the comparable part of a container. `names` maps ids of other containers to their names."""
    config, host = dict(document["Config"]), dict(document["HostConfig"])
    if config["Hostname"] == document["Id"][:12]:
        del config["Hostname"]
    config["Labels"] = _labels(config["Labels"])
    # What a command line that attaches to it would see; nobody attaches.
    for unused in ("AttachStdout", "AttachStderr"):
        del config[unused]
    del host["ConsoleSize"]
    named = json.loads(_with_names(json.dumps({"Config": config, "HostConfig": host}), names))
    # An anonymous volume may be asked for in two ways that make the same mount.
    named["HostConfig"]["Mounts"] = [mount for mount in named["HostConfig"].get("Mounts") or () if not _is_anonymous(mount)]
    named["Config"]["Volumes"] = None
    networks = {name: _endpoint(end, document["Id"]) for name, end in document["NetworkSettings"]["Networks"].items()}
    whole = {**named, "Networks": networks, "Mounts": [_mount(mount) for mount in document["Mounts"]]}
    return dict(_without_empty(_ordered(whole)))


def beyond(made: Mapping[str, Any], baseline: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a container has beyond the one that asks for nothing: so image and engine defaults may change."""
    fields: dict[str, Any] = {name: made.get(name) for name in ("Networks", "Mounts")}
    for part in ("Config", "HostConfig"):
        mine, plain = made.get(part, {}), baseline.get(part, {})
        fields[part] = {name: _more(mine.get(name), plain.get(name)) for name in mine.keys() | plain.keys()}
        fields[part] = {name: value for name, value in fields[part].items() if mine.get(name) != plain.get(name)}
    return fields


def _more(value: Any, plain: Any) -> Any:
    if isinstance(value, dict) and isinstance(plain, dict):
        return {name: child for name, child in value.items() if child != plain.get(name)}
    if isinstance(value, list) and isinstance(plain, list):
        return [item for item in value if item not in plain]
    return value


def network(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the comparable part of a network; a subnet that the engine chose is not in it."""
    fields = {name: document[name] for name in ("Driver", "EnableIPv6", "Internal", "Attachable", "Options", "IPAM")}
    fields["Labels"] = _labels(document["Labels"])
    if "10.237.31." not in json.dumps(fields["IPAM"]):
        del fields["IPAM"]
    return dict(_without_empty(fields))


def volume(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the comparable part of a volume."""
    fields = {name: document[name] for name in ("Driver", "Options", "Scope")}
    return dict(_without_empty({**fields, "Labels": _labels(document["Labels"])}))


def _labels(found: Mapping[str, str] | None) -> dict[str, str]:
    return {name: value for name, value in (found or {}).items() if not name.startswith((labels.COMPOSE, labels.OURS))}


def _with_names(text: str, names: Mapping[str, str]) -> str:
    for identity, name in names.items():
        text = text.replace(identity, name)
    return text


def _is_anonymous(mount: Mapping[str, Any]) -> bool:
    return mount["Type"] == "volume" and not mount.get("Source")


def _endpoint(endpoint: Mapping[str, Any], identity: str) -> dict[str, Any]:
    aliases = sorted(alias for alias in endpoint["Aliases"] or () if alias != identity[:12])
    links = sorted(set(endpoint["Links"] or ()))
    return {"IPAMConfig": endpoint["IPAMConfig"], "DriverOpts": endpoint["DriverOpts"], "Links": links, "Aliases": aliases}


def _mount(mount: Mapping[str, Any]) -> dict[str, Any]:
    fields = {name: mount.get(name) for name in ("Type", "Name", "Source", "Destination", "Mode", "RW", "Propagation")}
    if fields["Type"] == "volume":
        fields["Source"] = None
    if len(fields["Name"] or "") == 64:
        fields |= {"Name": "anonymous", "Mode": None}
    return fields


_IN_ORDER = frozenset({"Cmd", "Entrypoint", "Test", "Dns", "DnsOptions", "DnsSearch", "VolumesFrom", "Capabilities"})


def _ordered(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: child if name in _IN_ORDER else _ordered(child) for name, child in value.items()}
    if isinstance(value, list):
        return sorted((_ordered(item) for item in value), key=lambda item: json.dumps(item, sort_keys=True))
    return value


def _without_empty(value: Any) -> Any:
    """The engine prints one absence as null, one as an empty list, one as an empty text."""
    if isinstance(value, dict):
        kept = {name: _without_empty(child) for name, child in value.items()}
        return {name: child for name, child in kept.items() if child not in (None, "", 0, False, [], {})}
    return [_without_empty(item) for item in value] if isinstance(value, list) else value
