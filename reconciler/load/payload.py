"""What does the engine's create call say for a service?

One function per area of the engine's API, each a table from Compose's attribute to the engine's field. The reference is
what docker compose sends; docs/reference/attributes.md shows the same table to people.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from reconciler.load.values import parse_duration

Payload = dict[str, Any]
_NANOSECONDS = 1_000_000_000

# vendor/class=device, as the Container Device Interface names devices.
_CDI_NAME = re.compile(r"[A-Za-z][\w.-]*/[A-Za-z][\w-]*=[A-Za-z0-9][\w.:-]*")


def container_payload(service: Mapping[str, Any], config: Payload, host: Payload) -> Payload:
    """Return the create payload: Config fields at the top, HostConfig below. Only what the service sets is in it.

    `config` and `host` hold the fields that need more than the service to be known: mounts, links, security options.
    """
    payload = {**_config(service), **config}
    host_config = {**_host_config(service), **_namespaces(service), **_resources(service), **host}
    return {**payload, "HostConfig": host_config} if host_config else payload


def _set(fields: Mapping[str, Any]) -> Payload:
    """Leave out what says nothing. False and empty lists that mean something are added after this."""
    return {name: value for name, value in fields.items() if value not in (None, "", 0, False, [], {})}


# --- Config ----------------------------------------------------------------------------------------------------------


def _config(service: Mapping[str, Any]) -> Payload:
    fields = _set(
        {
            "Hostname": service.get("hostname"),
            "Domainname": service.get("domainname"),
            "User": service.get("user"),
            "WorkingDir": service.get("working_dir"),
            "Tty": service.get("tty"),
            "OpenStdin": service.get("stdin_open"),
            "StopSignal": service.get("stop_signal"),
            "MacAddress": mac_address(service),
            "Env": environment(service.get("environment")),
            "Labels": dict(service.get("labels") or {}),
            "ExposedPorts": _exposed_ports(service),
        }
    )
    return {**fields, **_process(service), **_health(service.get("healthcheck"))}


def _process(service: Mapping[str, Any]) -> Payload:
    """An empty command clears the image's, and a stop time of 0 s is not the engine's ten."""
    fields: Payload = {}
    for attribute, field in (("command", "Cmd"), ("entrypoint", "Entrypoint")):
        if service.get(attribute) is not None:
            fields[field] = list(service[attribute])
    if grace := service.get("stop_grace_period"):
        fields["StopTimeout"] = parse_duration(grace) // _NANOSECONDS
    return fields


def environment(variables: Mapping[str, str | None] | None) -> list[str]:
    """Return `NAME=value` lines in the order of their names; a bare NAME takes the image's variable away."""
    return [name if value is None else f"{name}={value}" for name, value in sorted((variables or {}).items())]


def mac_address(service: Mapping[str, Any]) -> str:
    """Return the address of the service, or of its first network: before API 1.44 the container has only one."""
    networks = service.get("networks") or {}
    first = networks.get(networks_by_priority(networks)[0]) if networks else None
    return str((first or {}).get("mac_address") or service.get("mac_address") or "")


def networks_by_priority(networks: Mapping[str, Any]) -> list[str]:
    """Return the networks' keys, the highest priority first, ties by name."""
    return sorted(networks, key=lambda key: (-int((networks[key] or {}).get("priority") or 0), key))


def _exposed_ports(service: Mapping[str, Any]) -> Payload:
    exposed = [str(port) for port in service.get("expose") or ()]
    return {port: {} for port in (*exposed, *map(_container_port, service.get("ports") or ()))}


def _container_port(port: Mapping[str, Any]) -> str:
    return f"{port['target']}/{port.get('protocol') or 'tcp'}"


def _health(check: Mapping[str, Any] | None) -> Payload:
    if check is None:
        return {}
    fields = _set(
        {
            "Test": ["NONE"] if check.get("disable") else check.get("test"),
            "Interval": _nanoseconds(check.get("interval")),
            "Timeout": _nanoseconds(check.get("timeout")),
            "StartPeriod": _nanoseconds(check.get("start_period")),
            "StartInterval": _nanoseconds(check.get("start_interval")),
            "Retries": int(check.get("retries") or 0),
        }
    )
    return {"Healthcheck": fields} if fields else {}


def _nanoseconds(duration: str | None) -> int:
    return parse_duration(duration) if duration else 0


# --- HostConfig ------------------------------------------------------------------------------------------------------


def _host_config(service: Mapping[str, Any]) -> Payload:
    fields = _set(
        {
            "Annotations": dict(service.get("annotations") or {}),
            "CapAdd": _capabilities(service.get("cap_add") or ()),
            "CapDrop": _capabilities(service.get("cap_drop") or ()),
            "Dns": list(service.get("dns") or ()),
            "DnsOptions": list(service.get("dns_opt") or ()),
            "DnsSearch": list(service.get("dns_search") or ()),
            "ExtraHosts": [host.replace("=", ":", 1) for host in service.get("extra_hosts") or ()],
            "GroupAdd": [str(group) for group in service.get("group_add") or ()],
            "LogConfig": _logging(service.get("logging")),
            "PortBindings": _port_bindings(service.get("ports") or ()),
            "Privileged": service.get("privileged"),
            "ReadonlyRootfs": service.get("read_only"),
            "RestartPolicy": restart_policy(service),
            "Runtime": service.get("runtime"),
            "ShmSize": _whole(service.get("shm_size")),
            "StorageOpt": dict(service.get("storage_opt") or {}),
            "Sysctls": {name: str(value) for name, value in (service.get("sysctls") or {}).items()},
            "Tmpfs": _tmpfs(service.get("tmpfs") or ()),
        }
    )
    return fields if service.get("init") is None else {**fields, "Init": bool(service["init"])}


def _capabilities(names: Iterable[str]) -> list[str]:
    """Return the names as the kernel has them, CAP_…; ALL is the engine's own word."""
    kernel = (f"CAP_{name.upper().removeprefix('CAP_')}" for name in names)
    return sorted({"ALL" if name == "CAP_ALL" else name for name in kernel})


def named_option(option: str) -> tuple[str, str]:
    """Return name and value of a security option, written `name=value` or `name:value`."""
    name, _, value = option.partition("=" if "=" in option else ":")
    return name, value


def _logging(logging: Mapping[str, Any] | None) -> Payload:
    options = {name: str(value) for name, value in ((logging or {}).get("options") or {}).items()}
    return _set({"Type": (logging or {}).get("driver"), "Config": options})


def _port_bindings(ports: Iterable[Mapping[str, Any]]) -> Payload:
    bindings: dict[str, list[Payload]] = {}
    for port in ports:
        binding = {"HostIp": port.get("host_ip") or "", "HostPort": str(port.get("published") or "")}
        bindings.setdefault(_container_port(port), []).append(binding)
    return bindings


def restart_policy(service: Mapping[str, Any]) -> Payload:
    """Return the engine's restart policy: `deploy.restart_policy` when there is one, else `restart`."""
    policy = (service.get("deploy") or {}).get("restart_policy")
    if policy is None:
        name, _, attempts = str(service.get("restart") or "").partition(":")
        return _set({"Name": name, "MaximumRetryCount": int(attempts) if attempts.isdecimal() else 0})
    name = policy.get("condition") or ""
    return _set({"Name": _CONDITIONS.get(name, name), "MaximumRetryCount": int(policy.get("max_attempts") or 0)})


_CONDITIONS = {"none": "no", "any": "always"}


def _tmpfs(entries: Iterable[str]) -> dict[str, str]:
    return {target: options for target, _, options in (entry.partition(":") for entry in entries)}


def _namespaces(service: Mapping[str, Any]) -> Payload:
    """Namespaces of other services stay as `service:NAME`: only the planner knows their containers."""
    attributes = {"ipc": "IpcMode", "pid": "PidMode", "uts": "UTSMode", "userns_mode": "UsernsMode", "cgroup": "CgroupnsMode"}
    return _set({field: service.get(attribute) for attribute, field in attributes.items()})


# --- limits and devices ----------------------------------------------------------------------------------------------


def _resources(service: Mapping[str, Any]) -> Payload:
    resources = (service.get("deploy") or {}).get("resources") or {}
    limits, reservations = resources.get("limits") or {}, resources.get("reservations") or {}
    return _set(
        {
            "BlkioWeight": int((service.get("blkio_config") or {}).get("weight") or 0),
            **_block_devices(service.get("blkio_config") or {}),
            "CgroupParent": service.get("cgroup_parent"),
            "CpuCount": int(service.get("cpu_count") or 0),
            "CpuPercent": int(float(service.get("cpu_percent") or 0) * 100),
            "CpuPeriod": int(service.get("cpu_period") or 0),
            "CpuQuota": int(service.get("cpu_quota") or 0),
            "CpuRealtimePeriod": int(service.get("cpu_rt_period") or 0),
            "CpuRealtimeRuntime": int(service.get("cpu_rt_runtime") or 0),
            "CpuShares": int(service.get("cpu_shares") or 0),
            "CpusetCpus": service.get("cpuset"),
            "DeviceCgroupRules": list(service.get("device_cgroup_rules") or ()),
            "DeviceRequests": _device_requests(service, reservations),
            "Devices": _devices(service.get("devices") or ()),
            "Memory": _whole(limits.get("memory")) or _whole(service.get("mem_limit")),
            "MemoryReservation": _whole(reservations.get("memory")) or _whole(service.get("mem_reservation")),
            "MemorySwap": _whole(service.get("memswap_limit")),
            "MemorySwappiness": _whole(service.get("mem_swappiness")),
            "NanoCpus": round(float(limits.get("cpus") or service.get("cpus") or 0) * 1e9),
            "OomKillDisable": service.get("oom_kill_disable"),
            "OomScoreAdj": int(service.get("oom_score_adj") or 0),
            "PidsLimit": int(limits.get("pids") or service.get("pids_limit") or 0),
            "Ulimits": _ulimits(service.get("ulimits") or {}),
        }
    )


def _whole(number: str | int | None) -> int:
    """The canonical document prints byte counts as texts."""
    return int(number or 0)


BLOCK_MEASURES = {
    "weight_device": "weight",
    "device_read_bps": "rate",
    "device_read_iops": "rate",
    "device_write_bps": "rate",
    "device_write_iops": "rate",
}
"""What each list of `blkio_config` says of a device."""
_BLOCK_FIELDS = {
    "weight_device": "BlkioWeightDevice",
    "device_read_bps": "BlkioDeviceReadBps",
    "device_read_iops": "BlkioDeviceReadIOps",
    "device_write_bps": "BlkioDeviceWriteBps",
    "device_write_iops": "BlkioDeviceWriteIOps",
}


def _block_devices(blkio: Mapping[str, Any]) -> Payload:
    fields: Payload = {}
    for attribute, measure in BLOCK_MEASURES.items():
        # The canonical document writes these keys with capitals, as docker compose does.
        entries = ({name.lower(): value for name, value in entry.items()} for entry in blkio.get(attribute) or ())
        limits = [{"Path": entry["path"], measure.capitalize(): _whole(entry[measure])} for entry in entries]
        fields[_BLOCK_FIELDS[attribute]] = limits
    return fields


def _devices(devices: Iterable[Mapping[str, Any]]) -> list[Payload]:
    return [
        {
            "PathOnHost": device["source"],
            "PathInContainer": device.get("target") or device["source"],
            "CgroupPermissions": device.get("permissions") or "rwm",
        }
        for device in devices
        if not is_cdi_name(device)
    ]


def is_cdi_name(device: Mapping[str, Any]) -> bool:
    """Say whether the entry of `devices` names a CDI device, `vendor.com/class=name`, rather than a path."""
    return device.get("target") in (None, device["source"]) and _CDI_NAME.fullmatch(device["source"]) is not None


def _device_requests(service: Mapping[str, Any], reservations: Mapping[str, Any]) -> list[Payload]:
    named = [device["source"] for device in service.get("devices") or () if is_cdi_name(device)]
    reserved = [_device_request(device, ()) for device in reservations.get("devices") or ()]
    graphics = [_device_request(device, ("gpu",)) for device in service.get("gpus") or ()]
    return [*reserved, *([{"Driver": "cdi", "DeviceIDs": named}] if named else []), *graphics]


def _device_request(device: Mapping[str, Any], always: tuple[str, ...]) -> Payload:
    return _set(
        {
            "Capabilities": [[*(device.get("capabilities") or ()), *always]],
            "Count": int(device.get("count") or 0),
            "DeviceIDs": list(device.get("device_ids") or ()),
            "Driver": device.get("driver"),
            "Options": dict(device.get("options") or {}),
        }
    )


def _ulimits(limits: Mapping[str, Any]) -> list[Payload]:
    pairs = {name: limit if isinstance(limit, Mapping) else {"soft": limit, "hard": limit} for name, limit in limits.items()}
    return [{"Name": name, "Soft": int(pair["soft"]), "Hard": int(pair["hard"])} for name, pair in sorted(pairs.items())]


# --- mounts ----------------------------------------------------------------------------------------------------------


def anonymous_volumes(mounts: Iterable[Mapping[str, Any]]) -> Payload:
    """Return Volumes of Config: anonymous ones stand there so that a replacement can mount the old container's instead."""
    volumes: Payload = {mount["target"]: {} for mount in mounts if is_anonymous(mount) and not _advanced(mount)}
    return {"Volumes": volumes} if volumes else {}


def mount_fields(mounts: Iterable[Mapping[str, Any]], volume_names: Mapping[str, str]) -> Payload:
    """Return Binds and Mounts of HostConfig for entries of `volumes` in their long form, without plain anonymous volumes.

    Simple ones become Binds, as docker compose has them: the engine makes a missing directory of the host for these only.
    """
    binds: list[str] = []
    others: list[Payload] = []
    for mount in mounts:
        source = mount.get("source") or ""
        source = volume_names.get(source, source) if _is_volume(mount) else source
        if _advanced(mount) or mount["type"] not in ("bind", "volume"):
            others.append(_mount(source, mount))
        elif source:
            binds.append(_bind(source, mount))
    return _set({"Binds": binds, "Mounts": others})


def is_anonymous(mount: Mapping[str, Any]) -> bool:
    """Say whether the entry asks for a volume without a name."""
    return _is_volume(mount) and not mount.get("source")


def _is_volume(mount: Mapping[str, Any]) -> bool:
    return str(mount["type"]) == "volume"


def _advanced(mount: Mapping[str, Any]) -> bool:
    """Say whether the entry asks for what a Binds string cannot say."""
    bind, volume = mount.get("bind"), mount.get("volume") or {}
    if _is_volume(mount):
        wanted = volume.get("labels") or volume.get("nocopy") or volume.get("subpath")
        return bool(wanted or (is_anonymous(mount) and mount.get("read_only")))
    if ":" in mount["target"] or ":" in (mount.get("source") or ""):
        return True
    return bind is not None and bool(not bind.get("create_host_path") or bind.get("propagation") or bind.get("recursive"))


def _bind(source: str, mount: Mapping[str, Any]) -> str:
    relabel = (mount.get("bind") or {}).get("selinux")
    options = ["ro" if mount.get("read_only") else "rw", *([relabel] if relabel else [])]
    return f"{source}:{mount['target']}:{','.join(options)}"


def _mount(source: str, mount: Mapping[str, Any]) -> Payload:
    fields = {"Type": mount["type"], "Source": source, "Target": mount["target"], "ReadOnly": mount.get("read_only")}
    return _set({**fields, **_mount_options(mount)})


def _mount_options(mount: Mapping[str, Any]) -> Payload:
    options = mount.get(mount["type"]) or {}
    match mount["type"]:
        case "bind":
            return {"BindOptions": _bind_options(options)}
        case "volume":
            volume = {"NoCopy": options.get("nocopy"), "Subpath": options.get("subpath"), "Labels": options.get("labels")}
            return {"VolumeOptions": _set(volume)}
        case "tmpfs":
            tmpfs = {"SizeBytes": _whole(options.get("size")), "Mode": int(options.get("mode") or 0)}
            return {"TmpfsOptions": _set(tmpfs)}
        case "image":
            return {"ImageOptions": _set({"Subpath": options.get("subpath")})}
        case _:
            return {}


def _bind_options(bind: Mapping[str, Any]) -> Payload:
    recursive = bind.get("recursive")
    return _set(
        {
            "Propagation": bind.get("propagation"),
            "CreateMountpoint": bind.get("create_host_path"),
            "NonRecursive": recursive == "disabled",
            "ReadOnlyNonRecursive": recursive == "writable",
            "ReadOnlyForceRecursive": recursive == "readonly",
        }
    )
