"""What does the reconciler promise, at every change, after every turn, and at rest?

Said in other words than the planner's: from what a person asked for, and from what is there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from asked import ENVIRONMENT, SECRET, Asked, Service, Stack

from reconciler.drivers.memory import World
from reconciler.drivers.memory.container import Container
from reconciler.model import labels
from reconciler.model.observed import Phase, Probe
from reconciler.model.plan import Change, CreateVolume, RemoveInstance, StartInstance, StopInstance, Target
from reconciler.model.status import Outcome, Report, Turn

MONITOR_SECONDS = 5.0
"""How long a container without a healthcheck must have run to count as ready: Compose's default for `monitor`."""


class Broken(AssertionError):
    """A promise was broken; the message says which, and by what."""


Place = tuple[str, str, int]
"""Stack, service and slot of a container."""


@dataclass(slots=True)
class Witness:
    """Watches every change of every reconciler as it is asked of the engine.

    acting      whoever acts now, as the lease calls it; "" where there is no lease
    asked       what the one who acts now has read in Git
    pushed      everything that was ever asked for
    floor       how many containers of a service must serve at every moment, by stack and service
    served      ids of containers that were ready once
    remembered  job runs whose success was remembered
    changes     what was asked for since the turn began
    """

    world: World
    acting: str = ""
    asked: Asked | None = None
    pushed: list[Asked] = field(default_factory=list)
    floor: Mapping[tuple[str, str], int] = field(default_factory=dict)
    served: set[str] = field(default_factory=set)
    remembered: set[tuple[object, ...]] = field(default_factory=set)
    changes: list[Change] = field(default_factory=list)
    made_for: dict[str, Service] = field(default_factory=dict)
    running_then: set[str] = field(default_factory=set)
    met_then: dict[tuple[str, str], set[str]] = field(default_factory=dict)

    def begin(self, asked: Asked | None) -> None:
        """A turn begins: what holds now is all that it can know, even if the engine restarts in the middle of it."""
        self.asked, self.changes = asked, []
        self.running_then = {one.id for one in self._ours() if one.phase is Phase.RUNNING}
        self.met_then = {key: self._met(*key) for key in {place(one)[:2] for one in self._ours()}}

    def before(self, change: Change) -> None:
        """Raise Broken where this change must not be made in this world."""
        self.changes.append(change)
        self.look()
        _require(not self.acting or self.acting == _holder(self.world), f"{self.acting} acts, and has no lease")
        target = getattr(change, "target", None)
        container = self.world.engine.find(target.handle) if isinstance(target, Target) else None
        if container is None:
            return
        _require(container.labels.get(labels.ENVIRONMENT) == ENVIRONMENT, f"{change} touches what is not ours")
        if labels.SLOT not in container.labels:
            return  # A helper that fills a volume: it never runs.
        match change:
            case RemoveInstance():
                self._may_go(container)
            case StopInstance():
                self._may_stop(container)
            case StartInstance():
                self._may_start(container)
            case _:
                pass

    def after(self, change: Change) -> None:
        """Raise Broken where a change that was made left the world as it must not be."""
        if isinstance(change, CreateVolume) and labels.JOB in change.labels:
            self.remembered |= {self._run(one) for one in self._of(change.labels) if one.phase is Phase.EXITED}
        self._note_makers()
        self.look()

    def look(self) -> None:
        """Note who serves now; raise Broken where too few do."""
        ready = [one for one in self._ours() if is_ready(one, self.world)]
        self.served |= {one.id for one in ready}
        places = [place(one)[:2] for one in ready]
        for service, least in self.floor.items():
            _require(places.count(service) >= least, f"{places.count(service)} of {service} serve, and {least} must")

    # --- may it? -----------------------------------------------------------------------------------------------------

    def _may_go(self, container: Container) -> None:
        """What served and is still wanted goes only when another that served runs in its place, unless failures may go on.

        A new one that Git gave up may go where the old one could only start in its stead. What is not meant to be started
        again may take over by having ended well.
        """
        stack, service = self._asked_for(container)
        if not (stack and service and self._wanted(container) and container.id in self.served):
            return
        ends = service.restart == "no"
        heirs = (one for one in self._beside(container) if self._serves_on(one) or (ends and _succeeded(one)))
        given_up = container.name.endswith(".next") and not starts_first(stack, service)
        may = any(heirs) or given_up or service.failure_action == "continue"
        _require(may, f"{container.name} served, and is removed before anything takes its place")

    def _may_stop(self, container: Container) -> None:
        """Where the new one comes first, a container that serves stops only beside another that serves."""
        stack, service = self._asked_for(container)
        if not (stack and service and self._wanted(container) and is_ready(container, self.world)):
            return
        stays = starts_first(stack, service) and service.works and not may_pause(stack, service)
        if stays and not gives_up_a_port(container, self.asked, service):
            beside = any(self._may_take_over(one, service) for one in self._beside(container))
            _require(beside, f"{container.name} serves, and is stopped before another does")

    def _may_take_over(self, container: Container, service: Service) -> bool:
        """It serves; or it failed, and Git says that failures may go on."""
        failed = container.phase in (Phase.EXITED, Phase.RESTARTING) or container.probe is Probe.UNHEALTHY
        return is_ready(container, self.world) or (failed and service.failure_action == "continue")

    def _may_start(self, container: Container) -> None:
        stack, service = self._asked_for(container)
        self._may_live(container)
        self._may_write(container, service)
        if not (stack and service) or service.image != container.config["Image"]:
            return
        if service.kind.ends and service.name in stack.awaited:
            again = self._run(container) in self.remembered or any(
                self._run(one) == self._run(container) and _succeeded(one) for one in self._beside(container, itself=True)
            )
            _require(not again, f"{container.name} ran well before, and runs again")
        if container.started is None:
            for on, condition in service.conditions.items():
                self._may_follow(container, stack, on, condition)

    def _may_live(self, container: Container) -> None:
        """Nobody starts a container again and again where the one that it lives with has ended for good."""
        _, _, handle = container.network_mode.partition("container:")
        owner = self.world.engine.find(handle) if handle else None
        if owner is not None and owner.id not in self.running_then:
            _require(not _is_over(owner), f"{container.name} is started, and lives with {owner.name}, which has ended")

    def _may_write(self, container: Container, service: Service | None) -> None:
        """Two containers in one place never write to one volume, unless Git says that the new one comes first."""
        if service and service.order == "start-first":
            return
        for other in self._beside(container):
            both = _written(other) & _written(container) if other.alive else set()
            _require(not both, f"{container.name} is started while {other.name} writes to {both}")

    def _may_follow(self, container: Container, stack: Stack, on: str, condition: str) -> None:
        """A container starts for the first time when what it waits for has come."""
        wanted = stack.service(on)
        if wanted is None or wanted.replicas == 0:
            return
        met = self._met(stack.name, on) | self.met_then.get((stack.name, on), set())
        _require(condition in met, f"{container.name} is started before {on} is {condition}")

    def _met(self, stack: str, service: str) -> set[str]:
        """The conditions that hold for whoever waits for a service."""
        found = [one for one in self._ours() if place(one)[:2] == (stack, service)]
        done = any(map(_succeeded, found)) or any(run[:2] == (stack, service) for run in self.remembered)
        met = {
            "started": done or any(one.alive for one in found),
            "restart": done or any(one.alive for one in found),
            "healthy": any(one.probe is Probe.HEALTHY for one in found),
            "completed": done,
        }
        return {condition for condition, holds in met.items() if holds}

    def _serves_on(self, container: Container) -> bool:
        return container.id in self.served and self._runs(container)

    def _runs(self, container: Container) -> bool:
        return container.phase is Phase.RUNNING or container.id in self.running_then

    # --- who is who --------------------------------------------------------------------------------------------------

    def _ours(self) -> Iterable[Container]:
        return ours(self.world)

    def _beside(self, container: Container, *, itself: bool = False) -> list[Container]:
        """The other containers in the same place."""
        return [one for one in self._ours() if place(one) == place(container) and (itself or one is not container)]

    def _of(self, marks: Mapping[str, str]) -> list[Container]:
        return [one for one in self._ours() if place(one)[:2] == (marks[labels.STACK], marks[labels.SERVICE])]

    def _asked_for(self, container: Container) -> tuple[Stack | None, Service | None]:
        name, service, _ = place(container)
        stack = self.asked.stack(name) if self.asked else None
        return stack, stack.service(service) if stack else None

    def _wanted(self, container: Container) -> bool:
        """Git asks for a container in this place, whichever version counts: what does not work falls back to an older one."""
        _, service = self._asked_for(container)
        if service is None or service.kind.ends:
            return False
        stack, name, slot = place(container)
        before = (one.find(stack, name) for one in self.pushed)
        least = service.replicas if service.works else min(one.replicas if one else 0 for one in before)
        return slot <= least

    def _note_makers(self) -> None:
        for container in self._ours():
            _, service = self._asked_for(container)
            if service and container.id not in self.made_for:
                self.made_for[container.id] = service

    def _run(self, container: Container) -> tuple[object, ...]:
        """What makes one run of a job another one than the last."""
        made = self.made_for.get(container.id)
        own = (made.mode, made.volume, made.anonymous, made.content, made.secret, made.read_only, made.shares) if made else ()
        return (*place(container)[:2], container.config["Image"], own)


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise Broken(otherwise)


def _holder(world: World) -> str:
    """Return who holds the newest lease, as the engine shows it."""
    leases = [volume for volume in world.engine.volumes.by_name.values() if labels.LEASE in volume.labels]
    newest = max(leases, key=lambda volume: int(volume.name.rpartition(".")[2]), default=None)
    return newest.labels[labels.HOLDER] if newest else ""


def ours(world: World) -> list[Container]:
    """Return every container of a service of ours."""
    return [one for one in world.engine.containers.values() if labels.SLOT in one.labels]


def place(container: Container) -> Place:
    own = container.labels
    return own[labels.STACK], own[labels.SERVICE], int(own[labels.SLOT])


def is_ready(container: Container, world: World) -> bool:
    """It serves: healthy, or without a healthcheck running for a while."""
    if container.phase is not Phase.RUNNING:
        return False
    aged = world.clock.monotonic() - container.started_monotonic >= MONITOR_SECONDS - 0.001
    return container.probe is Probe.HEALTHY or (container.probe is None and aged)


def _succeeded(container: Container) -> bool:
    return container.phase is Phase.EXITED and container.exit_code == 0


def _is_over(container: Container) -> bool:
    """It ended well, and neither the engine nor anything that it serves asks for more."""
    lasts = container.host["RestartPolicy"]["Name"] in ("always", "unless-stopped")
    return _succeeded(container) and not (lasts or container.probe or container.ports)


def _written(container: Container) -> set[str]:
    return {mount["Name"] for mount in container.mounts if mount["Type"] == "volume" and mount["RW"]}


def starts_first(stack: Stack, service: Service) -> bool:
    """Old and new may run beside one another: Git says so, or neither holds what the other needs."""
    if service.order:
        return service.order == "start-first" and not service.port
    held = service.volume or service.anonymous or service.port or service.shares
    return not held and not any(other.shares == service.name for other in stack.services)


def gives_up_a_port(container: Container, asked: Asked | None, service: Service) -> bool:
    """It holds a host port that Git gives to another service now."""
    held = {int(entry["HostPort"]) for entries in container.ports.values() for entry in entries}
    return any(one.port in held for _, one in (asked.each() if asked else ()) if one is not service)


def may_pause(stack: Stack, service: Service) -> bool:
    """It runs once, or restarts with those it waits for, or with a network that is made anew."""
    restarts = "restart" in service.conditions.values() or "back" in service.networks or bool(service.shares)
    return restarts or service.kind.ends


# --- after every turn ------------------------------------------------------------------------------------------------


def check_turn(report: Report, turn: Turn, changes: Iterable[Change]) -> None:
    """Raise Broken where a turn's plan is not in order, is not what was done, or shows a secret."""
    plan = report.plan
    if plan is None:
        return
    seen: set[str] = set()
    groups = {group.key for group in plan.groups}
    for action in plan.actions:
        _require(bool(action.reasons), f"{action.id} has no reason")
        _require(set(action.needs) <= seen, f"{action.id} needs {set(action.needs) - seen}, which does not come before it")
        _require(action.id not in seen, f"{action.id} is there twice")
        _require(action.group in groups, f"{action.id} belongs to no group")
        seen.add(action.id)
    skipped = {outcome.action for outcome in report.outcomes if outcome.skipped}
    planned = [action.change for action in plan.actions if action.id not in skipped]
    _require(planned == list(changes), f"planned {planned}, and asked for {list(changes)}")
    _require(_tried(report.outcomes, seen), "not every action has an outcome")
    shown = "\n".join((turn.plan, turn.summary, turn.error, *turn.failed))
    _require(SECRET not in shown, f"a secret is shown:\n{shown}")


def _tried(outcomes: Iterable[Outcome], planned: set[str]) -> bool:
    return {outcome.action for outcome in outcomes} == planned


# --- at rest ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Expected:
    """What must be there at rest.

    counts   what each service is to be: as asked, or as it last was where what is asked does not work
    open     services of which nothing exact can be said, by stack and name
    """

    counts: Mapping[tuple[str, str], Service]
    open: frozenset[tuple[str, str]]


def expected(asked: Asked, applied: Asked | None) -> Expected:
    """Say what must come of what was asked, when `applied` was there whole before (None: nothing known of)."""
    before = {(stack.name, one.name): one for stack, one in applied.each()} if applied else {}
    counts = {
        (stack.name, one.name): one if one.works else before.get((stack.name, one.name), one) for stack, one in asked.each()
    }
    unsure: set[tuple[str, str]] = set()
    for stack, service in asked.each():
        key = (stack.name, service.name)
        waits = {(stack.name, on) for on in (*service.conditions, service.shares) if on}
        waits |= {(one.name, other.name) for one, other in asked.each() if one.name in stack.needs}
        fails = not service.works and not _falls_back(service, before.get(key))
        others = [one for other, one in counts.items() if other != key]
        fails = fails or _waits_in_vain(stack, service) or _may_be_left_alone(stack, service)
        if fails or waits & unsure or _is_taken(service, others):
            unsure.add(key)
    return Expected(counts, frozenset(unsure))


def _waits_in_vain(stack: Stack, service: Service) -> bool:
    """It waits for the end of what fails: no release goes past a migration that failed, whatever that falls back to."""
    awaited = (stack.service(on) for on, condition in service.conditions.items() if condition == "completed")
    return any(one is not None and not one.works for one in awaited)


def _may_be_left_alone(stack: Stack, service: Service) -> bool:
    """It lives with one that may end for good; then nobody can start it."""
    owner = stack.service(service.shares)
    return owner is not None and owner.may_end


def _is_taken(service: Service, others: Iterable[Service]) -> bool:
    """An older version of another one came back, and has the port or the name that this one wants."""
    return any(
        (service.port and service.port == one.port) or (service.container_name and service.container_name == one.container_name)
        for one in others
    )


def _falls_back(service: Service, before: Service | None) -> bool:
    """Whom an older version waited for, or lived beside, may be another by now: then nothing exact can be said.

    Nor can it of one that no container was asked of: with more of them it may be the very version that does not work;
    nor of one that ends, for others may live in it.
    """
    if before is None or before.needs or before.shares or before.kind.ends:
        return False
    return before.kind.works and service.failure_action == "rollback"


def differences(world: World, asked: Asked, wanted: Expected) -> Iterator[str]:
    """Yield in words what is not as it must be at rest."""
    for stack in asked.stacks:
        counts = replace(stack, services=tuple(wanted.counts[stack.name, one.name] for one in stack.services))
        for service in counts.services:
            if (stack.name, service.name) not in wanted.open:
                yield from _differs(world, counts, service)
    known = {(stack.name, service.name) for stack, service in asked.each()}
    for container in ours(world):
        if place(container)[:2] not in known and not wanted.open:
            yield f"{container.name} is still there, and nobody asks for it"
    if not wanted.open:
        yield from _resources_differ(world, asked, wanted)


def _differs(world: World, stack: Stack, service: Service) -> Iterator[str]:
    found = {one.name: one for one in ours(world) if place(one)[:2] == (stack.name, service.name)}
    if service.kind.ends:
        yield from _run_differs(world, stack, service, found)
        return
    names = stack.names(service)
    yield from (f"{name} is one too many" for name in sorted(found.keys() - set(names)))
    yield from (f"{name} is missing" for name in names if name not in found)
    for name in names:
        if name in found:
            yield from (f"{name}: {said}" for said in _container_differs(world, stack, service, found[name]))


def _run_differs(world: World, stack: Stack, service: Service, found: Mapping[str, Container]) -> Iterator[str]:
    ran = any(_succeeded(one) and one.config["Image"] == service.image for one in found.values())
    marked = any(
        volume.labels.get(labels.SERVICE) == service.name and volume.labels.get(labels.JOB_IMAGE) == service.image
        for volume in world.engine.volumes.by_name.values()
    )
    if not (ran or marked):
        yield f"{stack.name}/{service.name} never ran well"


def _container_differs(world: World, stack: Stack, service: Service, container: Container) -> Iterator[str]:
    config, host = container.config, container.host
    if config["Image"] != service.image:
        yield f"its image is {config['Image']}, not {service.image}"
    if f"MODE={service.mode}" not in config["Env"]:
        yield f"its environment is {config['Env']}, without MODE={service.mode}"
    if service.memory and host["Memory"] != service.memory << 20:
        yield f"its limit is {host['Memory']}, not {service.memory}m"
    if (host["RestartPolicy"]["Name"] or "no") != service.restart:
        yield f"its restart policy is {host['RestartPolicy']['Name']}, not {service.restart}"
    if not (is_ready(container, world) or _may_rest(service, container)):
        yield f"it is {container.phase}, {container.probe}, exit code {container.exit_code} {container.error}"
    yield from _places_differ(world, stack, service, container)


def _may_rest(service: Service, container: Container) -> bool:
    """What nobody is told to start again, and serves no port, may have ended well."""
    return _succeeded(container) and service.may_end and not service.port


def _places_differ(world: World, stack: Stack, service: Service, container: Container) -> Iterator[str]:
    networks = set(container.endpoints)
    if service.shares:
        owner = world.engine.find(stack.names(stack.service(service.shares) or service)[0])
        if owner is None or container.network_mode != f"container:{owner.id}":
            yield f"it lives in {container.network_mode}, not beside {service.shares}"
    elif networks != stack.networks(service):
        yield f"it is on {sorted(networks)}, not {sorted(stack.networks(service))}"
    held = {int(entry["HostPort"]) for entries in container.ports.values() for entry in entries}
    if container.alive and held != ({service.port} if service.port else set()):
        yield f"it holds the ports {held}, not {service.port}"
    targets = {mount["Destination"]: mount.get("Name") for mount in container.mounts}
    if service.volume != (targets.get("/data") == f"{stack.name}_data-{service.name}"):
        yield f"its mounts are {targets}"
    if service.anonymous != ("/cache" in targets):
        yield f"its mounts are {targets}"
    delivered = world.engine.read(container, "/etc/settings")
    if service.content != (delivered.content.decode() if delivered else ""):
        yield f"what was delivered is {delivered}, not {service.content!r}"
    word = world.engine.read(container, "/run/word")
    if service.secret and (word is None or word.content.decode() != SECRET + service.secret):
        yield "its secret is another one"


def _resources_differ(world: World, asked: Asked, wanted: Expected) -> Iterator[str]:
    engine = world.engine
    networks = {name for stack, service in asked.each() for name in stack.networks(wanted.counts[stack.name, service.name])}
    owned = {one.name for one in engine.networks.by_id.values() if one.labels.get(labels.ENVIRONMENT) == ENVIRONMENT}
    yield from (f"network {name} is missing" for name in sorted(networks - owned))
    asked_for = {name for stack, service in asked.each() for name in stack.networks(service)}
    yield from (f"network {name} is still there" for name in sorted(owned - networks - asked_for))
    services = set(wanted.counts)
    # What a service without containers would mount is Git's, too.
    idle = any(not service.replicas for service in wanted.counts.values())
    for volume in engine.volumes.by_name.values():
        role, key = volume.labels.get(labels.ROLE), (volume.labels.get(labels.STACK), volume.labels.get(labels.SERVICE))
        if role == labels.ROLE_JOB and key not in services:
            yield f"the trace {volume.name} of a job is still there"
        if role == labels.ROLE_CONTENT and not (engine.users_of_volume(volume.name) or idle):
            yield f"the content volume {volume.name} is still there"
    for container in engine.containers.values():
        if container.labels.get(labels.ROLE) == labels.ROLE_CONTENT:
            yield f"the helper {container.name} is still there"
