"""What does the engine make of a create payload: which defaults does it fill in, and what does inspect show?"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from reconciler.drivers.memory.refusal import EngineError

NEVER = "0001-01-01T00:00:00Z"
MACHINE = "machine"
"""The name of the machine the engine runs on."""

SMALLEST_MEMORY = 6 * 1024 * 1024
_SHARED_MEMORY = 64 * 1024 * 1024

_CONFIG: Mapping[str, Any] = {
    "Domainname": "",
    "User": "",
    "AttachStdin": False,
    "AttachStdout": False,
    "AttachStderr": False,
    "Tty": False,
    "OpenStdin": False,
    "StdinOnce": False,
    "Env": None,
    "Cmd": None,
    "Volumes": None,
    "WorkingDir": "",
    "Entrypoint": None,
    "OnBuild": None,
    "Labels": {},
}
_BESIDE = ("HostConfig", "NetworkingConfig")
_SHOWN_WHEN_SET = ("Healthcheck", "StopSignal", "StopTimeout", "Shell", "ExposedPorts", "MacAddress", "NetworkDisabled")

_HOST: Mapping[str, Any] = {
    "Binds": None,
    "ContainerIDFile": "",
    "NetworkMode": "default",
    "PortBindings": None,
    "AutoRemove": False,
    "VolumeDriver": "",
    "VolumesFrom": None,
    "CapAdd": None,
    "CapDrop": None,
    "CgroupnsMode": "host",
    "Dns": None,
    "DnsOptions": None,
    "DnsSearch": None,
    "ExtraHosts": None,
    "GroupAdd": None,
    "IpcMode": "private",
    "Cgroup": "",
    "Links": None,
    "OomScoreAdj": 0,
    "PidMode": "",
    "Privileged": False,
    "PublishAllPorts": False,
    "ReadonlyRootfs": False,
    "SecurityOpt": None,
    "UTSMode": "",
    "UsernsMode": "",
    "ShmSize": _SHARED_MEMORY,
    "Runtime": "runc",
    "ConsoleSize": [0, 0],
    "Isolation": "",
    "CpuShares": 0,
    "Memory": 0,
    "NanoCpus": 0,
    "CgroupParent": "",
    "BlkioWeight": 0,
    "BlkioWeightDevice": None,
    "BlkioDeviceReadBps": None,
    "BlkioDeviceWriteBps": None,
    "BlkioDeviceReadIOps": None,
    "BlkioDeviceWriteIOps": None,
    "CpuPeriod": 0,
    "CpuQuota": 0,
    "CpuRealtimePeriod": 0,
    "CpuRealtimeRuntime": 0,
    "CpusetCpus": "",
    "CpusetMems": "",
    "Devices": None,
    "DeviceCgroupRules": None,
    "DeviceRequests": None,
    "KernelMemory": 0,
    "KernelMemoryTCP": 0,
    "MemoryReservation": 0,
    "MemorySwap": 0,
    "MemorySwappiness": None,
    "OomKillDisable": False,
    "PidsLimit": None,
    "Ulimits": None,
    "CpuCount": 0,
    "CpuPercent": 0,
    "IOMaximumIOps": 0,
    "IOMaximumBandwidth": 0,
}
_MASKED = ("asound", "acpi", "kcore", "keys", "latency_stats", "timer_list", "timer_stats", "sched_debug", "scsi")
_MASKED_PATHS = [*(f"/proc/{name}" for name in _MASKED), "/sys/firmware"]
_READONLY_PATHS = [f"/proc/{name}" for name in ("bus", "fs", "irq", "sys", "sysrq-trigger")]


def config_document(payload: Mapping[str, Any], image: Mapping[str, Any], reference: str, hostname: str) -> dict[str, Any]:
    """Return the container's Config: what the payload says over what the image says."""
    asked = {key: value for key, value in payload.items() if value is not None and key not in _BESIDE}
    config = {**_CONFIG, **{key: image[key] for key in _CONFIG if image.get(key)}, **asked}
    host = payload.get("HostConfig") or {}
    name = MACHINE if host.get("NetworkMode") == "host" else hostname
    config |= {"Image": reference, "Hostname": asked.get("Hostname") or name, "Env": _environment(asked, image) or None}
    config["Labels"] = {**(image.get("Labels") or {}), **(asked.get("Labels") or {})}
    config["Volumes"] = {**(image.get("Volumes") or {}), **(asked.get("Volumes") or {})} or None
    config["ExposedPorts"] = {**(image.get("ExposedPorts") or {}), **(asked.get("ExposedPorts") or {})}
    config["Healthcheck"] = {**(image.get("Healthcheck") or {}), **(asked.get("Healthcheck") or {})}
    config["StopSignal"] = asked.get("StopSignal") or image.get("StopSignal")
    if asked.get("Entrypoint") and not asked.get("Cmd"):
        config["Cmd"] = None  # The image's command belongs to the image's entrypoint.
    return {key: value for key, value in config.items() if key not in _SHOWN_WHEN_SET or value not in (None, "", {}, False)}


def _environment(asked: Mapping[str, Any], image: Mapping[str, Any]) -> list[str]:
    own = list(asked.get("Env") or ())
    names = {entry.partition("=")[0] for entry in own}
    return own + [entry for entry in image.get("Env") or () if entry.partition("=")[0] not in names]


def host_document(payload: Mapping[str, Any]) -> dict[str, Any]:
    """Return HostConfig with the engine's defaults. Raises EngineError for limits it refuses."""
    host = {**_HOST, **{key: value for key, value in payload.items() if value is not None}}
    host["NetworkMode"] = host["NetworkMode"] or "default"
    host["IpcMode"] = host["IpcMode"] or "private"
    host["ShmSize"] = host["ShmSize"] or _SHARED_MEMORY
    host["RestartPolicy"] = {"Name": "", "MaximumRetryCount": 0, **(payload.get("RestartPolicy") or {})}
    host["LogConfig"] = _log_config(payload.get("LogConfig") or {})
    host["PortBindings"] = _bindings(payload.get("PortBindings"))
    privileged = bool(host["Privileged"])
    if host["SecurityOpt"] is None and (privileged or "host" in (host["PidMode"], host["IpcMode"])):
        host["SecurityOpt"] = ["label=disable"]
    host["MaskedPaths"] = payload.get("MaskedPaths", None if privileged else list(_MASKED_PATHS))
    host["ReadonlyPaths"] = payload.get("ReadonlyPaths", None if privileged else list(_READONLY_PATHS))
    return _with_swap(host)


def _log_config(asked: Mapping[str, Any]) -> dict[str, Any]:
    return {"Type": asked.get("Type") or "json-file", "Config": dict(asked.get("Config") or {})}


def _bindings(asked: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if asked is None:
        return None
    blank = {"HostIp": "", "HostPort": ""}
    return {key: [{**blank, **entry} for entry in entries or ()] for key, entries in asked.items()}


def _with_swap(host: dict[str, Any]) -> dict[str, Any]:
    if 0 < host["Memory"] < SMALLEST_MEMORY:
        raise EngineError(400, "Minimum memory limit allowed is 6MB")
    if host["Memory"] and 0 < host["MemorySwap"] < host["Memory"]:
        raise EngineError(400, "Minimum memoryswap limit should be larger than memory limit, see usage")
    if host["Memory"] and not host["MemorySwap"]:
        host["MemorySwap"] = 2 * host["Memory"]  # The engine gives as much swap as memory where nobody says.
    return host


def updated_host(host: Mapping[str, Any], payload: Mapping[str, Any], container: str) -> dict[str, Any]:
    """Return HostConfig after an update; fields that are absent or zero stay. Raises EngineError for what it refuses."""
    changes = {key: value for key, value in payload.items() if value}
    if 0 < changes.get("Memory", 0) < SMALLEST_MEMORY:
        raise EngineError(400, "Minimum memory limit allowed is 6MB")
    after = {**host, **changes}
    if "RestartPolicy" in changes:
        after["RestartPolicy"] = {"Name": "", "MaximumRetryCount": 0, **changes["RestartPolicy"]}
    if "Memory" in changes and "MemorySwap" not in changes and 0 <= host["MemorySwap"] < after["Memory"]:
        words = "Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time"
        raise EngineError(409, f"Cannot update container {container}: {words}")
    return after


def stamp(at: datetime | None) -> str:
    """Return a time as the engine writes it."""
    return NEVER if at is None else at.isoformat(timespec="microseconds").replace("+00:00", "Z")
