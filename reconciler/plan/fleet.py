"""Which observed container, network and volume belongs to what?

Ownership is our owner label, or the Compose project of a stack that adopts it. Everything else is a neighbour's.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from reconciler.model import labels
from reconciler.model.desired import DesiredState, Stack
from reconciler.model.observed import Instance, ObservedNetwork, ObservedState, ObservedVolume


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


def muster(desired: DesiredState, observed: ObservedState) -> Fleet:
    """Put every container of ours in its place."""
    adopting = {project: stack for stack in desired.stacks for project in stack.adopt}
    wanted = {service.id for stack in desired.stacks for service in stack.services}
    members: dict[str, dict[int, list[Instance]]] = defaultdict(lambda: defaultdict(list))
    orphans, places = [], {}
    for instance in observed.instances:
        place = place_of(instance, desired.environment.name, adopting)
        if place is None:
            continue
        places[instance.id] = place
        if place.service_id in wanted:
            members[place.service_id][place.slot].append(instance)
        else:
            orphans.append((place, instance))
    frozen = {service: {slot: _by_age(found) for slot, found in slots.items()} for service, slots in members.items()}
    return Fleet(frozen, tuple(sorted(orphans, key=lambda orphan: (orphan[1].name, orphan[1].id))), places)


def place_of(instance: Instance, environment: str, adopting: Mapping[str, Stack]) -> Place | None:
    """Return where an instance belongs, or None when it is not ours (or a one-off `docker compose run`)."""
    tags = instance.labels
    if labels.ENVIRONMENT in tags:
        if tags[labels.ENVIRONMENT] != environment or tags.get(labels.ROLE, labels.ROLE_INSTANCE) != labels.ROLE_INSTANCE:
            return None
        return Place(tags.get(labels.STACK, ""), tags.get(labels.SERVICE, ""), _number(tags.get(labels.SLOT, "1")))
    stack = adopting.get(tags.get(labels.COMPOSE_PROJECT, ""))
    if stack is None or tags.get(labels.COMPOSE_ONEOFF) == "True":
        return None
    return Place(stack.name, tags.get(labels.COMPOSE_SERVICE, ""), _number(tags.get(labels.COMPOSE_NUMBER, "1")))


def owned(thing: ObservedNetwork | ObservedVolume, environment: str, adopted: Iterable[str] = ()) -> bool:
    """Say whether a network or volume is ours: by owner label, or by an adopted Compose project."""
    if labels.ENVIRONMENT in thing.labels:
        return thing.labels[labels.ENVIRONMENT] == environment
    return thing.labels.get(labels.COMPOSE_PROJECT, "") in set(adopted)


def _by_age(instances: list[Instance]) -> tuple[Instance, ...]:
    return tuple(sorted(instances, key=lambda instance: (instance.created is None, instance.created, instance.id)))


def _number(text: str) -> int:
    return int(text) if text.isdecimal() else 1
