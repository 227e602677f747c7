"""How far is what runs from what Git's newest revision asks, whatever may hold a change back?"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from reconciler.errors import Mark
from reconciler.model.desired import DesiredState
from reconciler.model.history import History
from reconciler.model.observed import ObservedState
from reconciler.model.plan import Group, Reason, Verb
from reconciler.plan.finished import finished
from reconciler.plan.fleet import Fleet
from reconciler.plan.planner import make_plan, survey
from reconciler.plan.reasons import because
from reconciler.plan.view import Member, ServiceView, World, is_job


@dataclass(frozen=True, slots=True)
class Alike:
    """Containers (by name) that differ in the same way, or the one network or volume, and how."""

    names: tuple[str, ...]
    reasons: tuple[Reason, ...] = ()


@dataclass(frozen=True, slots=True)
class Contrast:
    """Where one service, network or volume differs from Git.

    key        "stack/service", "stack/network/KEY", "stack/volume/KEY"
    source     where it stands in Git, None when Git no longer has it
    differing  what is there and differs
    lacking    names of containers that Git asks for and nobody has made
    surplus    names of containers that Git does not ask for
    """

    key: str
    source: Mark | None
    differing: tuple[Alike, ...] = ()
    lacking: tuple[str, ...] = ()
    surplus: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.differing or self.lacking or self.surplus)


def released(history: History, desired: DesiredState) -> History:
    """Return the history as if nothing were held: no version has failed, and every stack was released by a person."""
    revision = desired.revision.id
    return replace(history, quarantine={}, manual={stack.name: revision for stack in desired.stacks})


def contrasts(desired: DesiredState, observed: ObservedState, history: History) -> tuple[Contrast, ...]:
    """Return everything that differs, in Git's order, what Git no longer has last.

    The snapshot must answer what a plan for `released` histories asks.
    """
    freed = released(history, desired)
    world = survey(desired, observed, freed)
    services = (_service(world, view) for view in world.views.values())
    found = (*_resources(desired, observed, freed), *services, *_orphans(world.fleet))
    return tuple(one for one in found if one)


def _service(world: World, view: ServiceView) -> Contrast:
    service, done = view.service, is_job(view) and finished(world, view)
    standing = [member for slot in view.slots for member in (slot.current, slot.stale) if member]
    extra = [member for slot in view.slots for member in slot.extra]
    return Contrast(
        service.id,
        service.mark(""),
        tuple(_alike((member, because(member.comparison, service, member.instance)) for member in standing)),
        tuple(slot.name for slot in view.slots if not (slot.current or slot.stale or done)),
        tuple(member.instance.name for member in (*extra, *view.surplus)),
    )


def _alike(members: Iterable[tuple[Member, tuple[Reason, ...]]]) -> Iterator[Alike]:
    """Replicas mostly differ in the same way: that is said once."""
    names: dict[tuple[Reason, ...], list[str]] = defaultdict(list)
    for member, reasons in members:
        if reasons:
            names[reasons].append(member.instance.name)
    yield from (Alike(tuple(found), reasons) for reasons, found in names.items())


def _resources(desired: DesiredState, observed: ObservedState, history: History) -> Iterator[Contrast]:
    """Networks and volumes: what a plan would do with them, or says that nobody may."""
    plan = make_plan(desired, observed, history)
    for group in plan.groups:
        if "/network/" in group.key or "/volume/" in group.key:
            yield _resource(group)
    for blocked in plan.blocked:
        if "/network/" in blocked.group or "/volume/" in blocked.group:
            yield Contrast(blocked.group, blocked.source, (Alike((blocked.message,)),))


def _resource(group: Group) -> Contrast:
    source = next((reason.source for reason in group.reasons if reason.source), None)
    match group.verb:
        case Verb.CREATE:
            return Contrast(group.key, source, lacking=(group.title,))
        case Verb.REMOVE:
            return Contrast(group.key, source, surplus=(group.name,))
        case _:
            return Contrast(group.key, source, (Alike((group.title,), group.reasons),))


def _orphans(fleet: Fleet) -> Iterator[Contrast]:
    names: dict[str, list[str]] = defaultdict(list)
    for place, instance in fleet.orphans:
        names[place.service_id].append(instance.name)
    yield from (Contrast(service, None, surplus=tuple(found)) for service, found in sorted(names.items()))
