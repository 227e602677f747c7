"""Is this object ours to change?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from reconciler.drivers.docker.connection import Connection, path_of
from reconciler.drivers.docker.errors import Rejected
from reconciler.drivers.docker.hearing import CONTAINER, LASTING, NETWORK, VOLUME
from reconciler.drivers.docker.observe import Sighting
from reconciler.errors import Refused
from reconciler.model import labels
from reconciler.model.plan import (
    CreateInstance,
    CreateNetwork,
    CreateVolume,
    EngineChange,
    FillVolume,
    PullImage,
    RemoveImage,
    RemoveInstance,
    RemoveNetwork,
    RemoveVolume,
    RenameInstance,
)
from reconciler.ports import Event

PLACES = {CONTAINER: "/containers/{}/json", NETWORK: "/networks/{}", VOLUME: "/volumes/{}"}

LEASE_PREFIX = "reconciler-lease-"


@dataclass
class Ownership:
    """What carries the environment's owner label, or belongs to a Compose project it adopts.

    What was seen last is known; of everything else the engine is asked before it is touched.
    """

    connection: Connection
    environment: str = ""
    projects: frozenset[str] = frozenset()
    _known: set[tuple[str, str]] = field(default_factory=set)

    def learn(self, environment: str, projects: Iterable[str], sighting: Sighting) -> None:
        """Remember what is ours."""
        self.environment, self.projects = environment, frozenset(projects)
        networks = (one for one in sighting.networks if self.covers(one.labels))
        volumes = (one for one in sighting.volumes if self.covers(one.labels))
        self._known = {
            *((CONTAINER, one.id) for one in sighting.instances),
            *((NETWORK, one.id) for one in networks),
            *((VOLUME, one.name) for one in volumes),
        }

    def covers(self, marks: Mapping[str, str]) -> bool:
        """Say whether an object with these labels is ours."""
        if not self.environment:
            return labels.ENVIRONMENT in marks
        return marks.get(labels.ENVIRONMENT) == self.environment or marks.get(labels.COMPOSE_PROJECT) in self.projects

    def concerns(self, event: Event) -> bool:
        """Say whether our world may look different after the event."""
        if event.kind == CONTAINER:
            return self.covers(event.attributes)
        if event.kind == NETWORK and event.action not in LASTING:
            return (CONTAINER, event.attributes.get("container", "")) in self._known
        return not event.name.startswith(LEASE_PREFIX)

    def check(self, change: EngineChange) -> None:
        """Raise Refused when the change would touch what is not ours. What is not there is the change's own business."""
        subject = _subject(change)
        if not subject or subject in self._known:
            return
        kind, handle = subject
        marks = self._labels(kind, handle)
        if marks is not None and not self.covers(marks):
            owner = marks.get(labels.ENVIRONMENT)
            whose = f"it belongs to environment {owner!r}" if owner else "it carries no label of this environment"
            raise Refused(f"{kind} {handle} is not ours: {whose}", hint="nothing was changed; remove or rename it by hand")

    def made(self, change: EngineChange) -> None:
        """Remember a name that is ours from now on, and forget one that anybody may take."""
        match change:
            case CreateInstance(name):
                self._known.add((CONTAINER, name))
            case RenameInstance(target, name):
                self._known.add((CONTAINER, name))
                self._known.discard((CONTAINER, target.name))
            case RemoveInstance(target):
                self._known.discard((CONTAINER, target.name))
            case CreateVolume(name):
                self._known.add((VOLUME, name))
            case _:
                pass

    def _labels(self, kind: str, handle: str) -> Mapping[str, str] | None:
        try:
            found = self.connection.get(path_of(PLACES[kind], handle))
        except Rejected as rejected:
            if rejected.status == 404:
                return None
            raise
        marks: Mapping[str, str] = (found["Config"] if kind == CONTAINER else found).get("Labels") or {}
        return marks


def _subject(change: EngineChange) -> tuple[str, str] | None:
    """Return kind and handle of the existing object that a change works on, None when it makes one, or for images."""
    match change:
        case CreateInstance() | CreateNetwork() | CreateVolume() | PullImage() | RemoveImage():
            return None
        case RemoveNetwork(id, _):
            return NETWORK, id
        case RemoveVolume(name) | FillVolume(name):
            return VOLUME, name
        case _:
            return CONTAINER, change.target.handle
