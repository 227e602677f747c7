"""How does a test bring the engine to what a directory asks for, and know every change that was made?"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from reconciler.apply import Applier
from reconciler.drivers.clock import SystemClock
from reconciler.drivers.directory import FolderSource
from reconciler.drivers.docker import DockerRuntime
from reconciler.drivers.docker.connection import open_connection
from reconciler.drivers.haproxy import HaproxyGateway
from reconciler.drivers.sqlite import SqliteStore
from reconciler.load.loading import LoadSettings, load
from reconciler.loop import Reconciler, World, next_wake
from reconciler.model.desired import DesiredState
from reconciler.model.plan import Change, TrafficChange
from reconciler.model.policy import Policy, Preset
from reconciler.model.source import Revision
from reconciler.model.status import Report
from reconciler.ports import Files
from reconciler.reading import Load

POLL_SECONDS = 1.0
GATEWAY_IMAGE = "local/haproxy:2.6"


def load_openly(files: Files, revision: Revision) -> DesiredState:
    """Load for a host whose operator allows everything."""
    return load(files, revision, LoadSettings(policy=Policy(Preset.OPEN), gateway=GATEWAY_IMAGE))


class CountingRuntime(DockerRuntime):
    """The real engine, with every change that was asked of it."""

    def __init__(self) -> None:
        super().__init__(open_connection(None, 60), SystemClock())
        self.made: list[Change | TrafficChange] = []

    def do(self, change: Change) -> None:
        """Remember the change, then make it."""
        self.made.append(change)
        super().do(change)


class CountingGateway(HaproxyGateway):
    """The real gateway; what is asked of it is remembered with the changes of the engine."""

    def __init__(self, runtime: CountingRuntime) -> None:
        super().__init__(runtime.inside(), SystemClock())
        self.made = runtime.made

    def do(self, change: TrafficChange) -> None:
        """Remember the change, then make it."""
        self.made.append(change)
        super().do(change)


@dataclass
class Host:
    """A reconciler as a host runs it: a directory of wishes, a state directory, the engine.

    `restarted` gives one that remembers nothing but what stands in the state directory.
    """

    directory: Path
    state: Path
    load: Load = load_openly
    runtime: CountingRuntime = field(default_factory=CountingRuntime)
    clock: SystemClock = field(default_factory=SystemClock)
    reconciler: Reconciler = field(init=False)

    def __post_init__(self) -> None:
        gateway = CountingGateway(self.runtime)
        world = World(FolderSource(self.directory), self.load, self.runtime, SqliteStore(self.state), self.clock, gateway)
        self.reconciler = Reconciler(world, Applier(self.runtime, self.clock, gateway=gateway))

    def restarted(self) -> Host:
        """Return a new reconciler on the same directory and state."""
        self.close()
        return Host(self.directory, self.state)

    def close(self) -> None:
        """End the threads of the reconciler."""
        self.reconciler.applier.stop(0.0)

    def turn(self) -> Report:
        """Look at the directory and do one turn to its end."""
        self.reconciler.refresh()
        return self.reconciler.turn()

    def turn_until(self, done: Callable[[Report], bool], deadline_seconds: float) -> Report:
        """Turn until a report is as wanted; return the last one, as wanted or not."""
        end = self.clock.monotonic() + deadline_seconds
        while not done(report := self.turn()) and self.clock.monotonic() < end:
            if not report.outcomes:
                threading.Event().wait(min(POLL_SECONDS, next_wake(report, POLL_SECONDS, self.clock.now())))
        return report

    def changes_of_a_turn(self) -> list[Change | TrafficChange]:
        """Return what one more turn asks of the engine and of the gateway."""
        before = len(self.runtime.made)
        self.turn()
        return self.runtime.made[before:]


def nothing_left(report: Report) -> bool:
    """All is as wanted and serves: nothing to do, to wait for or to decide."""
    return nothing_to_do(report) and report.plan is not None and not report.plan.waiting


def nothing_to_do(report: Report, but: str = "") -> bool:
    """All is as wanted but for what is blocked by one code, though some health check may have yet to tell whether it serves."""
    plan = report.plan
    if plan is None or not plan.complete or plan.actions or any(one.code != but for one in plan.blocked):
        return False
    return all(one.what.startswith("see ") for one in plan.waiting)
