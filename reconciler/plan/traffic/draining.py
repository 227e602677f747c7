"""Let no container stop before the gateway has stopped sending to it and what it serves has ended.

Whoever plans a stop, for whatever reason, need not know of the gateway: the stop is found here, and what leads up to it is
put before it. Until then it is left out of the plan, with everything that needs it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from reconciler.model.desired import GATEWAY_STACK
from reconciler.model.observed import Instance
from reconciler.model.plan import Action, DisconnectNetwork, DrainServer, RemoveInstance, RemoveServer, RunHook, StopInstance
from reconciler.model.traffic import Admission, ObservedServer, server_name
from reconciler.plan.draft import Draft
from reconciler.plan.traffic.names import GLANCE, servers_of, target_of_gateway
from reconciler.plan.view import World

GRACE_SECONDS = 10.0
"""How long what is in flight may take where the service does not say `stop_grace_period`: as long as the engine's own stop."""


@dataclass(frozen=True, slots=True)
class Leaving:
    """Which containers, by id, requests are taken from, now or later; `for_good` are those of them that are removed then."""

    ids: frozenset[str]
    for_good: frozenset[str]


def drain_first(world: World, draft: Draft) -> Leaving:
    """Put draining before every stop. Returns who is to leave."""
    leaving: dict[str, Action] = {}
    for action in draft.actions:
        if instance := _ended_by(world, action):
            leaving.setdefault(instance.id, action)
    removed = {action.change.target.id for action in draft.actions if isinstance(action.change, RemoveInstance)}
    for id, action in leaving.items():
        if any(one.id == action.id for one in draft.actions):  # It may have gone with what another one left out.
            _lead_up_to(world, draft, next(one for one in world.observed.instances if one.id == id), action)
    return Leaving(frozenset(leaving), frozenset(leaving.keys() & removed))


def _ended_by(world: World, action: Action) -> Instance | None:
    """Return the running container that an action takes from those who send to it, None for no such action."""
    change = action.change
    if not isinstance(change, StopInstance | RemoveInstance | DisconnectNetwork):
        return None
    found = next((one for one in world.observed.instances if one.id == change.target.id and one.running), None)
    if found is None or not isinstance(change, DisconnectNetwork):
        return found
    networks = found.detail.get("NetworkSettings", {}).get("Networks") or {}
    address = (networks.get(change.network) or {}).get("IPAddress")
    return found if any(one.address == address for one in servers_of(world.observed, found.id)) else None


def _lead_up_to(world: World, draft: Draft, instance: Instance, action: Action) -> None:
    first = _with_hooks(draft, action)
    if _is_unknown(world, instance):
        draft.drop(draft.following(first))
        draft.wait(action.group, f"stop {instance.name}", "the gateway answers", wake_at=world.now + GLANCE)
        return
    servers = servers_of(world.observed, instance.id)
    busy = [one for one in servers if not _is_idle(one)]
    deadline = _deadline(world, instance)
    if busy and (deadline is None or world.now < deadline):
        draft.drop(draft.following(first))
        _drain(world, draft, first, instance, busy, deadline)
        return
    gateway = target_of_gateway(world.observed) if servers else None
    for server in servers:
        assert gateway is not None
        change = RemoveServer(gateway, server.backend, server.name)
        left = draft.act(f"{_prefix(server)}/remove", change, first.group, first.reasons, first.needs)
        draft.need(first.id, (left,))


def _with_hooks(draft: Draft, action: Action) -> Action:
    """Return the first of the hooks that are run just before a stop, else the stop: they are the beginning of it."""
    actions = {one.id: one for one in draft.actions}
    target = getattr(action.change, "target", None)
    while hook := next((actions[need] for need in action.needs if need in actions and _is_hook(actions[need], target)), None):
        action = hook
    return action


def _is_hook(action: Action, target: object) -> bool:
    return isinstance(action.change, RunHook) and action.change.target == target


def _is_unknown(world: World, instance: Instance) -> bool:
    """A gateway runs, does not answer, and may be sending to the container."""
    runs = any(place.stack == GATEWAY_STACK and _runs(world, id) for id, place in world.fleet.places.items())
    if world.observed.gateway is not None or not runs:
        return False
    place = world.fleet.places.get(instance.id)
    view = world.views.get(place.service_id) if place else None
    return view is not None and view.service.entrusted is not None


def _runs(world: World, id: str) -> bool:
    return any(one.id == id and one.running for one in world.observed.instances)


def _is_idle(server: ObservedServer) -> bool:
    """It gets nothing new, and has nothing left."""
    return server.in_flight == 0 and (server.weight == 0 or server.admission is not Admission.READY)


def _deadline(world: World, instance: Instance) -> datetime | None:
    """When what is in flight has had time enough; None as long as it was not told that it ends."""
    since = world.history.drains.get(server_name(instance.id))
    if since is None or since > world.now:
        return None
    place = world.fleet.places.get(instance.id)
    view = world.views.get(place.service_id) if place else None
    grace = view.service.stop_grace_seconds if view else None
    return since + timedelta(seconds=GRACE_SECONDS if grace is None else grace)


def _drain(
    world: World, draft: Draft, first: Action, instance: Instance, busy: list[ObservedServer], deadline: datetime | None
) -> None:
    for server in busy:
        if deadline is None or server.admission is Admission.READY:
            change = DrainServer(target_of_gateway(world.observed), server.backend, server.name)
            draft.act(f"{_prefix(server)}/drain", change, first.group, first.reasons)
    count = sum(server.in_flight for server in busy)
    what = f"{count} in flight have ended" if count else "the gateway sends nothing to it"
    draft.wait(first.group, f"stop {instance.name}", what, wake_at=world.now + GLANCE, until=deadline)


def _prefix(server: ObservedServer) -> str:
    return f"traffic/{server.backend}/{server.name}"
