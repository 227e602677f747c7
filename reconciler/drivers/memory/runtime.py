"""How does the engine in memory answer as the runtime?"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime

from reconciler.drivers.memory import lease
from reconciler.drivers.memory.change import calls
from reconciler.drivers.memory.container import Container
from reconciler.drivers.memory.refusal import EngineError
from reconciler.drivers.memory.world import World
from reconciler.errors import Conflict, ReconcilerError, Refused, Unreachable
from reconciler.model import labels
from reconciler.model.content import content_digest
from reconciler.model.observed import (
    Instance,
    Neighbour,
    ObservedImage,
    ObservedNetwork,
    ObservedState,
    ObservedVolume,
    Probe,
    Questions,
)
from reconciler.model.plan import (
    CreateInstance,
    CreateNetwork,
    CreateVolume,
    EngineChange,
    FillVolume,
    PullImage,
    RemoveImage,
    RemoveNetwork,
    RemoveVolume,
)
from reconciler.ports import Answers, Depth, Event, Lease, LogLine

_LOOK_AGAIN_SECONDS = 0.05
_LASTING = ("create", "destroy")

# As the engine's answers sort themselves by who acts; the first that matches decides, then the status.
_REFUSED = re.compile(
    r"denied|manifest unknown|No such image|already allocated|Address already in use|active endpoints|volume is in use"
)
_CONFLICT = re.compile(r"already exists in network|not connected to")
_UNREACHABLE = re.compile(r"toomanyrequests|deadline exceeded|Internal Server Error")


class MemoryRuntime:
    """An engine in memory, reached over a wire that can fail. It serves one environment at a time.

    `own` is the id of the container in which its user runs, "" if in none.
    """

    def __init__(self, world: World, own: str = "") -> None:
        self.world = world
        self._own = own
        self._environment = ""
        self._projects: frozenset[str] = frozenset()

    @property
    def mutations(self) -> int:
        """How many changes were asked of the engine, by whomever."""
        return self.world.mutations

    def observe(self, environment: str, adopted: Iterable[str] = (), *, depth: Depth = Depth.LISTED) -> ObservedState:
        """Return our containers (by owner label, or by Compose project if adopted), every network and every volume."""
        with self._answering("observe"):
            self._environment, self._projects = environment, frozenset(adopted)
            engine = self.world.engine
            ours = sorted(filter(self._is_ours, engine.containers.values()), key=lambda one: one.name)
            networks = sorted(engine.networks.by_id.values(), key=lambda one: (one.name, one.id))
            volumes = sorted(engine.volumes.by_name.values(), key=lambda one: one.name)
            return ObservedState(
                at=self.world.clock.now(),
                engine=self.world.facts,
                instances=tuple(map(_instance, ours)),
                networks=tuple(
                    ObservedNetwork(one.id, one.name, one.labels, one.detail, self._users(one.name, ours)) for one in networks
                ),
                volumes=tuple(ObservedVolume(one.name, one.labels, one.detail) for one in volumes),
            )

    def answer(self, questions: Questions) -> Answers:
        """Look up images, delivered files and the containers that are not ours; only what is asked."""
        with self._answering("look up"):
            images = {reference: self._image(reference) for reference in sorted(questions.images)}
            contents = {place: self._content(*place) for place in sorted(questions.contents)}
            return Answers(images, contents, self._neighbours() if questions.neighbours else None)

    def digests(self, references: Iterable[str]) -> dict[str, str]:
        """Ask the image registry; what it does not answer is left out."""
        found = {}
        with self._answering("ask the image registry"):
            for reference in sorted(set(references)):
                try:
                    found[reference] = self.world.registry.resolve(reference).digest
                except EngineError:
                    continue  # Silence about a reference is what the caller is promised.
        return found

    def do(self, change: EngineChange) -> None:
        """Make one change. Raises Conflict, Refused or Unreachable; never touches what is not ours."""
        with self._answering(_doing(change)):
            self.world.wire.require_up()
            self._require_ours(change)
            self._announce(change)
            with self.world.watch.watching(self._covers):
                self.world.clock.advance(self.world.change_seconds)
                self.world.wire.change(calls(self.world, change))

    def events(self, stop: threading.Event) -> Iterator[Event]:
        """Yield events that concern us until `stop` is set. Raises Unreachable when the engine goes away."""
        self.world.wire.require_up()
        for event in self.world.journal.listen(stop):
            if event is None:
                raise Unreachable("the engine ended its stream of events")
            if self._concerns(event):
                yield event

    def logs(self, instance: str, *, follow: bool = False, tail: int | None = None) -> Iterator[LogLine]:
        """Yield what a container wrote, oldest first; `follow` goes on until it runs no more."""
        with self._answering(f"read the log of {instance}"):
            container = self.world.engine.get(instance)
        seen = 0 if tail is None else max(0, len(container.lines) - tail)
        while True:
            with self.world.journal.changed:
                lines, ended = container.lines[seen:], not (follow and container.alive)
                if not lines and not ended:
                    self.world.journal.changed.wait(_LOOK_AGAIN_SECONDS)
            seen += len(lines)
            yield from (LogLine(instance, at, stream, text) for at, stream, text in lines)
            if ended:
                return

    def own_container(self) -> str:
        """Return the id of the container in which this runtime's user runs, "" if in none."""
        return self._own

    def claim_lease(self, environment: str, holder: str, now: datetime, ttl_seconds: float) -> Lease:
        """Take or renew the lease if it may be taken; return the one in force, whoever holds it."""
        with self._answering("claim the lease"):
            return lease.claim(self.world.engine, environment, holder, now, ttl_seconds)

    def release_lease(self, environment: str, holder: str) -> None:
        """Give the lease back, if it is ours."""
        with self._answering("release the lease"):
            lease.release(self.world.engine, environment, holder)

    @contextmanager
    def _answering(self, doing: str) -> Iterator[None]:
        """Let one caller at a time in, and turn the engine's refusals into ours."""
        with self.world.journal.changed:
            try:
                self.world.wire.require_up()
                yield
            except EngineError as error:
                raise _ours(error, doing) from error

    def _covers(self, marks: Mapping[str, str]) -> bool:
        if not self._environment:
            return labels.ENVIRONMENT in marks
        return marks.get(labels.ENVIRONMENT) == self._environment or marks.get(labels.COMPOSE_PROJECT) in self._projects

    def _is_ours(self, container: Container) -> bool:
        return self._covers(container.labels)

    def _users(self, network: str, ours: Iterable[Container]) -> frozenset[str]:
        return frozenset(container.id for container in ours if network in container.endpoints)

    def _image(self, reference: str) -> ObservedImage | None:
        store = self.world.engine.images
        image = store.find(reference)
        if image is None:
            return None
        return ObservedImage(image.id, store.tags(image), store.digests(image), image.config, image.created)

    def _content(self, handle: str, path: str) -> str | None:
        container = self.world.engine.find(handle)
        file = container and self.world.engine.read(container, path)
        return content_digest(file.content, file.mode, file.uid, file.gid) if file else None

    def _neighbours(self) -> tuple[Neighbour, ...]:
        others = (
            one for one in self.world.engine.containers.values() if one.labels.get(labels.ENVIRONMENT) != self._environment
        )
        return tuple(
            Neighbour(one.id, one.name, one.labels, _host_ports(one), one.document()["State"]["Status"] == "running")
            for one in others
        )

    def _require_ours(self, change: EngineChange) -> None:
        marks = self._marks(change)
        if marks is None or self._covers(marks):
            return
        owner = marks.get(labels.ENVIRONMENT)
        whose = f"it belongs to environment {owner!r}" if owner else "it carries no label of this environment"
        raise Refused(f"{_subject(change)} is not ours: {whose}", hint="nothing was changed; remove or rename it by hand")

    def _marks(self, change: EngineChange) -> Mapping[str, str] | None:
        """Return the labels of the existing object a change works on; None when there is none."""
        engine = self.world.engine
        match change:
            case CreateInstance() | CreateNetwork() | CreateVolume() | PullImage() | RemoveImage():
                return None
            case RemoveNetwork(id, _):
                network = engine.networks.find(id)
                return network.labels if network else None
            case RemoveVolume(name) | FillVolume(name):
                volume = engine.volumes.by_name.get(name)
                return volume.labels if volume else None
            case _:
                container = engine.find(change.target.handle)
                return container.labels if container else None

    def _announce(self, change: EngineChange) -> None:
        engine = self.world.engine
        match change:
            case RemoveVolume(name):
                self.world.watch.asked_to_remove(f"volume {name}", engine.users_of_volume(name), self._covers)
            case RemoveNetwork(_, name):
                using = (one.id for one in engine.users_of_network(name) if one.alive)
                self.world.watch.asked_to_remove(f"network {name}", using, self._covers)
            case _:
                pass

    def _concerns(self, event: Event) -> bool:
        if event.kind == "container":
            return self._covers(event.attributes)
        if event.kind == "network" and event.action not in _LASTING:
            container = self.world.engine.find(event.attributes["container"])
            return container is not None and self._is_ours(container)
        return not event.name.startswith("reconciler-lease-")


def _instance(container: Container) -> Instance:
    return Instance(
        id=container.id,
        name=container.name,
        labels=container.labels,
        phase=container.phase,
        probe=container.probe or Probe.NONE,
        exit_code=container.exit_code,
        restarts=container.restarts,
        oom_killed=container.oom_killed,
        image_id=container.image.id,
        created=container.created,
        started=container.started,
        finished=container.finished,
        detail=container.document(),
    )


def _host_ports(container: Container) -> tuple[tuple[str, int, str], ...]:
    return tuple(
        sorted(
            (entry["HostIp"], int(entry["HostPort"]), key.partition("/")[2] or "tcp")
            for key, entries in container.ports.items()
            for entry in entries
        )
    )


def _ours(error: EngineError, doing: str) -> ReconcilerError:
    message = f"{doing}: {error.message}"
    if _UNREACHABLE.search(error.message):
        return Unreachable(message)
    if _REFUSED.search(error.message):
        return Refused(message)
    return Conflict(message) if error.status in (404, 409) or _CONFLICT.search(error.message) else Refused(message)


def _doing(change: EngineChange) -> str:
    """Say what a change is, for the beginning of a message: `start web-1`."""
    return f"{_VERB.findall(type(change).__name__)[0].lower()} {_subject(change)}"


_VERB = re.compile(r"[A-Z][a-z]+")


def _subject(change: EngineChange) -> str:
    match change:
        case CreateNetwork(network):
            return f"network {network.name}"
        case RemoveNetwork(_, name):
            return f"network {name}"
        case CreateVolume(name) | RemoveVolume(name) | FillVolume(name):
            return f"volume {name}"
        case PullImage(reference) | RemoveImage(reference):
            return f"image {reference}"
        case CreateInstance(name):
            return name
        case _:
            return change.target.name
