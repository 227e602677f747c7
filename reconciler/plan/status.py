"""How is each service: as Git wants it, and well?"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from reconciler.model.desired import DesiredState, Kind
from reconciler.model.history import History
from reconciler.model.observed import ObservedState
from reconciler.model.plan import Plan
from reconciler.model.status import Health, ServiceStatus, StackStatus, Sync, worst
from reconciler.plan.finished import finished
from reconciler.plan.memory import Memory
from reconciler.plan.planner import survey
from reconciler.plan.readiness import is_complete, is_ready, why_failed
from reconciler.plan.suspended import suspension_of, until, why_suspended
from reconciler.plan.view import ServiceView, World


def stacks_status(
    plan: Plan,
    desired: DesiredState,
    observed: ObservedState,
    history: History,
    previous: DesiredState | None = None,
    memory: Memory | None = None,
) -> tuple[StackStatus, ...]:
    """Return the status of every stack of the plan's world."""
    world = survey(desired, observed, history, previous, memory)
    touched = {group.key for group in (*plan.groups, *plan.drift)} | {blocked.group for blocked in plan.blocked}
    touched |= {id for held in plan.held for id in held.services} | {held.key for held in plan.held if held.what}
    moving = {*(key.split("/")[0] for key in touched), *plan.withheld}
    memory = memory or Memory()
    resting = _resting(world, plan, touched)
    known = {id: one for id, (view, one) in memory.status.items() if resting.get(id) is view}
    stacks, services = dict[str, StackStatus](), dict[str, ServiceStatus]()
    for stack in world.desired.stacks:
        own = [known.get(one.id) or _service(world, world.views[one.id], plan, touched) for one in stack.services]
        out = any(one.sync is not Sync.SYNCED for one in own) or stack.name in moving
        new = StackStatus(stack.name, Sync.OUT_OF_SYNC if out else Sync.SYNCED, worst(one.health for one in own), tuple(own))
        stacks[stack.name] = old if (old := memory.stacks.get(stack.name)) == new else new
        services |= {service.id: one for service, one in zip(stack.services, own, strict=True)}
    memory.status = {id: (view, services[id]) for id, view in resting.items()}
    memory.stacks = stacks
    return tuple(stacks.values())


def _resting(world: World, plan: Plan, touched: Collection[str]) -> dict[str, ServiceView]:
    """Return the views of services that nothing but their view has a say in."""
    if world.history.suspended or world.frozen or plan.blocked:
        return {}
    return {id: view for id, view in world.views.items() if id not in touched and view.rests(world.now)}


def _service(world: World, view: ServiceView, plan: Plan, touched: Iterable[str]) -> ServiceStatus:
    service, members = view.service, view.members
    health, message = _health(world, view, plan)
    rests = view.rests(world.now)
    return ServiceStatus(
        stack=service.stack,
        name=service.name,
        sync=Sync.OUT_OF_SYNC if service.id in touched or _differs(world, view) else Sync.SYNCED,
        health=health,
        wanted=service.replicas,
        running=len(members) if rests else sum(1 for member in members if member.instance.running),
        ready=len(members) if rests else sum(1 for member in members if is_ready(member.instance, service, world.now)),
        image=next((str(one.instance.detail.get("Config", {}).get("Image", "")) for one in members), ""),
        message=message,
        since=min((one.instance.started for one in members if one.instance.started), default=None),
    )


def _differs(world: World, view: ServiceView) -> bool:
    """A change that waits, for a back-off or for somebody else, is still to be made."""
    if view.held or any(slot.stale is not None for slot in view.slots):
        return True
    ran = view.service.kind is Kind.JOB and finished(world, view)
    return not ran and any(slot.current is None for slot in view.slots)


def _health(world: World, view: ServiceView, plan: Plan) -> tuple[Health, str]:
    if suspension := suspension_of(world.history, world.now, view.stack.name, view.service.name):
        return Health.SUSPENDED, f"{why_suspended(suspension)} ({until(suspension.until)})"
    if view.service.id in world.frozen:
        return _frozen(world, view)
    if view.held:
        return Health.DEGRADED, view.held
    if service_blocked := [one.message for one in plan.blocked if one.group == view.service.id]:
        return Health.DEGRADED, service_blocked[0]
    if view.service.kind is Kind.JOB and finished(world, view):
        return Health.HEALTHY, "completed"
    if view.settled(world.now):
        return _settled(view)
    return _unsettled(world, view, plan)


def _frozen(world: World, view: ServiceView) -> tuple[Health, str]:
    """What a window keeps as it is does well when it serves, whatever it was made for."""
    standing = [[one for one in (slot.current, slot.stale) if one] for slot in view.slots]
    serves = all(any(is_ready(one.instance, view.service, world.now) for one in members) for members in standing)
    return (Health.HEALTHY, "") if serves else (Health.DEGRADED, "neither the new version nor the last good one")


def _settled(view: ServiceView) -> tuple[Health, str]:
    if not view.slots:
        return Health.SUSPENDED, "scaled to zero"
    done = all(slot.current and is_complete(slot.current.instance, view.service) for slot in view.slots)
    return Health.HEALTHY, "completed" if done else ""


def _unsettled(world: World, view: ServiceView, plan: Plan) -> tuple[Health, str]:
    failures = [
        f"{member.instance.name} {why}"
        for member in view.members
        if (why := why_failed(member.instance, view.service, world.now))
    ]
    if failures:
        return Health.DEGRADED, failures[0]
    waiting = next((f"waits until {one.on}" for one in plan.waiting if one.group == view.service.id), "")
    if not view.members:
        return Health.MISSING, waiting
    return Health.PROGRESSING, waiting
