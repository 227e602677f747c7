"""What does deciding cost, with no engine and no remote to wait for? In processor time of this process."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from hashlib import sha256

from benchmarks.measure import BARE, OURS, Row, Target, alternating, cpu_seconds, seconds
from benchmarks.repositories import IMAGE, realistic
from reconciler.apply import Applier
from reconciler.drivers.clock import VirtualClock
from reconciler.drivers.memory import MemoryRuntime, MemoryStore, Repository
from reconciler.drivers.memory import World as Engine
from reconciler.load.loading import LoadSettings, load
from reconciler.load.memory import Memory as Loaded
from reconciler.loop import Reconciler, World
from reconciler.model.desired import DesiredState
from reconciler.model.history import HashKey, History
from reconciler.model.observed import ObservedState
from reconciler.model.plan import Change, Plan
from reconciler.plan import make_plan
from reconciler.plan.assume import assume
from reconciler.plan.memory import Memory
from reconciler.ports import Depth

NAME = "benchmark"
SECRET = b"of a benchmark, and known to all"
KEY = HashKey(sha256(b"id" + SECRET).hexdigest()[:8], SECRET)
"""As a state directory has it whose file `hash.key` holds the secret."""


def version(runs: int, size: float) -> Iterator[Row]:
    """`reconciler --version`, beside a Python that does nothing."""

    def started(*words: str) -> float:
        return seconds(lambda: subprocess.run((sys.executable, *words), check=True, stdout=subprocess.DEVNULL))

    sides = {OURS: lambda: started("-m", "reconciler", "--version"), BARE: lambda: started("-c", "pass")}
    costs = {side: 1000 * cost for side, cost in alternating(runs, sides).items()}
    yield Row(
        "--version, beside bare Python",
        "ms",
        costs,
        (Target(costs[BARE] + 40),),
        "bare calls: python -c pass; target: 40 ms more",
    )


def plan(runs: int, size: float) -> Iterator[Row]:
    """A plan of many services of which one changed, by a planner that made the plan before."""
    many, few = max(20, int(10_000 * size)), max(10, int(1_000 * size))
    large, small = Situation.of(many), Situation.of(few)
    sides = {OURS: large.plans_one_change, "small": small.plans_one_change, "forgetful": large.plans_without_memory}
    costs = alternating(runs, sides)
    row = {OURS: 1000 * costs[OURS]}
    yield Row(
        f"plan of {many:,} services, 1 changed",
        "ms",
        row,
        (Target(200),),
        f"without a memory: {1000 * costs['forgetful']:.3g} ms",
    )
    ratio = {OURS: costs[OURS] / costs["small"]}
    yield Row(f"the same: cost({many:,}) : cost({few:,})", "×", ratio, (Target(12),))


def reload(runs: int, size: float) -> Iterator[Row]:
    """One changed file of many, loaded again."""
    services = max(20, int(2_000 * size))
    repository, memory = Repository(VirtualClock()), Loaded()
    repository.push(_bytes(realistic(NAME, services)), "all")
    cold = cpu_seconds(lambda: _load(repository, memory))
    pushes = iter(range(1, 1 + runs))

    def one_changed() -> float:
        files = realistic(NAME, services, changed=[next(pushes) % services])
        repository.push({path: text for path, text in _bytes(files).items() if path.startswith("part0000")}, "one")
        return cpu_seconds(lambda: _load(repository, memory))

    costs = {side: 1000 * cost for side, cost in alternating(runs, {OURS: one_changed}).items()}
    yield Row(
        f"reload of one changed file, {services:,} services",
        "ms",
        costs,
        (Target(20),),
        f"all of them, cold: {1000 * cold:.0f} ms",
    )


def stacks_at_once(runs: int, size: float) -> Iterator[Row]:
    """Many stacks of one service, added at once on the engine in memory: our own share of it."""
    for stacks in (max(2, int(count * size)) for count in (100, 500, 1_000)):
        costs = alternating(max(1, runs // 5), {OURS: partial(_added, stacks)})
        yield Row(f"{stacks:,} stacks added at once", "ms a stack", {OURS: 1000 * costs[OURS] / stacks})


def _added(stacks: int) -> float:
    """Return what it costs to load, plan and carry out, less what the engine in memory takes for its part."""
    clock = VirtualClock()
    engine = Engine(clock)
    engine.image(IMAGE)
    runtime, repository = Metered(engine), Repository(clock)
    repository.push(_bytes(realistic(NAME, stacks, per_stack=1)), "all")
    world = World(repository, lambda files, revision: load(files, revision, LoadSettings(NAME)), runtime, MemoryStore(), clock)
    reconciler = Reconciler(world, Applier(runtime, clock))

    def work() -> None:
        reconciler.refresh()
        report = reconciler.turn()
        assert len(report.outcomes) == 2 * stacks, report.error
        reconciler.end(0)

    return cpu_seconds(work) - runtime.cost


class Metered(MemoryRuntime):
    """An engine in memory that notes what it costs itself, in seconds of processor time."""

    cost = 0.0

    def observe(self, environment: str, adopted: Iterable[str] = (), *, depth: Depth = Depth.LISTED) -> ObservedState:
        with self._metering():
            return super().observe(environment, adopted, depth=depth)

    def do(self, change: Change) -> None:
        with self._metering():
            super().do(change)

    @contextmanager
    def _metering(self) -> Iterator[None]:
        began = time.thread_time()
        try:
            yield
        finally:
            self.cost += time.thread_time() - began


@dataclass(frozen=True, slots=True)
class Situation:
    """Everything of a revision runs, and the next one changes one service."""

    before: DesiredState
    after: DesiredState
    observed: ObservedState
    history: History
    memory: Memory

    @classmethod
    def of(cls, services: int) -> Situation:
        repository, memory = Repository(VirtualClock()), Loaded()
        repository.push(_bytes(realistic(NAME, services)), "all")
        before = _load(repository, memory)
        repository.push(_bytes(realistic(NAME, services, changed=[services // 2])), "one")
        after = _load(repository, memory)
        history = History(KEY, applied=before.revision.id)
        observed = assume(before, before.revision.at, history)
        return cls(before, after, observed, history, Memory())

    def plans_one_change(self) -> float:
        """Make the plan of a turn at which the new revision came in; the turn before knew the old one."""
        assert self._plan(self.before, self.memory).empty
        return cpu_seconds(lambda: self._changes_one(self.memory))

    def plans_without_memory(self) -> float:
        return cpu_seconds(lambda: self._changes_one(None))

    def _changes_one(self, memory: Memory | None) -> None:
        assert len(self._plan(self.after, memory).groups) == 1

    def _plan(self, desired: DesiredState, memory: Memory | None) -> Plan:
        return make_plan(desired, self.observed, self.history, self.before, memory=memory)


def _load(repository: Repository, memory: Loaded) -> DesiredState:
    revision = repository.fetch()
    return load(repository.files(revision.id), revision, LoadSettings(NAME), memory)


def _bytes(files: Mapping[str, str]) -> dict[str, bytes]:
    return {path: text.encode() for path, text in files.items()}
