"""Did anything happen that must never happen, whatever was wanted?"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations

from reconciler.drivers.memory.container import Container
from reconciler.drivers.memory.engine import Engine
from reconciler.model import labels

Covers = Callable[[Mapping[str, str]], bool]
"""Says whether an object with these labels is the caller's to change."""


class Rule(StrEnum):
    """What holds at every moment, in every world."""

    FOREIGN = "what is not ours stays as it is"
    IDENTITY = "a container of ours says from its creation on what it is"
    SLOT = "a slot has one container, and one more while it is replaced"
    DATA = "two containers of one slot never write to one volume at once"
    USED = "nothing is removed that a container of ours still uses"


@dataclass(frozen=True, slots=True)
class Violation:
    rule: Rule
    text: str


_IDENTITY = (labels.STACK, labels.SERVICE, labels.SLOT, labels.SPEC)


class Audit:
    """Watches every change that a reconciler makes. What people do with their own hands is not its business."""

    def __init__(self, engine: Engine) -> None:
        self.violations: list[Violation] = []
        self._engine = engine

    @contextmanager
    def watching(self, covers: Covers) -> Iterator[None]:
        """Look at the world around one change of a caller."""
        before, known = self._foreign(covers), set(self._engine.containers)
        try:
            yield
        finally:
            after = self._foreign(covers)
            self._note(Rule.FOREIGN, (key for key in before if after.get(key) != before[key]))
            self._note(Rule.IDENTITY, self._nameless(known, covers))
            self._check_slots()

    def asked_to_remove(self, what: str, users: Iterable[str], covers: Covers) -> None:
        """Say what is about to be removed, and who uses it (ids)."""
        found = (self._engine.containers[id] for id in users)
        self._note(Rule.USED, (f"{what} is used by {user.name}" for user in found if covers(user.labels)))

    def _foreign(self, covers: Covers) -> dict[str, object]:
        """Return what only a caller could change of every object that is not theirs."""
        engine = self._engine
        containers = {f"container {one.name}": _trace(one) for one in engine.containers.values() if not covers(one.labels)}
        networks = {f"network {one.name}": one.id for one in engine.networks.by_id.values() if not covers(one.labels)}
        # A lease is every reconciler's, whichever of them has it.
        others = (one for one in engine.volumes.by_name.values() if labels.LEASE not in one.labels)
        foreign = (one for one in others if not (one.anonymous or covers(one.labels)))
        volumes = {f"volume {one.name}": dict(one.files) for one in foreign}
        return {**containers, **networks, **volumes}

    def _nameless(self, known: Iterable[str], covers: Covers) -> Iterator[str]:
        for id in sorted(set(self._engine.containers) - set(known)):
            container = self._engine.containers[id]
            missing = [label for label in _IDENTITY if label not in container.labels]
            if not covers(container.labels) or (missing and _role(container) == labels.ROLE_INSTANCE):
                yield f"{container.name} lacks {', '.join(missing) or 'the owner label'}"

    def _check_slots(self) -> None:
        slots: dict[tuple[str, ...], list[Container]] = defaultdict(list)
        for container in self._engine.containers.values():
            if labels.SLOT in container.labels and _role(container) == labels.ROLE_INSTANCE:
                slots[_slot(container)].append(container)
        for members in slots.values():
            self._check_slot(members)

    def _check_slot(self, members: list[Container]) -> None:
        names = ", ".join(sorted(member.name for member in members))
        if len(members) > 2:
            self._note(Rule.SLOT, [names])
        running = [member for member in members if member.alive]
        shared = {name for one, other in combinations(running, 2) for name in _written(one) & _written(other)}
        self._note(Rule.DATA, (f"{names} write to {name}" for name in sorted(shared)))

    def _note(self, rule: Rule, texts: Iterable[str]) -> None:
        for text in texts:
            if Violation(rule, text) not in self.violations:
                self.violations.append(Violation(rule, text))


def _trace(container: Container) -> object:
    mounts = tuple(mount["Destination"] for mount in container.mounts)
    by_hand = container.stopped_by_hand, container.phase.value == "paused"
    return container.id, repr(container.host), mounts, tuple(sorted(container.endpoints)), by_hand, dict(container.files)


def _role(container: Container) -> str:
    return container.labels.get(labels.ROLE, labels.ROLE_INSTANCE)


def _slot(container: Container) -> tuple[str, ...]:
    own = container.labels
    return tuple(own.get(label, "") for label in (labels.ENVIRONMENT, labels.STACK, labels.SERVICE, labels.SLOT))


def _written(container: Container) -> set[str]:
    return {mount["Name"] for mount in container.mounts if mount["Type"] == "volume" and mount["RW"]}
