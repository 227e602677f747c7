"""Replace the container this reconciler works in: by handing over to its successor, never by stopping itself.

Both stand side by side for a while, and the lease says which of them acts. The old one makes and starts the new one when
nothing else is under way, and passes the lease on once the new one is well; the first deed of the new one is to remove
the old one. Whoever of them is lost on the way, the other one has the lease, or takes it.
"""

from __future__ import annotations

from datetime import timedelta

from reconciler.model.desired import Order, Service
from reconciler.model.observed import Phase
from reconciler.model.plan import Action, CreateInstance, HandOver, StartInstance, Verb
from reconciler.plan import rollout
from reconciler.plan.draft import Draft
from reconciler.plan.keeper import lease_of
from reconciler.plan.order import only_one_can_have, recreates
from reconciler.plan.readiness import CRASHES, is_ready, was_stopped, why_failed
from reconciler.plan.reasons import because, facts
from reconciler.plan.upkeep import await_ready, keep_at_work, unpause
from reconciler.plan.view import Member, ServiceView, Slot, World
from reconciler.plan.work import Work, target_of

TITLE = "hand-over, the reconciler itself"

TAKEN_WITHIN = timedelta(seconds=90)
"""A successor asks every few seconds. One that does not take the lease in this time does not come round."""


def succeed(work: Work) -> None:
    """Plan the service of which one container is this reconciler's own."""
    view, service = work.view, work.view.service
    if misplaced := _misplaced(view):
        message, hint = misplaced
        work.draft.block(service.id, "R143", message, hint, service.mark("deploy.replicas", "scale"))
        return
    (slot,) = view.slots
    rollout.clear(work, slot)
    match slot.current, slot.stale:
        case Member() as own, None:
            keep_at_work(work, slot, own)
        case None, Member() as own:
            _begin(work, slot, own)
        case Member() as own, Member() as old if own.instance.id == view.keeper:
            _complete(work, slot, own, old)
        case Member() as successor, Member() as own:
            _go_on(work, slot, successor, own)
        case _:
            pass
    rollout.retire_surplus(work)


def _misplaced(view: ServiceView) -> tuple[str, str] | None:
    """Say why nothing is done to the service as it stands, and what to do."""
    id, count = view.service.id, len(view.slots)
    if count != 1:
        return f"{id} is this reconciler itself: there is one of it, not {count}", "ask for one replica; nothing is done to it"
    slot = view.slots[0]
    if view.keeper in {member.instance.id for member in (slot.current, slot.stale) if member}:
        return None
    name = next(member.instance.name for member in view.members if member.instance.id == view.keeper)
    return f"{id} is this reconciler itself, which works in {name}", f"stop {name} by hand: {slot.name} takes over"


# --- the old one -----------------------------------------------------------------------------------------------------


def _begin(work: Work, slot: Slot, own: Member) -> None:
    """Make the successor and start it, if the two can stand side by side."""
    service = work.view.service
    group = work.open(Verb.UPDATE, TITLE, because(own.comparison, service, own.instance))
    if obstacle := _obstacle(service):
        message = f"{service.id} is this reconciler itself, and its successor cannot run beside it: {obstacle}"
        hint = f"leave that out, or replace {own.instance.name} by hand"
        work.draft.block(group, "R143", message, hint, service.mark("ports", "network_mode", "deploy.update_config.order"))
    elif not rollout.is_held(work, group, [(slot, own)]):
        rollout.begin(work, group, slot, own)


def _obstacle(service: Service) -> str:
    """Whoever stops first is not there any more to start the other."""
    if recreates(service):
        return "x-rollout.strategy recreate"
    if service.update.order is Order.STOP_FIRST:
        return "update_config.order stop-first"
    return only_one_can_have(service)


def _go_on(work: Work, slot: Slot, successor: Member, own: Member) -> None:
    """Bring the successor to where it can take over, then pass the lease on."""
    if why := _why_failed(work, successor):
        _give_up(work, slot, successor, own, f"{successor.instance.name} {why}")
        return
    group = work.open(Verb.UPDATE, TITLE, because(own.comparison, work.view.service, own.instance))
    chain = work.chain(group, slot.number, work.reasons(group))
    if successor.instance.phase in (Phase.CREATED, Phase.EXITED):
        rollout.start(work, chain, slot, target_of(successor))
    elif successor.instance.phase is Phase.PAUSED:
        unpause(work, slot, successor)
    elif is_ready(successor.instance, work.view.service, work.world.now):
        chain.then("hand-over", _hand_over(work.world, successor))
    else:
        await_ready(work, group, f"hand over to {successor.instance.name}", successor)


def _hand_over(world: World, successor: Member) -> HandOver:
    environment = world.desired.environment.name
    lease = lease_of(world.observed, environment)
    assert lease is not None, "who works where is read off the lease"
    return HandOver(target_of(successor), environment, lease.holder, world.now + TAKEN_WITHIN)


def _why_failed(work: Work, successor: Member) -> str:
    """Say how the successor failed. Its container may be well, and its process not up to the work."""
    instance = successor.instance
    given = work.world.history.handed.get(instance.id)
    if given is not None and instance.started is not None and instance.started < given:
        return "was handed the lease, and did not keep it"
    killed_once = instance.phase is Phase.RESTARTING and instance.restarts < CRASHES
    if killed_once or (was_stopped(instance) and not work.view.held):
        return ""
    ended = f"exited with code {instance.exit_code}" if instance.ended else ""
    return why_failed(instance, work.view.service, work.world.now) or ended


def _give_up(work: Work, slot: Slot, successor: Member, own: Member, why: str) -> None:
    """Remember that this version failed, and go on as the old one."""
    group = work.open(Verb.UPDATE, "hand-over failed, the reconciler goes on as it is", facts(why))
    work.fail(group, why, successor.instance)
    rollout.return_to(work, work.chain(group, slot.number, facts(why)), slot, own, successor)


# --- the new one -----------------------------------------------------------------------------------------------------


def _complete(work: Work, slot: Slot, own: Member, old: Member) -> None:
    reasons = facts(f"{old.instance.name} has handed over to {own.instance.name}")
    group = work.open(Verb.UPDATE, TITLE, reasons)
    rollout.finish(work, work.chain(group, slot.number, reasons), slot, own, old)


# --- when ------------------------------------------------------------------------------------------------------------


def in_turn(world: World, draft: Draft) -> None:
    """Let everything that is under way come before a hand-over, and its completion before everything else.

    Who has just taken over proves by it that it can work, as long as the old one is there to take the lease back.
    """
    place = world.fleet.places.get(world.keeper)
    own = world.views.get(place.service_id) if place else None
    mine = [action for action in draft.actions if own and action.id.startswith(f"{own.service.id}/")]
    if own is None or not mine:
        return
    if any(isinstance(action.change, CreateInstance | StartInstance | HandOver) for action in mine):
        if doing := _under_way(world, draft, own, mine):
            draft.drop(mine)
            draft.waiting = [one for one in draft.waiting if one.group != own.service.id]
            draft.wait(own.service.id, "hand over", f"nothing else is under way ({doing} is)")
    elif own.slots[0].current and own.slots[0].stale and own.slots[0].current.instance.id == world.keeper:
        others = [action for action in draft.actions if action not in mine]
        draft.drop(others)
        for group in sorted({action.group for action in others}):
            draft.wait(group, "go on", f"{own.slots[0].stale.instance.name} is gone")


def _under_way(world: World, draft: Draft, own: ServiceView, mine: list[Action]) -> str:
    """Return the first, by name, of those that do something or are about to become ready; "" for nobody."""
    needed, aside = {need for action in mine for need in action.needs}, {action.id for action in mine}
    acting = {action.group for action in draft.actions if action.id not in needed | aside}
    starting = {id for id, view in world.views.items() if view is not own and _starts(world, view)}
    return min(acting | starting | (draft.busy - {own.service.id}), default="")


def _starts(world: World, view: ServiceView) -> bool:
    """One of its containers runs and is to become ready; whether it will, is known soon."""
    running = (slot.current.instance for slot in view.slots if slot.current and slot.current.instance.running)
    return any(not is_ready(one, view.service, world.now) and not why_failed(one, view.service, world.now) for one in running)
