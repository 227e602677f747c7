"""Does what a container, volume or network asks of the engine stay within the operator's policy?

The functions look at the final payload, so that no short form, override or driver option is a way around them. Files and
lines come from the service's sources. A refusal names the exception that the operator could grant.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from posixpath import normpath
from typing import Any

from reconciler.errors import Mark, Problem, Severity
from reconciler.load.payload import named_option
from reconciler.model.desired import Hook, Network, Service, Stack, Volume
from reconciler.model.policy import Policy, Preset


@dataclass(frozen=True, slots=True)
class Facts:
    """What the payload alone does not tell.

    subject   `stack/service`, or `stack` for networks and volumes: what the operator's `allow` names
    at        dotted path of the object in its file, `services.web`
    image     the image reference
    networks  names of the engine's networks it joins
    hooks     commands run in it
    sources   attribute path -> where it stands; "" is the object itself
    """

    subject: str
    at: str
    image: str = ""
    networks: tuple[str, ...] = ()
    hooks: tuple[Hook, ...] = ()
    sources: Mapping[str, Mark] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Finding:
    """Something the policy has a say about.

    exception  its name in the operator's `allow`
    what       what is asked for, as the subject of a sentence
    attributes Compose attributes that may say it, the likeliest first
    warned     standard warns of it, strict refuses it; else both refuse it
    strict     only strict has a say
    """

    code: str
    exception: str
    what: str
    attributes: tuple[str, ...]
    warned: bool = False
    strict: bool = False


def check_service(service: Service, policy: Policy) -> tuple[Problem, ...]:
    """Return refusals and warnings about a service."""
    host = {**(service.container.get("HostConfig") or {}), "NetworkMode": service.network_mode}
    facts = Facts(
        subject=service.id,
        at=f"services.{service.name}",
        image=service.image,
        networks=tuple(attachment.network for attachment in service.networks),
        hooks=(*service.post_start, *service.pre_stop),
        sources=service.sources,
    )
    return check_container({**service.container, "HostConfig": host}, facts, policy)


def check_resource(stack: Stack, policy: Policy) -> tuple[Problem, ...]:
    """Return refusals and warnings about the networks and volumes of a stack."""
    networks = (problem for network in stack.networks for problem in check_network(network, policy))
    volumes = (problem for volume in stack.volumes for problem in check_volume(volume, policy))
    return (*networks, *volumes)


def check_container(payload: Mapping[str, Any], facts: Facts, policy: Policy) -> tuple[Problem, ...]:
    """Return refusals and warnings about a container's create or update payload."""
    host = payload.get("HostConfig") or {}
    findings = (
        *_privilege(host, facts.hooks),
        *_mounts(host, policy),
        *_namespaces(host),
        *_capabilities(host),
        *_confinement(host),
        *_devices(host),
        *_network(host, facts),
        *_neighbours(host),
        *_image(facts.image, policy),
    )
    return _judged(findings, facts, policy)


def check_volume(volume: Volume, policy: Policy) -> tuple[Problem, ...]:
    """Return refusals and warnings about a volume's create payload."""
    sources = {"": volume.source} if volume.source else {}
    facts = Facts(volume.stack, f"volumes.{volume.key}", sources=sources)
    return _judged(_backed_by_host(volume.payload, policy, ("driver_opts",)), facts, policy)


def check_network(network: Network, policy: Policy) -> tuple[Problem, ...]:
    """Return refusals and warnings about a network's create payload."""
    sources = {"": network.source} if network.source else {}
    facts = Facts(network.stack, f"networks.{network.key}", sources=sources)
    return _judged(_bridged_to_host(network.payload), facts, policy)


# --- from findings to problems ---------------------------------------------------------------------------------------


def _judged(findings: Iterable[Finding], facts: Facts, policy: Policy) -> tuple[Problem, ...]:
    if policy.preset is Preset.OPEN:
        return ()
    allowed = policy.allow.get(facts.subject, frozenset())
    return tuple(
        _problem(finding, facts, policy)
        for finding in dict.fromkeys(findings)
        if finding.exception not in allowed and (policy.preset is Preset.STRICT or not finding.strict)
    )


def _problem(finding: Finding, facts: Facts, policy: Policy) -> Problem:
    known = next((attribute for attribute in finding.attributes if attribute in facts.sources), "")
    attribute = known or finding.attributes[0]
    mark = facts.sources.get(known)
    if finding.warned and policy.preset is Preset.STANDARD:
        return Problem(finding.code, finding.what, mark, f"{facts.at}.{attribute}", severity=Severity.WARNING)
    message = f"the policy {policy.preset} refuses {finding.what}"
    hint = f"remove it, or let the operator allow it: `allow: {{{facts.subject}: [{finding.exception}]}}`"
    return Problem(finding.code, message, mark, f"{facts.at}.{attribute}", hint)


# --- containers ------------------------------------------------------------------------------------------------------


def _privilege(host: Mapping[str, Any], hooks: Iterable[Hook]) -> Iterator[Finding]:
    if host.get("Privileged"):
        yield Finding("R090", "privileged", "a privileged container", ("privileged",))
    if any(hook.privileged for hook in hooks):
        yield Finding("R090", "privileged", "a privileged hook", ("post_start", "pre_stop"))


def _mounts(host: Mapping[str, Any], policy: Policy) -> Iterator[Finding]:
    """Yield what the mounts are of. A source without a slash is a volume's name: volumes are looked at where they are made."""
    for bind in host.get("Binds") or ():
        source, _, rest = str(bind).partition(":")
        if source.startswith("/"):
            yield from _host_path(source, policy, ("volumes",))
            yield from _propagation(rest.rpartition(":")[2].split(","))
    for mount in host.get("Mounts") or ():
        if mount.get("Type") == "bind":
            yield from _host_path(mount["Source"], policy, ("volumes",))
            yield from _propagation([(mount.get("BindOptions") or {}).get("Propagation")])
        driver = (mount.get("VolumeOptions") or {}).get("DriverConfig") or {}
        yield from _backed_by_host({"DriverOpts": driver.get("Options")}, policy, ("volumes",))


def _propagation(options: Iterable[object]) -> Iterator[Finding]:
    if {"shared", "rshared"} & set(options):
        yield Finding("R098", "propagation", "a mount whose inner mounts spread to the host", ("volumes",), warned=True)


def _backed_by_host(volume: Mapping[str, Any], policy: Policy, attributes: tuple[str, ...]) -> Iterator[Finding]:
    """A local volume can be any directory or device of the host, or an overlay of some."""
    options = volume.get("DriverOpts") or {}
    device, kind = str(options.get("device") or ""), str(options.get("type") or "")
    words = str(options.get("o") or "").split(",")
    if {"bind", "rbind"} & set(words) or kind in ("none", "bind"):
        # The engine mounts it from its own directory, which is the root.
        yield from _host_path(f"/{device}", policy, attributes)
    elif kind.startswith("overlay") or any(word.startswith("lowerdir=") for word in words):
        yield Finding("R092", "host-path", "a volume laid over directories of the host", attributes)
    elif device.startswith("/") and not device.startswith("//"):
        yield Finding("R092", "host-path", f"a volume on the host's {device}", attributes)


_PROTECTED = ("/", "/proc", "/sys", "/dev", "/etc", "/boot")


def _host_path(source: str, policy: Policy, attributes: tuple[str, ...]) -> Iterator[Finding]:
    parts = _parts(source)
    shown = "/" + "/".join(parts)
    sockets = [_parts(socket) for socket in policy.engine_sockets]
    roots = [_parts(root) for root in policy.engine_roots]
    if parts in sockets:
        yield Finding("R091", "engine-socket", f"a mount of the engine's socket ({shown})", attributes)
    elif any(_holds(parts, socket) for socket in sockets):
        yield Finding("R091", "engine-socket", f"a mount of {shown}, which holds the engine's socket", attributes)
    if shown in _PROTECTED or _is_process_root(parts):
        yield Finding("R092", "host-path", f"a mount of the host's {shown}", attributes)
    elif any(_holds(root, parts) or _holds(parts, root) for root in roots):
        yield Finding("R092", "host-path", f"a mount of {shown}, where the engine keeps its own", attributes)
    elif not any(_holds(_parts(root), parts) for root in policy.bind_roots):
        yield Finding("R097", "bind", f"a mount of {shown}, outside the allowed directories", attributes, strict=True)


def _parts(path: str) -> tuple[str, ...]:
    """Return a path's components. On every Linux host /var/run and /var/lock are other names of what is in /run."""
    parts = tuple(part for part in normpath(path).split("/") if part)
    if parts[:2] == ("var", "run"):
        return ("run", *parts[2:])
    return ("run", "lock", *parts[2:]) if parts[:2] == ("var", "lock") else parts


def _holds(directory: tuple[str, ...], path: tuple[str, ...]) -> bool:
    return path[: len(directory)] == directory


def _is_process_root(parts: tuple[str, ...]) -> bool:
    """/proc/1/root is the host's whole file system by another name."""
    return len(parts) > 1 and parts[0] == "proc" and (parts[1].isdigit() or parts[1] in ("self", "thread-self"))


_HOST_NAMESPACES = {
    "PidMode": ("host-pid", "process", "pid"),
    "IpcMode": ("host-ipc", "shared memory", "ipc"),
    "UTSMode": ("host-uts", "host name", "uts"),
    "UsernsMode": ("host-userns", "user", "userns_mode"),
    "CgroupnsMode": ("host-cgroup", "control group", "cgroup"),
}


def _namespaces(host: Mapping[str, Any]) -> Iterator[Finding]:
    for name, (exception, noun, attribute) in _HOST_NAMESPACES.items():
        if host.get(name) == "host":
            what = f"the host's {noun} namespace"
            yield Finding("R093", exception, what, (attribute,), warned=name == "CgroupnsMode")


# Each of these is the whole host to somebody who knows how.
_ROOT_CAPABILITIES = frozenset(
    {"ALL", "SYS_ADMIN", "SYS_MODULE", "SYS_PTRACE", "SYS_RAWIO", "SYS_BOOT", "DAC_READ_SEARCH", "BPF", "PERFMON", "MAC_ADMIN"}
)
# What every container of the engine has anyway.
_ORDINARY_CAPABILITIES = frozenset(
    {
        *("AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "NET_RAW"),
        *("SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT"),
    }
)


def _capabilities(host: Mapping[str, Any]) -> Iterator[Finding]:
    for written in host.get("CapAdd") or ():
        name = str(written).upper().removeprefix("CAP_")
        if name in _ROOT_CAPABILITIES:
            yield Finding("R094", f"cap:{name}", f"the capability {name}, which amounts to root on the host", ("cap_add",))
        elif name not in _ORDINARY_CAPABILITIES:
            yield Finding("R094", f"cap:{name}", f"the capability {name}", ("cap_add",), warned=True)


def _confinement(host: Mapping[str, Any]) -> Iterator[Finding]:
    for option in host.get("SecurityOpt") or ():
        name, value = named_option(str(option))
        if value == "unconfined" or (name == "label" and value == "disable"):
            yield Finding("R095", "unconfined", f"the security option {name}={value}", ("security_opt",))
    if any(host.get(paths) == [] for paths in ("MaskedPaths", "ReadonlyPaths")):
        yield Finding("R095", "unconfined", "the security option systempaths=unconfined", ("security_opt",))
    if host.get("Runtime") not in (None, "", "runc"):
        yield Finding("R096", "runtime", f"the runtime {host['Runtime']}", ("runtime",))


def _devices(host: Mapping[str, Any]) -> Iterator[Finding]:
    for device in host.get("Devices") or ():
        yield Finding("R098", "device", f"the host's device {device['PathOnHost']}", ("devices",), warned=True)
    if host.get("DeviceCgroupRules"):
        yield Finding("R098", "device", "rules for the host's devices", ("device_cgroup_rules",), warned=True)
    if host.get("DeviceRequests"):
        attributes = ("gpus", "deploy.resources.reservations.devices", "devices")
        yield Finding("R098", "device", "devices that a driver hands out", attributes, warned=True)


def _network(host: Mapping[str, Any], facts: Facts) -> Iterator[Finding]:
    if host.get("NetworkMode") == "host" or "host" in facts.networks:
        yield Finding("R098", "host-network", "the host's network", ("network_mode", "networks"), warned=True)
    for port, bindings in (host.get("PortBindings") or {}).items():
        if any((binding.get("HostIp") or "0.0.0.0") in ("0.0.0.0", "::") for binding in bindings or ()):
            what = f"port {port} published on every interface of the host"
            yield Finding("R098", "all-interfaces", what, ("ports",), warned=True)


def _neighbours(host: Mapping[str, Any]) -> Iterator[Finding]:
    """What another container may do, its neighbours in one namespace may too; and its mounts are nobody's to check here."""
    for name, attribute in (("NetworkMode", "network_mode"), ("PidMode", "pid"), ("IpcMode", "ipc")):
        if str(host.get(name) or "").startswith("container:"):
            yield Finding("R098", "foreign-container", "the namespace of a container outside", (attribute,), warned=True)
    if any(not str(entry).startswith("service:") for entry in host.get("VolumesFrom") or ()):
        yield Finding("R098", "foreign-container", "the volumes of a container outside", ("volumes_from",), warned=True)
    if host.get("CgroupParent"):
        yield Finding("R098", "host-cgroup", "a control group of its own choice", ("cgroup_parent",), warned=True)


def _image(reference: str, policy: Policy) -> Iterator[Finding]:
    full = _full_reference(reference)
    if not any(full == registry or full.startswith((f"{registry}/", f"{registry}:")) for registry in policy.registries):
        yield Finding("R097", "registry", f"the image {full}, outside the allowed registries", ("image",), strict=True)
    if policy.digests and "@sha256:" not in reference:
        yield Finding("R097", "digest", f"the image {reference}, which names no digest", ("image",), strict=True)


def _full_reference(reference: str) -> str:
    """Write the registry out: `nginx` is `docker.io/library/nginx`."""
    first, slash, _ = reference.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        return reference
    return f"docker.io/{reference}" if slash else f"docker.io/library/{reference}"


# --- networks --------------------------------------------------------------------------------------------------------


def _bridged_to_host(network: Mapping[str, Any]) -> Iterator[Finding]:
    driver, options = network.get("Driver") or "bridge", network.get("Options") or {}
    what = f"a {driver} network on an interface of the host"
    if driver in ("macvlan", "ipvlan"):
        yield Finding("R098", "host-interface", what, ("driver",), warned=True)
    elif "parent" in options:
        yield Finding("R098", "host-interface", what, ("driver_opts",), warned=True)
    if driver == "host":
        yield Finding("R098", "host-network", "the host's network", ("driver",), warned=True)
