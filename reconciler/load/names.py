"""What do containers get so that they find others by name: a DNS server to ask, and URLs that never change?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from reconciler.errors import Problem, Severity
from reconciler.load.discovery import KEY
from reconciler.load.findings import Findings
from reconciler.model.desired import Service, Stack

DOMAIN = "service.reconciler"


@dataclass(frozen=True, slots=True)
class NameServers:
    """Whom containers ask, as the operator says.

    registry  the address at which they reach the registry's DNS server, "" when there is none at port 53
    others    for all other names
    """

    registry: str = ""
    others: tuple[str, ...] = ()


def with_names(stacks: tuple[Stack, ...], servers: NameServers, findings: Findings) -> tuple[Stack, ...]:
    """Return the stacks with what `resolve` and `uses` ask for in their containers."""
    known = {service.id: service for stack in stacks for service in stack.services}

    def named(service: Service) -> Service:
        asked = _asked(service)
        if not asked:
            return service
        findings.add(_problems(service, known, servers))
        urls = {variable: url_of(_target(service, name, known)) for variable, name in asked["uses"].items()}
        return _with_variables(_asking(service, servers) if asked["resolve"] else service, urls)

    # A stack that asks for none of it stays the very same: nobody compares it again.
    return tuple(
        replace(stack, services=tuple(map(named, stack.services))) if any(map(_asked, stack.services)) else stack
        for stack in stacks
    )


def url_of(service: Service | None) -> str:
    """Return where a service is found, whichever replicas there are; "" when nobody can say before it runs."""
    discovery = service.discovery if service else None
    if service is None or discovery is None:
        return ""
    port = str(discovery.port)
    if not discovery.network and service.network_mode != "host":
        published = service.container.get("HostConfig", {}).get("PortBindings", {}).get(f"{port}/tcp", ())
        port = next((one["HostPort"] for one in published if one["HostPort"].isdecimal() and one["HostPort"] != "0"), "")
    return f"http://{discovery.name}.{DOMAIN}:{port}" if port else ""


def _asked(service: Service) -> Mapping[str, Any]:
    """Return what a service says of finding others, {} for nothing."""
    asked: Mapping[str, Any] = service.extensions.get(KEY, {})
    return asked if asked and (asked["resolve"] or asked["uses"]) else {}


def _target(service: Service, name: str, known: Mapping[str, Service]) -> Service | None:
    """A name alone is a service of the same stack."""
    return known.get(name if "/" in name else f"{service.stack}/{name}")


# --- what is wrong with it -------------------------------------------------------------------------------------------


def _problems(service: Service, known: Mapping[str, Service], servers: NameServers) -> Iterator[Problem]:
    asked = _asked(service)
    if asked["uses"] and not asked["resolve"]:
        message = f"{service.name} uses names that its containers cannot resolve"
        yield _problem(service, "R199", message, "uses", "say `resolve: true` beside it")
    if asked["resolve"] and (lacking := _lacking(service, servers)):
        message = f"resolve has no effect: {lacking}"
        hint = "see `registry` of the operator's file: dns at port 53, and nameservers"
        yield replace(_problem(service, "R178", message, "resolve", hint), severity=Severity.WARNING)
    variables = {line.partition("=")[0] for line in service.container.get("Env", ())}
    for variable, name in asked["uses"].items():
        if variable in variables:
            yield _problem(service, "R063", f"{variable} stands under environment too", f"uses.{variable}", "keep one of them")
        if not url_of(_target(service, name, known)):
            message = f"there is no {name} to be found at a port that is known before it runs"
            yield _problem(service, "R199", message, f"uses.{variable}", "give that service x-discovery, and a fixed port")


def _lacking(service: Service, servers: NameServers) -> str:
    if not servers.registry:
        return "the operator serves no DNS that containers reach"
    others = servers.others or service.container.get("HostConfig", {}).get("Dns")
    return "" if others else "nobody says which servers know all other names"


def _problem(service: Service, code: str, message: str, key: str, hint: str) -> Problem:
    at = f"{KEY}.{key}"
    return Problem(code, message, service.mark(at, KEY), f"services.{service.name}.{at}", hint)


# --- what its containers get -----------------------------------------------------------------------------------------


def _asking(service: Service, servers: NameServers) -> Service:
    """Have it ask the registry first. What that refuses the engine's own resolver asks the next one."""
    if _lacking(service, servers):
        return service
    host = service.container.get("HostConfig", {})
    asked = dict.fromkeys((servers.registry, *(host.get("Dns") or servers.others)))
    sources = {"dns": mark, **service.sources} if (mark := service.mark(f"{KEY}.resolve")) else service.sources
    return replace(service, container={**service.container, "HostConfig": {**host, "Dns": list(asked)}}, sources=sources)


def _with_variables(service: Service, urls: Mapping[str, str]) -> Service:
    if not urls:
        return service
    lines = sorted([*service.container.get("Env", ()), *(f"{variable}={url}" for variable, url in urls.items())])
    marks = {f"environment.{variable}": service.mark(f"{KEY}.uses.{variable}", KEY) for variable in urls}
    sources = {**service.sources, **{path: mark for path, mark in marks.items() if mark}}
    return replace(service, container={**service.container, "Env": lines}, sources=sources)
