"""Which stacks must not begin to change now, because a deny window is open or no allow window is?

A window holds the begin of a change: where containers of the new version are there already, it goes on to its end. Until
it may begin, the version of the last revision that was applied whole counts for the stack, and is healed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from reconciler.model.desired import DesiredState, Service, Stack
from reconciler.model.history import History
from reconciler.model.observed import ObservedState
from reconciler.model.plan import Held
from reconciler.model.schedule import Window, WindowKind
from reconciler.plan.fleet import muster
from reconciler.plan.view import Member, ServiceView, asks, build_views

MOST_BOUNDARIES = 100
"""So many openings and closings ahead are looked at to say when a hold ends; one that lasts longer is looked at again then."""


@dataclass(frozen=True, slots=True)
class Within:
    """What counts within the windows.

    desired  the desired state, stacks that must not change now in their last good version
    held     what that holds back
    frozen   service ids that only live on: what runs is neither the new version nor the last good one
    """

    desired: DesiredState
    held: tuple[Held, ...] = ()
    frozen: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Change:
    """How the new version of a stack differs from the last good one, by service."""

    added: tuple[Service, ...] = ()
    changed: tuple[Service, ...] = ()
    removed: tuple[Service, ...] = ()
    resources: bool = False

    def __bool__(self) -> bool:
        return bool(self.added or self.changed or self.removed or self.resources)

    @property
    def services(self) -> frozenset[str]:
        return frozenset(service.id for service in (*self.added, *self.changed, *self.removed))

    def __str__(self) -> str:
        counts = {"create": len(self.added), "update": len(self.changed), "remove": len(self.removed)}
        said = ", ".join(f"{count} to {verb}" for verb, count in counts.items() if count)
        return said or "networks or volumes to change"


def within_windows(wanted: DesiredState, previous: DesiredState | None, observed: ObservedState, history: History) -> Within:
    """Return what counts at the time of the snapshot."""
    gone = _gone(wanted, previous)
    closed = {stack.name: why for stack in (*wanted.stacks, *gone) if (why := closed_by(stack.windows, observed.at))}
    if not closed:
        return Within(wanted)
    sight = _Sight(_views(wanted, observed, history), _views(previous, observed, history) if previous else {}, history)
    before = {stack.name: stack for stack in previous.stacks} if previous else {}
    stacks, held, frozen = list[Stack](), list[Held](), set[str]()
    for stack in (*wanted.stacks, *gone):
        change = sight.change(None if stack in gone else stack, before.get(stack.name)) if stack.name in closed else Change()
        begun = change and sight.has_begun(change)
        if not change or begun:
            stacks.extend([] if stack in gone else [stack])
            continue
        held.append(_held(stack, change, closed[stack.name], observed.at))
        if sight.is_alien(change):
            frozen |= change.services
            stacks.append(stack)
        elif stack.name in before:
            stacks.append(sight.last_good(stack, before[stack.name]))
    return Within(replace(wanted, stacks=tuple(stacks)), tuple(held), frozenset(frozen))


def without_windows(desired: DesiredState) -> DesiredState:
    """Return the desired state as it counts when nobody asks what time it is."""
    return replace(desired, stacks=tuple(replace(stack, windows=()) for stack in desired.stacks))


def closed_by(windows: Iterable[Window], at: datetime) -> str:
    """Say which window keeps changes from beginning then; "" when they may begin."""
    allowing = []
    for window in windows:
        is_open = window.is_open(at)
        if window.kind is WindowKind.DENY and is_open:
            return f"deny window {window.name} is open"
        if window.kind is WindowKind.ALLOW:
            allowing.append((window.name, is_open))
    if not allowing or any(is_open for _, is_open in allowing):
        return ""
    names = [name for name, _ in allowing]
    return f"allow window{'s' if len(names) > 1 else ''} {', '.join(names)} {'are' if len(names) > 1 else 'is'} closed"


def opens_at(windows: Iterable[Window], at: datetime) -> datetime | None:
    """Return when changes may begin again at the earliest, None: never."""
    windows = tuple(windows)
    moment: datetime | None = at
    for _ in range(MOST_BOUNDARIES):
        moment = min((turn for window in windows if moment and (turn := window.turns(moment))), default=None)
        if moment is None or not closed_by(windows, moment):
            return moment
    return moment


def _gone(wanted: DesiredState, previous: DesiredState | None) -> tuple[Stack, ...]:
    """Stacks that Git no longer has: to remove them is a change of theirs."""
    names = {stack.name for stack in wanted.stacks}
    return tuple(stack for stack in previous.stacks if stack.name not in names) if previous else ()


def _held(stack: Stack, change: Change, why: str, at: datetime) -> Held:
    return Held(stack.name, why, str(change), opens_at(stack.windows, at), change.services)


# --- what is there of it ---------------------------------------------------------------------------------------------


def _views(desired: DesiredState, observed: ObservedState, history: History) -> Mapping[str, ServiceView]:
    return build_views(desired, observed, history, muster(desired, observed))


@dataclass(frozen=True, slots=True)
class _Sight:
    """The containers as the new version sees them, and as the last good one does."""

    new: Mapping[str, ServiceView]
    old: Mapping[str, ServiceView]
    history: History = field(repr=False)

    def change(self, stack: Stack | None, before: Stack | None) -> Change:
        """Return what the new version changes of what a window may hold: all but more replicas of the same."""
        ours = {service.name: service for service in stack.services} if stack else {}
        theirs = {service.name: service for service in before.services} if before else {}
        both = [(service, theirs[name]) for name, service in ours.items() if name in theirs]
        return Change(
            added=tuple(service for name, service in ours.items() if name not in theirs),
            changed=tuple(service for service, old in both if self._asks(_no_more(service, old)) != self._asks(old)),
            removed=tuple(old for name, old in theirs.items() if name not in ours and self._there(old)),
            resources=stack is not None and before is not None and _resources(stack) != _resources(before),
        )

    def has_begun(self, change: Change) -> bool:
        """Say whether something of the new version is there: a new service, or a container that only the new one fits."""
        if any(self.new[service.id].members for service in change.added):
            return True
        return any(new.comparison.same and not old.comparison.same for new, old in self._seen(change))

    def is_alien(self, change: Change) -> bool:
        """Say whether a container is neither what the new version asks for nor what the last good one did."""
        return any(not new.current and not old.current for new, old in self._seen(change))

    def last_good(self, stack: Stack, before: Stack) -> Stack:
        """Return the last good version, with as many replicas as the new one where that is more."""
        replicas = {service.name: service.replicas for service in stack.services}
        services = tuple(
            replace(old, replicas=max(old.replicas, replicas.get(old.name, 0)))
            for old in before.services
            if old.name in replicas or self._there(old)
        )
        return replace(before, services=services, adopt=stack.adopt, windows=stack.windows, source=stack.source)

    def _asks(self, service: Service) -> tuple[object, ...]:
        return asks(service, self.history.key)

    def _there(self, service: Service) -> bool:
        """What is already gone of a service that Git no longer has does not come back."""
        return bool(self.old[service.id].members)

    def _seen(self, change: Change) -> Iterator[tuple[Member, Member]]:
        for service in change.changed:
            before = {member.instance.id: member for member in self.old[service.id].members}
            yield from ((one, before[one.instance.id]) for one in self.new[service.id].members)


def _no_more(service: Service, before: Service) -> Service:
    return replace(service, replicas=min(service.replicas, before.replicas))


def _resources(stack: Stack) -> tuple[object, ...]:
    return (
        [(one.name, one.external, one.payload) for one in stack.networks],
        [(one.name, one.external, one.payload) for one in stack.volumes],
    )
