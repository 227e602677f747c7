"""How does a Docker engine answer as the runtime?"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime

from reconciler.drivers.docker import changes, content, images, lease, streams, wording
from reconciler.drivers.docker.connection import NO_LOGINS, Connection, open_connection, side_by_side
from reconciler.drivers.docker.errors import translated
from reconciler.drivers.docker.hearing import CONTAINER, VOLUME, Hearing
from reconciler.drivers.docker.images import LocalImages
from reconciler.drivers.docker.inside import own_container
from reconciler.drivers.docker.observe import Observer, neighbour
from reconciler.drivers.docker.ownership import Ownership
from reconciler.drivers.docker.within import DockerInside
from reconciler.model import labels
from reconciler.model.observed import Engine, Neighbour, ObservedState, Questions
from reconciler.model.plan import EngineChange, Target
from reconciler.ports import Answers, Clock, Depth, Event, Lease, LogLine
from reconciler.settings import RegistryAccess


def connect(
    host: str | None = None,
    timeout_seconds: float = 60,
    *,
    clock: Clock | None = None,
    logins: Mapping[str, RegistryAccess] = NO_LOGINS,
) -> DockerRuntime:
    """Connect to an engine: `host`, else DOCKER_HOST, DOCKER_CONTEXT, the Docker config's context, the local socket.

    `clock` dates snapshots; without one they carry the engine's own time, in whole seconds.
    `logins` are the operator's, by host of the image registry; they win over the Docker config.
    Raises Unreachable, Refused for an engine too old or too new, UsageError for an address nobody understands.
    """
    return DockerRuntime(open_connection(host, timeout_seconds, logins), clock)


class DockerRuntime:
    """A Docker engine. Safe to use from many threads; it serves one environment at a time."""

    def __init__(self, connection: Connection, clock: Clock | None = None) -> None:
        self._connection = connection
        self._clock = clock
        self._hearing = Hearing()
        self._observer = Observer(connection, self._hearing)
        self._ownership = Ownership(connection)
        self._engine: Engine | None = None
        self._lease: Lease | None = None
        self._images = LocalImages(connection)

    def inside(self) -> DockerInside:
        """Return the way into the containers of gateways on this engine."""
        return DockerInside(self._connection)

    def observe(self, environment: str, adopted: Iterable[str] = (), *, depth: Depth = Depth.LISTED) -> ObservedState:
        """Return our containers (by owner label, or by Compose project if adopted), every network and every volume."""
        projects = tuple(adopted)
        marks = [f"{labels.ENVIRONMENT}={environment}", *(f"{labels.COMPOSE_PROJECT}={name}" for name in projects)]
        with translated("observe"):
            at, engine = self._now(), self.engine()
            sighting = self._observer.look(marks, depth)
        self._ownership.learn(environment, projects, sighting)
        self._images.looked(sighting.followed)
        return ObservedState(at, engine, sighting.instances, sighting.networks, sighting.volumes)

    def answer(self, questions: Questions) -> Answers:
        """Look up images, delivered files and the containers that are not ours; only what is asked."""
        references, places = sorted(questions.images), sorted(questions.contents)
        with translated("look up"):
            found = self._images.find(references)
            digests = side_by_side(lambda place: content.digest_of(self._connection, *place), places)
            neighbours = self._neighbours() if questions.neighbours else None
        return Answers(found, dict(zip(places, digests, strict=True)), neighbours)

    def digests(self, references: Iterable[str]) -> dict[str, str]:
        """Ask the image registries, with the engine's and the user's credentials; who does not answer is left out."""
        return images.registry_digests(self._connection, sorted(set(references)))

    def do(self, change: EngineChange) -> None:
        """Make one change. Raises Conflict, Refused or Unreachable; never touches what is not ours."""
        with translated(wording.doing(change), wording.hidden(change)):
            self._ownership.check(change)
            try:
                changes.make(self._connection, change)
            finally:
                # Also what seems to have failed may have been made, and no list tells of changed limits.
                self._hearing.changed(_changed(change))
        self._ownership.made(change)

    def events(self, stop: threading.Event) -> Iterator[Event]:
        """Return the events that concern us from this call on, until `stop` is set, which ends it within a second."""
        with translated("listen to events"):
            return self._concerning(streams.events(self._connection, stop))

    def logs(self, instance: str, *, follow: bool = False, tail: int | None = None) -> Iterator[LogLine]:
        """Yield what a container wrote, oldest first; `tail` counts lines from the end."""
        with translated(f"read the log of {instance}"):
            yield from streams.log_lines(self._connection, instance, follow=follow, tail=tail)

    def claim_lease(self, environment: str, holder: str, now: datetime, ttl_seconds: float) -> Lease:
        """Take or renew the lease if it may be taken; return the one in force, whoever holds it.

        A holder that names its container (`container=ID`) loses the lease as soon as that container runs no more.
        """
        with translated("claim the lease"):
            force = lease.claim(self._connection, environment, holder, now, ttl_seconds)
        if force != self._lease:
            # It stands in the snapshot, too, and the engine's word of that may come late.
            self._lease = force
            self._hearing.moved(VOLUME)
        return force

    def release_lease(self, environment: str, holder: str) -> None:
        """Give the lease back, if it is ours."""
        with translated("release the lease"):
            lease.release(self._connection, environment, holder)

    def engine(self) -> Engine:
        """Say what the engine is; asked once."""
        if self._engine is None:
            with translated("ask what the engine is"):
                self._engine = self._observer.engine()
        return self._engine

    def own_container(self) -> str:
        """Return the id of the container of this engine in which this process runs, "" if in none."""
        with translated("ask for this process's own container"):
            return own_container(self._connection)

    def _concerning(self, events: Iterator[Event]) -> Iterator[Event]:
        with self._hearing.stream():
            for event in events:
                concerns = self._ownership.concerns(event)
                # What wakes nobody may be in the snapshot all the same: leases are volumes.
                if concerns or event.kind != CONTAINER:
                    self._hearing.heard(event)
                if concerns:
                    yield event

    def _now(self) -> datetime:
        if self._clock:
            return self._clock.now()
        return parsedate_to_datetime(self._connection.ask("GET", "/_ping").headers["Date"])

    def _neighbours(self) -> tuple[Neighbour, ...]:
        rows = self._connection.get("/containers/json", all=True)
        found = (neighbour(row) for row in rows)
        return tuple(one for one in found if one.labels.get(labels.ENVIRONMENT) != self._ownership.environment)


def _changed(change: EngineChange) -> str:
    """Return the id of the container a change works on, "" where it is not known or there is none."""
    target = getattr(change, "target", None)
    return target.id if isinstance(target, Target) else ""
