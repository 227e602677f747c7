"""What does a plan say of who holds a service's ports, why, and who reaches it past the gateway?"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from reconciler.errors import Mark
from reconciler.model.desired import Entry, Service
from reconciler.model.plan import Reason
from reconciler.plan.draft import Draft
from reconciler.plan.traffic.listening import GROUP
from reconciler.plan.view import World

GATEWAY, CONTAINERS = "the gateway", "its containers"


RENEWAL = timedelta(days=14)
"""How long before it expires a certificate is spoken of."""


@dataclass(frozen=True, slots=True)
class Held:
    """Who holds a port of the host, and what made it so."""

    holder: str
    why: str
    source: Mark | None
    what: str = ""

    def __str__(self) -> str:
        return f"{self.holder}{f', {self.what}' if self.what else ''} ({self.why})"


def tell(world: World, draft: Draft) -> None:
    """Add to what is planned for a service which of its ports come, go or move, and a note about who bypasses the gateway."""
    for view in world.views.values():
        draft.notes.extend(_about_certificate(view.service, world.now))
    gated = any(view.service.entrusted for view in world.views.values())
    blocked = {one.group for one in draft.blocked}
    for service in (view.service for view in world.views.values()):
        if service.id in blocked or not draft.groups.keys() & {service.id, GROUP}:
            continue
        news = tuple(_news(world.before(service), service, gated))
        if group := draft.groups.get(service.id):
            draft.group(group.key, group.stack, group.name, group.verb, group.title, news)
        elif news and (group := draft.groups.get(GROUP)):
            named = (replace(one, text=f"{service.id}: {one.text}") for one in news)
            draft.group(group.key, group.stack, group.name, group.verb, group.title, named)
        if service.id in draft.groups and (callers := _callers(world, service)):
            draft.notes.append(
                f"{service.id}: east-west: not gated: Docker's DNS leads {', '.join(callers)} also to those of its "
                f"{service.replicas} replicas that are just starting or stopping"
            )


def _about_certificate(service: Service, now: datetime) -> Iterator[str]:
    routing = service.entrusted.routing if service.entrusted else None
    expires = routing.certificate.expires if routing and routing.certificate else None
    if expires and expires - now < RENEWAL:
        said = "expired" if expires <= now else "expires"
        yield f"{service.id}: its certificate {said} on {expires:%Y-%m-%d}: renew it"


def _news(before: Service | None, service: Service, gated: bool) -> Iterator[Reason]:
    """Without a gateway it is no news that containers hold their own ports."""
    was = holders(before) if before else {}
    for port, held in holders(service).items():
        old = was.get(port)
        if old is not None and old.holder != held.holder:
            yield Reason(f"host port {port}", old.holder, f"{held}; nobody answers there for a moment", held.source)
        elif old is None and (held.holder == GATEWAY or gated):
            yield Reason(f"host port {port}", str(held), str(held), held.source)


def holders(service: Service) -> Mapping[str, Held]:
    """Return who holds each port of the host that a service has, by the port as people write it."""
    found: dict[str, Held] = {}
    if trust := service.entrusted:
        mark = service.mark(*trust.keys)
        for entry in trust.entries:
            found[_written(entry)] = Held(GATEWAY, trust.why, mark, named_route(service, entry.target))
    bindings = service.container.get("HostConfig", {}).get("PortBindings") or {}
    protocols = {port.partition("/")[2] for port in bindings}
    for port, bound in bindings.items():
        target, _, protocol = port.partition("/")
        for one in bound:
            published = str(one.get("HostPort") or f"of the engine's choice for {target}")
            name = published if protocol == "tcp" else f"{published}/{protocol}"
            found[name] = Held(CONTAINERS, _why_direct(service, published, protocol, protocols), service.mark("ports"))
    return found


def _written(entry: Entry) -> str:
    return f"{entry.address}:{entry.port}" if entry.address else str(entry.port)


def named_route(service: Service, target: int) -> str:
    """Return which HTTP requests are a service's at a port of its containers, "" where whole connections are."""
    routing = service.entrusted.routing if service.entrusted else None
    if routing is None or routing.target != target:
        return ""
    return f"{routing.host}{routing.path}"


def _why_direct(service: Service, published: str, protocol: str, protocols: Iterable[str]) -> str:
    if service.extensions.get("x-traffic", {}).get("mode") == "direct":
        return "x-traffic: direct"
    if protocol != "tcp":
        return "the gateway knows TCP only"
    if not published.isdecimal():
        return "not one certain port"
    others = sorted({one for one in protocols if one != "tcp"})
    return f"{others[0]} beside it, which the gateway does not know" if others else "one replica"


# --- who goes past it ------------------------------------------------------------------------------------------------


def _callers(world: World, service: Service) -> list[str]:
    """Return the ids of the services that seem to reach a service's replicas by a name on a network they share."""
    if service.replicas < 2:
        return []
    names = _names(service)
    networks = {one.network for one in service.networks}
    others = (view.service for view in world.views.values() if view.service.id != service.id)
    near = (one for one in others if networks & {attached.network for attached in one.networks})
    return sorted(one.id for one in near if _depends(one, service) or _mentions(one, names))


def _names(service: Service) -> re.Pattern[str]:
    """Match where a text names a host by one of the service's names: `//web/`, `user@web`, `web:80`."""
    names = {service.name, *(alias for one in service.networks for alias in one.aliases)}
    one = "|".join(map(re.escape, sorted(names)))
    return re.compile(rf"(?:(?://|@)(?:{one})(?![\w.-])|(?<![\w.-])(?:{one}):\d)")


def _depends(service: Service, on: Service) -> bool:
    return service.stack == on.stack and any(one.on == on.name for one in service.depends_on)


def _mentions(service: Service, names: re.Pattern[str]) -> bool:
    fields = ("Env", "Cmd", "Entrypoint")
    return any(names.search(str(word)) for field in fields for word in service.container.get(field) or ())
