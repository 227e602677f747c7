"""From what is wanted, what is there and what was learned to a plan: the story, in the order things happen."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from reconciler.model.catalog import Entry
from reconciler.model.desired import DesiredState, Kind, Service, Stack
from reconciler.model.history import History
from reconciler.model.observed import ObservedState
from reconciler.model.plan import Action, Blocked, Plan, RemoveImage, RemoveInstance, RemoveNetwork, RemoveVolume
from reconciler.plan import traffic
from reconciler.plan.discovery import announced, entries
from reconciler.plan.draft import Draft
from reconciler.plan.effective import effective, fallen_back, kept_back, older_versions, withheld
from reconciler.plan.fleet import muster, take_stock
from reconciler.plan.jobs import run_job
from reconciler.plan.keeper import keeper_of, with_keeper
from reconciler.plan.memory import Memory
from reconciler.plan.moved import moved_away
from reconciler.plan.namespaces import blocked_by_owner
from reconciler.plan.order import needs_first, owners
from reconciler.plan.preflight import blocked_by_engine, blocked_by_network
from reconciler.plan.prune import plan_prune
from reconciler.plan.registration import plan_registration
from reconciler.plan.resources import plan_content, plan_image, plan_networks, plan_volumes
from reconciler.plan.rollback import held as rolled_back
from reconciler.plan.rollout import roll
from reconciler.plan.succession import in_turn, succeed
from reconciler.plan.suspended import held_back, suspension_of
from reconciler.plan.traffic.listening import blocked_by_holder
from reconciler.plan.upkeep import tend
from reconciler.plan.view import ServiceView, World, build_views, failure_of
from reconciler.plan.windows import Within, overruled, within_windows
from reconciler.plan.work import Work


def make_plan(
    desired: DesiredState,
    observed: ObservedState,
    history: History,
    previous: DesiredState | None = None,
    busy: frozenset[str] = frozenset(),
    memory: Memory | None = None,
    stopping: frozenset[str] = frozenset(),
) -> Plan:
    """Decide everything one turn does. Equal arguments make equal plans; the time is the snapshot's.

    `previous` is the last revision that was applied whole; services whose newest spec failed fall back to it.
    `memory` holds what earlier plans found out; it makes this one cheaper, never another. `busy` are groups that earlier
    plans are still at work on, `stopping` the containers (by id) that they stop.
    """
    world = survey(desired, observed, history, previous, memory)
    draft = Draft(complete=not observed.unknown, busy=busy)
    _note(world, desired, draft)
    if not observed.unknown:
        # Leftovers first: what stands in the way of something wanted must be known to free its name and port.
        plan_prune(world, desired, draft)
        traffic.before(world, draft)
        for stack in world.desired.stacks:
            _plan_stack(world, stack, draft)
        in_turn(world, draft)
        traffic.after(world, draft)
    found = None if observed.unknown else entries(world)
    if found is not None:
        plan_registration(world, found, stopping, draft)
    return _finish(world, desired, draft, found)


def survey(
    desired: DesiredState,
    observed: ObservedState,
    history: History,
    previous: DesiredState | None = None,
    memory: Memory | None = None,
) -> World:
    """Put everything in its place once, before anything is decided."""
    within = counts_now(desired, observed, history, previous)
    wanted, fleet = within.desired, muster(within.desired, observed, memory)
    older, stock = older_versions(wanted, desired, history), take_stock(observed)
    keeper = keeper_of(observed, wanted.environment.name)
    views = with_keeper(build_views(wanted, observed, history, fleet, memory), fleet, keeper)
    return World(wanted, observed, history, fleet, views, stock, previous, within.held, within.frozen, older, keeper)


def counts_now(desired: DesiredState, observed: ObservedState, history: History, previous: DesiredState | None) -> Within:
    """Return which version of each stack and service counts, whatever of it is there."""
    return within_windows(effective(desired, previous, history), previous, observed, history)


def _note(world: World, desired: DesiredState, draft: Draft) -> None:
    for service in (service for stack in world.desired.stacks for service in stack.services):
        if service.not_acted_on:
            draft.notes.append(f"{', '.join(service.not_acted_on)} of {service.id}: checked, but not acted on by this version")
    for name in withheld(desired, world.previous, world.history):
        draft.withheld.append(name)
        draft.notes.append(f"stack {name}: sync is manual; `reconciler apply {name}` releases {desired.revision.short}")
    for stack in desired.stacks:
        if word := overruled(world.history, stack.name, desired.revision):
            draft.notes.append(f"stack {stack.name}: windows are overruled for {desired.revision.short}: {word.reason}")
    for service in fallen_back(world.desired, desired, world.history):
        failed = failure_of(service, desired.revision.id, world.history)
        hint = f"the last good version runs; push a fix, or `reconciler retry {service.id}`"
        draft.block(service.id, "R130", f"{service.id}: this spec failed: {failed}", hint, service.mark("image"))
    for service, job in kept_back(world.desired, desired, world.history):
        message = f"{service.id} keeps its version: it waits for {job}, which failed"
        draft.block(service.id, "R142", message, f"it follows once {job} has ended well", service.mark("depends_on"))
    draft.held.extend((*world.held, *rolled_back(world.history)))
    for neighbour in sorted(world.observed.unknown):
        draft.notes.append(f"{neighbour} did not answer: nothing is decided on its silence")


def _plan_stack(world: World, stack: Stack, draft: Draft) -> None:
    """Plan a stack; one that is suspended is planned aside, to say what is not done."""
    suspension = suspension_of(world.history, world.now, stack.name)
    part = draft.aside() if suspension else draft
    if not moved_away(world, stack, part):
        _plan_parts(world, stack, part, apart=suspension is None)
    if suspension:
        draft.held.append(held_back(stack.name, suspension, part))


def _plan_parts(world: World, stack: Stack, draft: Draft, *, apart: bool) -> None:
    """Plan a stack's networks, volumes and services; `apart` looks at which services are suspended by themselves."""
    if not (world.frozen and any(service.id in world.frozen for service in stack.services)):
        plan_networks(world, stack, draft)
        plan_volumes(world, stack, draft)
    for service in () if _is_at_peace(world, stack, draft) else needs_first(stack):
        suspension = suspension_of(world.history, world.now, stack.name, service.name) if apart else None
        part = draft.aside() if suspension else draft
        _plan_service(world, world.views[service.id], part)
        if suspension:
            draft.held.append(held_back(service.id, suspension, part))


def _is_at_peace(world: World, stack: Stack, draft: Draft) -> bool:
    """All its services rest, and neither a person nor an image registry nor this plan has anything to say about them."""
    if world.history.suspended or draft.renewed:
        return False
    return all(
        world.views[service.id].rests(world.now)
        and service.image not in world.observed.digests
        and service.id not in draft.busy
        for service in stack.services
    )


def _plan_service(world: World, view: ServiceView, draft: Draft) -> None:
    service, work = view.service, Work(world, view, draft)
    if service.id in draft.busy:
        draft.wait(service.id, "go on", "what is in flight has ended")
        return
    if alone := blocked_by_owner(world, view):
        draft.blocked.append(alone)
        return
    if service.id in world.frozen:
        tend(work)
        return
    if blocked := _held_off(world, service):
        draft.blocked.append(blocked)
        return
    if _waits_for_retry(work):
        return
    if draft.renewed and any(_changes_networks(one, draft) for one in (view, *_hosts(world, view))):
        draft.wait(service.id, f"look at {service.id} again", "its network is replaced")
        return
    plan_image(world, service, draft, wanted=_wants_container(view))
    if view.rests(world.now):
        return
    if _wants_container(view):
        if lacking := work.lacking():
            draft.wait(service.id, f"create {service.id}", lacking)
            return
        plan_content(world, view, draft)
    _plan_containers(work)


def _held_off(world: World, service: Service) -> Blocked | None:
    """Return what a person must see to before any container of the service is touched."""
    return (
        blocked_by_engine(service, world.observed.engine)
        or blocked_by_network(service, world.observed.networks)
        or blocked_by_holder(world, service)
    )


def _plan_containers(work: Work) -> None:
    if work.view.keeper:
        succeed(work)
    elif work.view.service.kind is Kind.JOB:
        run_job(work)
    else:
        roll(work)


def _hosts(world: World, view: ServiceView) -> list[ServiceView]:
    """The services whose namespaces it lives in."""
    found = (world.views.get(f"{view.service.stack}/{name}") for name in owners(view.service))
    return [one for one in found if one is not None]


def _changes_networks(view: ServiceView, draft: Draft) -> bool:
    """A container of it leaves a network that is made anew in this very plan, and comes back where Git asks for that."""
    ids = {member.instance.id for member in view.members}
    targets = (getattr(action.change, "target", None) for action in draft.actions if "/network/" in action.id)
    return any(target is not None and target.id in ids for target in targets)


def _wants_container(view: ServiceView) -> bool:
    return any(slot.current is None for slot in view.slots)


def _waits_for_retry(work: Work) -> bool:
    """After a failed action the service waits a little before the next try."""
    backoff = work.world.history.retries.get(work.view.service.id)
    if backoff is None or not backoff.holds(work.world.now) or work.view.settled(work.world.now):
        return False
    work.draft.wait(work.view.service.id, "try again", f"back-off: {backoff.why}", wake_at=backoff.next)
    return True


# --- the end ---------------------------------------------------------------------------------------------------------


def _finish(world: World, desired: DesiredState, draft: Draft, found: tuple[Entry, ...] | None) -> Plan:
    order = _ranks(world, draft)
    actions = _sorted(draft.actions, order)
    opened = (group if group.title else replace(group, title="pull") for group in draft.groups.values())
    groups = sorted(opened, key=lambda group: _rank(group.key, group.stack, order))
    return Plan(
        environment=desired.environment.name,
        revision_id=desired.revision.id,
        revision_subject=desired.revision.subject,
        observed_at=world.now,
        groups=tuple(groups),
        actions=actions,
        waiting=tuple(sorted(draft.waiting, key=lambda one: (_rank(one.group, one.group.split("/")[0], order), one.what))),
        drift=tuple(draft.drift),
        blocked=tuple(draft.blocked),
        failures=tuple(draft.failures),
        withheld=tuple(draft.withheld),
        held=tuple(draft.held),
        rollouts={id: course.progress for id, course in draft.staged.items()},
        notes=tuple(draft.notes),
        complete=draft.complete,
        was=world.history.applied,
        entries=found,
        announced=tuple(announced(found or (), world.views, actions)),
    )


def _ranks(world: World, draft: Draft) -> dict[str, int]:
    """Stacks in the order of their needs, services in the order of their dependencies, as far as the plan is about them."""
    told = (*draft.groups, *(action.group for action in draft.actions), *(one.group for one in draft.waiting))
    names = {key.split("/")[0] for key in told}
    keys: list[str] = []
    for stack in (one for one in world.desired.stacks if one.name in names):
        keys.append(stack.name)
        keys.extend(service.id for service in needs_first(stack))
    return {key: rank for rank, key in enumerate(keys)}


def _rank(key: str, stack: str, order: dict[str, int]) -> tuple[int, int, str]:
    last = len(order) + 1
    return order.get(stack, last), order.get(key, 0 if "/network/" in key or "/volume/" in key else last), key


def _sorted(actions: Iterable[Action], order: dict[str, int]) -> tuple[Action, ...]:
    """Total order: needs before what needs them, else stack, service, then as planned; deletions last."""
    ranked = sorted(
        enumerate(actions),
        key=lambda pair: (_deletes(pair[1]), _rank(pair[1].group, pair[1].group.split("/")[0], order), pair[0]),
    )
    waiting = {action.id: action for _, action in ranked}
    done: dict[str, Action] = {}

    def place(action: Action) -> None:
        if action.id in done:
            return
        for need in action.needs:
            if need in waiting:
                place(waiting[need])
        done[action.id] = action

    for _, action in ranked:
        place(action)
    return tuple(replace(action, needs=tuple(need for need in action.needs if need in done)) for action in done.values())


def _deletes(action: Action) -> bool:
    return isinstance(action.change, RemoveInstance | RemoveNetwork | RemoveVolume | RemoveImage)
