"""Which observed container, network and volume belongs to what?

Ownership is our owner label, or the Compose project of a stack that adopts it. Everything else is a neighbour's.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from reconciler.model import labels
from reconciler.model.desired import DesiredState
from reconciler.model.observed import Instance, ObservedNetwork, ObservedState, ObservedVolume
from reconciler.plan.memory import Memory


@dataclass(frozen=True, slots=True)
class Place:
    """Where a container of ours belongs: stack, service and slot (1-based)."""

    stack: str
    service: str
    slot: int

    @property
    def service_id(self) -> str:
        return f"{self.stack}/{self.service}"


@dataclass(frozen=True, slots=True)
class Fleet:
    """Our containers by service, then slot; `orphans` belong to services that Git no longer has."""

    members: Mapping[str, Mapping[int, tuple[Instance, ...]]]
    orphans: tuple[tuple[Place, Instance], ...]
    places: Mapping[str, Place] = field(default_factory=dict)

    def slots(self, service_id: str) -> Mapping[int, tuple[Instance, ...]]:
        return self.members.get(service_id, {})

    def instances(self, service_id: str) -> tuple[Instance, ...]:
        return tuple(instance for slot in self.slots(service_id).values() for instance in slot)


@dataclass(frozen=True, slots=True)
class Stock:
    """The engine's networks and volumes, by what they are looked for.

    networks  by name: an engine may have several of one name
    volumes   by name
    of_stack  the volumes that carry a stack's name
    """

    networks: Mapping[str, tuple[ObservedNetwork, ...]]
    volumes: Mapping[str, ObservedVolume]
    of_stack: Mapping[str, tuple[ObservedVolume, ...]]


def take_stock(observed: ObservedState) -> Stock:
    """Sort the engine's networks and volumes."""
    networks: dict[str, tuple[ObservedNetwork, ...]] = {}
    for network in observed.networks:
        networks[network.name] = (*networks.get(network.name, ()), network)
    of_stack = defaultdict[str, list[ObservedVolume]](list)
    for volume in observed.volumes:
        of_stack[volume.labels.get(labels.STACK, "")].append(volume)
    volumes = {volume.name: volume for volume in observed.volumes}
    return Stock(networks, volumes, {stack: tuple(found) for stack, found in of_stack.items()})


def muster(desired: DesiredState, observed: ObservedState, memory: Memory | None = None) -> Fleet:
    """Put every container of ours in its place."""
    adopting = {project: stack.name for stack in desired.stacks for project in stack.adopt}
    wanted = {service.id for stack in desired.stacks for service in stack.services}
    made_from = desired.environment.name, adopting, wanted, observed.instances
    if memory and memory.fleet and memory.fleet[0] == made_from:
        return memory.fleet[1]
    fleet = _muster(*made_from)
    if memory:
        memory.fleet = made_from, fleet
    return fleet


def _muster(environment: str, adopting: Mapping[str, str], wanted: set[str], instances: Iterable[Instance]) -> Fleet:
    members: dict[str, dict[int, list[Instance]]] = defaultdict(lambda: defaultdict(list))
    orphans, places = [], {}
    for instance in instances:
        place = place_of(instance, environment, adopting)
        if place is None:
            continue
        places[instance.id] = place
        if place.service_id in wanted:
            members[place.service_id][place.slot].append(instance)
        else:
            orphans.append((place, instance))
    frozen = {service: {slot: _by_age(found) for slot, found in slots.items()} for service, slots in members.items()}
    return Fleet(frozen, tuple(sorted(orphans, key=lambda orphan: (orphan[1].name, orphan[1].id))), places)


def place_of(instance: Instance, environment: str, adopting: Mapping[str, str]) -> Place | None:
    """Return where an instance belongs, or None when it is not ours (or a one-off `docker compose run`).

    `adopting` tells the stack that takes over a Compose project.
    """
    tags = instance.labels
    if labels.ENVIRONMENT in tags:
        if tags[labels.ENVIRONMENT] != environment or tags.get(labels.ROLE, labels.ROLE_INSTANCE) != labels.ROLE_INSTANCE:
            return None
        return Place(tags.get(labels.STACK, ""), tags.get(labels.SERVICE, ""), _number(tags.get(labels.SLOT, "1")))
    stack = adopting.get(tags.get(labels.COMPOSE_PROJECT, ""), "")
    if not stack or tags.get(labels.COMPOSE_ONEOFF) == "True":
        return None
    return Place(stack, tags.get(labels.COMPOSE_SERVICE, ""), _number(tags.get(labels.COMPOSE_NUMBER, "1")))


def owned(thing: ObservedNetwork | ObservedVolume, environment: str, adopted: Iterable[str] = ()) -> bool:
    """Say whether a network or volume is ours: by owner label, or by an adopted Compose project."""
    if labels.ENVIRONMENT in thing.labels:
        return thing.labels[labels.ENVIRONMENT] == environment
    return thing.labels.get(labels.COMPOSE_PROJECT, "") in set(adopted)


def _by_age(instances: list[Instance]) -> tuple[Instance, ...]:
    return tuple(sorted(instances, key=lambda instance: (instance.created is None, instance.created, instance.id)))


def _number(text: str) -> int:
    return int(text) if text.isdecimal() else 1
