"""What of a service decides whether its containers must be made anew, and is it still the same?

The document holds only what Git sets, under the engine's names, so that a field added to the model later changes no hash.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable, Mapping
from typing import Any

from reconciler.model.content import content_digest
from reconciler.model.desired import Service
from reconciler.model.history import HashKey

LIVE = frozenset({
    "BlkioWeight", "CpuPeriod", "CpuQuota", "CpuRealtimePeriod", "CpuRealtimeRuntime", "CpuShares", "CpusetCpus", "CpusetMems",
    "Memory", "MemoryReservation", "MemorySwap", "NanoCpus", "PidsLimit", "RestartPolicy",
})  # fmt: skip
"""The HostConfig fields that the engine changes in a live container."""


def spec_hash(service: Service, key: HashKey) -> str:
    """Return `v1:<key id>:<hash>`. Equal labels prove equal specs; different ones prove nothing."""
    document = json.dumps(spec_document(service), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return f"v1:{key.id}:{hmac.new(key.secret, document.encode(), 'sha256').hexdigest()[:32]}"


def spec_document(service: Service) -> dict[str, Any]:
    """Return everything that only a new container can change, as JSON-able data in one canonical form.

    Left out is what is changed in place (`live_document`), reconnected or renamed, and what never reaches a container:
    replicas, networks, the container's name, dependencies, hooks, update and pull policy, extensions.
    It may hold secrets: it is for hashing, never for showing.
    """
    document = {
        "image": service.image,
        "platform": service.platform,
        "network_mode": service.network_mode,
        "container": _container(service.container),
        "anonymous": sorted(service.anonymous),
        "files": {file.target: content_digest(file.content, file.mode, file.uid, file.gid) for file in service.files},
    }
    return {name: value for name, value in document.items() if value}


def live_document(service: Service) -> dict[str, Any]:
    """Return the HostConfig fields Git sets that the engine changes in a live container."""
    return {name: value for name, value in sorted(_host(service.container).items()) if name in LIVE and _says(value)}


def _host(container: Mapping[str, Any]) -> Mapping[str, Any]:
    host: Mapping[str, Any] = container.get("HostConfig") or {}
    return host


def _container(container: Mapping[str, Any]) -> dict[str, Any]:
    config = {name: value for name, value in container.items() if name != "HostConfig"}
    host = {name: value for name, value in _host(container).items() if name not in LIVE}
    fields = {**_ordered(config), "HostConfig": _ordered(host)}
    return {name: value for name, value in fields.items() if _says(value)}


def _ordered(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _UNORDERED.get(name, _as_it_is)(value) for name, value in fields.items() if _says(value)}


def _says(value: Any) -> bool:
    """An empty list still clears the image's command; absence, an empty mapping and an empty text say nothing."""
    return value is not None and value != {} and value != ""


def _as_it_is(value: Any) -> Any:
    return value


def _sorted(value: Any) -> Any:
    return sorted(value, key=lambda item: json.dumps(item, sort_keys=True))


def _sorted_below(value: Any) -> Any:
    return {name: _sorted(items or ()) for name, items in value.items()}


# Lists whose order the engine gives no meaning; the order of name servers or of volumes_from has one.
_UNORDERED: Mapping[str, Callable[[Any], Any]] = {
    **dict.fromkeys(
        (
            "Env", "Binds", "Mounts", "CapAdd", "CapDrop", "Devices", "DeviceCgroupRules", "DeviceRequests", "ExtraHosts",
            "GroupAdd", "Links", "SecurityOpt", "Ulimits", "BlkioWeightDevice", "BlkioDeviceReadBps", "BlkioDeviceReadIOps",
            "BlkioDeviceWriteBps", "BlkioDeviceWriteIOps",
        ),
        _sorted,
    ),
    "PortBindings": _sorted_below,
}  # fmt: skip
