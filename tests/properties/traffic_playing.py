"""What becomes of a history of services behind the gateway, and is every promise kept at every step of it?

Said in other words than the planner's: from what was asked for, from who is well, and from who would get a request now.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property
from random import Random

from promises import Broken, ours, place
from stage import SETTINGS, Stage
from traffic_asked import GATEWAY, IMAGES, PORTS, Asked, History, Push, Served, Step, compose, is_disturbed
from transcript import Step as Line

from reconciler.apply import Applier, Ended
from reconciler.drivers.clock import VirtualClock
from reconciler.drivers.memory import MemoryRuntime, World
from reconciler.drivers.memory.container import Container
from reconciler.drivers.memory.gateway import MemoryGateway
from reconciler.load.loading import LoadSettings, load
from reconciler.loop import Reconciler
from reconciler.loop import World as Ports
from reconciler.model.desired import DesiredState
from reconciler.model.observed import Phase, Probe
from reconciler.model.plan import Action, Change, Plan, RemoveInstance, StopInstance, TrafficChange
from reconciler.model.source import Revision
from reconciler.model.status import Report
from reconciler.model.traffic import Admission, Check, ObservedGateway, ObservedServer, server_name
from reconciler.ports import Event, Files

GRACE = timedelta(seconds=10)
"""How long what is in flight may take: what Docker gives a container to stop, where nobody says otherwise."""


# --- the promises at every step --------------------------------------------------------------------------------------


@dataclass(slots=True)
class Witness:
    """Looks at who gets requests before and after every change of the reconciler.

    asked     what Git asks for now
    draining  server -> since when it gets nothing new
    """

    world: World
    gateway: MemoryGateway
    clock: VirtualClock
    asked: Asked = ()
    draining: dict[str, datetime] = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)
    _served: dict[str, set[str]] = field(default_factory=dict)
    _astray: set[tuple[str, str]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.world.journal.witnesses.append(self._hear)

    def before(self, change: Change) -> None:
        """Raise Broken where this change must not be made now."""
        self.look()
        self.changes.append(change)
        self._served = {name: self.serving(name) for name in PORTS}
        self._astray = set(self.astray())
        if isinstance(change, StopInstance | RemoveInstance):
            container = self.world.engine.find(change.target.handle)
            if container is not None and container.alive:
                self._may_stop(container)

    def after(self, change: Change) -> None:
        """Raise Broken where a change took the last server away, or leads requests astray."""
        self.look()
        for one in self.asked:
            if one.strategy != "recreate" and self._served[one.name] and not self.serving(one.name):
                raise Broken(f"nobody gets the requests of {one.name} any more: {self._served[one.name]} did, before {change}")
        if astray := set(self.astray()) - self._astray:
            raise Broken(f"requests go to whom they are not meant for, since {change}: {astray}")

    def look(self) -> None:
        """Note who drains, and since when."""
        takes = {one.name for one in self.gateway.servers() if one.admission is Admission.READY and one.weight}
        known = {one.name for one in self.gateway.servers()}
        self.draining = {name: since for name, since in self.draining.items() if name not in takes and name in known}
        for name in known - takes:
            self.draining.setdefault(name, self.clock.now())

    def serving(self, service: str) -> set[str]:
        """Return which living, healthy containers of a service would get a request now."""
        return {
            container.name
            for server in self._servers(service)
            if (container := self._owner(server)) and container.phase is Phase.RUNNING and container.probe is Probe.HEALTHY
            if server.admission is Admission.READY and server.weight and server.check is Check.UP
            if place(container)[1] == service and _is_at(container, server.address)
        }

    def astray(self) -> Iterator[tuple[str, str]]:
        """Yield server and container where requests for the one would reach the other."""
        for server in self.gateway.servers():
            if server.admission is Admission.READY and server.weight:
                living = (one for one in self.world.engine.containers.values() if one.phase is Phase.RUNNING)
                there = next((one for one in living if _is_at(one, server.address)), None)
                if there is not None and server_name(there.id) != server.name:
                    yield server.name, there.name

    def _may_stop(self, container: Container) -> None:
        server = server_name(container.id)
        known = [one for one in self.gateway.servers() if one.name == server]
        if any(one.admission is Admission.READY and one.weight for one in known):
            raise Broken(f"{container.name} is stopped while it gets requests")
        if not self.gateway.in_flight[server] or not known:
            return
        since = self.draining.get(server)
        if since is None or self.clock.now() - since < GRACE:
            raise Broken(f"{container.name} is stopped with {self.gateway.in_flight[server]} requests in flight")

    def _servers(self, service: str) -> Iterable[ObservedServer]:
        return (one for one in self.gateway.servers() if one.backend == f"shop.{service}.80")

    def _owner(self, server: ObservedServer) -> Container | None:
        found = (one for one in ours(self.world) if server_name(one.id) == server.name)
        return next(found, None)

    def _hear(self, event: Event) -> None:
        """What a gateway has in flight ends with it."""
        if event.action == "die" and event.name.startswith(GATEWAY):
            self.gateway.in_flight.clear()


def _is_at(container: Container, address: str) -> bool:
    return any(endpoint.address == address for endpoint in container.endpoints.values())


# --- who plays -------------------------------------------------------------------------------------------------------


class WatchedRuntime(MemoryRuntime):
    """The engine in memory, with a witness to every change."""

    def __init__(self, world: World, witness: Witness) -> None:
        super().__init__(world)
        self.witness = witness

    def do(self, change: Change) -> None:
        self.witness.before(change)
        try:
            super().do(change)
        finally:
            self.witness.after(change)


@dataclass(slots=True)
class WatchedGateway:
    """The gateway in memory, with a witness to every change."""

    gateway: MemoryGateway
    witness: Witness

    def observe(self, container: str) -> ObservedGateway:
        return self.gateway.observe(container)

    def do(self, change: TrafficChange) -> None:
        self.witness.before(change)
        try:
            self.gateway.do(change)
        finally:
            self.witness.after(change)


class Shuffling(Applier):
    """Carries actions out in any order that their needs leave open: side by side, nobody knows which is first."""

    chance: Random

    def apply(
        self, plan: Plan, patience_seconds: float | None = None, secrets: frozenset[str] = frozenset()
    ) -> tuple[Ended, ...]:
        return super().apply(replace(plan, actions=tuple(self._shuffled(plan.actions))), patience_seconds, secrets)

    def _shuffled(self, actions: Iterable[Action]) -> Iterator[Action]:
        left = {action.id: action for action in actions}
        while left:
            ready = [action for action in left.values() if not left.keys() & set(action.needs)]
            yield left.pop(self.chance.choice(ready).id)


class Crossing(Stage):
    """A stage on which every change has a witness, and whose gateway's image a person may change."""

    def __init__(self, chance: int) -> None:
        self.chance, self.image = Random(chance), "haproxy:1"
        super().__init__()

    @cached_property
    def witness(self) -> Witness:
        return Witness(self.world, self.gateway, self.clock)

    @property
    def plan(self) -> Plan:
        """The last plan that was made."""
        plan = self.last.plan if self.last else None
        assert plan is not None
        return plan

    def do_gateway(self, image: str) -> None:
        """The operator's file names another image of the gateway, and the reconciler is restarted with it."""
        self.image = image
        self.reconciler = self._started()

    def do_hush(self, duration: str) -> None:
        """The gateway serves on, and does not answer us for a while."""
        self.gateway.silent = True
        list(self.do_turn())
        self.do_advance(duration)
        self.gateway.silent = False

    def _started(self) -> Reconciler:
        runtime, gateway = WatchedRuntime(self.world, self.witness), WatchedGateway(self.gateway, self.witness)
        image = self.image
        ports = Ports(
            self.repository, lambda files, revision: _loaded(files, revision, image), runtime, self.store, self.clock, gateway
        )
        applier = Shuffling(runtime, self.clock, gateway=gateway, threads=False)
        applier.chance = self.chance
        return Reconciler(ports, applier)

    def _turn(self) -> Report | str:
        self.witness.changes.clear()
        report = super()._turn()
        if isinstance(report, Report) and report.plan and report.plan.complete:
            self._check(report)
        return report

    def _check(self, report: Report) -> None:
        """After a turn that went well nothing is left that leads requests astray, and no plan is out of order."""
        if report.error:
            raise Broken(f"a turn ended in an error: {report.error}")
        done = all(one.done for one in report.outcomes)
        answered = not self.gateway.silent and not any("does not answer" in one.on for one in report.plan.waiting)
        if done and answered and (astray := set(self.witness.astray())):
            raise Broken(f"after a turn requests still go to whom they are not meant for: {astray}")


def _loaded(files: Files, revision: Revision, image: str) -> DesiredState:
    """Load a revision; equal files are read once for all histories."""
    key = files.identity(""), image
    if key not in _LOADED:
        _LOADED[key] = load(files, revision, LoadSettings(name=SETTINGS.name, gateway=image))
    return replace(_LOADED[key], revision=revision)


_LOADED: dict[tuple[str, str], DesiredState] = {}


def play(history: History) -> Crossing:
    """Play a history to its end. Raises Broken where a promise is broken."""
    stage = Crossing(history.chance)
    for reference, how in IMAGES.items():
        say(stage, f"image {reference} {how}".strip())
    for step in history.steps:
        take(stage, step)
    _rest(stage, history)
    return stage


def take(stage: Crossing, step: Step) -> None:
    if isinstance(step, Push):
        stage.witness.asked = step.asked
        list(stage.say(Line(0, "push revision <<EOF", ("== compose.yaml", *compose(step.asked)))))
    else:
        say(stage, step)


def say(stage: Crossing, command: str) -> None:
    """Do what the command of a scenario does. What the engine refuses a person is no matter."""
    for line in stage.say(Line(0, command)):
        # Two gateways are meant to share their volume: the new one takes over from the old one through it.
        if line.startswith(("VIOLATION", "never settled")) and f"{GATEWAY}.next write to {GATEWAY}" not in line:
            raise Broken(line)


# --- at rest ---------------------------------------------------------------------------------------------------------


def _rest(stage: Crossing, history: History) -> None:
    """Let everything that went wrong be over. Raises Broken where the end is not as it must be, or not the end."""
    asked = history.last
    stage.world.wire.clear()
    stage.gateway.in_flight.clear()
    take(stage, Push(asked))
    for _ in range(3):
        say(stage, "settle 10m")
        _help(stage, history)
    say(stage, "settle 10m")
    stage.clock.advance(700)
    say(stage, "settle 10m")
    if any(blocked.code == "R140" for blocked in stage.plan.blocked):
        return  # So much is to go that a person must confirm it: that is told elsewhere.
    found = list(differences(stage, asked))
    if found:
        raise Broken("at rest:\n" + "\n".join(found))
    for command in ("turn", "lose state", "turn"):
        changes = stage.world.mutations
        say(stage, command)
        say(stage, "settle 2m")
        if stage.world.mutations != changes:
            raise Broken(f"at rest, after {command}, it asked for {stage.witness.changes}")


def _help(stage: Crossing, played: History) -> None:
    """What people stopped, and what failed because of them, a person lets go on. Nothing else that is good may have failed."""
    history = stage.store.history()
    for service, progress in history.rollouts.items():
        if progress.paused:
            say(stage, f"rollout promote {service}")
    failed = {one.service: one.message for one in history.quarantine.values()}
    if failed and not is_disturbed(played):
        raise Broken(f"what is good is held for a failure: {failed}")
    stage.store.change(lambda known: replace(known, quarantine={}))


def differences(stage: Crossing, asked: Asked) -> Iterator[str]:
    """Yield in words what is not as it must be at rest."""
    found = {one.name: one for one in ours(stage.world)}
    wanted = {name: one for one in asked for name in one.containers}
    yield from (f"{name} is one too many" for name in sorted(found.keys() - wanted.keys() - {GATEWAY}))
    yield from (f"{name} is missing" for name in sorted((wanted.keys() | {GATEWAY}) - found.keys()))
    for name in sorted(found.keys() & wanted.keys()):
        yield from (f"{name}: {said}" for said in _differs(found[name], wanted[name]))
    if GATEWAY in found and found[GATEWAY].config["Image"] != stage.image:
        yield f"the gateway is {found[GATEWAY].config['Image']}"
    expected = {(f"shop.{one.name}.80", name): 100 for one in asked for name in one.containers}
    names = {server_name(container.id): name for name, container in found.items()}
    servers = stage.gateway.servers()
    served = {(one.backend, names.get(one.name, one.name)): one.weight for one in servers if one.admission is Admission.READY}
    if served != expected or len(served) != len(servers):
        yield f"the gateway's servers are {served}, not {expected}"
    for one in asked:
        reached = sorted(stage.gateway.sends_to(PORTS[one.name]))
        if reached != sorted(one.containers):
            yield f"port {PORTS[one.name]} leads to {reached}"


def _differs(container: Container, service: Served) -> Iterator[str]:
    if container.config["Image"] != service.image:
        yield f"its image is {container.config['Image']}, not {service.image}"
    if f"MODE={service.mode}" not in container.config["Env"]:
        yield f"its environment is {container.config['Env']}, without MODE={service.mode}"
    if container.phase is not Phase.RUNNING or container.probe is not Probe.HEALTHY:
        yield f"it is {container.phase}, {container.probe}"
