"""What does one Compose service ask for, resolved to what the engine and the planner need?"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from posixpath import join, normpath
from typing import Any

from reconciler.errors import InvalidState, Mark, Problem
from reconciler.load.compose import Project
from reconciler.load.content import Delivery, deliver
from reconciler.load.definition import Context, Definition, definition
from reconciler.load.excerpt import SECRET_NAME, USER_INFO
from reconciler.load.notes import Path
from reconciler.load.payload import (
    BLOCK_MEASURES,
    Payload,
    anonymous_volumes,
    container_payload,
    environment,
    is_anonymous,
    is_cdi_name,
    mac_address,
    mount_fields,
    named_option,
    networks_by_priority,
)
from reconciler.load.values import parse_duration
from reconciler.model.desired import (
    Attachment,
    Condition,
    Dependency,
    FailureAction,
    HealthTiming,
    Hook,
    Kind,
    NeedsApi,
    Order,
    PullPolicy,
    Service,
    UpdateConfig,
)
from reconciler.model.masking import SHORTEST_SECRET
from reconciler.ports import FileKind

_NANOSECONDS = 1_000_000_000


def build_service(project: Project, name: str, context: Context) -> tuple[Service, tuple[Problem, ...]]:
    """Return a service of the project and the warnings about it.

    Extensions, healing, waves and ignore rules are not this function's: the loader adds them.
    Raises InvalidState with every problem of the service.
    """
    service = definition(project, "services", name)
    delivery = deliver(service, project, context)
    security, security_problems = _security_options(service, context)
    problems = (*delivery.problems, *security_problems, *_mistakes(service))
    if problems:
        raise InvalidState(problems)
    return _service(service, project, context, delivery, security), delivery.warnings


def _service(service: Definition, project: Project, context: Context, delivery: Delivery, security: Payload) -> Service:
    values = service.values
    volume_names = _volume_names(project)
    host = {**security, **mount_fields(delivery.mounts, volume_names), **_others(service, project)}
    return Service(
        stack=context.stack,
        project=project.name,
        name=service.name,
        image=values["image"],
        container=container_payload(values, anonymous_volumes(delivery.mounts), host),
        replicas=_replicas(values),
        kind=_kind(service, project),
        container_name=values.get("container_name") or "",
        pull_policy=_PULL_POLICIES[values.get("pull_policy") or "missing"],
        platform=values.get("platform") or "",
        network_mode=_network_mode(values),
        networks=tuple(_attachments(service, project)),
        volumes=_named_volumes(delivery, volume_names),
        anonymous=tuple(sorted(mount["target"] for mount in delivery.mounts if is_anonymous(mount))),
        files=delivery.files,
        content_volumes=delivery.volumes,
        needs_api=tuple(sorted(_needs_api(service))),
        depends_on=tuple(_dependencies(values, project)),
        update=_update((values.get("deploy") or {}).get("update_config")),
        post_start=_hooks(values.get("post_start")),
        pre_stop=_hooks(values.get("pre_stop")),
        health=_health(values.get("healthcheck")),
        stop_grace_seconds=_seconds(values["stop_grace_period"]) if values.get("stop_grace_period") else None,
        sources=dict(_sources(service)),
        hidden=frozenset(attribute for attribute, _, _ in _hidden(service)),
        secrets=frozenset(_secrets(service, project.variables)),
    )


# --- mistakes that only show here ------------------------------------------------------------------------------------


def _mistakes(service: Definition) -> Iterator[Problem]:
    values = service.values
    if not values.get("image"):
        yield service.problem("R160", f"service {service.name} names no image", hint="build it in CI and name the image here")
    if (policy := values.get("pull_policy") or "missing") not in _PULL_POLICIES:
        hint = "use always (asked at a new revision, then at most hourly), missing or never"
        yield service.problem("R161", f"pull_policy {policy} is not supported", "pull_policy", hint=hint)
    if values.get("use_api_socket"):
        hint = "mount /var/run/docker.sock, which the operator can allow with `engine-socket`"
        yield service.problem("R096", "use_api_socket hands the engine over without saying so", "use_api_socket", hint=hint)
    check = values.get("healthcheck") or {}
    if check.get("start_interval") and not check.get("start_period"):
        message = "healthcheck.start_interval needs healthcheck.start_period"
        yield service.problem("R162", message, "healthcheck", "start_interval")
    yield from _deploy_mistakes(service)
    yield from _hook_mistakes(service)
    yield from _block_device_mistakes(service)


def _deploy_mistakes(service: Definition) -> Iterator[Problem]:
    """Compose never reads these: they are Swarm's, which would refuse them too."""
    deploy = service.values.get("deploy") or {}
    if (deploy.get("mode") or "replicated") not in _MODES:
        yield service.problem("R175", "there is no such mode", "deploy", "mode", hint=f"known are {', '.join(_MODES)}")
    action = (deploy.get("update_config") or {}).get("failure_action") or FailureAction.ROLLBACK
    if action not in list(FailureAction):
        hint = f"known are {', '.join(FailureAction)}"
        yield service.problem("R175", "there is no such failure_action", "deploy", "update_config", "failure_action", hint=hint)
    restart, inside = deploy.get("restart_policy") or {}, ("deploy", "restart_policy")
    if (restart.get("condition") or "any") not in ("none", "on-failure", "any", "no", "always", "unless-stopped"):
        hint = "known are none, on-failure and any"
        yield service.problem("R175", "there is no such condition", *inside, "condition", hint=hint)
    if restart.get("max_attempts") and restart.get("condition") != "on-failure":
        hint = "write condition: on-failure, or leave max_attempts out"
        message = "an engine without Swarm counts attempts only with condition on-failure"
        yield service.problem("R163", message, *inside, "max_attempts", hint=hint)


_MODES = ("replicated", "global", "replicated-job", "global-job")


def _hook_mistakes(service: Definition) -> Iterator[Problem]:
    for attribute in ("post_start", "pre_stop"):
        for index, hook in enumerate(service.values.get(attribute) or ()):
            if not hook.get("command"):
                yield service.problem("R174", "a hook needs a command", attribute, index)


def _block_device_mistakes(service: Definition) -> Iterator[Problem]:
    for attribute, measure in BLOCK_MEASURES.items():
        for index, entry in enumerate((service.values.get("blkio_config") or {}).get(attribute) or ()):
            missing = {"path", measure} - {name.lower() for name in entry}
            for name in sorted(missing):
                yield service.problem("R176", f"an entry of {attribute} needs a {name}", "blkio_config", attribute, index)


_PULL_POLICIES = {
    "always": PullPolicy.ALWAYS,
    "never": PullPolicy.NEVER,
    "missing": PullPolicy.MISSING,
    "if_not_present": PullPolicy.MISSING,
    # What a service with both `build` and `image` runs is built elsewhere.
    "build": PullPolicy.MISSING,
}


def _security_options(service: Definition, context: Context) -> tuple[Payload, tuple[Problem, ...]]:
    """Return SecurityOpt, with seccomp profiles read in, and the paths that `systempaths=unconfined` lays open."""
    options: list[str] = []
    problems: list[Problem] = []
    fields: Payload = {}
    for index, option in enumerate(service.values.get("security_opt") or ()):
        match named_option(option):
            case ("systempaths", "unconfined"):
                fields = {"MaskedPaths": [], "ReadonlyPaths": []}
            case ("seccomp", path) if path not in ("", "unconfined", "builtin"):
                profile = _seccomp_profile(service, context, path, index)
                problems += [profile] if isinstance(profile, Problem) else []
                options += [f"seccomp={profile}"] if isinstance(profile, str) else []
            case (name, "") if name != "no-new-privileges":
                hint = "write name=value, such as no-new-privileges:true"
                problems.append(service.problem("R177", "this is no security option", "security_opt", index, hint=hint))
            case _:
                options.append(option)
    return {**fields, **({"SecurityOpt": options} if options else {})}, tuple(problems)


def _seccomp_profile(service: Definition, context: Context, written: str, index: int) -> str | Problem:
    """Return the profile as one line of JSON. Its path is relative to the stack's directory."""
    path = context.inside(normpath(join(context.root, context.directory, written)))
    if path is None or context.files.kind(path) is not FileKind.FILE:
        hint = "profiles are read from the repository; an installed one cannot be named"
        return service.problem("R167", f"the seccomp profile {written} is not in the commit", "security_opt", index, hint=hint)
    try:
        return json.dumps(json.loads(context.files.read(path)), separators=(",", ":"))
    except ValueError as error:
        return service.problem("R164", f"the seccomp profile {path} is no JSON: {error}", "security_opt", index)


# --- mounts of others ------------------------------------------------------------------------------------------------


def _volume_names(project: Project) -> dict[str, str]:
    """Return key -> the engine's name for each volume of the project."""
    volumes = project.document.get("volumes") or {}
    return {key: (volume or {}).get("name") or key for key, volume in volumes.items()}


def _named_volumes(delivery: Delivery, volume_names: Mapping[str, str]) -> tuple[str, ...]:
    sources = {mount["source"] for mount in delivery.mounts if mount["type"] == "volume" and mount.get("source")}
    return tuple(sorted(volume_names[source] for source in sources if source in volume_names))


def _others(service: Definition, project: Project) -> Payload:
    """Return VolumesFrom and, where no network of Git's carries them, Links."""
    values = service.values
    fields = {
        "VolumesFrom": _volumes_from(values),
        "Links": list(_links(service, project)) if values.get("network_mode") else [],
    }
    return {name: value for name, value in fields.items() if value}


def _volumes_from(values: Mapping[str, Any]) -> list[str]:
    """`container:NAME` is the engine's own NAME; a service's containers are the planner's to find."""
    entries = values.get("volumes_from") or ()
    return [entry.removeprefix("container:") if entry.startswith("container:") else f"service:{entry}" for entry in entries]


def _links(service: Definition, project: Project) -> Iterator[str]:
    """Yield the engine's links: every container of a linked service under each name Compose gives it."""
    found: dict[str, None] = {}
    for link in service.values.get("links") or ():
        other, _, alias = link.partition(":")
        linked = (project.document.get("services") or {}).get(other) or {}
        for slot in range(1, _replicas(linked) + 1):
            container = linked.get("container_name") or f"{project.name}-{other}-{slot}"
            names = (alias or other, f"{other}-{slot}", container)
            found |= dict.fromkeys(f"{container}:{name}" for name in names)
    for link in service.values.get("external_links") or ():
        container, _, alias = link.partition(":")
        found[f"{container}:{alias or container}"] = None
    yield from sorted(found)


# --- networks --------------------------------------------------------------------------------------------------------


def _network_mode(values: Mapping[str, Any]) -> str:
    """Return the mode Git sets. A service that is on no network at all has none."""
    return str(values.get("network_mode") or ("" if values.get("networks") else "none"))


def _attachments(service: Definition, project: Project) -> Iterator[Attachment]:
    values = service.values
    if values.get("network_mode"):
        return
    networks = values.get("networks") or {}
    links = list(_links(service, project))
    for position, key in enumerate(networks_by_priority(networks)):
        declared = (project.document.get("networks") or {}).get(key) or {}
        settings = networks[key] or {}
        mac = mac_address(values) if position == 0 else settings.get("mac_address") or ""
        yield Attachment(
            network=declared.get("name") or key,
            key=key,
            aliases=tuple(settings.get("aliases") or ()),
            endpoint=_endpoint(settings, mac, links),
        )


def _endpoint(settings: Mapping[str, Any], mac: str, links: list[str]) -> dict[str, Any]:
    addresses = {
        "IPv4Address": settings.get("ipv4_address"),
        "IPv6Address": settings.get("ipv6_address"),
        "LinkLocalIPs": list(settings.get("link_local_ips") or ()),
    }
    options = {name: str(value) for name, value in (settings.get("driver_opts") or {}).items()}
    if settings.get("interface_name"):
        options["com.docker.network.endpoint.ifname"] = settings["interface_name"]
    fields = {
        "IPAMConfig": {name: value for name, value in addresses.items() if value},
        "DriverOpts": options,
        "GwPriority": int(settings.get("gw_priority") or 0),
        "MacAddress": mac,
        "Links": links,
    }
    return {name: value for name, value in fields.items() if value}


# --- what the planner needs ------------------------------------------------------------------------------------------


def _replicas(values: Mapping[str, Any]) -> int:
    """Both ways of saying it agree, or the project would not have loaded. A global service has one: there is one engine."""
    deploy = values.get("deploy") or {}
    if str(deploy.get("mode") or "").startswith("global"):
        return 1
    for said in (deploy.get("replicas"), values.get("scale")):
        if said is not None:
            return int(said)
    return 1


def _kind(service: Definition, project: Project) -> Kind:
    """A job is what someone awaits to complete, or what calls itself one."""
    mode = str((service.values.get("deploy") or {}).get("mode") or "")
    others = (project.document.get("services") or {}).values()
    needs = (other["depends_on"].get(service.name) for other in others if other and other.get("depends_on"))
    awaited = any(need and need.get("condition") == Condition.COMPLETED for need in needs)
    return Kind.JOB if awaited or mode.endswith("-job") else Kind.SERVICE


def _dependencies(values: Mapping[str, Any], project: Project) -> Iterator[Dependency]:
    """Yield what the service waits for; an optional service that no profile enables is nothing to wait for."""
    services = project.document.get("services") or {}
    for name, need in sorted((values.get("depends_on") or {}).items()):
        if name in services:
            condition = Condition(need.get("condition") or Condition.STARTED)
            yield Dependency(name, condition, bool(need.get("restart")), need.get("required") is not False)


def _update(config: Mapping[str, Any] | None) -> UpdateConfig:
    """Swarm pauses a failed update and calls a person; where Git says nothing, this program goes back."""
    config = config or {}
    return UpdateConfig(
        order=Order(config["order"]) if config.get("order") else None,
        parallelism=int(config.get("parallelism", 1)),
        delay_seconds=_seconds(config.get("delay") or "0s"),
        monitor_seconds=_seconds(config.get("monitor") or "5s"),
        failure_action=FailureAction(config.get("failure_action") or FailureAction.ROLLBACK),
        max_failure_ratio=float(config.get("max_failure_ratio") or 0.0),
    )


def _hooks(hooks: list[Mapping[str, Any]] | None) -> tuple[Hook, ...]:
    return tuple(
        Hook(
            command=tuple(hook["command"]),
            user=hook.get("user") or "",
            privileged=bool(hook.get("privileged")),
            working_dir=hook.get("working_dir") or "",
            environment=tuple(environment(hook.get("environment"))),
        )
        for hook in hooks or ()
    )


def _health(check: Mapping[str, Any] | None) -> HealthTiming | None:
    """Zero and absent both mean the engine's default."""
    if check is None or check.get("disable") or (check.get("test") or [""])[0] == "NONE":
        return None
    standard = HealthTiming()
    return HealthTiming(
        interval_seconds=_seconds(check.get("interval") or "0s") or standard.interval_seconds,
        timeout_seconds=_seconds(check.get("timeout") or "0s") or standard.timeout_seconds,
        retries=int(check.get("retries") or standard.retries),
        start_period_seconds=_seconds(check.get("start_period") or "0s"),
    )


def _seconds(duration: str) -> float:
    return parse_duration(duration) / _NANOSECONDS


# --- engines too old -------------------------------------------------------------------------------------------------


def _needs_api(service: Definition) -> Iterator[NeedsApi]:
    """Yield what older engines would pass over in silence or refuse. Their smaller meanings are not in it.

    A service's one MAC address and the directory a simple bind makes are older than the fields of today.
    """
    values = service.values
    if values.get("annotations"):
        yield service.needs_api("annotations")
    if (values.get("healthcheck") or {}).get("start_interval"):
        yield service.needs_api("healthcheck", "start_interval")
    for index, device in enumerate(values.get("devices") or ()):
        if is_cdi_name(device):
            yield NeedsApi(f"devices.{index}", "1.44", service.mark("devices", index))
    yield from _networks_need(service)
    yield from _mounts_need(service)


def _networks_need(service: Definition) -> Iterator[NeedsApi]:
    networks = service.values.get("networks") or {}
    for position, key in enumerate(networks_by_priority(networks)):
        settings = networks[key] or {}
        for attribute in ("interface_name", "gw_priority", *(("mac_address",) if position else ())):
            if settings.get(attribute):
                yield service.needs_api("networks", key, attribute)


def _mounts_need(service: Definition) -> Iterator[NeedsApi]:
    for index, mount in enumerate(service.values.get("volumes") or ()):
        if mount["type"] == "image":
            yield NeedsApi(f"volumes.{index}", "1.48", service.mark("volumes", index))
        if (mount.get("volume") or {}).get("subpath"):
            yield service.needs_api("volumes", index, "volume", "subpath")
        if (mount.get("bind") or {}).get("recursive") in ("writable", "readonly"):
            yield service.needs_api("volumes", index, "bind", "recursive")


# --- where it stands, and what no output may show --------------------------------------------------------------------


def _sources(service: Definition) -> Iterator[tuple[str, Mark]]:
    """Yield attribute path -> place for the service and everything in it."""
    for path, _ in _values(service.values):
        if mark := service.mark(*path):
            yield ".".join(map(str, path)), mark


def _values(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    yield path, value
    match value:
        case Mapping():
            for name, child in value.items():
                yield from _values(child, (*path, name))
        case list():
            for index, child in enumerate(value):
                yield from _values(child, (*path, index))


# Free text that people put secrets into, by name or as a whole.
_KEYED = ("environment", "labels", "annotations", "sysctls", "storage_opt", "logging.options")
_WHOLE = ("command", "entrypoint", "healthcheck.test", "post_start", "pre_stop", "extra_hosts")

# What every plan shows, whatever it comes from: an image's version or a port that stands in the environment too is no secret.
_SHOWN = ("image", "ports", "expose", "user", "hostname", "container_name", "network_mode")


def _hidden(service: Definition) -> Iterator[tuple[str, Path, str]]:
    """Yield what stands nowhere literally, has a secret's name or holds a URL with a user: attribute, path and text."""
    for attribute in _KEYED:
        for name, value in (_inside(service.values, attribute) or {}).items():
            path = (*attribute.split("."), name)
            if SECRET_NAME.search(name) or _is_secret(service, path, value):
                yield f"{attribute}.{name}", path, str(value)
    for attribute in _WHOLE:
        whole = tuple(attribute.split("."))
        for path, value in _values(_inside(service.values, attribute)):
            inside = (*whole, *path)
            if isinstance(value, str) and (SECRET_NAME.search(value) or _is_secret(service, inside, value)):
                yield attribute, inside, value


def _secrets(service: Definition, variables: Mapping[str, str]) -> Iterator[str]:
    """Yield what interpolation put into hidden texts, so that the words around it can be said; else the whole text."""
    shown = json.dumps([service.values.get(attribute) for attribute in _SHOWN])
    for _, path, text in _hidden(service):
        mark = service.mark(*path)
        literal = mark is None or mark.literal
        put_in = [value for value in variables.values() if len(value) >= SHORTEST_SECRET and value in text]
        secrets = [text] if literal or not put_in else put_in
        yield from (secret for secret in secrets if len(secret) >= SHORTEST_SECRET and secret not in shown)


def _inside(values: Mapping[str, Any], attribute: str) -> Any:
    found: Any = values
    for part in attribute.split("."):
        found = (found or {}).get(part)
    return found


def _is_secret(service: Definition, path: tuple[str | int, ...], value: Any) -> bool:
    mark = service.mark(*path)
    return (mark is not None and not mark.literal) or USER_INFO.search(str(value)) is not None
