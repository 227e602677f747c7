"""Which service of a Compose file would make this container? The inverse of the create call: payload.py read backwards.

What the image says, and what the engine fills in by itself, is left out. What looks secret becomes a variable.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from reconciler.load.excerpt import SECRET_NAME
from reconciler.model import labels
from reconciler.model.observed import Instance

Document = Mapping[str, Any]

_USER_INFO = re.compile(r"[a-z][a-z0-9+.-]*://[^/\s@]+@", re.IGNORECASE)
_SHM_SIZE = 64 << 20
"""What the engine gives a container that asks for nothing."""


@dataclass(frozen=True, slots=True)
class Secret:
    """A value that stands elsewhere: in the file stands `${name}`."""

    name: str
    value: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What names mean in the container's project.

    owners    container id or name -> service, within the project
    networks  the engine's network name -> key
    volumes   the engine's volume name -> key
    cgroup    the cgroup namespace mode that is no wish of this container, because all of the project have it
    """

    project: str
    owners: Mapping[str, str]
    networks: Mapping[str, str]
    volumes: Mapping[str, str]
    cgroup: str = ""


def recover_service(container: Instance, image: Document | None, around: Surroundings) -> dict[str, Any]:
    """Return the service in the order a person writes it; `image` is the configuration of the container's image.

    Texts that look secret are Secret; every other text stands as it is, without interpolation in mind.
    """
    config, host = container.detail["Config"], container.detail["HostConfig"]
    default = image or {}
    said = {
        "image": config["Image"],
        **_identity(container, around),
        **_process(config, default),
        **_surfaces(config, host, default, around),
        **_places(container, default, around),
        **_rights(host, around),
        **_limits(host),
    }
    return {name: value for name, value in said.items() if value is not None and value not in ("", {}, False) and value != ()}


def _text(name: str, value: str) -> str | Secret:
    """Take a value out of the file where its name or its form says that it is secret."""
    return Secret(name, value) if value and (SECRET_NAME.search(name) or _USER_INFO.search(value)) else value


# --- who it is -------------------------------------------------------------------------------------------------------


def _identity(container: Instance, around: Surroundings) -> dict[str, Any]:
    config, tags = container.detail["Config"], container.labels
    service, number = tags.get(labels.COMPOSE_SERVICE, ""), tags.get(labels.COMPOSE_NUMBER, "1")
    shares = str(container.detail["HostConfig"].get("NetworkMode", "")).startswith(("host", "container:"))
    own_name = config.get("Hostname") != container.id[:12] and not shares
    return {
        "container_name": container.name if container.name != f"{around.project}-{service}-{number}" else "",
        "hostname": config.get("Hostname") if own_name else "",
        "domainname": config.get("Domainname"),
        "depends_on": dict(_dependencies(tags.get(labels.COMPOSE_DEPENDS_ON, ""))),
    }


def _dependencies(text: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Read docker compose's label: `db:service_healthy:false,cache:service_started:true`."""
    for entry in filter(None, text.split(",")):
        service, condition, restart = (*entry.split(":"), "", "")[:3]
        yield service, {"condition": condition or "service_started", **({"restart": True} if restart == "true" else {})}


# --- what it does ----------------------------------------------------------------------------------------------------


def _process(config: Document, default: Document) -> dict[str, Any]:
    entrypoint, command = config.get("Entrypoint") or [], config.get("Cmd") or []
    own_entrypoint = entrypoint != (default.get("Entrypoint") or [])
    own_command = command != ([] if own_entrypoint else default.get("Cmd") or [])
    signal, grace = config.get("StopSignal"), config.get("StopTimeout")
    return {
        "entrypoint": _words("entrypoint", entrypoint) if own_entrypoint else None,
        "command": _words("command", command) if own_command else None,
        "user": _unless(config.get("User"), default.get("User")),
        "working_dir": _unless(config.get("WorkingDir"), default.get("WorkingDir")),
        "environment": _environment(config.get("Env"), default.get("Env")),
        "labels": _labels(config.get("Labels"), default.get("Labels")),
        "healthcheck": _healthcheck(config.get("Healthcheck"), default.get("Healthcheck")),
        "stop_signal": _unless(signal, default.get("StopSignal") or "SIGTERM"),
        "stop_grace_period": f"{grace}s" if grace is not None else "",
        "tty": config.get("Tty"),
        "stdin_open": config.get("OpenStdin"),
    }


def _unless(value: Any, default: Any) -> Any:
    return value if value != default else None


def _words(attribute: str, words: Iterable[str]) -> list[str | Secret]:
    """A word that holds a secret, and one after the option that asks for it, are variables, named by the option."""
    found: list[str | Secret] = []
    asked = ""
    for word in words:
        option, equals, _ = word.partition("=")
        name = option if equals else "" if word.startswith("-") else asked
        found.append(Secret(f"{attribute}_{name.strip('-')}", word) if SECRET_NAME.search(name) else _url(attribute, word))
        asked = word if word.startswith("-") and not equals else ""
    return found


def _url(attribute: str, word: str) -> str | Secret:
    return Secret(f"{attribute}_url", word) if _USER_INFO.search(word) else word


def _environment(entries: Iterable[str] | None, default: Iterable[str] | None) -> dict[str, Any]:
    known = set(default or ())
    pairs = (entry.partition("=") for entry in entries or () if entry not in known)
    return {name: _text(name, value) for name, _, value in sorted(pairs)}


def _labels(tags: Mapping[str, str] | None, default: Mapping[str, str] | None) -> dict[str, Any]:
    theirs = (labels.COMPOSE, labels.OURS)
    own = {name: value for name, value in sorted((tags or {}).items()) if not name.startswith(theirs)}
    return {name: _text(name, value) for name, value in own.items() if (default or {}).get(name) != value}


def _healthcheck(check: Document | None, default: Document | None) -> dict[str, Any]:
    if not check or check == default:
        return {}
    if check.get("Test") == ["NONE"]:
        return {"disable": True}
    test = check.get("Test")
    said = {
        "test": _words("healthcheck", test) if test and test != (default or {}).get("Test") else None,
        "interval": _duration(check.get("Interval")),
        "timeout": _duration(check.get("Timeout")),
        "start_period": _duration(check.get("StartPeriod")),
        "start_interval": _duration(check.get("StartInterval")),
        "retries": check.get("Retries") or None,
    }
    return {name: value for name, value in said.items() if value}


def _duration(nanoseconds: int | None) -> str:
    """Nanoseconds in the largest unit that divides them: 1500000000 -> "1500ms"."""
    for size, unit in ((10**9, "s"), (10**6, "ms"), (10**3, "us")):
        if nanoseconds and nanoseconds % size == 0:
            return f"{nanoseconds // size}{unit}"
    return f"{nanoseconds}ns" if nanoseconds else ""


# --- what is seen of it ----------------------------------------------------------------------------------------------


def _surfaces(config: Document, host: Document, default: Document, around: Surroundings) -> dict[str, Any]:
    bindings: Mapping[str, list[Document]] = host.get("PortBindings") or {}
    exposed = set(config.get("ExposedPorts") or {}) - set(default.get("ExposedPorts") or {}) - set(bindings)
    return {
        "restart": _restart(host.get("RestartPolicy") or {}),
        "expose": sorted(exposed) or None,
        "ports": [_port(port, binding) for port in sorted(bindings) for binding in bindings[port] or [{}]] or None,
        "network_mode": _network_mode(str(host.get("NetworkMode") or ""), around),
        "mac_address": config.get("MacAddress"),
        "extra_hosts": [host.replace(":", "=", 1) for host in host.get("ExtraHosts") or ()] or None,
        "dns": host.get("Dns") or None,
        "dns_opt": host.get("DnsOptions") or None,
        "dns_search": host.get("DnsSearch") or None,
        "logging": _logging(host.get("LogConfig") or {}),
    }


def _restart(policy: Document) -> str:
    name, count = policy.get("Name") or "no", policy.get("MaximumRetryCount") or 0
    return "" if name == "no" else f"{name}:{count}" if count else str(name)


def _port(port: str, binding: Document) -> dict[str, Any]:
    target, _, protocol = port.partition("/")
    published = str(binding.get("HostPort") or "")
    said = {"target": int(target), "published": published if published != "0" else "", "host_ip": binding.get("HostIp")}
    return {name: value for name, value in {**said, "protocol": protocol if protocol != "tcp" else ""}.items() if value}


def _network_mode(mode: str, around: Surroundings) -> str:
    if mode in ("host", "none", "bridge", "default"):
        return "bridge" if mode == "default" else mode
    return _shared(mode, around) if mode.startswith("container:") else ""


def _shared(mode: str, around: Surroundings) -> str:
    """Name the service whose namespace is shared, else the container."""
    owner = mode.removeprefix("container:")
    return f"service:{around.owners[owner]}" if owner in around.owners else mode


def _logging(log: Document) -> dict[str, Any]:
    options = dict(log.get("Config") or {})
    if not options and log.get("Type") in (None, "", "json-file"):
        return {}
    return {"driver": log["Type"], **({"options": options} if options else {})}


# --- where it keeps and finds things ---------------------------------------------------------------------------------


def _places(container: Instance, default: Document, around: Surroundings) -> dict[str, Any]:
    config, host = container.detail["Config"], container.detail["HostConfig"]
    attached = container.detail.get("NetworkSettings", {}).get("Networks") or {}
    alone = _network_mode(str(host.get("NetworkMode") or ""), around)
    tmpfs = host.get("Tmpfs") or {}
    return {
        "networks": None if alone else _networks(container, attached, around),
        **_links(host, attached, around),
        "volumes": [*_binds(host, around), *_mounts(host, around), *_anonymous(config, host, default)] or None,
        "volumes_from": [_lent(entry, around) for entry in host.get("VolumesFrom") or ()] or None,
        "tmpfs": [f"{path}:{options}" if options else path for path, options in sorted(tmpfs.items())] or None,
    }


def _networks(container: Instance, attached: Mapping[str, Document], around: Surroundings) -> dict[str, Any] | None:
    """The default network alone, with nothing said of it, is what Compose does anyway."""
    keys = {around.networks.get(name, name): name for name in attached}
    primary = around.networks.get(str(container.detail["HostConfig"].get("NetworkMode")), "")
    found: dict[str, Any] = {}
    for key, name in sorted(keys.items()):
        priority = {"priority": 1} if key == primary and key != min(keys) else {}
        found[key] = {**_attachment(container, attached[name]), **priority}
    return None if found == {"default": {}} else {key: entry or None for key, entry in found.items()}


def _attachment(container: Instance, endpoint: Document) -> dict[str, Any]:
    service = container.labels.get(labels.COMPOSE_SERVICE, "")
    address = endpoint.get("IPAMConfig") or {}
    known = {service, container.name, container.id[:12]}
    said = {
        "aliases": [alias for alias in dict.fromkeys(endpoint.get("Aliases") or ()) if alias not in known],
        "ipv4_address": address.get("IPv4Address"),
        "ipv6_address": address.get("IPv6Address"),
        "link_local_ips": address.get("LinkLocalIPs"),
        "driver_opts": endpoint.get("DriverOpts"),
        "gw_priority": endpoint.get("GwPriority"),
    }
    return {name: value for name, value in said.items() if value}


def _links(host: Document, attached: Mapping[str, Document], around: Surroundings) -> dict[str, Any]:
    """Compose gives a linked container three names; what has fewer is an external link."""
    names: dict[str, set[str]] = {}
    endpoints = (link for endpoint in attached.values() for link in endpoint.get("Links") or ())
    for link in (*endpoints, *(host.get("Links") or ())):
        name, _, alias = str(link).partition(":")
        names.setdefault(name.lstrip("/"), set()).add(alias.rpartition("/")[2])
    links: set[str] = set()
    external: set[str] = set()
    for name, aliases in names.items():
        service = around.owners.get(name, "")
        own = {alias for alias in aliases if alias == name or re.fullmatch(rf"{re.escape(service)}-\d+", alias)}
        if service and len(own) > 1:
            links |= {service if alias == service else f"{service}:{alias}" for alias in aliases - own}
        else:
            external |= {name if alias == name else f"{name}:{alias}" for alias in aliases}
    return {"links": sorted(links) or None, "external_links": sorted(external) or None}


def _binds(host: Document, around: Surroundings) -> Iterator[str]:
    for entry in host.get("Binds") or ():
        source, target, options = (*str(entry).split(":", 2), "")[:3]
        words = ",".join(word for word in options.split(",") if word not in ("rw", ""))
        named = around.volumes.get(source, source)
        yield target if _is_id(source) else f"{named}:{target}" + (f":{words}" if words else "")


def _is_id(name: str) -> bool:
    """The name of an anonymous volume is 64 hexadecimal digits."""
    return re.fullmatch(r"[0-9a-f]{64}", name) is not None


def _mounts(host: Document, around: Surroundings) -> Iterator[dict[str, Any] | str]:
    for mount in host.get("Mounts") or ():
        kind, source = str(mount["Type"]), str(mount.get("Source") or "")
        named = "" if _is_id(source) else around.volumes.get(source, source) if kind == "volume" else source
        options = _MOUNT_OPTIONS[kind](mount) if kind in _MOUNT_OPTIONS else {}
        said = {"type": kind, "source": named, "target": mount["Target"], "read_only": mount.get("ReadOnly"), kind: options}
        entry = {name: value for name, value in said.items() if value}
        yield entry if entry.keys() != {"type", "target"} or kind != "volume" else mount["Target"]


def _bind_options(mount: Document) -> dict[str, Any]:
    options = mount.get("BindOptions") or {}
    recursive = {"NonRecursive": "disabled", "ReadOnlyNonRecursive": "writable", "ReadOnlyForceRecursive": "readonly"}
    said = {
        "propagation": options.get("Propagation"),
        "recursive": next((word for name, word in recursive.items() if options.get(name)), ""),
    }
    # Compose makes a missing source unless it is told not to: a mount without the option was told.
    return {"create_host_path": bool(options.get("CreateMountpoint")), **{name: value for name, value in said.items() if value}}


def _volume_options(mount: Document) -> dict[str, Any]:
    options = mount.get("VolumeOptions") or {}
    own = {name: value for name, value in (options.get("Labels") or {}).items() if not name.startswith(labels.COMPOSE)}
    said = {"nocopy": options.get("NoCopy"), "subpath": options.get("Subpath"), "labels": own}
    return {name: value for name, value in said.items() if value}


def _tmpfs_options(mount: Document) -> dict[str, Any]:
    options = mount.get("TmpfsOptions") or {}
    said = {"size": options.get("SizeBytes"), "mode": options.get("Mode")}
    return {name: value for name, value in said.items() if value}


def _image_options(mount: Document) -> dict[str, Any]:
    subpath = (mount.get("ImageOptions") or {}).get("Subpath")
    return {"subpath": subpath} if subpath else {}


_MOUNT_OPTIONS = {"bind": _bind_options, "volume": _volume_options, "tmpfs": _tmpfs_options, "image": _image_options}


def _anonymous(config: Document, host: Document, default: Document) -> Iterator[str]:
    """Anonymous volumes of Config that neither a bind or mount provides nor the image asks for."""
    provided = {str(entry).split(":")[1] for entry in host.get("Binds") or ()}
    provided |= {str(mount["Target"]) for mount in host.get("Mounts") or ()}
    yield from sorted(set(config.get("Volumes") or {}) - set(default.get("Volumes") or {}) - provided)


def _lent(entry: str, around: Surroundings) -> str:
    owner, _, mode = entry.partition(":")
    name = around.owners.get(owner, f"container:{owner}")
    return f"{name}:{mode}" if mode else name


# --- what it may -----------------------------------------------------------------------------------------------------


def _rights(host: Document, around: Surroundings) -> dict[str, Any]:
    privileged, runtime, cgroup = bool(host.get("Privileged")), host.get("Runtime"), host.get("CgroupnsMode")
    ipc, pid = (_shared(mode, around) if mode.startswith("container:") else mode for mode in _modes(host))
    # The engine writes this one itself for whoever is privileged.
    security = [option for option in host.get("SecurityOpt") or () if not (privileged and option == "label=disable")]
    return {
        "privileged": privileged,
        "read_only": host.get("ReadonlyRootfs"),
        "init": True if host.get("Init") else None,
        "cap_add": [name.removeprefix("CAP_") for name in host.get("CapAdd") or ()] or None,
        "cap_drop": [name.removeprefix("CAP_") for name in host.get("CapDrop") or ()] or None,
        "security_opt": [*(option for option in security if not is_seccomp_profile(option)), *_open_paths(host)] or None,
        "group_add": host.get("GroupAdd") or None,
        "sysctls": host.get("Sysctls"),
        "ulimits": _ulimits(host.get("Ulimits") or ()),
        "devices": [_device(device) for device in host.get("Devices") or ()] or None,
        "device_cgroup_rules": host.get("DeviceCgroupRules") or None,
        "ipc": ipc if ipc != "private" else "",
        "pid": pid,
        "uts": host.get("UTSMode"),
        "userns_mode": host.get("UsernsMode"),
        "cgroup": cgroup if cgroup != around.cgroup else "",
        "runtime": runtime if runtime != "runc" else "",
        "annotations": host.get("Annotations"),
    }


def _open_paths(host: Document) -> Iterator[str]:
    """The engine masks paths of the system unless it is told not to; for whoever is privileged it never does."""
    if host.get("MaskedPaths") == [] and host.get("ReadonlyPaths") == [] and not host.get("Privileged"):
        yield "systempaths=unconfined"


def _modes(host: Document) -> tuple[str, str]:
    return str(host.get("IpcMode") or ""), str(host.get("PidMode") or "")


def is_seccomp_profile(option: str) -> bool:
    """Say whether a security option holds a whole profile: a file at creation, of which the engine keeps only the content."""
    return option.startswith("seccomp") and "{" in option


def _ulimits(limits: Iterable[Document]) -> dict[str, Any]:
    pairs = {str(one["Name"]): (one["Soft"], one["Hard"]) for one in limits}
    return {name: soft if soft == hard else {"soft": soft, "hard": hard} for name, (soft, hard) in sorted(pairs.items())}


def _device(device: Document) -> str:
    source, target, permissions = device["PathOnHost"], device["PathInContainer"], device.get("CgroupPermissions") or "rwm"
    return f"{source}:{target}" + (f":{permissions}" if permissions != "rwm" else "")


# --- how much it may -------------------------------------------------------------------------------------------------


def _limits(host: Document) -> dict[str, Any]:
    memory, swap = host.get("Memory") or 0, host.get("MemorySwap") or 0
    swappiness, pids, shared = host.get("MemorySwappiness"), host.get("PidsLimit") or 0, host.get("ShmSize") or 0
    return {
        "cpus": f"{host['NanoCpus'] / 10**9:g}" if host.get("NanoCpus") else "",
        "cpuset": host.get("CpusetCpus"),
        "cpu_shares": host.get("CpuShares") or None,
        "cpu_period": host.get("CpuPeriod") or None,
        "cpu_quota": host.get("CpuQuota") or None,
        "cpu_rt_period": host.get("CpuRealtimePeriod") or None,
        "cpu_rt_runtime": host.get("CpuRealtimeRuntime") or None,
        "mem_limit": _bytes(memory),
        "mem_reservation": _bytes(host.get("MemoryReservation") or 0),
        # Where nothing is said of swap, the engine allows as much of it as of memory.
        "memswap_limit": _bytes(swap) if swap not in (0, 2 * memory) else "",
        "mem_swappiness": swappiness if swappiness not in (None, -1) else None,
        "oom_kill_disable": host.get("OomKillDisable"),
        "oom_score_adj": host.get("OomScoreAdj") or None,
        "pids_limit": pids if pids > 0 else None,
        "shm_size": _bytes(shared) if shared != _SHM_SIZE else "",
        "storage_opt": host.get("StorageOpt"),
        "cgroup_parent": host.get("CgroupParent"),
        "blkio_config": _block_devices(host),
        "deploy": _reservations(host.get("DeviceRequests") or ()),
    }


def _bytes(count: int) -> int | str:
    """Bytes with the largest binary unit that divides them: 67108864 -> "64m"; -1 is no limit."""
    for power, unit in ((30, "g"), (20, "m"), (10, "k")):
        if count > 0 and count % (1 << power) == 0:
            return f"{count >> power}{unit}"
    return count or ""


_BLOCK_LISTS = {
    "BlkioWeightDevice": ("weight_device", "weight"),
    "BlkioDeviceReadBps": ("device_read_bps", "rate"),
    "BlkioDeviceReadIOps": ("device_read_iops", "rate"),
    "BlkioDeviceWriteBps": ("device_write_bps", "rate"),
    "BlkioDeviceWriteIOps": ("device_write_iops", "rate"),
}


def _block_devices(host: Document) -> dict[str, Any]:
    said: dict[str, Any] = {"weight": host["BlkioWeight"]} if host.get("BlkioWeight") else {}
    for engine, (attribute, measure) in _BLOCK_LISTS.items():
        if entries := host.get(engine):
            said[attribute] = [{"path": entry["Path"], measure: entry[measure.capitalize()]} for entry in entries]
    return said


def _reservations(requests: Iterable[Document]) -> dict[str, Any]:
    devices = [_request(request) for request in requests]
    return {"resources": {"reservations": {"devices": devices}}} if devices else {}


def _request(request: Document) -> dict[str, Any]:
    count = request.get("Count") or 0
    said: dict[str, Any] = {
        "driver": request.get("Driver"),
        "count": "all" if count == -1 else count,
        "device_ids": request.get("DeviceIDs"),
        "capabilities": next(iter(request.get("Capabilities") or ()), []),
        "options": request.get("Options"),
    }
    return {name: value for name, value in said.items() if value}
