"""Which services does the gateway serve, why, and at which ports of the host?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from reconciler.errors import Mark, Problem
from reconciler.load.compose import Project
from reconciler.load.notes import Path
from reconciler.load.payload import networks_by_priority
from reconciler.load.places import problem_at
from reconciler.load.strict import most_replicas
from reconciler.model.desired import Entrusted, Entry, Routing, Service
from reconciler.model.traffic import BRIDGE

OVERLAPPING = ("blue-green", "canary")
"""Strategies under which old and new replicas serve at once."""

HTTP_PORT, HTTPS_PORT = 80, 443
"""Where a route is served whose port the service does not publish itself."""


def entrusted(service: Mapping[str, Any], extensions: Mapping[str, Any]) -> Entrusted | None:
    """Return what the gateway does for a canonical service, None where its containers hold their ports themselves."""
    why, keys = why_entrusted(service, extensions)
    if not why:
        return None
    route, traffic = extensions.get("x-route"), extensions.get("x-traffic", {})
    entries = [Entry(_address(port), int(port["published"]), int(port["target"])) for port in fixed_ports(service)]
    if route and all(entry.target != route["port"] for entry in entries):
        entries.append(Entry("", HTTPS_PORT if "tls" in route else HTTP_PORT, route["port"]))
    return Entrusted(why, keys, tuple(entries), _routing(route), traffic.get("proxy_protocol", False))


def why_entrusted(service: Mapping[str, Any], extensions: Mapping[str, Any]) -> tuple[str, tuple[str, ...]]:
    """Say why the gateway holds a service's ports, and the attributes that made it so, one of which is there.

    "" and () where it does not.
    """
    mode, fixed = extensions.get("x-traffic", {}).get("mode"), fixed_ports(service)
    if "x-route" in extensions:
        return "x-route", ("x-route",)
    if mode == "direct" or not fixed:
        return _NOT
    if mode == "gateway":
        return "x-traffic: gateway", ("x-traffic",)
    if only_direct(service):
        return _NOT
    if (strategy := extensions.get("x-rollout", {}).get("strategy")) in OVERLAPPING:
        return f"x-rollout.strategy {strategy}", ("x-rollout.strategy",)
    if (most := most_replicas(service)) > 1:
        return f"{most} replicas share host port {fixed[0]['published']}", ("x-autoscale.max", "deploy.replicas", "scale")
    return _NOT


_NOT: tuple[str, tuple[str, ...]] = "", ()


def only_direct(service: Mapping[str, Any]) -> str:
    """Say which port keeps a service from the gateway, which knows nothing but TCP: "53/udp"; "" for none."""
    others = (port for port in service.get("ports") or () if port.get("protocol", "tcp") != "tcp")
    return next((f"{port.get('published') or port['target']}/{port['protocol']}" for port in others), "")


def fixed_ports(service: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the entries of `ports` that open a certain TCP port of the host: no range, and none the engine picks."""
    ports = (port for port in service.get("ports") or () if port.get("protocol", "tcp") == "tcp" and is_fixed(port))
    return [port for port in ports if str(port.get("target")).isdecimal()]


def is_fixed(port: Mapping[str, Any]) -> bool:
    """Say whether an entry opens one certain port of the host."""
    published = str(port.get("published", ""))
    return published.isdecimal() and published != "0"


def _address(port: Mapping[str, Any]) -> str:
    """Every address of IPv4 is every address: the gateway binds both."""
    address = str(port.get("host_ip") or "").strip("[]")
    return "" if address in ("0.0.0.0", "::") else address


def _routing(route: Mapping[str, Any] | None) -> Routing | None:
    if route is None:
        return None
    return Routing(route.get("host", ""), route["path"], route["port"], route.get("health", ""))


def relieved(service: Service, trust: Entrusted | None) -> Service:
    """Return the service as its containers are made: what the gateway holds, they do not publish."""
    if trust is None:
        return service
    held = {(entry.target, entry.port) for entry in trust.entries}
    host = dict(service.container.get("HostConfig") or {})
    bindings = {port: list(_left(port, bound, held)) for port, bound in (host.pop("PortBindings", None) or {}).items()}
    if left := {port: bound for port, bound in bindings.items() if bound}:
        host["PortBindings"] = left
    return replace(service, container={**service.container, "HostConfig": host}, entrusted=trust)


def _left(port: str, bound: Iterable[Mapping[str, Any]], held: set[tuple[int, int]]) -> Iterator[Mapping[str, Any]]:
    target, _, protocol = port.partition("/")
    for binding in bound:
        published = str(binding["HostPort"])
        if protocol != "tcp" or not published.isdecimal() or (int(target), int(published)) not in held:
            yield binding


# --- mistakes --------------------------------------------------------------------------------------------------------


def mistakes(service: Mapping[str, Any], extensions: Mapping[str, Any], project: Project, path: Path) -> Iterator[Problem]:
    """Yield what keeps a service from the gateway that should hold its ports."""
    marks = project.marks
    traffic, (why, _) = extensions.get("x-traffic", {}), why_entrusted(service, extensions)
    at = (*path, "x-route" if "x-route" in extensions else "x-traffic" if traffic.get("mode") == "gateway" else "ports")
    if traffic.get("mode") == "gateway" and not why:
        hint = "publish a fixed TCP port, such as 8080:80, or declare x-route"
        yield problem_at("R210", "there is no port that the gateway could hold", marks, (*path, "x-traffic"), hint)
    if traffic.get("mode") == "direct" and "x-route" in extensions:
        hint = "take one of them out"
        yield problem_at("R210", "x-route needs the gateway, and x-traffic is direct", marks, (*path, "x-traffic"), hint)
    if extensions.get("x-rollout", {}).get("strategy") == "canary" and not why:
        hint = "publish a fixed TCP port or declare x-route, or choose another strategy"
        message = "a canary gets a share of requests, and the gateway passes none on to this service"
        yield problem_at("R210", message, marks, (*path, "x-rollout"), hint)
    yield from _unjudged(extensions, marks, path, why)
    if not why:
        return
    if other := only_direct(service):
        hint = "publish it from a service of its own"
        yield problem_at("R210", f"the gateway knows TCP only, and the service publishes {other}", marks, at, hint)
    if mode := service.get("network_mode"):
        hint = "put the service on a network, or say x-traffic: direct"
        yield problem_at("R210", f"the gateway does not reach a service with network_mode: {mode}", marks, at, hint)
    if found := _far_network(service, project):
        key, driver = found
        hint = "give a bridge network the highest `priority`, or say x-traffic: direct"
        message = f"the gateway reaches containers on bridge networks, and {key}, the first one, is {driver}"
        yield problem_at("R210", message, marks, (*path, "networks", key), hint)


def _far_network(service: Mapping[str, Any], project: Project) -> tuple[str, str] | None:
    """Return the first network and its driver where the host is not on it; of an external one only the engine knows."""
    networks = service.get("networks") or {}
    if not networks or service.get("network_mode"):
        return None
    key = networks_by_priority(networks)[0]
    driver = ((project.document.get("networks") or {}).get(key) or {}).get("driver") or BRIDGE
    return None if driver == BRIDGE else (key, driver)


def _unjudged(extensions: Mapping[str, Any], marks: Mapping[Path, Mark], path: Path, why: str) -> Iterator[Problem]:
    """Yield what keeps an analysis from ever coming to a verdict: nobody should believe that it looks after a rollout."""
    rollout = extensions.get("x-rollout", {})
    if (analysis := rollout.get("analysis")) is None:
        return
    at = (*path, "x-rollout", "analysis")
    if rollout["strategy"] not in OVERLAPPING:
        message = f"strategy {rollout['strategy']} has no set that an analysis could judge"
        yield problem_at("R218", message, marks, at, "choose blue-green or canary, or take the analysis out")
    elif not why:
        message = "an analysis judges what the gateway counts, and it passes nothing on to this service"
        yield problem_at("R218", message, marks, at, "publish a fixed TCP port or declare x-route")
    if "max_slowdown" in analysis and "x-route" not in extensions:
        message = "how long answers take is seen in HTTP requests alone"
        yield problem_at("R218", message, marks, (*at, "max_slowdown"), "declare x-route, or take max_slowdown out")
