"""How does a running container differ from what Git asks for, field by field?

Compared is only what Git sets now or set at creation (labels.FIELDS), after the image's and the engine's defaults; what
the engine adds on its own is nobody's drift. An equal spec label proves the part that cannot change in a live container
equal; anything else is looked at field by field, and only a differing field counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from reconciler.model import labels
from reconciler.model.content import content_digest
from reconciler.model.desired import CONTENT_VOLUME, Attachment, Service
from reconciler.model.observed import Instance, ObservedImage, ObservedNetwork, ObservedState
from reconciler.model.spec import LIVE


@dataclass(frozen=True, slots=True)
class Difference:
    """One field that differs. `attribute` is Compose's path, `engine` the engine's field; values as the engine holds them."""

    attribute: str
    engine: str
    old: Any
    new: Any


@dataclass(frozen=True, slots=True)
class Reattach:
    """An attachment that is missing (`connected` False) or has other aliases or addresses; `new` None: to be cut."""

    network: str
    new: Attachment | None
    connected: bool
    why: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """What would have to change. `asks` lists files to read back before the answer is final.

    recreate  only a new container can change these
    live      the engine changes these in a live container
    """

    recreate: tuple[Difference, ...] = ()
    live: tuple[Difference, ...] = ()
    reattach: tuple[Reattach, ...] = ()
    asks: frozenset[tuple[str, str]] = field(default_factory=frozenset)
    proven: bool = False

    @property
    def same(self) -> bool:
        return not (self.recreate or self.live or self.reattach)


def compare(
    service: Service, instance: Instance, observed: ObservedState, spec: str, siblings: Mapping[str, str]
) -> Comparison:
    """Compare a container with its service, whose spec hash is `spec`.

    `siblings` maps the names of the stack's services to the id of their first container.
    """
    proven = instance.labels.get(labels.SPEC) == spec
    image = observed.images.get(service.image)
    live = tuple(_minded(service, _host_config(service, instance, LIVE.__contains__)))
    reattach = () if _is_ignored(service, "networks") else tuple(_attachments(service, instance, observed))
    fixed = [*_image(service, instance, image), *_namespaces(service, instance, siblings)]
    asks: frozenset[tuple[str, str]] = frozenset()
    if not proven:
        fixed += _config(service, instance, _origin(instance, image, observed))
        fixed += _host_config(service, instance, lambda name: name not in LIVE and name not in _NAMED)
        fixed += _volumes_from(service, instance, observed)
        asks = frozenset((instance.id, file.target) for file in service.files) - observed.contents.keys()
        fixed += _contents(service, instance, observed)
        fixed += _content_volumes(service, instance)
    # A live field can be set but not unset without a new container: to the engine 0 means "leave as it is".
    unset = tuple(difference for difference in live if _empty(difference.new) and difference.engine != "RestartPolicy")
    settable = tuple(difference for difference in live if difference not in unset)
    return Comparison((*_minded(service, fixed), *unset), settable, reattach, asks, proven)


def _origin(instance: Instance, image: ObservedImage | None, observed: ObservedState) -> ObservedImage | None:
    """Return the image a container was made from, `image` being the one its reference names now; None when nobody knows it.

    What it took from there is explained by it: a new version of an image brings new labels, and those are no reason.
    """
    return image if image is not None and image.id == instance.image_id else observed.images.get(instance.image_id)


def _minded(service: Service, differences: Iterable[Difference]) -> Iterator[Difference]:
    """Leave out what Git says to ignore: an attribute, or everything below it."""
    return (one for one in differences if not _is_ignored(service, one.attribute))


def _is_ignored(service: Service, attribute: str) -> bool:
    return any(attribute == rule or attribute.startswith(f"{rule}.") for rule in service.ignore)


def fields_set(service: Service) -> str:
    """Return the value of labels.FIELDS: the HostConfig fields that Git sets."""
    return ",".join(sorted(name for name, value in _host(service).items() if not _empty(value)))


def _host(service: Service) -> Mapping[str, Any]:
    host: Mapping[str, Any] = service.container.get("HostConfig", {})
    return host


# --- image, namespaces, content --------------------------------------------------------------------------------------


def _image(service: Service, instance: Instance, image: ObservedImage | None) -> Iterator[Difference]:
    reference = str(instance.detail.get("Config", {}).get("Image", ""))
    if image is not None and image.id == instance.image_id:
        return
    if reference != service.image:
        yield Difference("image", "Image", reference, service.image)
    elif image is not None and instance.image_id:
        yield Difference("image", "Image", _short(instance.image_id), _short(image.id))


_NAMESPACES = {"NetworkMode": "network_mode", "IpcMode": "ipc", "PidMode": "pid"}
_NAMED = {*_NAMESPACES, "VolumesFrom"}
"""Fields that name other containers."""


def _namespaces(service: Service, instance: Instance, siblings: Mapping[str, str]) -> Iterator[Difference]:
    """A shared namespace dies with its owner: who shares it must follow the owner's replacement."""
    wanted = {**{name: _host(service).get(name, "") for name in _NAMESPACES}, "NetworkMode": service.network_mode}
    actual = instance.detail.get("HostConfig", {})
    for engine, attribute in _NAMESPACES.items():
        want, have = (_mode(said.get(engine)) for said in (wanted, actual))
        if want.startswith(_SERVICE):
            owner = siblings.get(want.removeprefix(_SERVICE), "")
            if owner and have not in (f"container:{owner}", f"container:{owner[:12]}"):
                yield Difference(attribute, engine, have, want)
        elif engine == "NetworkMode":
            if want != have if want else _shuts_out(have, service):
                yield Difference(attribute, engine, have, want or "bridge networks")
        elif want != have and (want or engine in _were_set(instance)):
            yield Difference(attribute, engine, have, want)


def _volumes_from(service: Service, instance: Instance, observed: ObservedState) -> Iterator[Difference]:
    """The engine names containers: whose one was that is gone nobody knows, and its volumes are still there."""
    want, have = (host.get("VolumesFrom") or () for host in (_host(service), instance.detail.get("HostConfig", {})))
    if not want and not have:
        return
    siblings = (one for one in observed.instances if one.labels.get(labels.COMPOSE_PROJECT) == service.project)
    names = {handle: _SERVICE + one.labels[labels.COMPOSE_SERVICE] for one in siblings for handle in (one.id, one.name)}
    lent = [_lent(entry) for entry in have]
    known = {(names.get(owner, owner), mode) for owner, mode in lent if owner in names or not _is_id(owner)}
    if len(want) != len(have) or known - {_lent(entry) for entry in want}:
        yield Difference("volumes_from", "VolumesFrom", list(have), list(want))


_SERVICE = "service:"


def _lent(entry: str) -> tuple[str, str]:
    """Whose volumes, and how: `[service:]NAME[:MODE]`."""
    prefix = _SERVICE if entry.startswith(_SERVICE) else ""
    name, _, mode = entry.removeprefix(prefix).partition(":")
    return prefix + name, mode.removeprefix("rw")


def _mode(value: Any) -> str:
    """Newer engines say `bridge` of who asked for `default`."""
    return _BRIDGE if value == "default" else str(value or "")


def _shuts_out(mode: str, service: Service) -> bool:
    """A container in this mode cannot be attached to the service's networks, or would keep one that Git never named."""
    named = {attachment.network for attachment in service.networks}
    return mode in ("host", "none") or mode.startswith("container:") or (mode == _BRIDGE and bool(named - {_BRIDGE}))


_BRIDGE = "bridge"
"""The network every engine has, and the mode of who is put on it alone."""


def _contents(service: Service, instance: Instance, observed: ObservedState) -> Iterator[Difference]:
    for file in service.files:
        found = observed.contents.get((instance.id, file.target), "")
        wanted = content_digest(file.content, file.mode, file.uid, file.gid)
        if found != wanted and (instance.id, file.target) in observed.contents:
            yield Difference(f"content of {file.target}", "", "(changed)", "(changed)")
    delivered = instance.labels.get(labels.DELIVERED, "").splitlines()
    for target in sorted(set(delivered) - {file.target for file in service.files}):
        yield Difference(f"content of {target}", "", "(changed)", "(none)")


def _content_volumes(service: Service, instance: Instance) -> Iterator[Difference]:
    """Files that come in a volume of their own: the volume's name says what is in it."""
    have = {str(mount.get("Target")): str(mount.get("Source")) for mount in _mounts(instance) if _holds_content(mount)}
    want = {volume.target: volume.name for volume in service.content_volumes}
    for target in sorted(have.keys() | want.keys()):
        if have.get(target) != want.get(target):
            yield Difference(f"content of {target}", "", "(changed)", "(changed)")


def _mounts(instance: Instance) -> Iterable[Mapping[str, Any]]:
    mounts: Iterable[Mapping[str, Any]] = instance.detail.get("HostConfig", {}).get("Mounts") or ()
    return mounts


def _holds_content(mount: Mapping[str, Any]) -> bool:
    return str(mount.get("Source")).startswith(CONTENT_VOLUME)


# --- Config: what the image may say too ------------------------------------------------------------------------------


def _config(service: Service, instance: Instance, image: ObservedImage | None) -> Iterator[Difference]:
    wanted, actual = service.container, instance.detail.get("Config", {})
    default = image.config if image is not None else None
    for attribute, engine, read in (("environment", "Env", _pairs), ("labels", "Labels", _own)):
        inherited = read(_of(default, engine)) if default is not None else None
        yield from _map(attribute, engine, read(wanted.get(engine)), read(actual.get(engine)), inherited)
    yield from _command(wanted, actual, default)
    yield from _healthcheck(wanted.get("Healthcheck"), actual.get("Healthcheck"), default)
    yield from _sets(wanted, {**actual, "HostConfig": instance.detail.get("HostConfig")}, default)
    for engine, attribute in _CONFIG_SCALARS.items():
        want = wanted.get(engine) or (_of(default, engine) if engine in _INHERITED else None)
        if _empty(want) and (engine in _ENGINE_CHOOSES or default is None):
            continue
        if not _equal(want, actual.get(engine)):
            yield Difference(attribute, engine, actual.get(engine), want)


_CONFIG_SCALARS = {
    "User": "user", "WorkingDir": "working_dir", "Hostname": "hostname", "Domainname": "domainname", "Tty": "tty",
    "OpenStdin": "stdin_open", "StopSignal": "stop_signal", "StopTimeout": "stop_grace_period", "MacAddress": "mac_address",
}  # fmt: skip
_ENGINE_CHOOSES = {"Hostname", "Domainname", "StopSignal", "MacAddress"}
_INHERITED = {"User", "WorkingDir", "StopSignal"}
"""What a container takes from its image; the rest of an image's configuration is that of a container it was made from."""


def _command(wanted: Mapping[str, Any], actual: Mapping[str, Any], default: Mapping[str, Any] | None) -> Iterator[Difference]:
    """The image's command counts only where Git sets neither; an entrypoint of Git's clears it."""
    entrypoint, command = wanted.get("Entrypoint"), wanted.get("Cmd")
    if default is None:
        pairs = [("entrypoint", "Entrypoint", entrypoint), ("command", "Cmd", command)]
        pairs = [pair for pair in pairs if pair[2]]
    else:
        expected = command if command or entrypoint else default.get("Cmd")
        inherited = entrypoint if entrypoint is not None else default.get("Entrypoint")
        pairs = [("entrypoint", "Entrypoint", inherited), ("command", "Cmd", expected)]
    for attribute, engine, want in pairs:
        if not _equal([part for part in want or [] if part != ""], [part for part in actual.get(engine) or [] if part != ""]):
            yield Difference(attribute, engine, actual.get(engine), want)


def _healthcheck(wanted: Any, actual: Any, default: Mapping[str, Any] | None) -> Iterator[Difference]:
    """Where nobody knows the image, a healthcheck that Git does not set may be the image's."""
    set_by_git = {name: value for name, value in (wanted or {}).items() if not _empty(value)}
    expected, have = {**(_of(default, "Healthcheck") or {}), **set_by_git}, actual or {}
    dropped = have and not expected and default is not None
    if dropped or any(not _equal(value, have.get(name)) for name, value in expected.items()):
        yield Difference("healthcheck", "Healthcheck", actual, wanted)


def _sets(wanted: Mapping[str, Any], actual: Mapping[str, Any], default: Mapping[str, Any] | None) -> Iterator[Difference]:
    """Ports and anonymous volumes: the image's are joined with Git's."""
    for engine, attribute in (("ExposedPorts", "expose"), ("Volumes", "volumes")):
        want = set(wanted.get(engine) or {}) | set(_of(default, engine) or {})
        have = set(actual.get(engine) or {})
        if engine == "Volumes":
            want, have = want | _anonymous(wanted), have | _anonymous(actual)
        if want - have or (default is not None and have - want):
            yield Difference(attribute, engine, sorted(have), sorted(want))


def _anonymous(payload: Mapping[str, Any]) -> set[str]:
    """Where a HostConfig asks for anonymous volumes, as docker compose does it."""
    mounts = (payload.get("HostConfig") or {}).get("Mounts") or ()
    return {mount["Target"] for mount in mounts if _is_anonymous(mount)}


def _is_anonymous(mount: Mapping[str, Any]) -> bool:
    """Who recreates a container with docker compose gives the new one the old one's anonymous volumes, by their names."""
    source = str(mount.get("Source") or "")
    plain = not any(value for name, value in mount.items() if name not in ("Type", "Target", "Source"))
    return mount.get("Type") == "volume" and plain and (not source or _is_id(source))


def _map(
    attribute: str, engine: str, wanted: Mapping[str, Any], actual: Mapping[str, Any], default: Mapping[str, Any] | None
) -> Iterator[Difference]:
    """Where nobody knows the image, what Git does not set may be the image's."""
    expected = {**(default or {}), **wanted}
    names = expected.keys() | actual.keys() if default is not None else expected.keys()
    for name in sorted(names):
        if expected.get(name) != actual.get(name):
            yield Difference(f"{attribute}.{name}", engine, actual.get(name), expected.get(name))


def _pairs(entries: Iterable[str] | None) -> dict[str, str]:
    return {name: value for name, _, value in (entry.partition("=") for entry in entries or ())}


def _own(tags: Mapping[str, str] | None) -> dict[str, str]:
    """Labels that people set: neither ours nor Compose's."""
    theirs = (labels.OURS, labels.COMPOSE)
    return {name: value for name, value in (tags or {}).items() if not name.startswith(theirs)}


def _of(image_config: Mapping[str, Any] | None, name: str) -> Any:
    return image_config.get(name) if image_config is not None else None


# --- HostConfig ------------------------------------------------------------------------------------------------------


def _host_config(service: Service, instance: Instance, concerns: Callable[[str], bool]) -> Iterator[Difference]:
    wanted, actual = _host(service), instance.detail.get("HostConfig", {})
    inherited = frozenset(service.anonymous)
    names = {name for name, value in wanted.items() if not _empty(value)} | _were_set(instance) | _ALWAYS
    for engine in sorted(name for name in names if concerns(name)):
        normal = _NORMAL.get(engine, _plain)
        want, have = normal(wanted.get(engine)), normal(actual.get(engine))
        if engine == "Binds":
            have = frozenset(bind for bind in have if not (bind[1] in inherited and _is_id(bind[0])))
        if not _equal(want, have):
            yield Difference(_attribute(service, engine), engine, actual.get(engine), wanted.get(engine))


# Compared even where Git says nothing: what is there without Git's word was put there by an earlier commit.
_ALWAYS = {"PortBindings", "Binds", "Mounts"}


def _were_set(instance: Instance) -> set[str]:
    return {name for name in instance.labels.get(labels.FIELDS, "").split(",") if name}


def _attribute(service: Service, engine: str) -> str:
    """The Compose attribute that Git uses for an engine field, else the first that could set it."""
    candidates = _ATTRIBUTES.get(engine, (engine,))
    for attribute in candidates:
        if attribute in service.sources:
            return attribute
    return candidates[0]


_ATTRIBUTES: Mapping[str, tuple[str, ...]] = {
    "Memory": ("deploy.resources.limits.memory", "mem_limit"),
    "MemoryReservation": ("deploy.resources.reservations.memory", "mem_reservation"),
    "MemorySwap": ("memswap_limit",),
    "MemorySwappiness": ("mem_swappiness",),
    "NanoCpus": ("deploy.resources.limits.cpus", "cpus"),
    "CpuShares": ("cpu_shares",), "CpuPeriod": ("cpu_period",), "CpuQuota": ("cpu_quota",), "CpusetCpus": ("cpuset",),
    "PidsLimit": ("deploy.resources.limits.pids", "pids_limit"),
    "RestartPolicy": ("deploy.restart_policy", "restart"),
    "PortBindings": ("ports",), "Binds": ("volumes",), "Mounts": ("volumes",), "Tmpfs": ("tmpfs",),
    "LogConfig": ("logging",), "CapAdd": ("cap_add",), "CapDrop": ("cap_drop",), "Dns": ("dns",), "DnsSearch": ("dns_search",),
    "DnsOptions": ("dns_opt",), "ExtraHosts": ("extra_hosts",), "GroupAdd": ("group_add",), "Privileged": ("privileged",),
    "ReadonlyRootfs": ("read_only",), "SecurityOpt": ("security_opt",), "ShmSize": ("shm_size",), "Sysctls": ("sysctls",),
    "Ulimits": ("ulimits",), "Init": ("init",), "Devices": ("devices",), "DeviceRequests": ("gpus",), "Runtime": ("runtime",),
    "IpcMode": ("ipc",), "PidMode": ("pid",), "UTSMode": ("uts",), "UsernsMode": ("userns_mode",), "CgroupnsMode": ("cgroup",),
    "CgroupParent": ("cgroup_parent",), "OomKillDisable": ("oom_kill_disable",), "OomScoreAdj": ("oom_score_adj",),
    "StorageOpt": ("storage_opt",), "Links": ("links",), "VolumesFrom": ("volumes_from",), "Isolation": ("isolation",),
    "BlkioWeight": ("blkio_config",), "DeviceCgroupRules": ("device_cgroup_rules",), "Annotations": ("annotations",),
}  # fmt: skip


def _is_id(name: str) -> bool:
    """A container's id and an anonymous volume's name are 64 hexadecimal digits."""
    return len(name) == 64 and all(character in "0123456789abcdef" for character in name)


def _plain(value: Any) -> Any:
    return value


def _set(value: Any) -> Any:
    return frozenset(value or ())


def _capabilities(value: Any) -> Any:
    return frozenset(str(name).upper().removeprefix("CAP_") for name in value or ())


def _binds(value: Any) -> Any:
    """Binds as (source, target, options) with the order of options and a spelled-out `rw` ignored."""
    split = (str(bind).split(":") for bind in value or ())
    return frozenset(
        (parts[0], parts[1] if len(parts) > 1 else "", frozenset("".join(parts[2:]).split(",")) - {"rw", ""}) for parts in split
    )


def _records(value: Any) -> Any:
    """A list of records whose order means nothing."""
    return frozenset(_frozen(record) for record in value or ())


def _mounted(value: Any) -> Any:
    """Mounts but for those of content volumes, compared by what is in them, and of anonymous ones, compared by place."""
    return _records(_lasting(mount) for mount in value or () if not (_holds_content(mount) or _is_anonymous(mount)))


def _lasting(mount: Mapping[str, Any]) -> Mapping[str, Any]:
    """Without what counts only at creation, and what older engines therefore forget."""
    options = mount.get("BindOptions") or {}
    return {**mount, "BindOptions": {name: value for name, value in options.items() if name != "CreateMountpoint"}}


def _ports(value: Any) -> Any:
    return frozenset(
        (port, binding.get("HostIp") or "", str(binding.get("HostPort") or ""))
        for port, bindings in (value or {}).items()
        for binding in bindings or ()
    )


def _restart(value: Any) -> Any:
    policy = value or {}
    name = policy.get("Name") or "no"
    return (name, policy.get("MaximumRetryCount") or 0)


def _limit(value: Any) -> Any:
    """No limit is said in three ways."""
    return 0 if value in (None, -1) else value


def _log(value: Any) -> Any:
    return ((value or {}).get("Type") or "", _frozen((value or {}).get("Config") or {}))


def _frozen(value: Any) -> Any:
    """A hashable copy without empty parts."""
    if isinstance(value, Mapping):
        return frozenset((name, _frozen(child)) for name, child in value.items() if not _empty(child))
    if isinstance(value, (list, tuple)):
        return tuple(_frozen(child) for child in value)
    return value


_NORMAL: Mapping[str, Callable[[Any], Any]] = {
    "CapAdd": _capabilities, "CapDrop": _capabilities, "Binds": _binds, "Mounts": _mounted, "PortBindings": _ports,
    "RestartPolicy": _restart, "LogConfig": _log, "Ulimits": _records, "Devices": _records, "DeviceRequests": _records,
    "SecurityOpt": _set, "GroupAdd": _set, "ExtraHosts": _set, "Links": _set, "DeviceCgroupRules": _set,
    "PidsLimit": _limit, "Sysctls": _frozen, "Tmpfs": _frozen, "StorageOpt": _frozen, "Annotations": _frozen,
}  # fmt: skip


def _equal(want: Any, have: Any) -> bool:
    return (_empty(want) and _empty(have)) or want == have


def _empty(value: Any) -> bool:
    return value in (None, "", 0, False, [], {}, (), frozenset(), ("no", 0), ("", frozenset()))


def _short(image_id: str) -> str:
    return image_id.removeprefix("sha256:")[:12]


# --- networks --------------------------------------------------------------------------------------------------------


def _attachments(service: Service, instance: Instance, observed: ObservedState) -> Iterator[Reattach]:
    if service.network_mode:
        return
    have: Mapping[str, Any] = instance.detail.get("NetworkSettings", {}).get("Networks") or {}
    by_name = {network.name: network for network in observed.networks}
    for attachment in service.networks:
        why = _attachment_differs(attachment, service, have.get(attachment.network), by_name.get(attachment.network))
        if why:
            yield Reattach(attachment.network, attachment, attachment.network in have, why)
    wanted = {attachment.network for attachment in service.networks}
    for name in sorted(have.keys() - wanted):
        network = by_name.get(name)
        # A network that someone else attached is theirs; one of this stack was ours to cut when Git dropped it.
        if network is not None and network.labels.get(labels.STACK) == service.stack:
            yield Reattach(name, None, True, "no longer in Git")


def _attachment_differs(wanted: Attachment, service: Service, have: Any, network: ObservedNetwork | None) -> str:
    if have is None:
        return "not attached"
    missing = {*wanted.aliases, service.name} - set(have.get("Aliases") or ()) - set(have.get("DNSNames") or ())
    if missing:
        return f"alias {sorted(missing)[0]} is missing"
    if network is not None and have.get("NetworkID") and have["NetworkID"] != network.id:
        return "the network was made anew"
    for name, value in wanted.endpoint.items():
        normal = _set if name == "Links" else _frozen
        if not _equal(normal(value), normal(have.get(name))) and name != "MacAddress":
            return f"{name} differs"
    return ""
