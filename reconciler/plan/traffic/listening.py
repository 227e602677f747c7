"""At which ports does the gateway listen, and when is it loaded anew?"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace

from reconciler.model.desired import GATEWAY_STACK, Entrusted, Service
from reconciler.model.history import Backoff
from reconciler.model.observed import Instance, Neighbour
from reconciler.model.plan import (
    Action,
    Blocked,
    CreateInstance,
    LoadGateway,
    RemoveInstance,
    StageGateway,
    StartInstance,
    StopInstance,
    Verb,
)
from reconciler.model.traffic import Backend, Layer, Listener, ObservedGateway, Route, TrafficConfig, server_name
from reconciler.plan.draft import Draft
from reconciler.plan.reasons import facts
from reconciler.plan.traffic.names import backend_name, backends, target_of_gateway
from reconciler.plan.view import World
from reconciler.plan.work import fixed_ports, held_ports, owner_of

GROUP = f"{GATEWAY_STACK}/listeners"
LOAD = f"{GROUP}/load"

UPDATES = CreateInstance | StopInstance | RemoveInstance
"""What an update of a service does to its containers."""


def wanted_config(world: World, without: Iterable[str] = ()) -> TrafficConfig:
    """Return what the gateway is to be loaded with for the services as they count now, but for some listeners, by name."""
    services = [*_left_behind(world), *(view.service for view in world.views.values() if view.service.entrusted)]
    found: dict[tuple[str, int], Listener] = {}
    for service in services:
        _add_listeners(service, found)
    left_out = set(without)
    listeners = tuple(one for _, one in sorted(found.items()) if one.name not in left_out)
    certificates = {
        trust.routing.certificate.name: trust.routing.certificate
        for trust in (service.entrusted for service in services)
        if trust and trust.routing and trust.routing.certificate
    }
    return TrafficConfig(listeners, _all_backends(services), tuple(certificates[name] for name in sorted(certificates)))


def _left_behind(world: World) -> list[Service]:
    """Return services that Git no longer has and whose containers still run: they serve until somebody stops them.

    A port that a container wants to hold itself they lose at once.
    """
    ids = {place.service_id for place, instance in world.fleet.orphans if instance.running} - world.views.keys()
    stacks = world.previous.stacks if world.previous and ids else ()
    wanted = {port for view in world.views.values() for port in fixed_ports(view.service.container)} if stacks else set()
    return [
        replace(service, entrusted=_but(service.entrusted, wanted))
        for stack in stacks
        for service in stack.services
        if service.id in ids and service.entrusted
    ]


def _but(trust: Entrusted, ports: Collection[str]) -> Entrusted:
    return replace(trust, entries=tuple(entry for entry in trust.entries if f"{entry.port}/tcp" not in ports))


def _is_served_unknown(world: World) -> bool:
    """Say whether the gateway sends to what Git no longer has, and nobody remembers how."""
    gateway = world.observed.gateway
    if gateway is None or world.previous is not None:
        return False
    return any(instance.running and gateway.sends_to(server_name(instance.id)) for _, instance in world.fleet.orphans)


def _all_backends(services: Iterable[Service]) -> tuple[Backend, ...]:
    return tuple(sorted((one for service in services for one in backends(service)), key=lambda one: one.name))


def _add_listeners(service: Service, found: dict[tuple[str, int], Listener]) -> None:
    trust = service.entrusted
    assert trust is not None
    for entry in trust.entries:
        routing, backend = trust.routing, backend_name(service, entry.target)
        place = entry.address, entry.port
        if routing is None or routing.target != entry.target:
            found[place] = Listener(*place, Layer.L4, backend)
            continue
        known, own = found.get(place), Route(routing.host, routing.path, backend)
        # Of two with the same requests the later one has them: the other is no longer in Git.
        others = (one for one in (known.routes if known else ()) if _precise(one) != _precise(own))
        routes = (*others, own)
        names = {*(known.certificates if known else ()), *([routing.certificate.name] if routing.certificate else [])}
        found[place] = Listener(*place, Layer.L7, "", tuple(sorted(routes, key=_precise)), tuple(sorted(names)))


def _precise(route: Route) -> tuple[str, str]:
    return route.host, route.path


# --- when ------------------------------------------------------------------------------------------------------------


def give_up_ports(world: World, draft: Draft) -> None:
    """Have the gateway give up listeners that no service wants of it any more: a container may want the port."""
    gateway = world.observed.gateway
    if gateway is None:
        return
    without = {**_held(world), **_taken(world)}
    config = wanted_config(world, without)
    wanted = {listener.name for listener in wanted_config(world).listeners}
    gone = sorted(set(gateway.listeners) - wanted)
    if not gone or config.digest == gateway.running:
        return
    if load := _load(world, draft, config, f"{', '.join(gone)} is no longer the gateway's"):
        draft.provides.update({_port(name): load for name in gone})


def listen(world: World, draft: Draft) -> None:
    """Load the gateway with what is wanted now; a port that a container still holds comes once that has let go of it."""
    gateway, held = world.observed.gateway, _held(world)
    _say_what_is_waited_for(world, draft, held)
    if gateway is None:
        return
    if any(action.id == LOAD for action in draft.actions):
        _listen_first(world, draft, gateway, LOAD)
        return
    foreign = _taken(world)
    now = wanted_config(world, {**held, **foreign})
    if now.digest != gateway.running:
        load = _load(world, draft, now, "the gateway does not run with this yet")
        _listen_first(world, draft, gateway, load)
        return
    if now.digest != gateway.written:
        _load(world, draft, now, "the gateway would start with something else")
        return
    freed = {name: draft.provides[_port(name)] for name in held if _is_freed(world, draft, name)}
    if freed:
        config = wanted_config(world, (held.keys() | foreign.keys()) - freed.keys())
        _load(world, draft, config, f"{', '.join(sorted(freed))} moves to the gateway", freed.values())


def _load(world: World, draft: Draft, config: TrafficConfig, fact: str, needs: Iterable[str] = ()) -> str:
    reasons = facts(fact)
    names = ", ".join(listener.name for listener in config.listeners) or "nothing"
    if GROUP in draft.busy:
        draft.wait(GROUP, "go on", "what is in flight has ended")
        return ""
    draft.group(GROUP, GATEWAY_STACK, "listeners", Verb.UPDATE, f"listen on {names}", reasons)
    if _is_served_unknown(world):
        draft.wait(GROUP, f"listen on {names}", "what Git no longer has is stopped")
        return ""
    if backoff := holding(world, GROUP):
        draft.wait(GROUP, "try again", f"back-off: {backoff.why}", wake_at=backoff.next)
        return ""
    return draft.act(LOAD, LoadGateway(target_of_gateway(world.observed), config), GROUP, reasons, needs)


def _listen_first(world: World, draft: Draft, gateway: ObservedGateway, load: str) -> None:
    """Update no service before the gateway has the new ports that it asks for: some process may hold one of them.

    One whose old containers do not all run is updated nevertheless: nothing else brings it back.
    """
    for view in world.views.values():
        new = [name for name in _names(view.service) if name not in gateway.listeners]
        old = [slot.stale.instance for slot in view.slots if slot.stale]
        if not new or not old or not all(one.running for one in old):
            continue
        for action in [one for one in draft.actions if one.group == view.service.id and isinstance(one.change, UPDATES)]:
            if load:
                draft.need(action.id, (load,))
            else:
                draft.drop(draft.following(action))
        if not load:
            draft.wait(view.service.id, "go on", f"the gateway listens at {', '.join(new)}")


def _names(service: Service) -> list[str]:
    entries = service.entrusted.entries if service.entrusted else ()
    return [Listener(entry.address, entry.port).name for entry in entries]


def holding(world: World, group: str) -> Backoff | None:
    """Return the back-off that a group of the gateway's actions is in, after one of them failed."""
    backoff = world.history.retries.get(group)
    return backoff if backoff is not None and backoff.holds(world.now) else None


def _held(world: World) -> dict[str, Instance]:
    """Return the wanted listeners whose port a container of ours holds itself, and which: by listener."""
    holders = {port: one for one in world.observed.instances if one.running for port in held_ports(one)}
    listeners = wanted_config(world).listeners
    return {one.name: holders[f"{one.port}/tcp"] for one in listeners if f"{one.port}/tcp" in holders}


def blocked_by_holder(world: World, service: Service) -> Blocked | None:
    """Return why the gateway cannot listen where a service wants it to: a container that is not ours holds the port."""
    for entry in service.entrusted.entries if service.entrusted else ():
        if holder := _holder(world, Listener(entry.address, entry.port)):
            message = f"host port {entry.port}/tcp is held by {holder.name}, which belongs to {owner_of(holder)}"
            mark = service.mark("ports", "x-route")
            return Blocked(service.id, "R133", message, "stop it, or publish another port", mark)
    return None


def listens_anew(world: World) -> bool:
    """Say whether a gateway that runs is to listen where it does not yet."""
    gateway = world.observed.gateway
    return gateway is not None and any(one.name not in gateway.listeners for one in wanted_config(world).listeners)


def _taken(world: World) -> dict[str, Neighbour]:
    """Return the wanted listeners that the gateway does not have yet and whose port is held by whom we do not know."""
    if not world.observed.neighbours:
        return {}
    return {one.name: holder for one in wanted_config(world).listeners if (holder := _holder(world, one))}


def _holder(world: World, listener: Listener) -> Neighbour | None:
    if world.observed.gateway and listener.name in world.observed.gateway.listeners:
        return None
    for neighbour in world.observed.neighbours or ():
        for address, port, protocol in neighbour.ports:
            if (port, protocol) == (listener.port, "tcp") and _overlap(address, listener.address):
                return neighbour
    return None


def _overlap(one: str, other: str) -> bool:
    everywhere = ("", "0.0.0.0", "::")
    return one in everywhere or other in everywhere or one == other


def _port(listener: str) -> str:
    return f"port:{listener.rpartition(':')[2]}/tcp"


def _is_freed(world: World, draft: Draft, listener: str) -> bool:
    return any(action.id == draft.provides.get(_port(listener)) for action in draft.actions)


def _say_what_is_waited_for(world: World, draft: Draft, held: dict[str, Instance]) -> None:
    for name, holder in sorted(held.items()):
        draft.group(GROUP, GATEWAY_STACK, "listeners", Verb.UPDATE, "listeners move", facts(f"{holder.name} holds {name}"))
        draft.wait(GROUP, f"listen on {name}", f"{holder.name} gives up its port")


# --- taking over -----------------------------------------------------------------------------------------------------


def stage(world: World, draft: Draft) -> None:
    """Let a second gateway, which takes over from the first, start with everything that the first one does now."""
    gateway = world.observed.gateway
    starts = [action for action in draft.actions if _starts_gateway(action)]
    if gateway is None or not starts:
        return
    target, config = target_of_gateway(world.observed), wanted_config(world, {**_held(world), **_taken(world)})
    for action in starts:
        change = StageGateway(target, config)
        draft.need(action.id, (draft.act(f"{action.id}/stage", change, action.group, action.reasons, action.needs),))


def _starts_gateway(action: Action) -> bool:
    return isinstance(action.change, StartInstance) and action.group == f"{GATEWAY_STACK}/gateway"
