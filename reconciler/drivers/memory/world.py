"""What else happens in the world of an engine: images are built and published, things break, people use their hands?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from reconciler.drivers.memory.audit import Audit, Violation
from reconciler.drivers.memory.container import Container
from reconciler.drivers.memory.engine import Engine
from reconciler.drivers.memory.fault import Fault, What, When, Wire
from reconciler.drivers.memory.image import Behaviour, Image, make_id
from reconciler.drivers.memory.journal import Journal, Timeline
from reconciler.drivers.memory.process import Processes
from reconciler.drivers.memory.registry import Registry, Trouble
from reconciler.model import labels
from reconciler.model.observed import Engine as EngineFacts
from reconciler.model.observed import Probe
from reconciler.ports import Event

FACTS = EngineFacts(version="20.10.24", api="1.41", cpus=2, memory_bytes=8 << 30)
FOREIGN_IMAGE = "neighbour:1"


class World:
    """A whole world in memory: an engine, an image registry, and everybody but the reconciler.

    `change_seconds` is how long the engine takes for each change, on the clock.
    Deterministic: ids come from names and how often they were used; time moves only on the clock it was given.
    Methods named like the engine's commands are the hands of a person, and raise EngineError as the engine answers them.
    """

    def __init__(self, clock: Timeline, facts: EngineFacts = FACTS, *, change_seconds: float = 0.0) -> None:
        self.clock = clock
        self.facts = facts
        self.change_seconds = change_seconds
        self.journal = Journal(clock)
        self.engine = Engine(self.journal)
        self.processes = Processes(self.engine)
        self.registry = Registry()
        self.wire = Wire(self.restart_engine, self.journal.cut)
        self.watch = Audit(self.engine)
        self.hooks: list[tuple[str, tuple[str, ...]]] = []
        self._builds = 0

    # Images.

    def image(self, reference: str, *, config: Mapping[str, Any] | None = None, local: bool = True, **how: Any) -> Image:
        """Build an image and publish it, its tag moving there; `how` says how its containers behave (Behaviour's fields).

        config  fields of the engine's image Config (Env, Cmd, Labels, Volumes, …)
        local   whether the engine has it already, without a pull
        An image with scripted health has a healthcheck of its own.
        """
        commands = how.pop("commands", {})
        behaviour = Behaviour(**how)
        self._builds += 1
        id = f"sha256:{make_id('image', reference, self._builds)}"
        digest = f"sha256:{make_id('manifest', reference, self._builds)}"
        full = {"Cmd": ["run"], **_healthcheck(behaviour), **(config or {})}
        image = Image(id, full, behaviour, self.clock.now(), digest, commands)
        self.registry.publish(reference, image)
        if local:
            self.engine.images.add(reference, image)
        return image

    def registry_fails(self, reference: str, trouble: Trouble | None) -> None:
        """Let every request for a reference fail so, or be answered again with None."""
        self.registry.fail(reference, trouble)

    # What goes wrong.

    @property
    def mutations(self) -> int:
        """How many changes were asked for so far, whatever became of them."""
        return self.wire.mutations

    @property
    def events(self) -> tuple[Event, ...]:
        """Everything the engine ever did."""
        return tuple(self.journal.events)

    def fail(self, nth: int, kind: str) -> None:
        """Let the nth change from now on (1: the next) go wrong.

        before, halfway, after  Unreachable, with nothing, the first call, or all of the change made
        refuse, conflict        Refused or Conflict, nothing made
        restart, down           the engine restarts, or goes away, instead of making it
        """
        self.wire.plan(nth, Fault(What.LOST, When(kind)) if kind in set(When) else Fault(What(kind)))

    def crash(self, nth: int, when: str = "before") -> None:
        """Let the reconciler be killed (`Killed` is raised) before, halfway through or after the nth change from now on."""
        self.wire.plan(nth, Fault(What.KILLED, When(when)))

    def engine_down(self) -> None:
        """Answer nothing any more; containers run on."""
        self.wire.down()

    def engine_up(self) -> None:
        self.wire.up = True

    def restart_engine(self) -> None:
        """Stop every container with the engine, and start those that start with it."""
        self.journal.cut()
        with self.journal.changed:
            self.processes.restart_engine()
        self.wire.up = True

    def audit(self) -> tuple[Violation, ...]:
        """Return what the reconciler did that must never happen; () is good."""
        return tuple(self.watch.violations)

    # The hands of a person, and of a neighbour.

    def container(self, handle: str) -> Container:
        """Return a container by name or id. Raises EngineError when there is none."""
        return self.engine.get(handle)

    def foreign_container(
        self, name: str, ports: Mapping[str, str] | None = None, *, own: Mapping[str, str] | None = None, network: str = ""
    ) -> Container:
        """Run somebody else's container: `ports` as {"80/tcp": "8080"}, its labels, and a network it is on."""
        if not self.engine.images.find(FOREIGN_IMAGE):
            self.image(FOREIGN_IMAGE)
        bindings = {port: [{"HostPort": host}] for port, host in (ports or {}).items()}
        host = {"PortBindings": bindings, "NetworkMode": network or "default"}
        config = {"Image": FOREIGN_IMAGE, "Labels": dict(own or {}), "ExposedPorts": {port: {} for port in bindings}}
        container = self.engine.create(name, {**config, "HostConfig": host})
        self.processes.start(container)
        return container

    def foreign_network(self, name: str, own: Mapping[str, str] | None = None, **payload: Any) -> None:
        self.engine.create_network(name, payload, own or {})

    def foreign_volume(self, name: str, own: Mapping[str, str] | None = None) -> None:
        self.engine.create_volume(name, {}, own or {})

    def start(self, handle: str) -> None:
        self.processes.start(self.engine.get(handle))

    def stop(self, handle: str) -> None:
        self.processes.stop(self.engine.get(handle), None)

    def kill(self, handle: str) -> None:
        self.processes.kill(self.engine.get(handle))

    def pause(self, handle: str) -> None:
        self.processes.pause(self.engine.get(handle))

    def unpause(self, handle: str) -> None:
        self.processes.unpause(self.engine.get(handle))

    def remove(self, handle: str) -> None:
        """Remove by force, with anonymous volumes (`docker rm -fv`)."""
        container = self.engine.get(handle)
        if container.alive:
            self.processes.kill(container)
        self.engine.remove(container, volumes=True)

    def rename(self, handle: str, name: str) -> None:
        self.engine.rename(self.engine.get(handle), name)

    def update(self, handle: str, **payload: Any) -> None:
        """Change limits (`docker update`), in the words of the API: Memory, NanoCpus, RestartPolicy, …"""
        self.engine.update(self.engine.get(handle), payload)

    def connect(self, handle: str, network: str) -> None:
        self.processes.connect(self.engine.get(handle), network, {})

    def disconnect(self, handle: str, network: str) -> None:
        self.engine.disconnect(self.engine.get(handle), network)

    def remove_network(self, name: str) -> None:
        self.engine.remove_network(name)

    def remove_volume(self, name: str) -> None:
        self.engine.remove_volume(name)

    def remove_image(self, reference: str) -> None:
        self.engine.remove_image(reference)

    def compose_up(self, handle: str) -> Container:
        """Recreate a container as `docker compose up` does: same name and settings, without the labels it does not know."""
        old = self.engine.get(handle)
        kept = {key: value for key, value in old.labels.items() if not key.startswith(labels.OURS)}
        networks = {name: dict(endpoint.asked) for name, endpoint in old.endpoints.items() if name == old.network_mode}
        payload = {**old.config, "Labels": {**kept, labels.COMPOSE_HASH: make_id("compose", old.id)}, "Hostname": ""}
        self.remove(handle)
        new = self.engine.create(
            old.name, {**payload, "HostConfig": old.host, "NetworkingConfig": {"EndpointsConfig": networks}}
        )
        self.processes.start(new)
        return new

    # What processes do of their own.

    def dies(self, handle: str, exit_code: int = 1, *, out_of_memory: bool = False) -> None:
        """Let the process end by itself; its restart policy applies."""
        self.processes.die(self.engine.get(handle), exit_code, out_of_memory=out_of_memory)

    def sickens(self, handle: str) -> None:
        """Let its healthcheck fail from now on."""
        self.processes.turn(self.engine.get(handle), Probe.UNHEALTHY)

    def recovers(self, handle: str) -> None:
        """Let its healthcheck pass from now on."""
        self.processes.turn(self.engine.get(handle), Probe.HEALTHY)

    def names(self) -> Iterable[str]:
        """Return the names of all containers, sorted."""
        return sorted(container.name for container in self.engine.containers.values())


def _healthcheck(behaviour: Behaviour) -> dict[str, Any]:
    scripted = behaviour.never_healthy or behaviour.health_after is not None or behaviour.unhealthy_after is not None
    return {"Healthcheck": {"Test": ["CMD", "healthcheck"]}} if scripted else {}
