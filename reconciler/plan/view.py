"""Put each container of a service into exactly one bucket: current or stale, per slot, or surplus."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from reconciler.model import labels
from reconciler.model.desired import DesiredState, Heal, Kind, Order, Service, Stack
from reconciler.model.history import HashKey, History, Quarantine
from reconciler.model.observed import Instance, ObservedState, Probe
from reconciler.model.plan import Held
from reconciler.model.spec import live_document, spec_hash
from reconciler.model.traffic import server_name
from reconciler.plan.diff import Comparison, compare
from reconciler.plan.fleet import Fleet, Stock
from reconciler.plan.memory import Memory, Seen
from reconciler.plan.order import order_of, owners
from reconciler.plan.preflight import blocked_by_engine
from reconciler.plan.readiness import CRASHES, is_complete, is_ready, settles_at

LONG_AGO = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Member:
    """A container and how it differs from what its service asks for now."""

    instance: Instance
    comparison: Comparison

    @property
    def current(self) -> bool:
        """Nothing differs that only a new container could change."""
        return not self.comparison.recreate


@dataclass(frozen=True, slots=True)
class Slot:
    """One place of a service: its current container and the stale one it replaces, if any; `extra` are too many."""

    number: int
    name: str
    current: Member | None = None
    stale: Member | None = None
    extra: tuple[Member, ...] = ()

    @classmethod
    def of(cls, number: int, name: str, ranked: Sequence[Member]) -> Slot:
        """Settle who holds it: the first current one and the first stale one; the rest are too many."""
        current = next((member for member in ranked if member.current), None)
        stale = next((member for member in ranked if not member.current), None)
        extra = tuple(member for member in ranked if member is not current and member is not stale)
        return cls(number, name, current, stale, extra)


@dataclass(frozen=True, slots=True)
class ServiceView:
    """A service beside its containers, everything decided that needs no second service.

    held        why no further slot is replaced ("" when nothing holds it): this spec failed at this revision
    proven      no container had to be compared field by field
    rests_from  from when on it needs nothing, if nothing changes; None: something is to be done, or may be at any time
    keeper      id of the one of its containers in which this reconciler works, "" for none
    """

    stack: Stack
    service: Service
    spec: str
    slots: tuple[Slot, ...]
    surplus: tuple[Member, ...]
    heal: Heal
    held: str = ""
    proven: bool = True
    rests_from: datetime | None = None
    keeper: str = ""

    @property
    def order(self) -> tuple[Order, str]:
        """Whether old or new goes first, and why; worked out when somebody is to be replaced."""
        if self.keeper:
            return Order.START_FIRST, "the reconciler itself"
        return order_of(self.service, self.stack)

    @property
    def members(self) -> tuple[Member, ...]:
        slotted = (member for slot in self.slots for member in (slot.current, slot.stale, *slot.extra) if member)
        return (*slotted, *self.surplus)

    def rests(self, now: datetime) -> bool:
        """It runs as Git asks, and nothing is to be done to it."""
        return self.rests_from is not None and self.rests_from <= now

    def settled(self, now: datetime) -> bool:
        """Every slot holds one container, current and ready (or completed, for what runs once)."""
        return self.rests(now) or all(
            slot.current is not None
            and slot.stale is None
            and (is_ready(slot.current.instance, self.service, now) or is_complete(slot.current.instance, self.service))
            for slot in self.slots
        )


@dataclass(frozen=True, slots=True)
class World:
    """All that a plan is made from, prepared once.

    previous  the last revision applied whole, if it can still be read
    held      what windows hold back
    frozen    ids of services that only live on: see plan/windows.py
    older     ids of services that do not count as Git's newest revision asks for them: see plan/effective.py
    views     by service id, for the services as they are wanted *now* (a quarantined spec falls back to the last good one)
    stock     the engine's networks and volumes
    keeper    id of the container of ours in which this reconciler works, "" for none
    """

    desired: DesiredState
    observed: ObservedState
    history: History
    fleet: Fleet
    views: Mapping[str, ServiceView]
    stock: Stock
    previous: DesiredState | None = None
    held: tuple[Held, ...] = ()
    frozen: frozenset[str] = frozenset()
    older: frozenset[str] = frozenset()
    keeper: str = ""

    @property
    def now(self) -> datetime:
        return self.observed.at

    def before(self, service: Service) -> Service | None:
        """Return a service as the last revision asked for it that was applied whole."""
        stacks = self.previous.stacks if self.previous else ()
        services = next((stack.services for stack in stacks if stack.name == service.stack), ())
        return next((one for one in services if one.name == service.name), None)

    def revision_of(self, service: Service) -> str:
        """Return the id of the revision whose version of the service counts: an older one, where that was rolled back to."""
        rollbacks = self.history.rollbacks
        taken_back = rollbacks.get(service.id) or rollbacks.get(service.stack)
        return taken_back.to if taken_back else self.desired.revision.id


def build_views(
    desired: DesiredState, observed: ObservedState, history: History, fleet: Fleet, memory: Memory | None = None
) -> Mapping[str, ServiceView]:
    """Return the view of every service, by service id. What the memory still holds is not made again."""
    memory = memory or Memory()
    revision = desired.revision.id
    shared = _shared(observed, history)
    known = memory.views if memory.shared == shared else {}
    images = {name: old if (old := memory.images.get(name)) == image else image for name, image in observed.images.items()}
    made_from = desired.stacks, revision, shared, images, history.quarantine, fleet
    if memory.all and memory.all[0] == made_from:
        return memory.all[1]
    made: dict[str, tuple[Seen | None, ServiceView]] = {}
    for stack in desired.stacks:
        for service in stack.services:
            id = service.id
            held = failure_of(service, revision, history) if history.quarantine else ""
            seen = Seen(fleet.slots(id), images.get(service.image), held)
            kept = known.get(id)
            if kept is None or kept[0] != seen or kept[1].stack is not stack:
                view = _build(stack, service, observed, history, fleet, held)
                kept = seen if _lasts(view) else None, view
            made[id] = kept
    memory.shared, memory.images, memory.views = shared, images, made
    views = {id: view for id, (_, view) in made.items()}
    memory.all = (made_from, views) if all(seen is not None for seen, _ in made.values()) else None
    return views


def _shared(observed: ObservedState, history: History) -> object:
    """What every view is made from: the key of the spec labels, the engine, and which networks there are."""
    networks = [(network.name, network.id, network.labels.get(labels.STACK)) for network in observed.networks]
    return history.key, observed.engine, networks


def _lasts(view: ServiceView) -> bool:
    """It was made from what the memory keeps beside it: nobody else's containers, and no time, had a say in it."""
    alone = not any(slot.extra or (slot.current and slot.stale) for slot in view.slots)
    return alone and view.proven and not owners(view.service)


def _build(stack: Stack, service: Service, observed: ObservedState, history: History, fleet: Fleet, held: str) -> ServiceView:
    spec = spec_hash(service, history.key)
    siblings = {name: first for name in owners(service) if (first := _first_instance(stack, name, fleet))}

    def judge(instance: Instance) -> Member:
        return Member(instance, compare(service, instance, observed, spec, siblings))

    found = {number: tuple(map(judge, instances)) for number, instances in fleet.slots(service.id).items()}
    wanted = range(1, service.replicas + 1)
    slots = tuple(_slot(service, number, found.get(number, ()), observed) for number in wanted)
    surplus = tuple(member for number in sorted(found) if number not in wanted for member in found[number])
    proven = all(member.comparison.proven for members in found.values() for member in members)
    unfit = surplus or blocked_by_engine(service, observed.engine)
    rests_from = None if unfit else _rests_from(service, slots)
    return ServiceView(stack, service, spec, slots, surplus, service.heal_own or stack.heal, held, proven, rests_from)


def _first_instance(stack: Stack, name: str, fleet: Fleet) -> str:
    """The id of the container that others mean by `service:NAME`: of the lowest slot, the one under its final name."""
    for service in (one for one in stack.services if one.name == name):
        for slot, instances in sorted(fleet.slots(service.id).items()):
            named = [instance.id for instance in instances if instance.name == service.instance_name(slot)]
            return named[0] if named else instances[0].id
    return ""


def _rests_from(service: Service, slots: Iterable[Slot]) -> datetime | None:
    """What runs once, and who follows another's restarts, may have to act though nothing of their own changed."""
    if service.kind is Kind.JOB or any(dependency.restart for dependency in service.depends_on):
        return None
    latest = LONG_AGO
    for slot in slots:
        serves_from = _serves_from(service, slot)
        if serves_from is None:
            return None
        latest = max(latest, serves_from)
    return latest


def _serves_from(service: Service, slot: Slot) -> datetime | None:
    """Return since when the slot's only container is what Git asks for and ready, None when it is not (yet)."""
    current = slot.current
    if current is None or slot.stale is not None or slot.extra or not current.comparison.same:
        return None
    instance = current.instance
    if not instance.running or instance.name != slot.name or instance.restarts >= CRASHES:
        return None
    match instance.probe:
        case Probe.HEALTHY:
            return LONG_AGO
        case Probe.NONE:
            return settles_at(instance, service)
        case _:
            return None


def failure_of(service: Service, revision: str, history: History) -> str:
    """Say how this spec failed at this revision, "" when it did not: either changing makes it worth another try."""
    quarantine = history.quarantine.get(service.id)
    if quarantine is None or not is_failure_of(quarantine, service, revision, history.key):
        return ""
    return f"{quarantine.message}; {quarantine.written}" if quarantine.written else quarantine.message


def is_failure_of(quarantine: Quarantine, service: Service, revision: str, key: HashKey) -> bool:
    """Say whether it was this version of the service, as this revision asks for it, that failed."""
    return quarantine.revision == revision and quarantine.spec == spec_hash(service, key)


def asks(service: Service, key: HashKey) -> tuple[object, ...]:
    """Return everything about a service that is seen on the engine: services that ask for the same are equal here."""
    return spec_hash(service, key), live_document(service), service.networks, service.container_name, service.replicas


def _slot(service: Service, number: int, members: Iterable[Member], observed: ObservedState) -> Slot:
    """The best ones hold the slot."""
    ranked = sorted(members, key=lambda member: _worth(member, service, number, observed))
    return Slot.of(number, service.instance_name(number), ranked)


def _worth(member: Member, service: Service, number: int, observed: ObservedState) -> tuple[bool, bool, bool, str, bool, str]:
    """Who gets requests comes first, then who serves, then under its final name before another one, older first."""
    instance, now = member.instance, observed.at
    idle = observed.gateway is not None and not observed.gateway.sends_to(server_name(instance.id))
    named = instance.name == service.instance_name(number)
    return idle, not is_ready(instance, service, now), not named, str(instance.created or ""), not instance.running, instance.id


def is_job(view: ServiceView) -> bool:
    return view.service.kind is Kind.JOB
