"""Do the parts of the desired state get along: replicas with rollouts, waves with dependencies, stacks with one another?"""

from __future__ import annotations

import ipaddress
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from reconciler.errors import Mark, Problem
from reconciler.load.compose import Project
from reconciler.load.discovery import check_discovery, registry_name
from reconciler.load.entrusted import entrusted, is_fixed, mistakes, only_direct
from reconciler.load.notes import Path
from reconciler.load.places import nearest, problem_at
from reconciler.load.strict import most_replicas, replicas
from reconciler.model.desired import Entrusted, Routing

Extensions = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Part:
    """One stack as far as it was read: its project, where it is declared, and the validated `x-` keys of each service."""

    stack: str
    project: Project
    place: Mark
    extensions: Mapping[str, Extensions] = field(default_factory=dict)

    @property
    def services(self) -> Mapping[str, Mapping[str, Any]]:
        """The canonical services that are not off by profile."""
        services: Mapping[str, Mapping[str, Any]] = self.project.document.get("services", {})
        return services


def check_services(part: Part) -> Iterator[Problem]:
    """Yield what is wrong between a service's `x-` keys and the rest of its stack."""
    for name, service in part.services.items():
        extensions = part.extensions.get(name, {})
        for check in (_autoscale, _rollout, _image, _discovery, _hooks, _gateway, _fixed_ports):
            yield from check(part, ("services", name), service, extensions)
    yield from _waves(part)


def check_stacks(parts: Sequence[Part]) -> Iterator[Problem]:
    """Yield what two stacks both want and only one can have."""
    yield from _projects(parts)
    yield from _container_names(parts)
    yield from _registry_names(parts)
    yield from _resources(parts)
    yield from _ports(parts)


def _autoscale(part: Part, path: Path, service: Mapping[str, Any], extensions: Extensions) -> Iterator[Problem]:
    autoscale = extensions.get("x-autoscale")
    if autoscale is None:
        return
    at = (*path, "x-autoscale")
    if autoscale["mode"] != "vertical" and "scale" in service:
        message = "x-autoscale changes deploy.replicas, and scale would go on saying the old number"
        yield _problem("R195", message, part, (*path, "scale"), "write it as deploy.replicas")
    elif autoscale["mode"] != "vertical" and "replicas" not in service.get("deploy", {}):
        hint = "write the number to begin with"
        yield _problem("R195", "x-autoscale needs deploy.replicas declared", part, at, hint)
    limits = service.get("deploy", {}).get("resources", {}).get("limits", {})
    for resource in autoscale.get("vertical", {}):
        if resource not in limits:
            message = f"vertical.{resource} needs deploy.resources.limits.{resource} declared"
            yield _problem("R195", message, part, (*at, "vertical", resource), "write the limit to begin with")
    for metric in ("cpu", "memory"):
        yield from _denominator(part, at, service, autoscale, metric)


def _denominator(
    part: Part, at: Path, service: Mapping[str, Any], autoscale: Mapping[str, Any], metric: str
) -> Iterator[Problem]:
    """A metric of the engine is per cent of what is declared, so something must be."""
    resources = service.get("deploy", {}).get("resources", {})
    name = "cpus" if metric == "cpu" else metric
    declared = any(name in resources.get(kind, {}) for kind in ("reservations", "limits"))
    if autoscale["metrics"].get(metric, {}).get("source") == "engine" and not declared:
        message = f"{metric} is per cent of what is declared, and nothing is"
        hint = f"declare deploy.resources.reservations.{name} or limits.{name}"
        yield _problem("R195", message, part, (*at, "metrics", metric), hint)


def _rollout(part: Part, path: Path, service: Mapping[str, Any], extensions: Extensions) -> Iterator[Problem]:
    rollout = extensions.get("x-rollout", {})
    if rollout.get("strategy") not in ("blue-green", "canary") or rollout["shared_volumes"]:
        return
    for index, mount in enumerate(service.get("volumes") or ()):
        if mount.get("type") in ("volume", "bind") and not mount.get("read_only"):
            message = f"{rollout['strategy']} lets old and new replicas write to {mount.get('target')} at once"
            hint = "mount it read-only, or say `shared_volumes: true` under x-rollout if they may"
            yield _problem("R196", message, part, (*path, "volumes", index), hint)


def _image(part: Part, path: Path, service: Mapping[str, Any], extensions: Extensions) -> Iterator[Problem]:
    if "x-image" in extensions and "image" not in service:
        yield _problem("R199", "x-image needs an image to follow", part, (*path, "x-image"))


def _discovery(part: Part, path: Path, service: Mapping[str, Any], extensions: Extensions) -> Iterator[Problem]:
    if "x-discovery" in extensions:
        trust = entrusted(service, extensions)
        held = trust.targets if trust else ()
        yield from check_discovery(path, service, extensions["x-discovery"], held, part.project.marks)


def _hooks(part: Part, path: Path, service: Mapping[str, Any], extensions: Extensions) -> Iterator[Problem]:
    for name, hook in extensions.get("x-sync", {}).get("hooks", {}).items():
        if hook.get("service", "") and hook["service"] not in part.services:
            at = (*path, "x-sync", "hooks", name, "service")
            yield _problem("R199", f"there is no service {hook['service']} in this stack", part, at)


def _gateway(part: Part, path: Path, service: Mapping[str, Any], extensions: Extensions) -> Iterator[Problem]:
    yield from mistakes(service, extensions, part.project, path)


def _fixed_ports(part: Part, path: Path, service: Mapping[str, Any], extensions: Extensions) -> Iterator[Problem]:
    most = most_replicas(service)
    if most == 1 or entrusted(service, extensions):
        return
    for index, port in enumerate(service.get("ports") or ()):
        if is_fixed(port):
            message = f"{most} replicas cannot share the host port {port['published']}"
            why = only_direct(service)
            hint = f"the gateway could hold it, but not {why} of the same service" if why else "say x-traffic: gateway"
            yield _problem("R187", message, part, (*path, "ports", index), hint)


def _waves(part: Part) -> Iterator[Problem]:
    waves = {name: part.extensions.get(name, {}).get("x-sync", {}).get("wave", 0) for name in part.services}
    for name, service in part.services.items():
        for other in service.get("depends_on") or {}:
            if waves.get(other, 0) > waves[name]:
                message = f"{name} (wave {waves[name]}) waits for {other} (wave {waves[other]}), which starts later"
                hint = f"put {other} into wave {waves[name]} or lower"
                yield _problem("R197", message, part, ("services", name, "depends_on", other), hint)


def _projects(parts: Sequence[Part]) -> Iterator[Problem]:
    first: dict[str, Part] = {}
    for part in parts:
        other = first.setdefault(part.project.name, part)
        if other is not part:
            message = f"stacks {other.stack} and {part.stack} both are the Compose project {part.project.name}"
            yield Problem("R191", message, part.place, f"stacks.{part.stack}", "give one of them another `project`")


def _container_names(parts: Sequence[Part]) -> Iterator[Problem]:
    first: dict[str, tuple[str, Mark | None]] = {}
    for part in parts:
        for name, service in part.services.items():
            path = ("services", name, "container_name")
            for container_name in _fixed_names(part, name, service):
                owner, mark = first.setdefault(container_name, (f"{part.stack}/{name}", nearest(part.project.marks, path)))
                if owner != f"{part.stack}/{name}":
                    message = f"the container name {container_name} is {owner}'s already{_at(mark)}"
                    yield _problem("R189", message, part, path, "a container name is unique on an engine")


def _fixed_names(part: Part, name: str, service: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names its containers will have: the fixed one, or Compose's for each replica."""
    if "container_name" in service:
        return (service["container_name"],)
    return tuple(f"{part.project.name}-{name}-{slot}" for slot in range(1, min(replicas(service), _MOST_NAMES) + 1))


# Beyond that many replicas a clash with a name somebody fixed by hand is no longer worth the list.
_MOST_NAMES = 100


def _registry_names(parts: Sequence[Part]) -> Iterator[Problem]:
    """Whoever asks for a name must get replicas of one service, so two of them cannot share it."""
    first: dict[str, tuple[str, Mark | None]] = {}
    for part in parts:
        for service, extensions in part.extensions.items():
            if "x-discovery" not in extensions or service not in part.services:
                continue
            name = registry_name(service, extensions["x-discovery"])
            path = ("services", service, "x-discovery")
            owner, mark = first.setdefault(name, (f"{part.stack}/{service}", nearest(part.project.marks, path)))
            if owner != f"{part.stack}/{service}":
                message = f"{name} is {owner}'s name in the registry already{_at(mark)}"
                yield _problem("R198", message, part, path, "give one of them another one: `name: shop-api`")


def _resources(parts: Sequence[Part]) -> Iterator[Problem]:
    first: dict[tuple[str, str], tuple[str, Mark | None]] = {}
    for part in parts:
        for kind in ("networks", "volumes"):
            for key, resource in part.project.document.get(kind, {}).items():
                if (resource or {}).get("external"):
                    continue
                path = (kind, key)
                name = resource["name"]
                owner, mark = first.setdefault((kind, name), (part.stack, nearest(part.project.marks, path)))
                if owner != part.stack:
                    message = f"the {kind[:-1]} {name} belongs to stack {owner} already{_at(mark)}"
                    yield _problem("R192", message, part, path, "say `external: true` in all stacks but one")


@dataclass(frozen=True, slots=True)
class _Listener:
    """A fixed port of the host that a service wants: whole, or by `routing` at the gateway."""

    owner: str
    address: str
    path: Path
    part: Part
    routing: Routing | None = None

    @property
    def mark(self) -> Mark | None:
        return nearest(self.part.project.marks, self.path)


def _ports(parts: Sequence[Part]) -> Iterator[Problem]:
    listeners: dict[tuple[str, str], list[_Listener]] = defaultdict(list)
    for part in parts:
        for name, service in part.services.items():
            for port, listener in _listeners(part, name, service):
                yield from _clashes(listener, listeners[port], "/".join(port))
                listeners[port].append(listener)


def _listeners(part: Part, name: str, service: Mapping[str, Any]) -> Iterator[tuple[tuple[str, str], _Listener]]:
    """Yield the fixed ports that a service wants, port and protocol first."""
    owner, path = f"{part.stack}/{name}", ("services", name)
    trust = entrusted(service, part.extensions.get(name, {}))
    published: set[str] = set()
    for index, port in enumerate(service.get("ports") or ()):
        if is_fixed(port):
            number, protocol = str(port["published"]), port.get("protocol", "tcp")
            routing = _routing(trust, str(port.get("target"))) if protocol == "tcp" else None
            yield (number, protocol), _Listener(owner, port.get("host_ip", ""), (*path, "ports", index), part, routing)
            published.add(number)
    if trust is None:
        return
    for entry in (one for one in trust.entries if str(one.port) not in published):
        yield (str(entry.port), "tcp"), _Listener(owner, entry.address, (*path, "x-route"), part, trust.routing)


def _routing(trust: Entrusted | None, target: str) -> Routing | None:
    return trust.routing if trust and trust.routing and str(trust.routing.target) == target else None


def _clashes(listener: _Listener, others: Sequence[_Listener], port: str) -> Iterator[Problem]:
    for other in others:
        if not _overlap(listener.address, other.address):
            continue
        if listener.routing is None or other.routing is None:
            message = f"host port {port} is {other.owner}'s already{_at(other.mark)}"
            hint = "publish another port, or bind both to different addresses"
            yield _problem("R186", message, listener.part, listener.path, hint)
            return
        if (route := _shown(listener.routing)) == _shown(other.routing) and listener.owner != other.owner:
            message = f"the route {route} at host port {port} is {other.owner}'s already{_at(other.mark)}"
            yield _problem("R211", message, listener.part, listener.path, "choose another host or path")
            return
        if listener.address != other.address:
            message = f"host port {port} is routed at another address for {other.owner} already{_at(other.mark)}"
            yield _problem("R211", message, listener.part, listener.path, "bind both to the same address")
            return


def _shown(routing: Routing) -> str:
    return f"{routing.host or '*'}{routing.path}"


def _overlap(one: str, other: str) -> bool:
    return _is_everywhere(one) or _is_everywhere(other) or _address(one) == _address(other)


def _is_everywhere(address: str) -> bool:
    return not address or getattr(_address(address), "is_unspecified", False)


def _address(text: str) -> object:
    try:
        return ipaddress.ip_address(text.strip("[]"))
    except ValueError:
        return text


def _at(mark: Mark | None) -> str:
    return f" ({mark})" if mark else ""


def _problem(code: str, message: str, part: Part, path: Path, hint: str = "") -> Problem:
    return problem_at(code, message, part.project.marks, path, hint)
