"""What does each command of a scenario do? Here a whole loop plays on a world in memory."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

from quantities import bytes_of, seconds_of
from revision import changes_of
from transcript import Step

from reconciler.apply import Applier
from reconciler.cli import rollout
from reconciler.drivers.clock import VirtualClock
from reconciler.drivers.memory import EngineError, Killed, MemoryRuntime, MemoryStore, Repository, Trouble, World
from reconciler.drivers.memory.container import Container
from reconciler.drivers.memory.gateway import MemoryGateway
from reconciler.errors import ReconcilerError
from reconciler.load.loading import LoadSettings, load
from reconciler.loop import Reconciler, next_wake
from reconciler.loop import World as Ports
from reconciler.model.desired import DesiredState
from reconciler.model.observed import Phase
from reconciler.model.plan import Plan
from reconciler.model.source import Revision
from reconciler.model.status import Report
from reconciler.model.traffic import server_name
from reconciler.observe import observe
from reconciler.plan import make_plan, render
from reconciler.ports import Files

SETTINGS = LoadSettings(name="production", gateway="haproxy:3.2")
INTERVAL_SECONDS = 30.0
SUPERVISOR_SECONDS = 1.0
"""How long after it was killed the reconciler's process is started again."""

MOST_TURNS = 200


class Stage:
    """A world, a repository, a state directory and a reconciler; a method `do_X` for each command X, beside _HANDS.

    A command's words are the arguments: `NAME` positional, `key=value` named.
    """

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.world = World(self.clock)
        self.gateway = MemoryGateway(self.world)
        self.repository = Repository(self.clock)
        self.store = MemoryStore()
        self.state_lasts = True
        """Whether the state directory outlives the reconciler's process when that is killed."""
        self.reconciler = self._started()
        self.last: Report | None = None
        self._plan_before: Plan | None = None
        self._audited = 0

    def say(self, step: Step) -> Iterator[str]:
        """Do what a command says; yield what it prints, and whatever the audit has found since."""
        name, *words = step.words
        hand = _HANDS.get(name)
        command = partial(hand, self.world) if hand else getattr(self, f"do_{name}", None)
        if command is None:
            raise AssertionError(f"line {step.line}: there is no command {name!r}")
        named: dict[str, Any] = dict(word.split("=", 1) for word in words if _NAMED.match(word))
        positional = [word for word in words if not _NAMED.match(word)]
        if step.body:
            named["body"] = step.body
        try:
            printed = command(*positional, **named)
            yield from printed if isinstance(printed, Iterator) else ()
        except EngineError as error:
            yield f"the engine says: {error.message}"
        except ReconcilerError as error:
            yield f"error: {error}"
        yield from self._violations()

    # --- the repository ----------------------------------------------------------------------------------------------

    def do_push(self, *subject: str, body: Iterable[str] = ()) -> None:
        """Commit: `== PATH` and the lines of a new file, `-- PATH` for one to remove, `~~ PATH` and lines `old => new`."""
        self.repository.push(changes_of(body, self._file), " ".join(subject) or "change")

    def do_remote(self, state: str) -> None:
        """`remote up|down|gone`: does the Git remote answer, has it a branch?"""
        self.repository.up, self.repository.branch_gone = state != "down", state == "gone"

    # --- the reconciler ----------------------------------------------------------------------------------------------

    def do_turn(self) -> Iterator[str]:
        """One turn: the plan, and what failed of it."""
        report = self._turn()
        if isinstance(report, str):
            yield report
            return
        yield from (f"error: {line}" for line in report.error.splitlines())
        if report.plan:
            yield from render.text(report.plan, actions=True).splitlines()
        yield from (f"failed: {one.action}: {one.error}" for one in report.outcomes if one.error)
        yield from (f"skipped: {one.action}" for one in report.outcomes if one.skipped)

    def do_settle(self, most: str = "10m") -> Iterator[str]:
        """Turn whenever something happens or is due, until nothing is left to do or the time is over.

        Prints one line for every turn that did something, then what still waits or is held.
        """
        until = self.clock.monotonic() + seconds_of(most)
        for _ in range(MOST_TURNS):
            yield from self._brief_turn()
            wait = self._until_something()
            if wait is None or self.clock.monotonic() + wait > until:
                break
            self.clock.advance(wait)
        else:
            yield f"never settled: {MOST_TURNS} turns"
        yield from self._held()

    def do_plan(self) -> Iterator[str]:
        """The plan with every call, and nothing done: what `turn` would do now."""
        desired, history = self._load(self.repository.fetch()), self.store.history()
        previous = self._load(self.repository.revision(history.applied)) if history.applied else None
        observed = observe(MemoryRuntime(self.world), desired, history, previous, gateway=self.gateway)
        yield from render.text(make_plan(desired, observed, history, previous), actions=True).splitlines()

    def do_status(self) -> Iterator[str]:
        """What the last turn said of each service."""
        if self.last is None:
            return
        yield from (f"error: {line}" for line in self.last.error.splitlines())
        for stack in self.last.stacks:
            yield f"{stack.name}  {stack.sync}  {stack.health}"
            for service in stack.services:
                message = f"  {service.message}" if service.message else ""
                counts = f"{service.ready} of {service.wanted} ready"
                yield f"  {service.name}  {service.sync}  {service.health}  {counts}{message}"

    def do_restart(self) -> None:
        """The reconciler's process ends and another one begins."""
        self.reconciler = self._started()

    def do_lose(self, what: str) -> None:
        """`lose state`: the state directory is empty again. `lose key`: only the key of the spec labels is new."""
        {"state": self.store.lose, "key": self.store.lose_key}[what]()
        self.reconciler = self._started()

    def do_fail(self, nth: str, kind: str) -> None:
        """`fail N before|halfway|after|refuse|conflict|restart|down`: the Nth change from now on goes wrong so."""
        self.world.fail(int(nth), kind)

    def do_crash(self, nth: str, when: str = "before") -> None:
        """`crash N before|halfway|after`: the reconciler is killed at the Nth change from now on."""
        self.world.crash(int(nth), when)

    # --- time --------------------------------------------------------------------------------------------------------

    def do_advance(self, duration: str) -> None:
        self.clock.advance(seconds_of(duration))

    def do_jump(self, duration: str) -> None:
        """The wall clock is set forward, or back with a minus."""
        self.clock.jump(seconds_of(duration))

    # --- images and their registry -----------------------------------------------------------------------------------

    def do_image(self, reference: str, local: str = "yes", volumes: str = "", writes: str = "", **how: str) -> None:
        """Build and publish: `image web:2 health_after=5 never_healthy=yes exits=0 after=3 writes="a line" local=no …`."""
        config: dict[str, Any] = {"Volumes": {path: {} for path in volumes.split(",")}} if volumes else {}
        behaviour = {key: _value(text) for key, text in how.items()}
        if writes:
            behaviour["logs"] = (("stderr", writes),)
        self.world.image(reference, config=config, local=local == "yes", **behaviour)

    def do_registry(self, reference: str, answer: str) -> None:
        """`registry web:2 404|401|429|500|hang|ok`."""
        self.world.registry_fails(reference, None if answer == "ok" else Trouble(answer))

    # --- the engine, and the hands of people -------------------------------------------------------------------------

    def do_engine(self, state: str) -> None:
        {"down": self.world.engine_down, "up": self.world.engine_up, "restart": self.world.restart_engine}[state]()

    def do_update(self, name: str, memory: str = "", cpus: str = "", restart: str = "") -> None:
        """`update NAME memory=64m cpus=0.5 restart=always`, as `docker update`."""
        limits: dict[str, Any] = {}
        if memory:
            limits |= {"Memory": bytes_of(memory), "MemorySwap": 2 * bytes_of(memory)}
        if cpus:
            limits |= {"NanoCpus": int(float(cpus) * 1e9)}
        if restart:
            limits |= {"RestartPolicy": {"Name": restart}}
        self.world.update(name, **limits)

    def do_dies(self, name: str, exit_code: str = "1") -> None:
        """The process ends by itself."""
        self.world.dies(name, int(exit_code))

    def do_foreign(self, name: str, *ports: str, project: str = "") -> None:
        """`foreign NAME 8080:80`: somebody else's container, with a published port; `project=` of Compose."""
        own = {"com.docker.compose.project": project, "com.docker.compose.service": name} if project else {}
        self.world.foreign_container(name, {f"{port.partition(':')[2]}/tcp": port.partition(":")[0] for port in ports}, own=own)

    def do_gateway(self, what: str, why: str = "") -> None:
        """`gateway refuses 'WHY'` to be loaded anew, is `silent`, or `answers` again, to whatever it is told."""
        self.gateway.refuses = why
        self.gateway.silent = what == "silent"

    # --- looking -----------------------------------------------------------------------------------------------------

    def do_show(self) -> Iterator[str]:
        """Every container, network and volume of the engine, ours or not."""
        engine = self.world.engine
        rows = [_row(container) for container in sorted(engine.containers.values(), key=lambda one: one.name)]
        yield from _table(rows) if rows else ("no container",)
        networks = sorted(one.name for one in engine.networks.by_id.values() if one.name not in ("bridge", "host", "none"))
        volumes = sorted(one.name for one in engine.volumes.by_name.values() if not one.anonymous)
        yield from (f"network {name}" for name in networks)
        yield from (f"volume {name}" for name in volumes)

    def do_requests(self, port: str) -> Iterator[str]:
        """Who gets the requests at a port of the host, with which weight, and how much of what was in flight was cut."""
        found = sorted(self.gateway.sends_to(int(port)).items())
        yield from (f"{name}  {weight}" for name, weight in found) if found else ("nobody",)
        if self.gateway.cut:
            yield f"{self.gateway.cut} cut"

    def do_busy(self, name: str, count: str) -> None:
        """Let a container have so many requests in flight."""
        self.gateway.in_flight[server_name(self.world.container(name).id)] = int(count)

    def do_answers(self, name: str, count: str, failed: str = "0", ms: str = "0") -> None:
        """`answers NAME 100 failed=3 ms=20`: a container has answered so many requests since."""
        self.gateway.answer(server_name(self.world.container(name).id), int(count), int(failed), int(ms))

    def do_rollout(self, what: str, service: str, reason: str = "") -> Iterator[str]:
        """A person's word to a rollout."""
        yield from rollout.tell(self.store, self.clock.now(), what, [service], reason).splitlines()

    def do_changes(self) -> Iterator[str]:
        """How many changes were asked of the engine so far."""
        yield str(self.world.mutations)

    # --- how it is done ----------------------------------------------------------------------------------------------

    def _started(self) -> Reconciler:
        runtime = MemoryRuntime(self.world)
        ports = Ports(self.repository, _loaded, runtime, self.store, self.clock, self.gateway)
        return Reconciler(ports, Applier(runtime, self.clock, gateway=self.gateway, threads=False))

    def _load(self, revision: Revision) -> DesiredState:
        return _loaded(self.repository.files(revision.id), revision)

    def _file(self, path: str) -> str:
        return self.repository.files("HEAD").read(path).decode()

    def _turn(self) -> Report | str:
        """Take a turn; return its report, or what to say of a reconciler that did not survive it."""
        try:
            self._plan_before = self.last.plan if self.last else None
            self.reconciler.refresh()
            self.last = self.reconciler.turn()
        except Killed as killed:
            if not self.state_lasts:
                self.store.lose()
            self.reconciler, self.last = self._started(), None
            return f"the reconciler was {killed}"
        return self.last

    def _brief_turn(self) -> Iterator[str]:
        at, before = _clock(self.clock.monotonic()), self.last
        report = self._turn()
        if isinstance(report, str):
            yield f"{at} {report}"
            return
        done = [one.action for one in report.outcomes if one.done]
        if done:
            yield f"{at} {', '.join(done)}"
        if report.error and not (before and before.error == report.error):
            yield f"{at} error: {report.error}"
        yield from (f"{at} failed: {one.action}: {one.error}" for one in report.outcomes if one.error)

    def _held(self) -> Iterator[str]:
        plan = self.last.plan if self.last else None
        if plan:
            yield from (f"waits: {one.what}, once {one.on}" for one in plan.waiting)
            yield from (f"blocked: [{one.code}] {one.message}" for one in plan.blocked)
            yield from (f"drift: {one.key}" for one in plan.drift)
            yield from (f"held: {render.held_text(one)}" for one in plan.held)

    def _until_something(self) -> float | None:
        """Return in how many seconds the loop wakes for something to do; None when nothing is left."""
        report, due = self.last, self.clock.next_due()
        if report is None:
            return SUPERVISOR_SECONDS
        if report.plan is None:
            return INTERVAL_SECONDS
        if report.outcomes:
            return 0.0
        plan = report.plan
        unfinished = plan.waiting or report.error or not plan.complete or (plan.blocked and not _same(plan, self._plan_before))
        if unfinished or any(one.until for one in plan.held):
            wake = next_wake(report, INTERVAL_SECONDS, self.clock.now())
            return wake if due is None else min(due, wake)
        return due

    def _violations(self) -> Iterator[str]:
        found = self.world.audit()
        new, self._audited = found[self._audited :], len(found)
        yield from (f"VIOLATION: {one.rule}: {one.text}" for one in new)


_HANDS: Mapping[str, Callable[..., object]] = {
    "kill": World.kill,
    "stop": World.stop,
    "start": World.start,
    "pause": World.pause,
    "unpause": World.unpause,
    "rm": World.remove,
    "rename": World.rename,
    "connect": World.connect,
    "disconnect": World.disconnect,
    "rm-network": World.remove_network,
    "rm-volume": World.remove_volume,
    "rm-image": World.remove_image,
    "compose-up": World.compose_up,
    "sickens": World.sickens,
    "recovers": World.recovers,
    "foreign-network": World.foreign_network,
    "foreign-volume": World.foreign_volume,
}
"""What people and neighbours do to the engine without asking anybody."""

_NAMED = re.compile(r"[a-z_]+=")


def _same(plan: Plan, before: Plan | None) -> bool:
    return before is not None and render.text(plan) == render.text(before)


def _loaded(files: Files, revision: Revision) -> DesiredState:
    """Load a revision; the same one is loaded once for all stages, since equal ids mean equal files."""
    if revision.id not in _DESIRED:
        _DESIRED[revision.id] = load(files, revision, SETTINGS)
    return replace(_DESIRED[revision.id], revision=revision)


_DESIRED: dict[str, DesiredState] = {}


def _row(container: Container) -> tuple[str, ...]:
    state = container.phase.value
    if container.phase in (Phase.EXITED, Phase.RESTARTING):
        state += f" ({container.exit_code})"
    if container.phase is Phase.RUNNING and container.probe:
        state += f", {container.probe.value}"
    ports = ", ".join(
        f"{entry['HostPort']}->{key}" for key, entries in sorted(container.ports.items()) for entry in entries[:1]
    )
    return container.name, container.config["Image"], state, ports


def _table(rows: list[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _value(text: str) -> Any:
    if text in ("yes", "no"):
        return text == "yes"
    with suppress(ValueError):
        return int(text)
    with suppress(ValueError):
        return seconds_of(text)
    return tuple(text.split(","))


def _clock(seconds: float) -> str:
    minutes, rest = divmod(seconds, 60)
    return f"[{int(minutes)}:{rest:04.1f}]" if rest % 1 else f"[{int(minutes)}:{int(rest):02d}]"
