"""Let a container go, or give up what another one waits for: its hooks, stop, remove."""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.model.observed import Instance, Phase
from reconciler.model.plan import RemoveInstance, RunHook, StopInstance
from reconciler.plan.draft import Chain
from reconciler.plan.suspended import suspension_of
from reconciler.plan.view import Member, ServiceView, World
from reconciler.plan.work import Work, fixed_ports, held_ports, target_of


def retire(work: Work, chain: Chain, member: Member) -> None:
    """Let a container go: its pre_stop hooks, stop, remove."""
    stop(work, chain, member)
    chain.then("remove", RemoveInstance(target_of(member)))
    work.frees(member, chain.last)


def stop(work: Work, chain: Chain, member: Member, step: str = "stop") -> None:
    """Stop a container if it runs and nothing of this plan stops it already, its pre_stop hooks first."""
    instance, thing = member.instance, f"stopped:{member.instance.id}"
    if already := work.draft.needed(thing):
        chain.needs = (*chain.needs, *already)
        return
    if instance.phase is Phase.RUNNING:
        for number, hook in enumerate(work.view.service.pre_stop, 1):
            chain.then(f"pre-{step}-{number}", RunHook(target_of(member), hook))
    if instance.phase in (Phase.RUNNING, Phase.RESTARTING, Phase.PAUSED):
        chain.then(step, StopInstance(target_of(member), work.view.service.stop_grace_seconds))
        work.draft.provides[thing] = chain.last


# --- host ports ------------------------------------------------------------------------------------------------------


def ports_are_free(work: Work, chain: Chain, what: str, ours: set[str]) -> bool:
    """See to it that no other container of ours holds a host port that a start needs; say so where that must be waited for.

    A holder whose own successor stands ready without that port would be stopped anyway, when the successor starts. It goes
    at once: the successor may wait for the very container that waits for the port.
    """
    outgoing: dict[str, tuple[ServiceView, Member]] = {}
    for holder, port in _holders(work, ours):
        found = _outgoing(work, holder, port)
        if found is None:
            work.draft.wait(chain.group, f"start {what}", f"{holder.name} gives up host port {port}")
            return False
        outgoing[holder.id] = found
    for number, (view, member) in enumerate(outgoing.values(), 1):
        stop(Work(work.world, view, work.draft), chain, member, f"free-ports-{number}")
    return True


def _holders(work: Work, ours: set[str]) -> Iterator[tuple[Instance, str]]:
    """Yield who still holds a port that the service publishes, and that no removal of this plan frees."""
    wanted = set(fixed_ports(work.view.service.container))
    for instance in work.world.observed.instances if wanted else ():
        holds = instance.phase in (Phase.RUNNING, Phase.PAUSED) and instance.id not in ours
        for port in sorted(wanted & set(held_ports(instance))) if holds else ():
            if not work.draft.needed(f"port:{port}"):
                yield instance, port


def _outgoing(work: Work, holder: Instance, port: str) -> tuple[ServiceView, Member] | None:
    """Return the old container as its service sees it, if its successor stands ready and does not want the port."""
    place = work.world.fleet.places.get(holder.id)
    view = work.world.views.get(place.service_id) if place else None
    if view is None or port in fixed_ports(view.service.container) or _is_left_alone(view, work.world):
        return None
    for slot in view.slots:
        ready = slot.current is not None and slot.current.instance.phase is Phase.CREATED
        if ready and slot.stale is not None and slot.stale.instance.id == holder.id:
            return view, slot.stale
    return None


def _is_left_alone(view: ServiceView, world: World) -> bool:
    suspended = suspension_of(world.history, world.now, view.stack.name, view.service.name)
    return suspended is not None or view.service.id in world.frozen
