"""Which stacks must not begin to change now, because a deny window is open or no allow window is?

A window holds the begin of a change: where containers of the new version are there already, it goes on to its end. Until
it may begin, the version of the last revision that was applied whole counts for the stack, and is healed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TypeVar

from reconciler.model.desired import DesiredState, Network, Service, Stack, Volume
from reconciler.model.history import EVERYTHING, History, Overrule
from reconciler.model.observed import ObservedState
from reconciler.model.plan import Held
from reconciler.model.schedule import Window, WindowKind
from reconciler.model.source import Revision
from reconciler.plan.fleet import muster
from reconciler.plan.resources import network_differences
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
    networks: tuple[Network, ...] = ()
    volumes: tuple[Volume, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.services or self.networks or self.volumes)

    @property
    def services(self) -> frozenset[str]:
        return frozenset(service.id for service in (*self.added, *self.changed, *self.removed))

    def __str__(self) -> str:
        counts = {"create": len(self.added), "update": len(self.changed), "remove": len(self.removed)}
        said = ", ".join(f"{count} to {verb}" for verb, count in counts.items() if count)
        return said or "networks or volumes to change"


def within_windows(wanted: DesiredState, previous: DesiredState | None, observed: ObservedState, history: History) -> Within:
    """Return what counts at the time of the snapshot."""
    now, before = _by_name(wanted), _by_name(previous)
    latest = {**before, **now}
    closed = {name: why for name, stack in latest.items() if (why := closed_by(stack.windows, observed.at))}
    revision = wanted.revision
    closed = {name: why for name, why in closed.items() if overruled(history, name, revision) is None}
    if all(history.has_applied(name, revision.id) for name in closed):
        return Within(wanted)
    sight = _Sight(_views(wanted, observed, history), _views(previous, observed, history), observed, history)
    changes = {name: sight.change(now.get(name), before.get(name)) for name in closed}
    holding = {name: change for name, change in changes.items() if change and not sight.has_begun(change)}
    alien = {name for name, change in holding.items() if sight.is_alien(change)}
    counts = {name: stack for name, stack in now.items() if name not in holding or name in alien}
    counts |= {name: sight.last_good(latest[name], before[name]) for name in holding.keys() - alien if name in before}
    return Within(
        replace(wanted, stacks=tuple(counts[name] for name in (*now, *(before.keys() - now.keys())) if name in counts)),
        tuple(_held(latest[name], holding[name], closed[name], observed.at) for name in latest if name in holding),
        frozenset(id for name in alien for id in holding[name].services),
    )


def _by_name(desired: DesiredState | None) -> dict[str, Stack]:
    return {stack.name: stack for stack in desired.stacks} if desired else {}


def overruled(history: History, stack: str, revision: Revision) -> Overrule | None:
    """Return a person's word that the stack does not wait for its windows with this revision."""
    said = (history.overruled.get(name) for name in (EVERYTHING, stack))
    return next((one for one in said if one is not None and one.revision == revision.id), None)


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


def _held(stack: Stack, change: Change, why: str, at: datetime) -> Held:
    return Held(stack.name, why, str(change), opens_at(stack.windows, at), change.services)


# --- what is there of it ---------------------------------------------------------------------------------------------


def _views(desired: DesiredState | None, observed: ObservedState, history: History) -> Mapping[str, ServiceView]:
    return {} if desired is None else build_views(desired, observed, history, muster(desired, observed))


@dataclass(frozen=True, slots=True)
class _Sight:
    """The containers as the new version sees them, and as the last good one does."""

    new: Mapping[str, ServiceView]
    old: Mapping[str, ServiceView]
    observed: ObservedState = field(repr=False)
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
            networks=_other(stack.networks, before.networks if before else ()) if stack else (),
            volumes=_other(stack.volumes, before.volumes if before else ()) if stack else (),
        )

    def has_begun(self, change: Change) -> bool:
        """Say whether something of the new version is there: what is new in it, or a container that only it fits."""
        if any(self.new[service.id].members for service in change.added) or self._has_made(change):
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

    def _has_made(self, change: Change) -> bool:
        networks = {one.name: one for one in self.observed.networks}
        volumes = {one.name for one in self.observed.volumes}
        made = (one for one in change.networks if one.name in networks and not one.external)
        fits = any(not any(network_differences(one, networks[one.name])) for one in made)
        return fits or any(one.name in volumes and not one.external for one in change.volumes)

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


Resource = TypeVar("Resource", Network, Volume)


def _other(ours: Iterable[Resource], theirs: Iterable[Resource]) -> tuple[Resource, ...]:
    """Return ours that are not among theirs as they are."""
    known = {one.name: (one.external, one.payload) for one in theirs}
    return tuple(one for one in ours if known.get(one.name) != (one.external, one.payload))
