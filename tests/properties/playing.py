"""What becomes of a history? The whole loop plays it on a world in memory, under the eyes of a witness."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from asked import Asked, load_revision, repository
from histories import BROKEN, Break, History, Push, Say, Step, images, is_clock_set, is_disturbed
from promises import (
    Broken,
    Witness,
    check_turn,
    differences,
    expected,
    gives_up_a_port,
    is_ready,
    may_pause,
    ours,
    place,
    starts_first,
)  # fmt: skip
from quantities import seconds_of
from stage import Stage
from transcript import Step as Line

from reconciler.apply import Applier
from reconciler.claim import LEASE_SECONDS
from reconciler.drivers.memory import Killed, MemoryRuntime, MemoryStore, Repository, Rule, World
from reconciler.loop import Reconciler, next_wake
from reconciler.loop import World as Ports
from reconciler.model.plan import Change
from reconciler.model.status import Operation, Report
from reconciler.ports import Runtime, Source
from reconciler.resident import Resident

MOST_TURNS, MANY_TURNS, FEW_TURNS = 60, 300, 15
"""How often a reconciler turns in a step, at the end, and there where something crashes for ever, which never comes to rest."""

INTERVAL_SECONDS = 30.0
SUPERVISOR_SECONDS = 1.0
"""How long after it was killed a reconciler's process is started again."""


class WatchedRuntime(MemoryRuntime):
    """The engine in memory, with a witness to every change."""

    def __init__(self, world: World, witness: Witness) -> None:
        super().__init__(world)
        self.witness = witness

    def do(self, change: Change) -> None:
        self.witness.before(change)
        super().do(change)
        self.witness.after(change)


@dataclass(frozen=True, slots=True)
class Cast:
    """Who plays: a test of the tests has another one play instead."""

    runtime: Callable[[World, Witness], Runtime] = WatchedRuntime
    source: Callable[[Repository], Source] = lambda repository: repository
    reconciler: type[Reconciler] = Reconciler
    applier: type[Applier] = Applier


@dataclass(slots=True)
class Process:
    """A reconciler's process: it dies, its state directory does not."""

    name: str
    store: MemoryStore = field(default_factory=MemoryStore)
    resident: Resident | None = None
    lives: int = 0
    idle_seconds: float = 0.0
    """How long it does nothing where it took no turn: it was killed, or somebody else has the lease."""


class Playing:
    """A world, a repository, and one or two reconcilers; a history is played on them step by step."""

    def __init__(self, history: History, cast: Cast | None = None) -> None:
        self.history, self.cast = history, cast or Cast()
        self.stage = Stage()
        self.world, self.clock, self.repository = self.stage.world, self.stage.clock, self.stage.repository
        self.witness = Witness(self.world)
        self.asked: dict[str, Asked] = {}
        self.newest = Asked(())
        self.applied: Asked | None = None
        self.claimed = ""
        self.processes = [Process("main"), *([Process("rival")] if history.leased else [])]
        self.reports: list[Report] = []
        self._files: dict[str, str] = {}
        self._foreign_guests()

    def build_images(self) -> None:
        """Build and publish every image that somebody will ask for."""
        for line in images(sorted({one.image for asked in self._all_asked() for _, one in asked.each()})):
            self._say(line)

    def step(self, step: Step) -> None:
        match step:
            case Push(asked):
                self._push(asked)
            case Break():
                self._write({**self._files, **BROKEN})
            case Say("turn"):
                self.turns()
            case Say("restart" | "lose state" | "lose key" as command):
                self._restart(command)
            case Say(command) if command.startswith("settle "):
                self.settle(seconds_of(command.removeprefix("settle ")))
            case Say(command):
                self._say(command)
        self._audit()

    # --- the end -----------------------------------------------------------------------------------------------------

    def rest(self) -> None:
        """Let everything that went wrong be over, and much time pass. Raises Broken where the end is not as it must be."""
        self._mend()
        turns = FEW_TURNS if expected(self.newest, self.applied).open else MANY_TURNS
        self.settle(1800, turns)
        for person_acts in (self._confirm, self._confirm, self._retry):
            if person_acts():
                self.settle(1800, turns)
        self.clock.advance(900)
        quiet = self.settle(1800, turns)
        wanted = expected(self.newest, self.applied)
        found = list(differences(self.world, self.newest, wanted))
        if found:
            raise Broken("at rest:\n" + "\n".join(found))
        if not wanted.open:
            if not quiet:
                raise Broken(f"it never comes to rest: {self.reports[-1].plan}")
            self._stays(exact=wanted.counts == expected(self.newest, None).counts and not is_clock_set(self.history))

    def _mend(self) -> None:
        """Faults stop: the engine and the remote answer, and somebody repairs what was pushed."""
        self.world.wire.clear()
        self.world.engine_up()
        self._say("remote up")
        self._say("registry far:1 ok")
        del self.processes[1:]
        # Whoever is gone may have had the lease.
        self.clock.advance(LEASE_SECONDS)
        if self._files.items() >= BROKEN.items():
            self._push(self.newest)

    def _confirm(self) -> bool:
        """Push what releases the deletions that are held, as the plan's hint says it: nothing, where the state is new."""
        plan = self.reports[-1].plan
        hints = [blocked.hint for blocked in plan.blocked if blocked.code == "R140"] if plan else []
        for hint in (hint for hint in hints if "`" in hint):
            said = self._files["reconciler.yaml"] + hint.split("`")[1]
            revision = self._write({**self._files, "reconciler.yaml": said})
            self.asked[revision] = self.newest
        return bool(hints)

    def _retry(self) -> bool:
        """Say `retry` for what works and failed only because somebody's hands, or the engine's end, came between."""
        plan = self.reports[-1].plan
        failed = {blocked.group for blocked in plan.blocked if blocked.code == "R130"} if plan else set()
        unsure = expected(self.newest, self.applied).open
        works = {
            f"{stack.name}/{one.name}"
            for stack, one in self.newest.each()
            if one.works and (stack.name, one.name) not in unsure
        }
        if failed & works and not is_disturbed(self.history):
            raise Broken(f"{failed & works} work, and are held for a failure")
        now = self.clock.now()
        for process in self.processes:
            process.store.change(
                lambda history: replace(
                    history,
                    quarantine={key: one for key, one in history.quarantine.items() if key not in works},
                    retried={**history.retried, **dict.fromkeys(failed & works, now)},
                )
            )
        return bool(failed & works)

    def _stays(self, *, exact: bool) -> None:
        """Another turn changes nothing; nor does one without the key of the labels, or without any state.

        Only a process that was there when the clock was set can tell who is older than whom.
        """
        for command in ("turn", "lose key", "lose state") if exact else ("turn",):
            changes = self.world.mutations
            if command != "turn":
                self._restart(command)
            self.settle(120)
            if self.world.mutations != changes:
                raise Broken(f"at rest, after {command}, it asked for {self.witness.changes}")

    # --- turns -------------------------------------------------------------------------------------------------------

    def turns(self) -> tuple[Report | None, ...]:
        """Let every process take a turn; None for one that was killed or may not act."""
        return tuple(map(self._turn, self.processes))

    def settle(self, most_seconds: float, most_turns: int = MOST_TURNS) -> bool:
        """Turn whenever something happens or is due. Returns whether nothing was left to do before the time was over."""
        until = self.clock.monotonic() + most_seconds
        for _ in range(most_turns):
            pauses = map(self._pause, self.processes, self.turns())
            due = [pause for pause in pauses if pause is not None]
            if not due:
                return True
            if self.clock.monotonic() + min(due) > until:
                self.clock.advance(max(0.0, until - self.clock.monotonic()))
                return False
            self.clock.advance(min(due))
            self.witness.look()
        return False

    def _turn(self, process: Process) -> Report | None:
        resident = process.resident or self._started(process)
        told: list[Report] = []
        resident.tell = told.append
        try:
            resident.reconciler.refresh()
            wanted = resident.reconciler.wanted
            if wanted and wanted.revision.id not in self.asked:
                raise Broken("it acts on what nobody pushed")
            self.witness.begin(self.asked[wanted.revision.id] if wanted else None)
            self.witness.acting = resident.holder if self.history.leased else ""
            if self.history.leased:
                process.idle_seconds = resident.turn(("history",))
            else:
                told.append(resident.reconciler.turn())
        except Killed:
            process.resident, process.idle_seconds = None, SUPERVISOR_SECONDS
            return None
        if told:
            self._check(process, told[0])
        return told[0] if told else None

    def _check(self, process: Process, report: Report) -> None:
        self.reports.append(report)
        check_turn(report, process.store.turns(1)[0], self.witness.changes)
        if report.operation is Operation.ERROR and self.world.wire.up and report.revision:
            raise Broken(f"a turn ended in an error: {report.error}")
        if report.revision and report.applied == report.revision.id != self.claimed:
            self._check_claim(report.applied)

    def _check_claim(self, revision: str) -> None:
        """What is said to be applied whole is there; after the clock was set, a new process may take young for old."""
        self.claimed, self.applied = revision, self.asked[revision]
        found = list(differences(self.world, self.applied, expected(self.applied, None)))
        if found and not is_clock_set(self.history):
            raise Broken("said to be applied whole:\n" + "\n".join(found))

    def _pause(self, process: Process, report: Report | None) -> float | None:
        """Return in how many seconds a process wakes for something to do; None when nothing is left."""
        if report is None:
            return process.idle_seconds
        if report.plan is None:
            return INTERVAL_SECONDS
        if report.outcomes:
            return 0.0
        due = self.clock.next_due()
        if report.plan.waiting or report.error:
            wake = next_wake(report, INTERVAL_SECONDS, self.clock.now())
            return wake if due is None else min(due, wake)
        return due

    # --- processes ---------------------------------------------------------------------------------------------------

    def _started(self, process: Process) -> Resident:
        runtime = self.cast.runtime(self.world, self.witness)
        ports = Ports(self.cast.source(self.repository), load_revision, runtime, process.store, self.clock)
        reconciler = self.cast.reconciler(ports, self.cast.applier(runtime, self.clock, threads=False))
        process.lives += 1
        process.resident = Resident(reconciler, lambda report: None, f"{process.name} {process.lives}")
        return process.resident

    def _restart(self, command: str) -> None:
        process = self.processes[0]
        if command == "lose state":
            process.store.lose()
            self.applied = None
        elif command == "lose key":
            process.store.lose_key()
        process.resident = None

    # --- the world ---------------------------------------------------------------------------------------------------

    def _say(self, command: str) -> None:
        """Do what the command of a scenario does. What the engine refuses a person is no matter."""
        for _ in self.stage.say(Line(0, command)):
            pass

    def _push(self, asked: Asked) -> None:
        revision = self._write(repository(asked))
        self.newest, self.asked[revision] = asked, asked
        self.witness.pushed.append(asked)

    def _write(self, files: dict[str, str]) -> str:
        """Push exactly these files. Returns the revision's id."""
        gone = dict.fromkeys(self._files.keys() - files.keys())
        self._files = files
        return self.repository.push({**{path: text.encode() for path, text in files.items()}, **gone}, "change").id

    def _all_asked(self) -> Iterable[Asked]:
        return (step.asked for step in self.history.steps if isinstance(step, Push))

    def _foreign_guests(self) -> None:
        """Neighbours that nothing may happen to."""
        self.world.foreign_container("neighbour", {"80/tcp": "9090"}, own={"com.docker.compose.project": "other"})
        self.world.foreign_container("other-environment", own={"io.reconciler.environment": "other"})
        self.world.foreign_network("theirs")
        self.world.foreign_volume("treasure")

    def _audit(self) -> None:
        """What the world itself saw. That a new one comes first although both write is Git's to say."""
        said = {one.name for asked in self._all_asked() for _, one in asked.each() if one.order == "start-first"}
        found = [one for one in self.world.audit() if one.rule is not Rule.DATA or not said]
        if found:
            raise Broken("; ".join(f"{one.rule}: {one.text}" for one in found))
        self._guests_are_well()

    def _guests_are_well(self) -> None:
        engine = self.world.engine
        there = engine.find("neighbour") and engine.find("other-environment")
        if not (there and engine.networks.find("theirs") and "treasure" in engine.volumes.by_name):
            raise Broken("something of a neighbour is gone")


def play(history: History, cast: Cast | None = None) -> Playing:
    """Play a history to its end. Raises Broken where a promise is broken."""
    playing = Playing(history, cast)
    playing.build_images()
    for step in history.steps:
        playing.step(step)
    playing.rest()
    return playing


def play_calmly(history: History, cast: Cast | None = None) -> Playing:
    """Play a calm history: from one good revision to the next, as many serve as must."""
    playing = Playing(history, cast)
    playing.build_images()
    for step in history.steps:
        if isinstance(step, Push):
            playing.witness.floor = floor(playing.world, step.asked)
        playing.step(step)
    playing.rest()
    return playing


def floor(world: World, asked: Asked) -> dict[tuple[str, str], int]:
    """Say how many of each service must serve while a revision comes, at every moment.

    As many as now, or as are asked, but for those that may be replaced at once where the old one stops first.
    """
    ready = [one for one in ours(world) if is_ready(one, world)]
    floors = {}
    for stack, service in asked.each():
        serving = [one for one in ready if place(one)[:2] == (stack.name, service.name)]
        away = 0 if starts_first(stack, service) else service.parallelism or service.replicas
        if not (may_pause(stack, service) or any(gives_up_a_port(one, asked, service) for one in serving)):
            floors[stack.name, service.name] = max(0, min(len(serving), service.replicas) - away)
    return floors
